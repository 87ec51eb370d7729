"""What happened to a study on its way through the node, one line each: small files, soon written.

    STORAGE/way/<study_key>.jsonl   the last `KEPT` lines; the first one says how many went before

A line has a time, a code and counts, the AE title or the source that it came from, and nothing of
the patient. It is for people who ask: nothing is decided by it, so no line is synced, and a disk
that is full or a power cut costs lines and holds up nobody. What became of each delivery is kept
beside its result (`node.delivery_record`).
"""

import json
import os
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cadnode.files import lock

FOLDER: Final = "way"
KEPT: Final = 100
_MOST_BYTES: Final = 32 << 10  # of a file, before all but the last lines are left out


class Passed(StrEnum):
    """What happened."""

    ARRIVING = "arriving"
    ARRIVED = "arrived"
    FETCH = "fetch"
    READ = "read"
    REPORT = "report"
    REREAD = "reread"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class WayEntry:
    """One thing that happened, at a time in seconds since the epoch.

    `who` is an AE title, the name of a source, or who ordered it; `how` a code, "" where it went
    well; `n` how many images or objects it was about; `seconds` how long it took.
    """

    at: float
    what: Passed
    who: str = ""
    how: str = ""
    n: int = 0
    seconds: float = 0.0


class WayLog:
    """The files of one storage folder. Threads and processes may share them."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER

    def record(self, study: str, entry: WayEntry) -> None:
        """Add a line, where that can be done."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o750, exist_ok=True)
            descriptor = os.open(self._file(study), os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o640)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                lock(descriptor)
                file.write(_line(asdict(entry)))
                if os.fstat(descriptor).st_size > _MOST_BYTES:
                    _shorten(file)

    def entries(self, study: str) -> tuple[list[WayEntry], int]:
        """What is kept of a study, the first thing first; and how many lines are not kept."""
        try:
            with self._file(study).open("rb") as file:
                lock(file.fileno(), shared=True)
                return _parsed(file.read())
        except OSError:
            return [], 0

    def forget_others(self, known: Set[str], before: float) -> int:
        """Number of files removed of studies that are not known and did not change since then."""
        count = 0
        for path in self._folder.glob("*.jsonl"):
            with suppress(FileNotFoundError):
                if path.stem not in known and path.stat().st_mtime < before:
                    path.unlink()
                    count += 1
        return count

    def _file(self, study: str) -> Path:
        return self._folder / f"{study}.jsonl"


def _line(document: dict[str, Any]) -> bytes:
    told = {name: value for name, value in document.items() if value not in ("", 0)}
    return f"{json.dumps(told)}\n".encode()


def _shorten(file: Any) -> None:
    """Leave out all but the last lines, in place: who waits for the lock holds this file open."""
    file.seek(0)
    kept, n_left_out = _parsed(file.read())
    n_left_out += max(0, len(kept) - KEPT)
    file.truncate(0)
    lines = [_line({"left_out": n_left_out}), *(_line(asdict(one)) for one in kept[-KEPT:])]
    file.write(b"".join(lines))


def _parsed(content: bytes) -> tuple[list[WayEntry], int]:
    documents = list(_documents(content))
    n_left_out = sum(int(one["left_out"]) for one in documents if "left_out" in one)
    entries = []
    for one in documents:
        with suppress(ValueError, TypeError, KeyError, OverflowError):  # of another version
            entries.append(_entry(one))
    return entries, n_left_out


def _entry(one: dict[str, Any]) -> WayEntry:
    """Raises `ValueError`, `TypeError`, `KeyError` and `OverflowError` where it is none."""
    at, seconds = float(one["at"]), float(one.get("seconds", 0.0))
    datetime.fromtimestamp(at, UTC)  # pages show it as a time
    who, how = str(one.get("who", "")), str(one.get("how", ""))
    return WayEntry(at, Passed(one["what"]), who, how, int(one.get("n", 0)), seconds)


def _documents(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        with suppress(ValueError):  # a crash cut it
            document = json.loads(line)
            if isinstance(document, dict):
                yield document
