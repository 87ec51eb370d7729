"""Where a warm exam's time goes: a flame graph as SVG.

    python -m benchmarks.flame [--exam phantom|malignant] [--runs 5] [--profile standard]
        [--out benchmarks/flame.svg]

A thread looks every 2 ms at the stacks of all threads that read or report the exam; the first
reading and report, which load and convert, are not looked at. A frame's width is its share of the
looks; hold the pointer over it for the numbers. `--profile none` leaves the report out. What runs
in a library without Python's lock (OpenCV, OpenVINO) counts for the function that called it.
"""

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from types import FrameType

EVERY_S = 0.002
_ROW, _WIDTH, _LEAST = 17, 1200, 0.0015  # pixels, pixels, share below which nothing is drawn
_IDLE = ("threading.py", "concurrent/futures/thread.py", "selectors.py")


@dataclass
class Flame:
    """A function, how often it was seen, and what it called."""

    name: str
    seen: int = 0
    calls: dict[str, "Flame"] = field(default_factory=dict)

    def add(self, stack: tuple[str, ...], times: int) -> None:
        """Count a stack, outermost first."""
        self.seen += times
        if stack:
            self.calls.setdefault(stack[0], Flame(stack[0])).add(stack[1:], times)

    @property
    def depth(self) -> int:
        """Rows that it needs."""
        return 1 + max((one.depth for one in self.calls.values()), default=0)


class Sampler(threading.Thread):
    """Looks at the stacks of every other thread until `stop`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stacks: Counter[tuple[str, ...]] = Counter()
        self._end = threading.Event()

    def run(self) -> None:
        """Look, at even distances."""
        while not self._end.wait(EVERY_S):
            for thread, frame in sys._current_frames().items():
                if thread != self.ident and not _waits(frame):
                    self.stacks[_stack(frame)] += 1

    def stop(self) -> None:
        """End, and wait for it."""
        self._end.set()
        self.join()


def _waits(frame: FrameType) -> bool:
    return frame.f_code.co_filename.endswith(_IDLE)


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    """Names from `read_exam`, `write_outputs` or a thread's own work inwards."""
    names: list[str] = []
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if not file.endswith((*_IDLE, "flame.py", "<frozen runpy>")):
            names.append(f"{_short(file)}:{name}")
        frame = frame.f_back
    return tuple(reversed(names))


def _short(file: str) -> str:
    """`detect/specks` of our files, `pydicom/tag` of others'."""
    for mark in ("/cadnode/", "/site-packages/", "/lib/python"):
        if mark in file:
            return file.rpartition(mark)[2].removesuffix(".py")
    return Path(file).stem


def svg(root: Flame, title: str) -> str:
    """The picture: the whole at the bottom, what it calls above."""
    height = (root.depth + 3) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<text x="6" y="14">{escape(title)}</text>',
    ]
    _draw(root, 0.0, height - _ROW, root.seen, parts)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw(one: Flame, left: float, top: float, whole: int, parts: list[str]) -> None:
    width = _WIDTH * one.seen / whole
    text = escape(f"{one.name} {100 * one.seen / whole:.1f} %")
    parts.append(
        f'<g><title>{text}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
        f'height="{_ROW - 1}" fill="{_colour(one.name)}"/>'
    )
    letters = int(width / 6.2)
    if letters > 4:
        label = escape(one.name.rpartition("/")[2][:letters])
        parts.append(f'<text x="{left + 2:.1f}" y="{top + 12}">{label}</text>')
    parts.append("</g>")
    for call in sorted(one.calls.values(), key=lambda c: c.name):
        if call.seen >= _LEAST * whole:
            _draw(call, left, top - _ROW, whole, parts)
        left += _WIDTH * call.seen / whole


def _colour(name: str) -> str:
    """By the package: ours by its room, others grey."""
    hues = {"detect": 35, "models": 210, "reading": 150, "imaging": 90, "page": 290, "report": 320,
            "explain": 265, "exam": 60, "node": 180}  # fmt: skip
    hue = hues.get(name.partition("/")[0])
    return "#ddd" if hue is None else f"hsl({hue},65%,78%)"


def sampled(kind: str, runs: int, profile: str) -> tuple[Flame, float]:
    """What was seen of `runs` warm exams, and the seconds that one took."""
    from cadnode.demo.exam import write_exam
    from cadnode.domain import Profile
    from cadnode.exam.read import exam_of
    from cadnode.imaging import pixels
    from cadnode.node.outputs import write_outputs
    from cadnode.node.readers import load_readers
    from cadnode.reading import read_exam
    from cadnode.settings import ReportSection, Settings

    readers = load_readers(Settings(), "cpu")
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / kind, Path(scratch) / "out"
        write_exam(folder, kind)
        out.mkdir()
        exam = exam_of([folder])

        def once() -> None:
            images = pixels.ImageCache()
            result = read_exam(exam, readers, load=images.load)
            if profile != "none":
                write_outputs(
                    exam, result, out, ReportSection(), made_at=datetime.now(UTC),
                    profiles=[Profile(profile)], load=images.load,
                )  # fmt: skip

        once()
        sampler = Sampler()
        sampler.start()
        began = time.perf_counter()
        for _ in range(runs):
            once()
        took = (time.perf_counter() - began) / runs
        sampler.stop()
    root = Flame("all threads")
    for stack, times in sampler.stacks.items():
        root.add(stack, times)
    return root, took


def main() -> None:
    """Entry point of `python -m benchmarks.flame`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exam", default="phantom", choices=["phantom", "malignant"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/flame.svg"))
    options = parser.parse_args()
    root, took = sampled(options.exam, options.runs, options.profile)
    title = (
        f"{options.exam}, warm, {took:.2f} s an exam with the report ({options.profile}); "
        f"{root.seen} looks at {options.runs} exams, {datetime.now(UTC):%Y-%m-%d}, "
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    options.out.write_text(svg(root, title))
    print(title)


if __name__ == "__main__":
    main()
