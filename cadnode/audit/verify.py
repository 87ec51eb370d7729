"""Is the trail whole? Each line is bound to the one before it; the first that is not is named.

What a chain cannot tell: whoever may write the folder can write all of it anew. Only a copy
elsewhere (`audit.syslog`) shows that.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cadnode.audit import files
from cadnode.audit.entry import GENESIS, Remark, RemarkKind, TrailEntry, parsed
from cadnode.audit.files import Head
from cadnode.files import lock

_CUT_OFF_AT_END: Final = "the last line is cut off (a power cut); the next one will say so"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place at which the chain does not hold: a file, its line, and what is wrong."""

    file: str
    line: int
    meaning: str


@dataclass(slots=True)
class TrailVerdict:
    """What was found. `notes` are no tampering: what the trail says of itself, in words."""

    n_lines: int = 0
    first: int = 0
    last: int = 0
    since: str = ""
    until: str = ""
    last_hash: str = GENESIS
    broken: Broken | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        where = self.broken
        return {
            "whole": self.is_whole, "lines": self.n_lines, "first": self.first, "last": self.last,
            "since": self.since, "until": self.until, "last_hash": self.last_hash,
            "broken": where and {"file": where.file, "line": where.line, "meaning": where.meaning},
            "notes": self.notes,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file; `entry` None: it is none. `is_whole`: it has its end."""

    file: str
    number: int
    entry: TrailEntry | None
    is_whole: bool


def verify(folder: Path) -> TrailVerdict:
    """Whether the trail in `folder` is whole, as it is at this moment.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    sizes, head, is_begun = _snapshot(folder)
    walk = _Walk()
    for line in _lines(folder, sizes):
        if not walk.take(line):
            break
    walk.end(head, is_begun=is_begun)
    return walk.verdict


def _snapshot(folder: Path) -> tuple[dict[str, int], Head | None, bool]:
    """How long each file is, the head, and whether there is a trail: while nobody writes."""
    descriptor = None
    with suppress(OSError):  # who may only read has the files as they are
        descriptor = os.open(folder / files.LOCK, os.O_RDONLY | os.O_CLOEXEC)
        lock(descriptor, shared=True)
    try:
        sizes = {path.name: path.stat().st_size for path in files.months(folder)}
        return sizes, files.head_of(folder), (folder / files.LOCK).exists() or bool(sizes)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lines(folder: Path, sizes: dict[str, int]) -> Iterator[_Line]:
    for name, size in sizes.items():
        with (folder / name).open("rb") as file:
            number = 0
            while size > 0 and (line := file.readline(size)):
                number, size = number + 1, size - len(line)
                if line.strip(b"\n"):
                    is_whole = line.endswith(b"\n")
                    yield _Line(name, number, parsed(line) if is_whole else None, is_whole)


class _Walk:
    """One walk along the chain. One thread uses it."""

    def __init__(self) -> None:
        self.verdict = TrailVerdict()
        self._previous: TrailEntry | None = None
        self._first: tuple[_Line, TrailEntry] | None = None
        self._ends: dict[int, str] = {}  # of removed months
        self._unread: _Line | None = None

    def take(self, line: _Line) -> bool:
        """Whether the chain holds with this line."""
        entry = line.entry
        if entry is None:
            self._unread = self._unread or line
            return True
        problem = self._problem(entry)
        if problem:
            return self._break(self._unread or line, problem)
        self._count(line, entry)
        return True

    def _problem(self, entry: TrailEntry) -> str:
        remark = entry.said if isinstance(entry.said, Remark) else None
        previous = self._previous
        if self._unread is not None and (remark is None or remark.kind is not RemarkKind.CUT_OFF):
            return "this is no line of a trail, and the next one does not say that it was cut off"
        if remark is not None and remark.kind is RemarkKind.MISSING:
            gone = f"{remark.count} lines" if remark.count else "head.json"
            return f"when this line was written, {gone} at the end of the trail were gone"
        if previous is None:
            return ""
        if entry.sequence != previous.sequence + 1:
            return f"line {entry.sequence} follows line {previous.sequence}: some are missing"
        if entry.hash != entry.hash_after(previous.hash):
            return "its hash does not fit: it, or the line before it, was changed"
        is_clock = remark is not None and remark.kind in (RemarkKind.CLOCK, RemarkKind.CUT_OFF)
        if entry.at < previous.at and not is_clock:
            return "its time is before that of the line before it"
        return ""

    def _count(self, line: _Line, entry: TrailEntry) -> None:
        found = self.verdict
        if self._previous is None:
            self._first, found.first, found.since = (line, entry), entry.sequence, entry.at
        found.n_lines += 1
        found.last, found.until, found.last_hash = entry.sequence, entry.at, entry.hash
        self._previous, self._unread = entry, None
        if isinstance(entry.said, Remark):
            if entry.said.end is not None:
                self._ends[entry.said.end[0]] = entry.said.end[1]
            found.notes.append(_in_words(entry, entry.said))

    def end(self, head: Head | None, *, is_begun: bool) -> None:
        """What only the whole chain tells: where it begins, and whether its end is there."""
        if self.verdict.broken is not None or not is_begun:
            return
        if not self._begins_well():
            return
        if self._unread is not None:
            if self._unread.is_whole:
                self._break(self._unread, "this is no line of a trail")
                return
            self.verdict.notes.append(_CUT_OFF_AT_END)
        last = self.verdict
        end = _Line("head.json", 1, None, is_whole=True)
        if head is None:
            self._break(end, "it is gone: whether lines were cut off at the end cannot be told")
        elif head.sequence > last.last:
            self._break(end, f"lines {last.last + 1} to {head.sequence} were cut off at the end")
        elif head.sequence == last.last and head.hash != last.last_hash:
            self._break(end, "the last line is not the one that was written")

    def _begins_well(self) -> bool:
        if self._first is None:
            return True
        line, entry = self._first
        before = GENESIS if entry.sequence == 1 else self._ends.get(entry.sequence - 1)
        if before is None:
            return self._break(line, f"the lines before line {entry.sequence} are gone, and no "
                               "line says that their time was over")  # fmt: skip
        if entry.hash != entry.hash_after(before):
            return self._break(line, "its hash does not fit: it was changed")
        return True

    def _break(self, line: _Line, meaning: str) -> bool:
        self.verdict.broken = Broken(line.file, line.number, meaning)
        return False


def _in_words(entry: TrailEntry, remark: Remark) -> str:
    words = {
        RemarkKind.LOST: f"{remark.count} events before it could not be written",
        RemarkKind.CUT_OFF: f"the line before it was cut off after {remark.count} bytes",
        RemarkKind.CLOCK: f"the clock was set back by {remark.count} s",
        RemarkKind.REMOVED: f"the month {remark.detail} was removed: its time was over",
        RemarkKind.MISSING: "lines before it are missing",
    }
    return f"line {entry.sequence}, {entry.at[:19]}Z: {words[remark.kind]}"
