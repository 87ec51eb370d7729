"""Who sent what, and who was refused: told to whoever keeps an audit trail."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, Protocol

from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome, Recorder
from cadnode.receive.way_log import Passed, WayEntry, WayLog

FOLDED_S: Final = 60.0  # of a peer and a reason one line in so long a time
MOST_AT_ONCE: Final = 20  # a line is a sync of the disk, and the listener's loop waits for it
MOST_PEERS: Final = 200  # in that time; the others are one
OTHERS: Final = "others"
_TITLE: Final = 16  # characters (PS3.5 6.2)


class Witness(Protocol):
    """Hears of what peers do. Nothing is raised."""

    def received(self, ae_title: str, address: str, study: str) -> None:
        """The first image of a study has arrived on an association."""

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        """An association has ended that brought so many images of each of these studies."""

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        """A peer was turned away, or what it sent. Costs no time."""


class Unwatched:
    """For a listener that is no node's: the demo's archive."""

    def received(self, ae_title: str, address: str, study: str) -> None:
        """Nobody is told."""

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        """Nobody is told."""

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        """Nobody is told."""


class AuditWitness:
    """Records what peers do. Threads may share it.

    A study is recorded at once. Refusals are counted: of a peer and reason the first is recorded at
    the next `tell`, those of the minute after it together, so that no scan fills the trail. What a
    study's way begins with is kept in `way`.
    """

    def __init__(
        self,
        recorder: Recorder,
        clock: Callable[[], float] = time.monotonic,
        way: WayLog | None = None,
    ) -> None:
        self._recorder = recorder
        self._way = way
        self._clock = clock
        self._lock = Lock()
        self._counts: dict[tuple[str, str, str], int] = {}
        self._told_at: dict[tuple[str, str, str], float] = {}

    def received(self, ae_title: str, address: str, study: str) -> None:
        """Record that a peer sends a study."""
        actor = Actor(ActorKind.PEER, _named(ae_title, address), address=address)
        self._recorder.record(Event(Action.RECEIVED, EventOutcome.SUCCESS, actor, study))
        if self._way is not None:
            self._way.record(study, WayEntry(time.time(), Passed.ARRIVING, actor.name))

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        """Keep how many images came."""
        if self._way is not None:
            for study, n in studies.items():
                who = _named(ae_title, "")
                self._way.record(study, WayEntry(time.time(), Passed.ARRIVED, who, n=n))

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        """Count a refusal."""
        key = (address, _named(ae_title, address), reason)
        with self._lock:
            known = self._counts.keys() | self._told_at.keys()
            if key not in known and len(known) >= MOST_PEERS:
                key = (OTHERS, OTHERS, reason)
            self._counts[key] = self._counts.get(key, 0) + 1

    def tell(self, *, everything: bool = False) -> None:
        """Record the refusals whose time has come; `everything`: all, at the listener's end."""
        with self._lock:
            now = self._clock()
            self._told_at = {k: at for k, at in self._told_at.items() if now - at < FOLDED_S}
            due = [key for key in self._counts if everything or key not in self._told_at]
            due = due if everything else due[:MOST_AT_ONCE]
            counts = {key: self._counts.pop(key) for key in due}
            self._told_at.update(dict.fromkeys(due, now))
        for (address, name, reason), count in counts.items():
            actor = Actor(ActorKind.PEER, name, address=None if address == OTHERS else address)
            detail = reason if count == 1 else f"{reason}, {count} times"
            self._recorder.record(
                Event(Action.PEER_REFUSED, EventOutcome.FAILURE, actor, detail=detail)
            )


def _named(ae_title: str, address: str) -> str:
    """An AE title as far as it is one, else the address: it is what a peer says of itself."""
    title = "".join(c for c in ae_title if " " <= c <= "~")[:_TITLE].strip()
    return title or address
