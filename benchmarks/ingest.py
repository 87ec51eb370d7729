"""How fast instances come in: cadnode's listener beside Orthanc and DCMTK, in one run.

    python -m benchmarks.ingest [--instances 40] [--runs 3] [--out benchmarks/ingest.md]

Sends 3328×4096 mammograms, raw and JPEG 2000, by `storescu` over one association to each
receiver, each a process of its own, and prints a Markdown table; then the raw ones over eight
associations at once, beside `storescp --fork`. Only ratios within one run mean something: machines
differ, and so does what else they do.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from tests.peers import free_port, orthanc, storescp, wait_for_port
from tests.synthetic import encode, uid, view_dataset, write

ROWS, COLUMNS = 4096, 3328
SYNTAXES = {"raw": (ExplicitVRLittleEndian, "-xe"), "J2K": (JPEG2000Lossless, "-xv")}
AT_ONCE = 8  # associations, as a PACS opens them when it moves a study
NODELAY = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Receiver:
    """A running receiver: where it listens, and its process."""

    ae_title: str
    port: int
    pid: int


Start = Callable[[Path], AbstractContextManager[Receiver]]


def make_instances(folder: Path, count: int, syntax: str) -> list[Path]:
    """`count` files that differ in their UIDs only, which costs no time to receive."""
    ds = view_dataset("L", "CC", rows=ROWS, columns=COLUMNS)
    encoded = encode(ds, syntax)
    files = []
    for number in range(count):
        encoded.SOPInstanceUID = uid("ingest", syntax, number)
        encoded.file_meta.MediaStorageSOPInstanceUID = encoded.SOPInstanceUID
        files.append(write(encoded, folder / f"{number:03d}.dcm"))
    return files


@contextmanager
def cadnode(folder: Path) -> Iterator[Receiver]:
    """Cadnode's listener in a process of its own; fsyncs each file and its folder."""
    port = free_port()
    program = (
        "import sys, time; from pathlib import Path; from cadnode.receive import scp, spool\n"
        "import cadnode.log; cadnode.log.configure('ERROR')\n"
        f"config = scp.ScpConfig(port={port})\n"
        f"with scp.serve(config, spool.Spool(Path({str(folder)!r})), lambda stored: None):\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, env=NODELAY)
    try:
        wait_for_port(port)
        yield Receiver("CADNODE", port, process.pid)
    finally:
        process.communicate(timeout=30)


@contextmanager
def orthanc_receiver(folder: Path) -> Iterator[Receiver]:
    """Orthanc with its default storage (no fsync)."""
    with orthanc(folder, env=NODELAY) as peer:
        yield Receiver(peer.aet, peer.dicom_port, peer.pid)


@contextmanager
def dcmtk_receiver(folder: Path, *options: str) -> Iterator[Receiver]:
    """DCMTK's storescp (no fsync)."""
    with storescp(folder, *options, env=NODELAY) as peer:
        yield Receiver(peer.aet, peer.port, peer.pid)


RECEIVERS: dict[str, Start] = {
    "**cadnode** (fsync of each file and folder)": cadnode,
    "Orthanc": orthanc_receiver,
    "DCMTK `storescp`": dcmtk_receiver,
    "DCMTK `storescp +B` (bit preserving)": lambda folder: dcmtk_receiver(folder, "+B"),
}


def measure(
    start: Start, files: list[Path], option: str, work: Path, at_once: int = 1
) -> tuple[float, float]:
    """(seconds, growth of the receiver's peak resident memory in MiB) for so many associations."""
    folder = work / "receiver"
    folder.mkdir()
    try:
        with start(folder) as receiver:
            before = peak_mib(receiver.pid)
            began = time.perf_counter()
            to = [option, "-aec", receiver.ae_title, "--max-pdu", "131072", "127.0.0.1"]
            senders = [
                subprocess.Popen(
                    ["storescu", *to, str(receiver.port), *map(str, files[n::at_once])], env=NODELAY
                )
                for n in range(at_once)
            ]
            codes = [sender.wait() for sender in senders]
            if any(codes):
                raise SystemExit(f"{receiver.ae_title} refused an instance")
            return time.perf_counter() - began, peak_mib(receiver.pid) - before
    finally:
        shutil.rmtree(folder)
        os.sync()  # what one receiver left in the page cache is not the next one's to write


def peak_mib(pid: int) -> float:
    """Peak resident memory of a process and its children, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def run(count: int, runs: int, work: Path) -> list[str]:
    """Lines of the Markdown table."""
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    sizes = {}
    for name, (syntax, option) in SYNTAXES.items():
        files = make_instances(work / name, count, syntax)
        sizes[name] = sum(f.stat().st_size for f in files) / 1e6
        os.sync()
        measure(lambda folder: dcmtk_receiver(folder, "+B"), files, option, work)  # warms up
        for turn in range(runs):  # in turns, each first once: a slow minute hits all of them
            names = list(RECEIVERS)
            for receiver in names[turn % len(names) :] + names[: turn % len(names)]:
                start = RECEIVERS[receiver]
                measured = measure(start, files, option, work)
                results.setdefault((receiver, name), []).append(measured)
        shutil.rmtree(work / name)
    return table(results, sizes)


def associations(count: int, runs: int, work: Path) -> list[str]:
    """Lines of the table of eight associations at once."""
    syntax, option = SYNTAXES["raw"]
    files = make_instances(work / "at-once", max(count, AT_ONCE), syntax)
    megabytes = sum(f.stat().st_size for f in files) / 1e6
    peers: dict[str, Start] = {
        "**cadnode** (fsync of each file and folder)": cadnode,
        "DCMTK `storescp --fork`": lambda folder: dcmtk_receiver(folder, "--fork"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(runs + 1):
        for name, start in peers.items():
            took, _ = measure(start, files, option, work, AT_ONCE)
            if turn:  # the first warms up
                seconds[name].append(took)
    shutil.rmtree(work / "at-once")
    return [
        f"| receiver, {AT_ONCE} associations at once | raw: s | MB/s |", "|---|---:|---:|",
        *(f"| {name} | {(s := statistics.median(found)):.2f} | {megabytes / s:.0f} |"
          for name, found in seconds.items()),
    ]  # fmt: skip


def table(
    results: dict[tuple[str, str], list[tuple[float, float]]], sizes: dict[str, float]
) -> list[str]:
    """Median seconds, MB/s, throughput relative to Orthanc, and largest memory growth."""
    head = "".join(f" {n}: s | MB/s | × Orthanc | peak growth MiB |" for n in sizes)
    lines = ["| receiver |" + head, "|---|" + "---:|" * 4 * len(sizes)]
    for receiver in RECEIVERS:
        line = f"| {receiver} |"
        for name, megabytes in sizes.items():
            seconds = statistics.median(s for s, _ in results[receiver, name])
            orthanc_s = statistics.median(s for s, _ in results["Orthanc", name])
            growth = max(g for _, g in results[receiver, name])
            line += f" {seconds:.2f} | {megabytes / seconds:.0f} |"
            line += f" {orthanc_s / seconds:.2f} | {growth:.0f} |"
        lines.append(line)
    return lines


def machine() -> str:
    """Processor, cores and load, as far as the system says."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def main() -> None:
    """Run and print the table; with `--out` also write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="folder for files (default: the system's)")
    options = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        lines = run(options.instances, options.runs, Path(work))
        together = associations(options.instances, options.runs, Path(work))
    text = "\n".join(
        [
            "# Ingest",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {before}. {options.note}".rstrip(),
            f"{options.instances} instances of {COLUMNS}×{ROWS}, one `storescu` association, "
            f"median of {options.runs}; `python -m benchmarks.ingest`.",
            "",
            *lines,
            "",
            *together,
            "",
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
