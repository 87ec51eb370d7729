"""What no input may cause, watched while one runs: the findings of the fuzzer.

An exception that is not documented, a hang, a traceback or other noise on standard error, a
warning, an open file or a thread that stays, a marked identifier in a log line, a message or an
answer, memory out of proportion to the input. A crash of the process is the engine's to notice.
"""

import gc
import json
import os
import re
import resource
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

from cadnode.log import configure
from tests.synthetic import MARK

ROOT = Path(__file__).parents[2]
CPU_S, WALL_S = 4.0, 40.0  # of one input: other work on the machine counts only as wall time
MOST_GROWTH_BYTES = 512 << 20  # of the process' peak, by one input


@dataclass(frozen=True)
class Finding:
    """Something that an input caused. Findings of one `signature` are one defect."""

    target: str
    kind: str
    where: str
    detail: str
    data: bytes

    @property
    def signature(self) -> str:
        return f"{self.target}: {self.kind} {self.where}"


class Runs(Protocol):
    """The part of a target that the watch needs."""

    name: str
    allowed: tuple[type[BaseException], ...]
    marks: tuple[bytes, ...]
    kept_descriptors: int

    def run(self, data: bytes) -> Iterable[str] | None:
        """Try the input; texts that leave the program are returned and searched for marks."""


class Violation(AssertionError):
    """A target's own rule was broken: a status of 500, a listener that does not answer."""


class Hang(BaseException):
    """The input took too long. No `except Exception` takes it for its own."""


class Watch:
    """Standard error, warnings and threads of this process, watched while the block lasts."""

    def __init__(self) -> None:
        self._warnings: list[tuple[str, str]] = []
        self._threads: list[str] = []

    def __enter__(self) -> "Watch":
        self._said = os.memfd_create("said")
        self._stderr = os.dup(2)
        os.dup2(self._said, 2)
        self._file, sys.stderr = sys.stderr, open(2, "w", buffering=1, closefd=False)
        self._hooks = warnings.showwarning, threading.excepthook, sys.unraisablehook
        warnings.simplefilter("always")
        warnings.showwarning = self._warned  # type: ignore[assignment]
        configure("INFO")
        signal.signal(signal.SIGPROF, _hang)
        signal.signal(signal.SIGALRM, _hang)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        warnings.showwarning = self._hooks[0]
        sys.stderr = self._file
        os.dup2(self._stderr, 2)
        os.close(self._stderr)
        os.close(self._said)

    def run(self, target: Runs, data: bytes) -> Finding | None:
        """What this input causes; None when all is well."""
        self._warnings.clear()
        before = _n_descriptors(), _n_threads(), _peak_bytes()
        kind = where = detail = ""
        said: list[str] = []
        try:
            with _deadline():
                said += target.run(data) or ()
        except target.allowed as error:
            said += _texts(error)
        except Violation as error:
            kind, where, detail = "violation", str(error).split(":")[0], str(error)
        except Hang as error:
            kind, where, detail = "hang", _place(error.__traceback__), _trace(error)
        except BaseException as error:
            kind = type(error).__name__
            where, detail = _place(error.__traceback__), _trace(error)
        if not kind:
            kind, where, detail = self._after(target, said, before)
        else:
            self._output()
        return Finding(target.name, kind, where, detail, data) if kind else None

    def _after(
        self, target: Runs, said: list[str], before: tuple[int, int, int]
    ) -> tuple[str, str, str]:
        """What is wrong though nothing was raised; ("", "", "") when nothing is."""
        output = self._output()
        if "Traceback" in output or "Exception ignored" in output:
            return "traceback", _last_place(output), output[-4000:]
        if noise := [line for line in output.splitlines() if line and not _is_log(line)]:
            return "noise", re.sub(r"\d+|0x\w+", "N", noise[0])[:60], output[-2000:]
        for text in (*said, output):
            for mark in target.marks:
                if mark.decode("latin-1") in text:
                    return "identifier", _event(text, mark.decode("latin-1")), text[-2000:]
        if self._warnings:
            text, place = self._warnings[0]
            return "warning", place, text
        if _peak_bytes() - before[2] > MOST_GROWTH_BYTES:
            return "memory", target.name, f"peak grew by {(_peak_bytes() - before[2]) >> 20} MiB"
        most = before[0] + target.kept_descriptors
        if _n_descriptors() > most and _stays(_n_descriptors, most):
            return "descriptor", target.name, f"{before[0]} before, {_n_descriptors()} after"
        if _n_threads() > before[1] and _stays(_n_threads, before[1]):
            names = ", ".join(t.name for t in threading.enumerate())
            return "thread", target.name, f"{before[1]} before: {names}"
        return "", "", ""

    def _output(self) -> str:
        """What was written to standard error since the last call."""
        size = os.fstat(self._said).st_size
        if not size:
            return ""
        text = os.pread(self._said, min(size, 1 << 20), 0)
        os.ftruncate(self._said, 0)
        os.lseek(self._said, 0, os.SEEK_SET)
        return text.decode("utf-8", "replace")

    def _warned(
        self, message: Any, category: type[Warning], filename: str, lineno: int, *_: Any
    ) -> None:
        if category in (DeprecationWarning, PendingDeprecationWarning):
            return  # of libraries, and never shown
        name = Path(filename).name
        self._warnings.append((f"{category.__name__}: {message}", f"{category.__name__} {name}"))


@contextmanager
def _deadline() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    signal.setitimer(signal.ITIMER_REAL, WALL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _hang(number: int, _frame: FrameType | None) -> None:
    what = "seconds of computing" if number == signal.SIGPROF else "seconds"
    raise Hang(f"more than {CPU_S if number == signal.SIGPROF else WALL_S:g} {what}")


def resident_bytes() -> int:
    """Memory that the process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def slope(values: list[tuple[int, int]]) -> float:
    """Growth by one input of (input, bytes) pairs, by least squares."""
    n = len(values)
    if n < 2:
        return 0.0
    x, y = sum(v[0] for v in values) / n, sum(v[1] for v in values) / n
    spread = sum((v[0] - x) ** 2 for v in values)
    return sum((v[0] - x) * (v[1] - y) for v in values) / spread if spread else 0.0


def _texts(error: BaseException) -> list[str]:
    """The texts of an exception and of those that it is shown with, which a traceback prints."""
    found: list[str] = []
    while True:
        found.append(f"{error} {error!r}")
        shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if shown is None:
            return found
        error = shown


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-4000:]


def _place(trace: TracebackType | None) -> str:
    """File and function of the innermost frame that is ours."""
    frames = traceback.extract_tb(trace)
    ours = [f for f in frames if "/cadnode/" in f.filename and "site-packages" not in f.filename]
    frame = (ours or frames or [None])[-1]
    return "" if frame is None else f"{Path(frame.filename).name}:{frame.name}"


def _last_place(text: str) -> str:
    found = re.findall(r'File "[^"]*?/(cadnode/[^"]+)", line \d+, in (\w+)', text)
    return f"{Path(found[-1][0]).name}:{found[-1][1]}" if found else "elsewhere"


def _is_log(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _event(text: str, mark: str) -> str:
    """The log event or the beginning of the message that holds the mark."""
    line = next((one for one in text.splitlines() if mark in one), "")
    event = re.search(r'"event": "(\w+)"', line)
    return event[1] if event else re.sub(r"\W+", " ", line.split(mark)[0])[:40].strip()


def _stays(count: Any, before: int) -> bool:
    """Whether what was opened stays open: cycles are collected, threads given a moment."""
    gc.collect()
    for _ in range(100):
        if count() <= before:
            return False
        threading.Event().wait(0.02)
    return True


def _n_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _n_threads() -> int:
    """Threads but AnyIO's: its pool is bounded, and grows whenever a busy machine ends one late."""
    return sum(thread.name != "AnyIO worker thread" for thread in threading.enumerate())


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


DEFAULT_MARKS = (MARK.encode(),)
