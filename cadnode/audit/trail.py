"""The audit trail of a node: a line an event, chained, on the disk before the act goes on.

All processes of a node, and commands beside it, add to one chain: each takes the lock, reads where
the trail ends, and writes its line there. An event that cannot be written holds up nothing: it is
counted, health says so, and the next line that can be written says how many are missing.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cadnode import __version__
from cadnode.audit import files
from cadnode.audit.entry import Remark, RemarkKind, TrailEntry, seconds, timestamp
from cadnode.audit.event import Event
from cadnode.audit.files import End, Head, LostEvents
from cadnode.files import lock, sync_folder
from cadnode.log import get_logger
from cadnode.settings import Settings

_LOCK_WITHIN_S: Final = 5.0
_AFTER_BUSY_S: Final = 0.05  # while the lock is never let go of, acts are not held up for long
_JITTER_S: Final = 1.0  # processes that wait for the lock read their clocks before each other

log = get_logger("audit")


class TrailBusy(OSError):
    """Another process holds the trail's lock and does not let go of it."""


class Trail:
    """The trail in a folder. Threads and processes may share it. It is a `Recorder`."""

    def __init__(
        self, folder: Path, node: str = "CADNODE", clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self._node = node
        self._clock = clock
        self._alone = threading.Lock()
        self._counting = threading.Lock()
        self._lock_within_s = _LOCK_WITHIN_S
        self._n_lost = 0  # where not even `lost.json` can be written

    @staticmethod
    def of(settings: Settings) -> "Trail":
        """The trail of a node."""
        return Trail(settings.storage.folder / files.FOLDER, settings.listener.ae_title)

    def record(self, event: Event) -> None:
        """Add an event, durably; one that cannot be added is counted."""
        self._add(event)

    def close_months(self, keep_days: float, sent: int | None = None) -> int:
        """Remove months that ended so many days ago; returns how many.

        A line says first where each ended, so that the chain holds. `sent` is the last sequence
        that was sent on: what was not is kept.
        """
        n_removed = 0
        for path in files.months(self.folder)[:-1]:
            until = datetime.strptime(path.stem, "%Y-%m").replace(tzinfo=UTC)
            month_end = until.replace(year=until.year + until.month // 12,
                                      month=until.month % 12 + 1)  # fmt: skip
            if month_end.timestamp() + keep_days * 86400.0 > self._clock():
                break
            last = files.end_of_file(path).last
            if last is None or (sent is not None and last.sequence > sent):
                break
            kind, end = RemarkKind.REMOVED, (last.sequence, last.hash)
            if not self._add(Remark(kind, 1, path.stem, end)):
                break
            path.unlink()
            sync_folder(self.folder)
            n_removed += 1
        return n_removed

    def _add(self, said: Event | Remark) -> bool:
        """Whether it was written."""
        try:
            with self._alone, self._locked():
                self._append(said)
        except Exception as error:
            # Whatever keeps a line from being written, the act that it tells of goes on.
            log.error("audit_event_lost", error=error)
            self._count_lost()
            return False
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make_folder()
        descriptor = self._opened(files.LOCK)
        try:
            deadline = time.monotonic() + self._lock_within_s
            while not lock(descriptor, wait=False):
                if time.monotonic() > deadline:
                    self._lock_within_s = _AFTER_BUSY_S
                    raise TrailBusy("the trail is locked")
                time.sleep(0.001)
            self._lock_within_s = _LOCK_WITHIN_S
            yield
        finally:
            os.close(descriptor)

    def _append(self, said: Event | Remark) -> None:
        end, found = files.end_of(self.folder), files.head_of(self.folder)
        head = found or self._begun()
        lost = files.lost_of(self.folder).waiting + self._n_lost
        now = timestamp(self._clock())
        before = Head(end.last.sequence, end.last.hash) if end.last else Head()
        remarks = [*_of_end(end, before, found), *_of_clock(end, now)]
        if lost:
            remarks.append(Remark(RemarkKind.LOST, lost))
        at = now if end.last is None or any(r.kind is RemarkKind.CLOCK for r in remarks) else (
            max(now, end.last.at)
        )  # fmt: skip
        previous = head if head.sequence >= before.sequence else before
        lines = b"" if end.ends_a_line else b"\n"
        for one in (*remarks, said):
            entry = TrailEntry(previous.sequence + 1, at, self._node, __version__, one)
            entry = replace(entry, hash=entry.hash_after(previous.hash))
            previous = Head(entry.sequence, entry.hash)
            lines += entry.line()
        stem = max(at[:7], end.path.stem if end.path else "")
        self._write(f"{stem}.jsonl", lines)
        self._in_place(files.HEAD, previous)
        if lost:
            self._told(lost)

    def _write(self, name: str, lines: bytes) -> None:
        """Add whole lines, or nothing that anybody takes for one."""
        is_new = not (self.folder / name).exists()
        descriptor = self._opened(name, os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            try:
                n_written = os.write(descriptor, lines)
                if n_written < len(lines):
                    raise OSError("the line is not whole")
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self.folder)

    def _begun(self) -> Head:
        """The head of a trail that has none: made before its first line, so that one is missed."""
        self._in_place(files.LOST, files.lost_of(self.folder), is_synced=True)
        self._in_place(files.HEAD, Head(), is_synced=True)
        return Head()

    def _in_place(self, name: str, what: Head | LostEvents, *, is_synced: bool = False) -> None:
        descriptor = self._opened(name)
        try:
            files.written_in_place(descriptor, what)
            if is_synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _count_lost(self) -> None:
        with self._counting:
            if not self._changed_lost(1, self._clock()):
                self._n_lost += 1

    def _told(self, count: int) -> None:
        """So many lost events stand in the trail now."""
        with self._counting:
            in_memory = min(count, self._n_lost)
            self._n_lost -= in_memory
            self._changed_lost(in_memory - count, None)

    def _changed_lost(self, by: int, at: float | None) -> bool:
        """Whether the count on the disk was changed; others may be counting, too."""
        try:
            descriptor = os.open(self.folder / files.LOST, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            lock(descriptor)
            known = files.lost_of(self.folder)
            now = LostEvents(max(0, known.waiting + by), known.at if at is None else at)
            files.written_in_place(descriptor, now)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            _hand_over(self.folder, self.folder.parent)
            sync_folder(self.folder.parent)

    def _opened(self, name: str, flags: int = 0) -> int:
        """A descriptor of one of the trail's files, which is made if need be."""
        path = self.folder / name
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o640)
            _hand_over(path, self.folder)
            return descriptor


def _hand_over(path: Path, above: Path) -> None:
    """Of what root makes, the node's user is the owner: a command must not lock the node out."""
    if os.geteuid() == 0:
        owner = above.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _of_end(end: End, before: Head, head: Head | None) -> Iterator[Remark]:
    if end.n_cut_off:
        yield Remark(RemarkKind.CUT_OFF, end.n_cut_off)
    if head is None and end.last is not None:
        yield Remark(RemarkKind.MISSING, detail="head")
    elif head is not None and head.sequence > before.sequence:
        yield Remark(RemarkKind.MISSING, head.sequence - before.sequence)


def _of_clock(end: End, now: str) -> Iterator[Remark]:
    back_s = seconds(end.last.at) - seconds(now) if end.last else 0.0
    if back_s > _JITTER_S:
        yield Remark(RemarkKind.CLOCK, round(back_s))
