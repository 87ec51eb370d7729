"""The newest lines of a node's log, kept in files and read back by study, event, level, time, role.

    STORAGE/log/<role>.<when it was begun>.jsonl

Each role's process writes files of its own and removes its oldest: no process waits for another. A
line is what standard error gets, with the same fields (`cadnode.log`). What cannot be written is
left out: a full disk costs lines of the log, never what they report.
"""

import heapq
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "log"
ROLES: Final = ("node", "listener", "worker", "web")
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
CURSOR: Final = r"[0-9T:.Z+-]{19,40}~[a-z]{1,16}~[0-9]{1,24}~[0-9]{1,12}"
_SEGMENTS: Final = 4  # files of a role: the one that is written, and those before
_SMALLEST: Final = 64 * 1024
_MODE: Final = 0o640
_NAME: Final = re.compile(r"([a-z]+)\.([0-9]+)\.jsonl")
_Key = tuple[str, str, int, int]


class LogWriter:
    """Writes the lines of one role; `most_bytes` is for the files of all roles together.

    Threads share it. It raises nothing.
    """

    def __init__(
        self,
        folder: Path,
        role: str,
        most_bytes: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._role, self._clock = folder, role, clock
        self._segment_bytes = max(_SMALLEST, most_bytes // (len(ROLES) * _SEGMENTS))
        self._lock = threading.Lock()
        self._descriptor = -1
        self._n_bytes = 0

    def __call__(self, line: str) -> None:
        """Write a line, if it can be."""
        data = line.encode("utf-8", "replace") + b"\n"
        with self._lock, suppress(OSError):
            try:
                if self._descriptor < 0 or self._n_bytes + len(data) > self._segment_bytes:
                    self._turn(len(data))
                self._n_bytes += os.write(self._descriptor, data)
            except OSError:
                self._close()
                raise

    def _turn(self, wanted: int) -> None:
        """Go on in the newest file where there is room in it, else begin one. Raises `OSError`."""
        was_open = self._descriptor >= 0
        self._close()
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        own = segments(self._folder, self._role)
        newest = own[-1] if own and not was_open else None
        if newest is None or newest.stat().st_size + wanted > self._segment_bytes:
            stamp = int(self._clock().timestamp() * 1e6)
            newest = self._folder / f"{self._role}.{stamp}.jsonl"
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._descriptor = os.open(newest, flags, _MODE)
        self._n_bytes = os.fstat(self._descriptor).st_size
        for old in segments(self._folder, self._role)[:-_SEGMENTS]:
            old.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def segments(folder: Path, role: str = "") -> list[Path]:
    """The files of a role, or of all, in the order in which they were begun."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is not None and role in ("", name[1]):
                found.append((int(name[2]), path))
    return [path for _, path in sorted(found)]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are asked for, the newest first; what is empty lets all pass.

    `study` is a key: of its lines, and of those that name its jobs. `event` is a part of an event's
    name, `level` the least severe level; `since` and `until` are times as lines have them (UTC),
    the latter excluded. `after` is of the page before.
    """

    study: str = ""
    event: str = ""
    level: str = ""
    role: str = ""
    since: str = ""
    until: str = ""
    after: str = ""
    limit: int = 100

    @property
    def is_narrowed(self) -> bool:
        """Whether it lets less than all pass."""
        return any((self.study, self.event, self.level, self.role, self.since, self.until))

    def passes(self, line: "LogLine") -> bool:
        """Whether a line is asked for; its study was looked at before."""
        return (
            self.event in line.event
            and (not self.level or severity(line.level) >= severity(self.level))
            and line.at >= self.since
            and (not self.until or line.at < self.until)
        )


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line: `at` as it was written (UTC), `fields` all that is in it beside."""

    at: str
    role: str
    level: str
    event: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """When it was written."""
        try:
            return datetime.fromisoformat(self.at)
        except ValueError:
            return datetime.fromtimestamp(0, UTC)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: as it stands in the file, with the role whose process wrote it."""
        own = {"timestamp": self.at, "process": self.role, "level": self.level, "event": self.event}
        return {**own, **self.fields}


@dataclass(frozen=True, slots=True)
class LogPage:
    """A part of the log. `after` asks for the next part, "": there is none."""

    lines: tuple[LogLine, ...]
    after: str = ""


def read(folder: Path, wanted: LogFilter) -> LogPage:
    """The lines that a filter lets pass, the newest first; those that are damaged are passed over.

    Lines have an order: by time, then by their place; a cursor is a place in it, and stays one
    however many lines come.
    """
    before = _key_of(wanted.after)
    roles = [role for role in ROLES if wanted.role in ("", role)]
    streams = (_of_role(folder, role, wanted, before) for role in roles)
    found: list[tuple[_Key, LogLine]] = []
    for key, line in heapq.merge(*streams, key=lambda one: one[0], reverse=True):
        if len(found) == wanted.limit:
            return LogPage(tuple(one for _, one in found), "~".join(map(str, found[-1][0])))
        found.append((key, line))
    return LogPage(tuple(one for _, one in found))


def _of_role(
    folder: Path, role: str, wanted: LogFilter, before: _Key | None
) -> Iterator[tuple[_Key, LogLine]]:
    """A role's lines that pass, from the newest back."""
    for path in reversed(segments(folder, role)):
        begun = int(path.name.split(".")[1])
        try:
            content = path.read_bytes()
        except OSError:  # it was removed meanwhile
            continue
        parsed = _parsed(content, role, wanted.study.encode())
        keyed = (((line.at, role, begun, at), line) for at, line in parsed if wanted.passes(line))
        kept = [one for one in keyed if before is None or one[0] < before]
        yield from sorted(kept, key=lambda one: one[0], reverse=True)


def _parsed(content: bytes, role: str, study: bytes) -> Iterator[tuple[int, LogLine]]:
    """Each line with the place where it begins."""
    at = 0
    for raw in content.splitlines(keepends=True):
        begins, at = at, at + len(raw)
        if not raw.strip() or (study and study not in raw):
            continue
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            fields = json.loads(raw)
            when, level = str(fields.pop("timestamp")), str(fields.pop("level"))
            yield begins, LogLine(when, role, level, str(fields.pop("event")), fields)


def severity(level: str) -> int:
    """How severe a level is; one that is not known as INFO."""
    return LEVELS.index(level) if level in LEVELS else 1


def blank(path: Path, is_hers: Callable[[str], bool]) -> int:
    """Number of lines that are now empty, because they were somebody's; in place, byte for byte.

    A process that writes the file goes on: its lines are added behind. Raises `OSError`.
    """
    count, at = 0, 0
    with path.open("r+b") as file:
        for raw in file.read().splitlines(keepends=True):
            text = raw.rstrip(b"\n")
            if text.strip() and is_hers(text.decode("utf-8", "replace")):
                os.pwrite(file.fileno(), b" " * len(text), at)
                count += 1
            at += len(raw)
        if count:
            os.fsync(file.fileno())
    return count


def _key_of(cursor: str) -> _Key | None:
    if not re.fullmatch(CURSOR, cursor):
        return None
    at, role, begun, place = cursor.split("~")
    return at, role, int(begun), int(place)
