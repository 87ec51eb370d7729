"""How long a reader waits until a drawn region is assessed, with the worker idle and busy.

    python -m benchmarks.regions [--runs 5] [--out benchmarks/regions.md]

A node of its own (listener, worker, web server, as `cadnode serve` starts them) reads a synthetic
exam of four views (2294 × 1914). Idle: boxes are drawn one after the other, the first of them after
a start of the worker. Busy: while the same node reads another exam, boxes are drawn at random
moments, and each waits for the end of the view in hand. Processor seconds are those of all of the
node's processes; on a machine that does other things they say more than the clock.
"""

import argparse
import os
import platform
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import requests
from pydicom.uid import generate_uid

from cadnode.demo.archive import free_port
from cadnode.demo.exam import write_exam
from cadnode.log import hashed
from cadnode.node import supervise

CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}
[storage]
folder = "{folder}/data"
min_free_gb = 0.05
[study]
settle_s = 0.5
quiet_s = 3.0
[reading]
device = "cpu"
[web]
port = {web_port}
[[destinations]]
name = "share"
kind = "folder"
folder = "{folder}/share"
"""
WITHIN_S = 900.0


@dataclass(frozen=True)
class Node:
    """A served node."""

    process: subprocess.Popen[bytes]
    port: int
    url: str
    share: Path

    def send(self, files: tuple[Path, ...]) -> None:
        """Send an exam by DCMTK's storescu."""
        command = ["storescu", "-aec", "CADNODE", "127.0.0.1", str(self.port), *map(str, files)]
        subprocess.run(command, check=True, capture_output=True)

    def state(self, study: str) -> str:
        """Where a study is."""
        found: str = requests.get(f"{self.url}/api/studies/{study}", timeout=60).json()["state"]
        return found

    def cpu_s(self) -> float:
        """Processor seconds of the node's processes so far."""
        pids, total = [self.process.pid], 0.0
        for pid in pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                kids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            pids += [int(kid) for kid in kids]
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def ask(self, study: str, view: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
        """The answer to a box, with the seconds that it took."""
        began, cpu = time.monotonic(), self.cpu_s()
        address = f"{self.url}/api/studies/{study}/regions"
        asked = requests.post(address, json={"view": view, "box": box}, timeout=60)
        asked.raise_for_status()
        name = asked.json()["id"]
        while True:
            found = requests.get(address, timeout=60).json()["regions"]
            (region,) = (r for r in found if r["id"] == name)
            if region["state"] != "waiting":
                return {**region, "s": time.monotonic() - began, "cpu_s": self.cpu_s() - cpu}
            time.sleep(0.05)


@contextmanager
def node(folder: Path) -> Iterator[Node]:
    """A node in `folder`, started; stopped at the end."""
    port, web_port = free_port(), free_port()
    (folder / "share").mkdir(exist_ok=True)
    config = folder / "node.toml"
    config.write_text(CONFIG.format(port=port, web_port=web_port, folder=folder))
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(supervise.command("all", config), stdout=log, stderr=log)
    served = Node(process, port, f"http://127.0.0.1:{web_port}", folder / "share")
    try:
        wait_until(lambda: is_up(served.url), "the node is up")
        yield served
    finally:
        process.terminate()
        process.wait(60)


def is_up(url: str) -> bool:
    """Whether every role of the node works."""
    try:
        roles = requests.get(f"{url}/health", timeout=10).json()["roles"]
    except requests.RequestException:
        return False
    return all(state == "up" for state in roles.values())


def wait_until(reached: Any, what: str) -> None:
    """Return once `reached()` is true; TimeoutError with `what` when it takes too long."""
    deadline = time.monotonic() + WITHIN_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


def boxes(study: str, view: str, count: int, seed: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of 8 mm inside the breast of a synthetic left CC view."""
    drawn = random.Random(f"{study} {view} {seed}")
    for _ in range(count):
        x, y = drawn.randrange(150, 450), drawn.randrange(900, 1300)
        yield x, y, x + 80, y + 80


def measure(runs: int) -> dict[str, list[dict[str, Any]]]:
    """Answers by a worker that has just started, an idle one and one that reads an exam."""
    folder = Path(tempfile.mkdtemp(prefix="cadnode-regions-"))
    exam = write_exam(folder / "one", "phantom").files
    other = another(exam, folder / "two")
    view = next(hashed(uid_of(path, "SOPInstanceUID")) for path in exam if path.stem == "LCC")
    study, busy_with = (uid_of(files[0], "StudyInstanceUID") for files in (exam, other))
    try:
        with node(folder) as one:
            one.send(exam)
            wait_until(lambda: one.state(study) == "done", "the first exam is read")
        with node(folder) as one:
            time.sleep(2)
            found: dict[str, list[dict[str, Any]]] = {"first": [], "idle": [], "busy": []}
            found["first"] = [one.ask(study, view, b) for b in boxes(study, view, 1, 1)]
            found["idle"] = [one.ask(study, view, b) for b in boxes(study, view, runs, 2)]
            one.send(other)
            wait_until(lambda: one.state(busy_with) == "reading", "the second exam is being read")
            for box in boxes(study, view, runs, 3):
                if one.state(busy_with) != "reading":
                    break
                found["busy"].append(one.ask(study, view, box))
                time.sleep(random.Random(str(box)).uniform(0.2, 1.5))
            wait_until(lambda: one.state(busy_with) == "done", "the second exam is read")
            wait_until(
                lambda: (
                    len(list(one.share.rglob("region-answer.dcm"))) == sum(map(len, found.values()))
                ),
                "every answer is delivered",
            )
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def another(files: tuple[Path, ...], folder: Path) -> tuple[Path, ...]:
    """The same images as another study."""
    folder.mkdir()
    made = []
    for path in files:
        ds = pydicom.dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            ds[keyword].value = generate_uid(entropy_srcs=[ds[keyword].value])
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(folder / path.name)
        made.append(folder / path.name)
    return tuple(made)


def uid_of(path: Path, keyword: str) -> str:
    """A UID that a file states."""
    return str(pydicom.dcmread(path, specific_tags=[keyword])[keyword].value)


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """The Markdown table."""
    words = {
        "first": "idle worker, the first region after its start",
        "idle": "idle worker",
        "busy": "worker that reads another exam",
    }
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; `python -m benchmarks.regions`",
        "",
        f"Load of the machine while it was measured: {os.getloadavg()[1]:.1f}.",
        "",
        "| worker | regions | median s | longest s | median CPU s | systems |",
        "|---|---|---|---|---|---|",
    ]
    for kind, answers in found.items():
        if not answers:
            continue
        waited = [one["s"] for one in answers]
        cpu = statistics.median(one["cpu_s"] for one in answers)
        systems = min(len(one["scores"]) for one in answers)
        spent = f"{cpu:.1f}" if kind != "busy" else "with the exam's"
        lines.append(
            f"| {words[kind]} | {len(answers)} | {statistics.median(waited):.2f} | "
            f"{max(waited):.2f} | {spent} | {systems} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = "# Regions that are asked about\n\n" + table(measure(options.runs))
    if options.out:
        options.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
