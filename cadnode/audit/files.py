"""The files of a trail, and how they are read: a month a file, the oldest first.

    STORAGE/audit/YYYY-MM.jsonl   a line an event
                  head.json       sequence and hash of the last line: a cut end is found by it
                  lost.json       how many events could not be written and stand in no line yet
                  syslog.json     up to where the trail was sent on
                  lock            held while a line is added

A month is that of its first lines; of a clock that is set back later lines go on in the newest.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.audit.entry import GENESIS, TrailEntry, parsed

FOLDER: Final = "audit"
LOCK: Final = "lock"
HEAD: Final = "head.json"
LOST: Final = "lost.json"
_MONTHS: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9].jsonl"
_WINDOW: Final = 64 << 10  # bytes from the end in which the last line is looked for
_WRONG: Final = (TypeError, KeyError, ValueError, OverflowError)  # of a small file's content
_FIXED: Final = 192  # bytes of a small file that is written in place: a full disk has room for it


@dataclass(frozen=True, slots=True)
class Head:
    """The last line that was written whole."""

    sequence: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Events that could not be written: `waiting` stand in no line yet; `at` (epoch, s): last."""

    waiting: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class End:
    """Where a trail ends: its newest file, its last whole line, and the bytes behind that line."""

    path: Path | None
    last: TrailEntry | None
    n_cut_off: int
    ends_a_line: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Behind a line: its file, its sequence and the byte after it."""

    file: str = ""
    offset: int = 0
    sequence: int = 0


def months(folder: Path) -> list[Path]:
    """The trail's files, the oldest first."""
    return sorted(folder.glob(_MONTHS))


def end_of(folder: Path) -> End:
    """Where the trail ends now. Raises `OSError`."""
    paths = months(folder)
    if not paths:
        return End(None, None, 0, True)
    newest = end_of_file(paths[-1])
    for path in reversed(paths[:-1]):
        if newest.last is not None:
            break
        newest = End(paths[-1], end_of_file(path).last, newest.n_cut_off, newest.ends_a_line)
    return newest


def end_of_file(path: Path) -> End:
    """Where one file ends. Raises `OSError`."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _WINDOW))
        data = file.read()
    lines = data.splitlines(keepends=True)
    behind = 0
    for line in reversed(lines):
        if line.endswith(b"\n") and (entry := parsed(line)) is not None:
            return End(path, entry, behind, data.endswith(b"\n"))
        behind += len(line)
    return End(path, None, behind, not data or data.endswith(b"\n"))


def head_of(folder: Path) -> Head | None:
    """What `head.json` says; None: there is none that can be read."""
    found = _read(folder / HEAD)
    with suppress(*_WRONG):
        return Head(int(found["sequence"]), str(found["hash"]))
    return None


def lost_of(folder: Path) -> LostEvents:
    """What `lost.json` says."""
    found = _read(folder / LOST)
    with suppress(*_WRONG):
        return LostEvents(int(found["waiting"]), float(found["at"]))
    return LostEvents()


def written_in_place(descriptor: int, what: Head | LostEvents) -> None:
    """Write a small file over itself: it needs no room on a disk. Raises `OSError`."""
    text = json.dumps(asdict(what)).ljust(_FIXED - 1) + "\n"
    os.pwrite(descriptor, text.encode(), 0)


def entries(folder: Path, after: Position | None = None) -> Iterator[tuple[TrailEntry, Position]]:
    """Each whole line that follows a position, with its own; what is no line is left out.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    begin = after or Position()
    for path in months(folder):
        if path.name < begin.file:
            continue
        offset = begin.offset if path.name == begin.file else 0
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written, or was cut off
                offset += len(line)
                entry = parsed(line)
                if entry is not None and entry.sequence > begin.sequence:
                    yield entry, Position(path.name, offset, entry.sequence)


def _read(path: Path) -> Any:
    with suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    return {}
