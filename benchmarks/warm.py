"""Rows of `make bench` that one process can measure: a warm exam, its report, memory, start.

    python -m benchmarks.warm --part exam|plain|report|memory|ready [--out FILE]

The exams are the phantom with seed 0 (2294 × 1914) and, for memory, the film exam as well.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

Row = tuple[str, str, str, str, str, str]
_MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
_SCRIPT = (
    "import time; began = time.monotonic()\n"
    "from cadnode.node.readers import load_readers\n"
    "from cadnode.settings import Settings\n"
    "load_readers(Settings(), 'cpu')\n"
    "print(time.monotonic() - began)"
)


@contextmanager
def exam_folder(kind: str) -> Iterator[Path]:
    """The files of an exam of the demo."""
    from cadnode.demo.exam import write_exam

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / kind
        write_exam(folder, kind)
        yield folder


def exam() -> list[Row]:
    """A warm exam, and what of it is neither a network nor detection."""
    from cadnode.exam.read import exam_of
    from cadnode.imaging import pixels
    from cadnode.models.engine import CompiledPass
    from cadnode.node.readers import load_readers
    from cadnode.reading import exam as reading
    from cadnode.reading import regions
    from cadnode.settings import Settings

    readers = load_readers(Settings(), "cpu")
    inner = [0.0, 0.0]  # seconds in networks and detection; how deep inside of them

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            inner[1] += 1
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                inner[1] -= 1
                if not inner[1]:  # detection calls a network of its own
                    inner[0] += time.perf_counter() - began

        return wrapped

    with exam_folder("phantom") as folder:
        found = exam_of([folder])

        def once() -> float:
            began = time.perf_counter()
            result = reading.read_exam(found, readers, load=pixels.ImageCache().load)
            findings.append(len(result.findings))
            return time.perf_counter() - began

        findings: list[int] = []
        once()
        gc.collect()
        gc.freeze()
        wall = median(once() for _ in range(3))
        with (
            mock.patch.object(reading, "_VIEWS_AT_ONCE", 1),
            mock.patch.object(CompiledPass, "__call__", timed(CompiledPass.__call__)),
            mock.patch.object(regions, "detect_view", timed(regions.detect_view)),
        ):
            outside = []
            for _ in range(3):
                inner[0] = 0.0
                outside.append(once() - inner[0])
    note = f"phantom 0, {findings[-1]} regions, {readers.views[0].device}, median of 3"
    return [
        ("whole exam, warm", "≤ 1.8 s", f"{wall:.2f} s", "–", "–", note),
        (
            "of it outside networks and detection", "≤ 0.25 s", f"{median(outside):.2f} s",
            "–", "–", "views in turn",
        ),
    ]  # fmt: skip


def plain() -> list[Row]:
    """A warm exam beside the same done the plain way, in turns.

    The plain way: MONAI's reader and display range, PyTorch eager in inference mode, in float32,
    on as many threads, one view after the other.
    """
    import warnings

    import numpy as np
    from monai.transforms import Compose, LoadImage, ScaleIntensityRangePercentiles

    from cadnode.exam.exam import Mammogram
    from cadnode.exam.read import exam_of
    from cadnode.imaging import pixels
    from cadnode.node.readers import load_readers
    from cadnode.reading import exam as reading
    from cadnode.settings import Settings

    warnings.simplefilter("ignore")  # MONAI's reader misses positions in space at every file
    ours, eager = (
        load_readers(Settings(reading={"engine": engine}), "cpu") for engine in ("auto", "torch")
    )
    read = Compose(
        [
            LoadImage(reader="PydicomReader", image_only=True),
            ScaleIntensityRangePercentiles(0.1, 99.9, 0, 1, clip=True),
        ]
    )

    def load(mammogram: Mammogram) -> Any:
        return np.ascontiguousarray(np.asarray(read(mammogram.path), np.float32).T)

    with exam_folder("phantom") as folder:
        found = exam_of([folder])

        def timed(readers: Any, how: Callable[..., Any], at_once: int) -> float:
            with mock.patch.object(reading, "_VIEWS_AT_ONCE", at_once):
                began = time.perf_counter()
                reading.read_exam(found, readers, load=how)
                return time.perf_counter() - began

        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(4):
            ways = ((ours, pixels.ImageCache().load, 2), (eager, load, 1))
            for kept, way in zip(seconds, ways, strict=True):
                took = timed(*way)
                if number:
                    kept.append(took)
    mine, peer = map(median, seconds)
    note = "phantom 0; MONAI's reader, PyTorch eager in float32, views in turn; median of 3"
    return [
        ("whole exam", "≤ 0.35 × the plain way", f"{mine:.2f} s", f"{peer:.2f} s",
         f"{mine / peer:.2f}", note),
    ]  # fmt: skip


def report() -> list[Row]:
    """A report in the profiles `standard` and `all`."""
    from cadnode.domain import Profile
    from cadnode.exam.read import exam_of
    from cadnode.imaging import pixels
    from cadnode.node.outputs import cards_of, folders_of, write_outputs
    from cadnode.node.readers import load_readers
    from cadnode.reading import read_exam
    from cadnode.settings import ReportSection, Settings

    values, images = Settings(), pixels.ImageCache()
    readers = load_readers(values, "cpu")
    rows: list[Row] = []
    with exam_folder("phantom") as folder, tempfile.TemporaryDirectory() as scratch:
        found = exam_of([folder])
        result = read_exam(found, readers, load=images.load)
        cards = cards_of(folders_of(values, result), result)
        gc.collect()
        gc.freeze()
        for profile, goal, runs in ((Profile.STANDARD, 0.4, 5), (Profile.ALL, 1.5, 3)):
            seconds = []
            for number in range(runs + 1):
                out = Path(scratch) / f"{profile}-{number}"
                out.mkdir()
                began = time.perf_counter()
                write_outputs(
                    found, result, out, ReportSection(), made_at=_MADE_AT, profiles=[profile],
                    cards=cards, load=images.load,
                )  # fmt: skip
                seconds.append(time.perf_counter() - began)
            note = f"phantom 0, {len(result.findings)} findings, median of {runs}"
            rows.append(
                (
                    f"report, {profile}",
                    f"≤ {goal} s",
                    f"{median(seconds[1:]):.2f} s",
                    "–",
                    "–",
                    note,
                )
            )
    return rows


def memory() -> list[Row]:
    """The peak of `cadnode read`, of the whole process."""
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, capture_output=True)  # converts
    rows: list[Row] = []
    for kind in ("phantom", "malignant"):
        with exam_folder(kind) as folder, tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "cadnode", "read", str(folder), "--out", out]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        note = "networks kept compiled" if not process.returncode else "it failed"
        ours = f"{used.ru_maxrss * 1024 / 1e9:.2f} GB"
        rows.append((f"a read, resident: {kind}", "≤ 2 GB", ours, "–", "–", note))
    return rows


def ready() -> list[Row]:
    """From a process's start until all models are loaded, the compiled ones kept."""
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], check=True, capture_output=True, text=True
        )
        seconds.append(float(done.stdout.split()[-1]))
    ours, note = f"{median(seconds):.1f} s", "models loaded; median of 3"
    return [("ready after start", "≤ 15 s", ours, "–", "–", note)]


PARTS = {part.__name__: part for part in (exam, plain, report, memory, ready)}


def main() -> None:
    """Entry point of `python -m benchmarks.warm`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = ["| what | goal | ours | peer | ratio | note |", "|---|---|---|---|---|---|"]
    text = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in PARTS[options.part]())]) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
