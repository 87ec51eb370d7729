"""Sends the trail on to a repository: what it has not yet, in its order, whenever it is there.

    STORAGE/audit/syslog.json   behind which line it is, and why it gets no further

The trail's files are the queue: an outage of days costs disk and nothing else.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from cadnode.audit.entry import TrailEntry, seconds
from cadnode.audit.files import Position, end_of, entries
from cadnode.audit.syslog import RepositoryAway
from cadnode.files import write_whole
from cadnode.log import get_logger

FILE: Final = "syslog.json"
_BATCH: Final = 200
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0

log = get_logger("audit")


class TakesLines(Protocol):
    """Takes lines of the trail; raises `RepositoryAway` when it is not known whether it has."""

    def send(self, entries: list[TrailEntry]) -> None:
        """Return when all of these have arrived."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a repository does not have: how many lines, since when (epoch, s), and why."""

    waiting: int = 0
    oldest_at: float | None = None
    problem: str = ""


class Forwarder:
    """Follows one trail for one repository. One thread uses it."""

    def __init__(
        self, folder: Path, repository: TakesLines, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._repository = repository
        self._clock = clock
        self._pause_s = 0.0
        self._next_at = 0.0

    @property
    def sent(self) -> int:
        """The sequence of the last line that has arrived."""
        return position(self._folder).sequence

    def round(self) -> int:
        """Send what is due; returns how many lines arrived. Raises `OSError` of the disk."""
        n_sent = 0
        while self._clock() >= self._next_at:
            after = self._after()
            batch = list(islice(entries(self._folder, after), _BATCH))
            if not batch:
                break
            try:
                self._repository.send([entry for entry, _ in batch])
            except RepositoryAway as error:
                self._away(after, str(error))
                break
            self._pause_s = 0.0
            _write(self._folder, batch[-1][1], "")
            n_sent += len(batch)
        return n_sent

    def _after(self) -> Position:
        """Behind which line the repository is: at the beginning of a trail that was begun anew."""
        after, last = position(self._folder), end_of(self._folder).last
        if last is not None and last.sequence < after.sequence:
            log.error("audit_trail_begun_anew")
            return Position()
        return after

    def _away(self, at: Position, problem: str) -> None:
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2 or _FIRST_PAUSE_S)
        self._next_at = self._clock() + self._pause_s
        if problem != _read(self._folder).get("problem"):
            log.warning("audit_not_forwarded", reason=problem, seconds=self._pause_s)
            _write(self._folder, at, problem)


def position(folder: Path) -> Position:
    """Behind which line the repository is; the beginning where it has none."""
    found = _read(folder)
    with suppress(TypeError, KeyError, ValueError, OverflowError):
        return Position(str(found["file"]), int(found["offset"]), int(found["sequence"]))
    return Position()


def backlog(folder: Path) -> Backlog:
    """What the repository does not have now. Raises `OSError`."""
    at, last = position(folder), end_of(folder).last
    if last is None or last.sequence <= at.sequence:
        return Backlog()
    following = next(entries(folder, at), None)
    oldest = None if following is None else seconds(following[0].at)
    problem = str(_read(folder).get("problem", ""))
    return Backlog(last.sequence - at.sequence, oldest, problem)


def _write(folder: Path, at: Position, problem: str) -> None:
    write_whole(folder / FILE, json.dumps({**asdict(at), "problem": problem}).encode())


def _read(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads((folder / FILE).read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
