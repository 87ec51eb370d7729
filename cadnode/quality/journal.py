"""The journal of scores on the disk: a line a reading, kept when images and results have gone.

    STORAGE/quality/scores-YYYY-MM.jsonl   lines of `JournalEntry`, by the month (UTC) of reading
    STORAGE/quality/journal.lock           held while lines are added or removed

Lines name studies by their keys, and no patient. They are added and never changed; an erasure takes
them out. Of several lines of one reading the last one stands. A line that a crash cut is passed
over.
"""

import os
import re
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cadnode.files import locked, make_folder, sync_folder, write_whole
from cadnode.quality.entry import JournalEntry

FOLDER: Final = "quality"
_LOCK: Final = "journal.lock"
_NAME: Final = re.compile(r"scores-(\d{4})-(\d{2})\.jsonl")
_ENTRY: Final = TypeAdapter(JournalEntry)


class Journal:
    """The journal of one storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self.folder = storage / FOLDER

    def add(self, entry: JournalEntry, *, unless_there: bool = False) -> bool:
        """Whether a line was added, durably.

        With `unless_there` none is where the month has one of the same reading: a step that was
        broken off after it is done once more. Raises `OSError`.
        """
        path = self.folder / f"scores-{entry.read_at:%Y-%m}.jsonl"
        line = _ENTRY.dump_json(entry) + b"\n"
        make_folder(self.folder)
        with self._locked():
            is_new = not path.exists()
            if unless_there and entry.key in {found.key for found in _read(path)}:
                return False
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o640)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # what a crash cut before stays a line of its own
                _write_all(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(self.folder)
        return True

    def lines(self, since: date | None = None, until: date | None = None) -> Iterator[JournalEntry]:
        """Every line from one day (UTC) to before another, in the order in which they were added.

        Raises `OSError` where a file cannot be read.
        """
        for path in self._files():
            year, month = map(int, _month_of(path))
            if since is not None and (year, month) < (since.year, since.month):
                continue
            if until is not None and date(year, month, 1) >= until:
                continue
            for entry in _read(path):
                day = entry.read_at.date()
                if (since is None or day >= since) and (until is None or day < until):
                    yield entry

    def entries(self, since: date | None = None, until: date | None = None) -> list[JournalEntry]:
        """The readings of that time, each once, in the order in which they were made."""
        return _once(self.lines(since, until))

    def readings(self, until: date | None = None) -> Iterator[JournalEntry]:
        """The same, of all time, with one month in memory: for who looks at each once.

        A reading that was noted again in a later month is there twice.
        """
        for path in self._files():
            year, month = map(int, _month_of(path))
            if until is not None and date(year, month, 1) >= until:
                continue
            lines = (one for one in _read(path) if until is None or one.read_at.date() < until)
            yield from _once(lines)

    def has(self, study: str) -> bool:
        """Whether there is a line of that study, damaged or not. Raises `OSError`."""
        wanted = study.encode()
        return any(wanted in path.read_bytes() for path in self._files())

    def remove(self, study: str, keep: Set[tuple[str, int]] = frozenset()) -> int:
        """Number of lines of a study that were taken out, but those of kept (content, patient).

        A damaged line that names the study goes, too. Raises `OSError`.
        """
        if not self.folder.is_dir():
            return 0
        count = 0
        with self._locked():
            for path in self._files():
                held = path.read_bytes().splitlines(keepends=True)
                kept = [line for line in held if not _is_removed(line, study, keep)]
                if len(kept) < len(held):
                    count += len(held) - len(kept)
                    _replace(path, kept)
        return count

    def _files(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("scores-*.jsonl") if _NAME.fullmatch(p.name))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.folder / _LOCK, mode=0o640):
            yield


def _once(lines: Iterable[JournalEntry]) -> list[JournalEntry]:
    last = {entry.key: entry for entry in lines}
    return sorted(last.values(), key=lambda entry: entry.read_at)


def _read(path: Path) -> Iterator[JournalEntry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        if (entry := _parsed(line)) is not None:
            yield entry


def _parsed(line: bytes) -> JournalEntry | None:
    """The entry of a line; None of an empty or damaged one."""
    try:
        return _ENTRY.validate_json(line) if line.strip() else None
    except ValidationError:
        return None


def _is_removed(line: bytes, study: str, keep: Set[tuple[str, int]]) -> bool:
    if study.encode() not in line:
        return False
    entry = _parsed(line)
    return entry is None or (entry.study == study and (entry.content, entry.patient) not in keep)


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    kept = b"".join(lines)
    if kept:
        write_whole(path, kept)
        path.chmod(0o640)
    else:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def _month_of(path: Path) -> tuple[str, str]:
    name = _NAME.fullmatch(path.name)
    assert name is not None
    return name[1], name[2]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
