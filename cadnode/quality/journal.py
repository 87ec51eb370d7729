"""The journal of scores on the disk: a line a reading, kept when images and results have gone.

    STORAGE/quality/scores-YYYY-MM.jsonl   lines of `JournalEntry`, by the month (UTC) of reading
    STORAGE/quality/journal.lock           held while lines are added or removed

Lines name studies by their keys, and no patient. They are added and never changed; an erasure takes
them out. Of several lines of one reading the last one stands. A line that a crash cut is passed
over.
"""

import re
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from cadnode.files import locked, make_folder
from cadnode.quality import lines
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
            if unless_there and entry.key in {found.key for found in _read(path)}:
                return False
            lines.add(path, line)
        return True

    def lines(self, since: date | None = None, until: date | None = None) -> Iterator[JournalEntry]:
        """Every line from one day (UTC) to before another, in the order in which they were added.

        Raises `OSError` where a file cannot be read.
        """
        for path in self.files():
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
        return once(self.lines(since, until))

    def readings(self, until: date | None = None) -> Iterator[JournalEntry]:
        """The same, of all time, with one month in memory: for who looks at each once.

        A reading that was noted again in a later month is there twice.
        """
        for path in self.files():
            year, month = map(int, _month_of(path))
            if until is not None and date(year, month, 1) >= until:
                continue
            found = (one for one in _read(path) if until is None or one.read_at.date() < until)
            yield from once(found)

    def has(self, study: str) -> bool:
        """Whether there is a line of that study, damaged or not. Raises `OSError`."""
        wanted = study.encode()
        return any(wanted in path.read_bytes() for path in self.files())

    def remove(self, study: str, keep: Set[tuple[str, int]] = frozenset()) -> int:
        """Number of lines of a study that were taken out, but those of kept (content, patient).

        A damaged line that names the study goes, too. Raises `OSError`.
        """
        if not self.folder.is_dir():
            return 0
        count = 0
        with self._locked():
            for path in self.files():
                held = path.read_bytes().splitlines(keepends=True)
                kept = [line for line in held if not _is_removed(line, study, keep)]
                if len(kept) < len(held):
                    count += len(held) - len(kept)
                    lines.keep(path, kept)
        return count

    def files(self) -> list[Path]:
        """The file of each month, the oldest first."""
        return sorted(p for p in self.folder.glob("scores-*.jsonl") if _NAME.fullmatch(p.name))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.folder / _LOCK, mode=0o640):
            yield


def once(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """Each reading once, by its last line, in the order in which they were made."""
    last = {entry.key: entry for entry in entries}
    return sorted(last.values(), key=lambda entry: entry.read_at)


def parsed_line(line: bytes) -> JournalEntry | None:
    """What a line of the journal holds; None of an empty or damaged one."""
    return lines.parsed(line, _ENTRY)


def _read(path: Path) -> Iterator[JournalEntry]:
    return lines.read(path, _ENTRY)


def _is_removed(line: bytes, study: str, keep: Set[tuple[str, int]]) -> bool:
    if study.encode() not in line:
        return False
    entry = parsed_line(line)
    return entry is None or (entry.study == study and (entry.content, entry.patient) not in keep)


def _month_of(path: Path) -> tuple[str, str]:
    name = _NAME.fullmatch(path.name)
    assert name is not None
    return name[1], name[2]
