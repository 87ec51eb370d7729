"""The journal as one who looks again and again reads it: only what was added since.

The rows of all exams stay in memory. Where anything else has changed than lines at the end of the
newest month (an erasure, a file that was restored, edited or removed, a reading noted again, or
out of order), the whole journal is read once more: what is found is always what the whole says.
A file whose lines were changed in place, and which has grown by no byte less, goes unnoticed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cadnode.quality.entry import JournalEntry
from cadnode.quality.journal import Journal, once, parsed_line
from cadnode.quality.series import Accepted, RowBook, ScannerRows

_TAIL: Final = 512  # bytes before the end of what was read, which have to be the same
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class _Otherwise(Exception):
    """The journal has changed otherwise than at its end."""


@dataclass(slots=True)
class _Month:
    """How far a file was read. `keys` and `newest` are of its entries."""

    inode: int
    end: int = 0
    tail: bytes = b""
    changed_ns: int = 0
    keys: set[tuple[str, str, int]] = field(default_factory=set)
    newest: datetime = _LONG_AGO


class FollowedJournal:
    """The rows of one storage folder's journal, for one thread."""

    def __init__(self, storage: Path) -> None:
        self._journal = Journal(storage)
        self._begin()
        self.n_read = 0
        """Lines that the last look parsed."""

    def rows(self, accepted: Sequence[Accepted]) -> dict[str, ScannerRows]:
        """What `series.rows_of` makes of all readings and of these accepted changes.

        Raises
        ------
        OSError
            The journal cannot be read.
        """
        self.n_read = 0
        try:
            self._go_on(accepted)
        except _Otherwise:
            self._begin()
            self._go_on(accepted)
        except OSError:
            self._begin()
            raise
        return self._book.rows()

    def _begin(self) -> None:
        self._book = RowBook()
        self._months: dict[str, _Month] = {}
        self._accepted: list[Accepted] = []

    def _go_on(self, accepted: Sequence[Accepted]) -> None:
        n_known = len(self._accepted)
        if list(accepted[:n_known]) != self._accepted:
            raise _Otherwise
        changes = accepted[n_known:]
        if any(one.at <= self._book.newest for one in changes):
            raise _Otherwise
        restarted = max((one.at for one in self._accepted), default=_LONG_AGO)
        self._accepted = list(accepted)
        self._book.add(self._added(restarted), changes)

    def _added(self, restarted: datetime) -> Iterator[JournalEntry]:
        """Readings that were added, none of before the last change that was taken into account."""
        files = self._journal.files()
        known = list(self._months)
        if [path.name for path in files[: len(known)]] != known:
            raise _Otherwise
        for path in files:
            found = self._of_month(path)
            if found and known and path.name < known[-1]:
                raise _Otherwise
            for entry in found:
                if entry.read_at < restarted:
                    raise _Otherwise
                yield entry
        for name in list(self._months)[:-1]:
            self._months[name].keys = set()  # nothing is added to it any more

    def _of_month(self, path: Path) -> list[JournalEntry]:
        """The readings that were added to a file, in their order."""
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            month = self._months.setdefault(path.name, _Month(state.st_ino))
            start = max(0, month.end - _TAIL)
            is_same = state.st_ino == month.inode and state.st_size >= month.end
            is_still = state.st_size > month.end or state.st_mtime_ns == month.changed_ns
            if month.end and not (is_same and is_still):
                raise _Otherwise
            if month.end and state.st_size == month.end:
                return []
            file.seek(start)
            held = file.read(state.st_size - start)
        if held[: month.end - start] != month.tail:
            raise _Otherwise
        lines = held[month.end - start :].splitlines(keepends=True)
        entries = [parsed_line(line) for line in lines]
        self.n_read += len(lines)
        if lines and entries[-1] is None and not lines[-1].endswith(b"\n"):
            held = held[: -len(lines[-1])]  # it is being written, or was cut: looked at again
        month.end, month.tail = start + len(held), held[-_TAIL:]
        month.changed_ns = state.st_mtime_ns
        found = once(entry for entry in entries if entry is not None)
        keys = {entry.key for entry in found}
        if keys & month.keys or (found and found[0].read_at < month.newest):
            raise _Otherwise
        month.keys |= keys
        month.newest = max((month.newest, *(entry.read_at for entry in found)))
        return found
