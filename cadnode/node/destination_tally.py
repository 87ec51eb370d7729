"""What each destination answered last, and how many results it got on each day.

    STORAGE/answers/<destination>.json   the last answer, and the counts of the last days

The worker counts where it sends; pages and checks are other processes and read. It names
destinations and our own reasons, nothing of the patient. Lost, it begins anew: what became of each
result is in the record beside it (`node.delivery_record`).
"""

import threading
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cadnode.files import locked, make_folder, write_whole
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus

FOLDER: Final = "answers"
KEPT_DAYS: Final = 8
_NO_ANSWER: Final = frozenset({DeliveryStatus.SUPERSEDED, DeliveryStatus.DROPPED})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class LastTry(_Part):
    """How the last try ended, at that time (seconds since the epoch), and why it did not arrive."""

    at: float
    status: DeliveryStatus
    reason: str = ""


class DayCount(_Part):
    """Results that arrived on a day, and tries that did not end so."""

    arrived: int = 0
    not_arrived: int = 0


class Tally(_Part):
    """Content of a destination's file; days are the node's, as 2026-03-04."""

    schema_version: Literal[1] = 1
    last: LastTry | None = None
    days: dict[str, DayCount] = {}

    def on(self, day: date) -> DayCount:
        """The counts of a day."""
        return self.days.get(day.isoformat(), DayCount())

    def since(self, day: date) -> int:
        """Results that arrived on that day or later."""
        return sum(one.arrived for name, one in self.days.items() if name >= day.isoformat())

    def with_try(self, one: DeliveryTry) -> "Tally":
        """The content after one more try; days that are long over are dropped."""
        day = datetime.fromtimestamp(one.at).astimezone().date()
        before = self.on(day)
        stored = one.status is DeliveryStatus.AWAITING_COMMITMENT  # counted once it is confirmed
        now = DayCount(
            arrived=before.arrived + one.status.has_arrived,
            not_arrived=before.not_arrived + (not one.status.has_arrived and not stored),
        )
        first = (day - timedelta(days=KEPT_DAYS - 1)).isoformat()
        days = {name: count for name, count in self.days.items() if name >= first}
        last = LastTry(at=round(one.at, 3), status=one.status, reason=one.reason)
        return Tally(last=last, days={**days, day.isoformat(): now})


class Tallies:
    """The tallies of a node. Threads share it; processes that deliver, each with its own."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER
        self._lock = threading.Lock()

    def count(self, one: DeliveryTry) -> None:
        """Count a try, unless the destination was not asked.

        Raises
        ------
        OSError
            The disk is full.
        """
        if one.status in _NO_ANSWER:
            return
        make_folder(self._folder)
        with self._lock, locked(self._folder / ".lock", mode=0o640):
            content = self.of(one.destination).with_try(one).model_dump_json()
            write_whole(self._path(one.destination), content.encode() + b"\n")

    def of(self, destination: str) -> Tally:
        """The tally of a destination; an empty one where there is none that can be read."""
        try:
            return Tally.model_validate_json(self._path(destination).read_bytes())
        except (OSError, ValidationError):
            return Tally()

    def _path(self, destination: str) -> Path:
        return self._folder / f"{destination}.json"
