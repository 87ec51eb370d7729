"""The connections without an association: how many there may be, and which one makes room.

Where there are too many, the oldest is closed, of the address that has most: a newcomer is
always heard.
"""

import resource
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum

from cadnode.receive.admission import VERIFICATIONS, Network, PlaceLimits, Places, origin
from cadnode.receive.association import Association
from cadnode.receive.pdu import AssociateRequest
from cadnode.receive.secure import Peer

_MOST_BYTES_WAITING = 16 << 20  # of A-ASSOCIATE-RQs that are not whole, of all connections
_USUAL_REQUEST_BYTES = 16 << 10


class ConnectionStage(Enum):
    """Where a connection stands."""

    NAMED = "named"  # a balancer is about to say who it is
    NAMELESS = "nameless"  # it named nobody: a look whether we live, after which nothing comes
    SHAKING = "shaking"  # hands, by TLS
    ASKING = "asking"  # its A-ASSOCIATE-RQ is on its way
    WAITING = "waiting"  # for a place
    LINGERING = "lingering"  # everything is said


@dataclass(frozen=True, slots=True)
class Wish:
    """An association that wants a place."""

    association: Association
    request: AssociateRequest
    places: Places


@dataclass(slots=True, eq=False)
class Connection:
    """A connection before its association, or after it. Equal only to itself."""

    peer: Peer
    address: str
    stage: ConnectionStage
    ends_at: float
    received: bytearray = field(default_factory=bytearray)
    wish: Wish | None = None
    tls: Callable[[], ssl.SSLContext] | None = None  # with which TLS it goes on once it is named
    origin: str = ""

    def __post_init__(self) -> None:
        self.origin = origin(self.address)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything there may be, in all and for one address."""

    connections: int
    connections_per_address: int
    associations: PlaceLimits
    request_within_s: float
    proxies: tuple[Network, ...] = ()
    """Where balancers are that say by the PROXY protocol who connects."""


class Connections:
    """All of them, each origin's in order of age. `close` ends the one that makes room."""

    def __init__(self, limits: Limits, close: Callable[[Connection], None]) -> None:
        self._limits = limits
        self._close = close
        self._held: dict[str, dict[Connection, None]] = defaultdict(dict)
        self._count = 0

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._held.get(connection.origin, ())

    def __iter__(self) -> Iterator[Connection]:
        """Each that is held now; they may be let go meanwhile."""
        return iter([one for held in self._held.values() for one in held])

    def hold(self, newcomer: Connection) -> None:
        """Hold one more; another makes room for it where there are too many."""
        if len(self._held.get(newcomer.origin, ())) >= self._limits.connections_per_address:
            self._make_room(newcomer.origin)
        elif self._count >= self._limits.connections:
            self.make_room()
        self._held[newcomer.origin][newcomer] = None
        self._count += 1

    def let_go(self, connection: Connection) -> None:
        """Hold it no longer."""
        if connection in self:
            self._count -= 1
            del self._held[connection.origin][connection]
            if not self._held[connection.origin]:
                del self._held[connection.origin]

    def keep_the_memory(self, grown: Connection) -> None:
        """Close the longest request of all where together they are too long."""
        if len(grown.received) <= _USUAL_REQUEST_BYTES:
            return
        if sum(len(one.received) for one in self) > _MOST_BYTES_WAITING:
            self._close(max(self, key=lambda one: len(one.received)))

    def make_room(self) -> None:
        """Close one of the origin that has most, if there is any."""
        if self._held:
            self._make_room(max(self._held, key=lambda one: len(self._held[one])))

    def _make_room(self, of: str) -> None:
        """Close the oldest of an origin; a lingering one before others."""
        held = self._held[of]
        lingering = (one for one in held if one.stage is ConnectionStage.LINGERING)
        self._close(next(lingering, next(iter(held))))


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
