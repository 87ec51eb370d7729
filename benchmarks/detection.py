"""How long detection takes for one view on one core, and how much memory it needs.

    python -m benchmarks.detection [--runs 5] [--out benchmarks/detection.md]

Phantom views of usual sizes; each size in a process of its own, so that peak memory is its own.
The image's own memory is told beside.
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

import numpy as np

# Rows, columns, pixel size in mm, and what has it.
SIZES = (
    (1024, 1024, 0.2, "mini-MIAS film"),
    (2294, 1914, 0.1, "GE, 100 µm"),
    (3328, 2560, 0.07, "Hologic, 70 µm"),
    (4500, 2800, 0.045, "CBIS-DDSM film, 45 µm"),
)


def draw(rows: int, columns: int, spacing_mm: float, file: Path) -> None:
    """Write a phantom view's image: in a process of its own, so that its memory does not count."""
    from cadnode_training.phantom import PhantomSpec, exam

    np.save(file, exam(1, PhantomSpec(spacing_mm, rows, columns)).views[3].image)


def measure(spacing_mm: float, file: Path, runs: int) -> dict[str, float]:
    """Milliseconds (median) and MiB of one view."""
    import cv2
    import torch

    from cadnode.detect.view import detect_view
    from cadnode.domain import Acquisition, Laterality
    from cadnode_training.papers.detection.evaluate import load_detector, packaged

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    image = np.load(file)
    detector = load_detector(packaged())

    def once() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        detect_view(image, Laterality.LEFT, spacing_mm, Acquisition.DIGITAL, detector)
        return time.perf_counter() - wall, time.process_time() - cpu

    before = _peak_mib()
    once()
    times = [once() for _ in range(runs)]
    return {
        "wall_ms": 1000 * statistics.median(t[0] for t in times),
        "cpu_ms": 1000 * statistics.median(t[1] for t in times),
        "image_mib": image.nbytes / 2**20,
        "growth_mib": _peak_mib() - before,
    }


def table(results: list[tuple[str, dict[str, float]]], runs: int) -> str:
    """The numbers as Markdown."""
    load = os.getloadavg()[0]
    lines = [
        "# Detection",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"Python {platform.python_version()}, one thread.",
        f"One phantom view, median of {runs}; `python -m benchmarks.detection`.",
        "",
        "| view | wall ms | CPU ms | image MiB | peak growth MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, r in results:
        lines.append(
            f"| {name} | {r['wall_ms']:.0f} | {r['cpu_ms']:.0f} | {r['image_mib']:.0f} "
            f"| {r['growth_mib']:.0f} |"
        )
    lines += [
        "",
        "Peak growth: of the process, above what it held with torch and the image loaded.",
    ]
    return "\n".join(lines) + "\n"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """Measure each size in its own process, print the table, write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size is not None:
        rows, columns, spacing_mm, _ = SIZES[options.size]
        if options.draw:
            draw(rows, columns, spacing_mm, options.draw)
        else:
            print(json.dumps(measure(spacing_mm, options.measure, options.runs)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (rows, columns, _, name) in enumerate(SIZES):
            file = Path(folder) / f"{number}.npy"
            _child(number, "--draw", str(file))
            said = _child(number, "--measure", str(file), "--runs", str(options.runs))
            results.append((f"{name}: {rows} × {columns}", json.loads(said.splitlines()[-1])))
    text = table(results, options.runs)
    print(text)
    if options.out:
        options.out.write_text(text)


def _child(size: int, *words: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-m", "benchmarks.detection", "--size", str(size), *words]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=one_thread)
    return done.stdout


if __name__ == "__main__":
    main()
