"""Deliveries as clients and people see them, and what an admin may order of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cadnode.errors import CadnodeError

OWED: Final = ("waiting", "awaiting_commitment", "refused", "given_up")
STATES: Final = ("undelivered", *OWED, "delivered", "dropped", "all")


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are asked for: `state` is one of `STATES`, "undelivered" those `OWED`.

    `destination` "": any; `older_than_s`: that wait, or were sent, for longer.
    """

    state: str = "undelivered"
    destination: str = ""
    older_than_s: float = 0.0
    study: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result on its way to one destination; times are seconds since the epoch.

    `state` is a word of `DELIVERY_MEANINGS`, `reason` why it did not arrive. `since` is when it was
    first tried, or has waited since; `next_at` when it is tried again by itself, None: never.
    """

    study: str
    content: str
    destination: str
    state: str
    reason: str
    since: float
    n_tries: int
    next_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the study by its key, which names nobody."""
        return {
            "study": self.study,
            "content": self.content,
            "destination": self.destination,
            "state": self.state,
            "reason": self.reason,
            "since": _iso(self.since),
            "tries": self.n_tries,
            "next_try": None if self.next_at is None else _iso(self.next_at),
        }


@dataclass(frozen=True, slots=True)
class Ordered:
    """What an order did: the deliveries that it concerns, whether it is read or fetched again, too.

    `is_running`: a worker carries it out now; otherwise it does when the node is started.
    """

    deliveries: tuple[Delivery, ...]
    is_read_again: bool = False
    is_running: bool = True
    is_fetched_again: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "deliveries": [one.as_dict() for one in self.deliveries],
            "reading": self.is_read_again,
            "fetching": self.is_fetched_again,
            "worker": "running" if self.is_running else "stopped",
        }


class OrderRefused(CadnodeError):
    """An order that makes no sense for this study; `hint` is what to do instead."""

    exit_code = 2

    def __init__(self, error: str, hint: str) -> None:
        super().__init__(f"{error}: {hint}")
        self.error = error
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Act:
    """What became of an order for one of several studies: `refused` says why it was not taken."""

    study: str
    refused: OrderRefused | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What may be ordered; each raises `OrderRefused`, and `Unavailable` without job database.

    `retry(study, destination)`: fetch and read again what failed, deliver what is undelivered, now.
    `reread(study, by)`: read once more what is read already, with the models that are active now.
    `redeliver(study, destination)`: send the result again; an archive gets the same UIDs.
    `drop(study, destination, by, why)`: give up what is undelivered, on purpose; with destination
    "" a reading that failed, too.
    `listed(filter)`: the deliveries that it lets pass, the oldest first.
    `retry_several(keys, destination)`, `redeliver_several(keys, destination)`,
    `reread_several(keys, by)`, `drop_several(keys, destination, by, why)`: each of several
    studies; of those that the job database did not answer for any more, nothing is said.
    Studies are keys or UIDs; destination "": all.
    """

    retry: Callable[[str, str], Ordered]
    redeliver: Callable[[str, str], Ordered]
    drop: Callable[[str, str, str, str], Ordered]
    listed: Callable[[DeliveryFilter], list[Delivery]]
    reread: Callable[[str, str], Ordered]
    retry_several: Callable[[Sequence[str], str], list[Act]]
    drop_several: Callable[[Sequence[str], str, str, str], list[Act]]
    redeliver_several: Callable[[Sequence[str], str], list[Act]]
    reread_several: Callable[[Sequence[str], str], list[Act]]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
