"""The connections without an association: how many there may be, and which one makes room.

Where there are too many, the oldest is closed, of the address that has most: a newcomer is
always heard.
"""

import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum

from cadnode.receive.admission import VERIFICATIONS, PlaceLimits, origin
from cadnode.receive.pdu import AssociateRequest

_MOST_BYTES_WAITING = 16 << 20  # of A-ASSOCIATE-RQs that are not whole, of all connections
_USUAL_REQUEST_BYTES = 16 << 10


class Stage(Enum):
    """Where a connection stands."""

    ASKING = "asking"  # its A-ASSOCIATE-RQ is on its way
    WAITING = "waiting"  # for a place
    LINGERING = "lingering"  # everything is said


@dataclass(slots=True, eq=False)
class Connection:
    """A connection before its association, or after it. Equal only to itself."""

    peer: socket.socket
    address: str
    stage: Stage
    since: float
    ends_at: float
    received: bytearray = field(default_factory=bytearray)
    request: AssociateRequest | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything there may be, in all and for one address."""

    connections: int
    connections_per_address: int
    associations: PlaceLimits
    request_within_s: float


class Connections:
    """All of them. `close` ends the one that makes room for another."""

    def __init__(self, limits: Limits, close: Callable[[Connection], None]) -> None:
        self._limits = limits
        self._close = close
        self._held: set[Connection] = set()

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._held

    def __iter__(self) -> Iterator[Connection]:
        """Each of them, the oldest first; they may be let go meanwhile."""
        return iter(sorted(self._held, key=lambda one: one.since))

    def hold(self, newcomer: Connection) -> None:
        """Hold one more; another makes room for it where there are too many."""
        same = [one for one in self._held if origin(one.address) == origin(newcomer.address)]
        if len(same) >= self._limits.connections_per_address:
            self._make_room(same)
        elif len(self._held) >= self._limits.connections:
            self._make_room(self._held)
        self._held.add(newcomer)

    def let_go(self, connection: Connection) -> None:
        """Hold it no longer."""
        self._held.discard(connection)

    def keep_the_memory(self, grown: Connection) -> None:
        """Close the longest request of all where together they are too long."""
        if len(grown.received) <= _USUAL_REQUEST_BYTES:
            return
        if sum(len(one.received) for one in self._held) > _MOST_BYTES_WAITING:
            self._close(max(self._held, key=lambda one: len(one.received)))

    def make_room(self) -> None:
        """Close one, if there is any."""
        self._make_room(self._held)

    def _make_room(self, among: Iterable[Connection]) -> None:
        """Close the oldest of the address that has most; a lingering one before others."""
        candidates = list(among)
        counts = Counter(origin(one.address) for one in candidates)

        def order(one: Connection) -> tuple[bool, int, float]:
            return (one.stage is not Stage.LINGERING, -counts[origin(one.address)], one.since)

        if candidates:
            self._close(min(candidates, key=order))


def provide_descriptors(limits: Limits) -> Limits:
    """`limits` that the process has descriptors for, of which it asks for as many as it needs."""
    others = 256 + 8 * (limits.associations.in_all + VERIFICATIONS.in_all)
    needed = limits.connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    most = max(16, soft - others)
    return replace(
        limits,
        connections=min(limits.connections, most),
        connections_per_address=min(limits.connections_per_address, most),
    )
