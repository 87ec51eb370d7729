"""What `make bench` prints: every row of the table of goals that can be measured here.

    python -m benchmarks.bench [--rows exam,memory] [--out benchmarks/RESULTS.md]

Each row runs in a process of its own with a limit of time; all of them together have 15 minutes on
two cores, so that one may use what another leaves. What fails or runs out of time says so in its
row, and so does what this machine has not (a GPU) or nobody has written a benchmark for. Run it on
a machine that does nothing else.
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

Table = list[dict[str, str]]
_GRACE_S = 15


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the printed table; what is unknown is a dash, `note` says why."""

    what: str
    goal: str
    ours: str = "–"
    peer: str = "–"
    ratio: str = "–"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark: its words after `python -m`, its limit in seconds, and how its tables are read.

    `read` names one of `READERS`.
    """

    words: tuple[str, ...]
    limit_s: float
    read: str


BENCHES: dict[str, Bench] = {
    "networks": Bench(("benchmarks.networks", "--rounds", "3"), 130, "networks"),
    "exam": Bench(("benchmarks.warm", "--part", "exam"), 80, "given"),
    "plain": Bench(("benchmarks.warm", "--part", "plain"), 120, "given"),
    "pixels": Bench(("benchmarks.pixels", "--runs", "5"), 50, "pixels"),
    "turnaround": Bench(("benchmarks.turnaround", "--exams", "4"), 90, "given"),
    "report": Bench(("benchmarks.warm", "--part", "report"), 80, "given"),
    "memory": Bench(("benchmarks.warm", "--part", "memory"), 80, "given"),
    "ready": Bench(("benchmarks.warm", "--part", "ready"), 50, "given"),
    "ingest": Bench(("benchmarks.ingest", "--instances", "20", "--runs", "3"), 110, "ingest"),
    "queue": Bench(("benchmarks.queue", "--runs", "5", "--built", "200"), 150, "queue"),
    "pages": Bench(("benchmarks.pages", "--runs", "3"), 150, "pages"),
}
WHOLE_S = 900.0
"""What all rows have together: the limits' sum is more, no machine needs each of them."""

OPEN = (
    Result("flat over 10,000 associations, 1,000 exams", "flat", note="`make soak`, not here"),
    Result("training's loading", "≥ 0.95 × none", note="`python -m benchmarks.loading`, not here"),
)


def tables(text: str) -> list[Table]:
    """The Markdown tables of a text: rows by their column's heading, without emphasis."""
    found: list[Table] = []
    heads: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        cells = [cell.strip(" *`") for cell in line.strip().strip("|").split("|")]
        if not heads:
            heads = cells
            found.append([])
        elif not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found[-1].append(dict(zip(_single(heads), cells, strict=False)))
    return found


def _single(heads: list[str]) -> list[str]:
    """Headings, the second of a name with a number."""
    return [f"{h} {n}" if (n := heads[:i].count(h)) else h for i, h in enumerate(heads)]


def networks(found: list[Table]) -> list[Result]:
    """Passes and Grad-CAM, median and worst of the networks."""
    rows = found[0]
    wanted = (
        ("OpenVINO float32 ÷ PyTorch, wall", "× PyTorch", 0.65),
        ("OpenVINO bfloat16 ÷ PyTorch, wall", "× PyTorch 1", 0.35),
        ("Grad-CAM ÷ one forward pass", "Grad-CAM × one forward pass", 1.10),
    )
    results = []
    for what, column, goal in wanted:
        ratios = [float(row[column]) for row in rows if row[column] not in ("–", "")]
        note = f"median of {len(ratios)} networks, worst {max(ratios):.2f}"
        results.append(Result(what, f"≤ {goal:.2f}", ratio=f"{median(ratios):.2f}", note=note))
    return results


def ingest(found: list[Table]) -> list[Result]:
    """Throughput beside `storescp +B`, and growth."""
    by_name = {row["receiver"].split(" (")[0].strip("*` "): row for row in found[0]}
    ours = by_name["cadnode"]
    peer = next(row for name, row in by_name.items() if "storescp" in name and "+B" in name)
    goals = (("raw", "MB/s", 0.8), ("J2K", "MB/s 1", 0.7))
    return [
        Result(
            f"ingest, durable, {what}", f"≥ {goal} × storescp +B", f"{ours[column]} MB/s",
            f"{peer[column]} MB/s", f"{float(ours[column]) / float(peer[column]):.2f}",
        )
        for what, column, goal in goals
    ] + [_together(found[1])]  # fmt: skip


def _together(rows: Table) -> Result:
    """Eight associations at once."""
    ours, peer = (row["MB/s"] for row in rows)
    ratio = f"{float(ours) / float(peer):.2f}"
    what, goal = "ingest, durable, 8 associations, raw", "× storescp --fork"
    return Result(what, goal, f"{ours} MB/s", f"{peer} MB/s", ratio)


def pixels(found: list[Table]) -> list[Result]:
    """Decoding and preprocessing of one view."""
    decoded, prepared = found
    return [
        Result(
            f"decode, {row['transfer syntax'].split(',')[0]}", "≤ 1.2 × the fastest",
            f"{row['ours, ms']} ms", f"{row['its ms']} ms", row["ratio"],
            row["the fastest other"],
        )
        for row in decoded
    ] + [
        Result(
            f"read + window + crop + resize, {row['transfer syntax'].split(',')[0]}",
            "≤ 0.15 × MONAI", f"{row['ours, ms']} ms", f"{row['MONAI, ms']} ms", row["ratio"],
            "decoding apart",
        )
        for row in prepared
    ]  # fmt: skip


def queue(found: list[Table]) -> list[Result]:
    """The list of 100,000 studies."""
    first = {row["what"]: row["median, ms"] for row in found[0]}
    return [
        Result(f"list of 100,000 studies, {what}", "flat", f"{first[what]} ms")
        for what in ("first page", "last page")
    ]


def pages(found: list[Table]) -> list[Result]:
    """Time to the first pixels in a browser."""
    return [
        Result(f"page: {row['page']}, {what}", "–", f"{row[what]} ms", note="median (slowest)")
        for row in found[0]
        for what in ("first image", "four views")
        if row.get(what, "–") != "–"
    ]


def given(found: list[Table]) -> list[Result]:
    """Tables that have this one's columns."""
    keys = ("what", "goal", "ours", "peer", "ratio", "note")
    return [Result(*(row[key] for key in keys)) for row in found[0]]


READERS = {f.__name__: f for f in (networks, pixels, ingest, queue, pages, given)}


def measured(name: str, bench: Bench, left_s: float) -> list[Result]:
    """The results of one benchmark, or a line that says how it failed; `left_s` are left to all."""
    limit_s = min(bench.limit_s, left_s)
    if limit_s <= 0:
        return [Result(name, "–", note="no time left")]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "table.md"
        command = [sys.executable, "-m", *bench.words, "--out", str(out)]
        try:
            _run(command, limit_s)
            return READERS[bench.read](tables(out.read_text()))
        except subprocess.TimeoutExpired:
            why = f"not within {limit_s:.0f} s"
        except subprocess.CalledProcessError as error:
            why = f"failed: {(error.stderr.strip().splitlines() or ['?'])[-1][:80]}"
        except (OSError, KeyError, IndexError, ValueError, StopIteration) as error:
            why = f"its table cannot be read ({type(error).__name__})"
    return [Result(name, "–", note=why)]


def _run(command: list[str], limit_s: float) -> None:
    """Run it; beyond its limit it ends with all that it started: archives, nodes, browsers.

    Raises
    ------
    subprocess.TimeoutExpired, subprocess.CalledProcessError
        As `subprocess.run`.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=limit_s)
        except BaseException:  # also Ctrl-C
            process.send_signal(signal.SIGINT)  # nodes have sessions of their own: it ends them
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=errors)


def gpu() -> Result:
    """The row that needs a GPU."""
    import torch

    why = "no benchmark yet" if torch.cuda.is_available() else "this machine has no GPU"
    return Result("GPU: a batching engine", "≥ 3 × torch eager, ≥ 80 % busy", note=why)


def markdown(results: list[Result], took_s: float, load: float) -> str:
    """The whole as Markdown."""
    lines = [
        "# Goals and results",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {_processor()}, {os.cpu_count()} "
        f"cores, load {load:.1f} before, Python {platform.python_version()}, "
        f"in {took_s / 60:.1f} minutes; `make bench`.",
        "",
        "| what | goal | ours | peer | ratio | note |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(r.what, r.goal, r.ours, r.peer, r.ratio, r.note) for r in results]
    cells = ([cell.replace("|", "/") for cell in row] for row in rows)  # an error's text has any
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells)]) + "\n"


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def main() -> None:
    """Entry point of `python -m benchmarks.bench`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(BENCHES), help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = options.rows.split(",")
    if unknown := [name for name in chosen if name not in BENCHES]:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    began, load, results = time.monotonic(), os.getloadavg()[0], list[Result]()
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        results += measured(name, BENCHES[name], began + WHOLE_S - time.monotonic())
    if len(chosen) == len(BENCHES):
        results += [gpu(), *OPEN]
    text = markdown(results, time.monotonic() - began, load)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
