"""Who may come in, and who gives way: peers by address and AE title, and places.

An association needs a place (`Places`): there are so many in all, and so many for one address
that no address fills all. Where none is free, whoever has done nothing for longest gives way to
the newcomer: idle associations keep nobody out. An association that proposes Verification alone
has places of its own: a listener at work still answers C-ECHO.
"""

import hmac
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from cadnode.receive import pdu

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedPeer:
    """Who may send: an AE title ("": any) at an address of a network.

    With a `certificate` (its SHA-256, hexadecimal) only who shows that one, by TLS: whatever else
    lets that AE title in. So it is with a `username`, which comes with its `passcode`.
    """

    ae_title: str
    network: Network
    certificate: str = ""
    username: str = ""
    passcode: str = field(default="", repr=False)

    def is_shown(self, user: pdu.UserIdentity | None) -> bool:
        """Whether this user and passcode are shown, compared in constant time."""
        shown = user or pdu.UserIdentity()
        is_user = hmac.compare_digest(shown.username, self.username.encode())
        return hmac.compare_digest(shown.passcode, self.passcode.encode()) and is_user


@dataclass(frozen=True, slots=True)
class AllowedPeers:
    """Who may open an association. No peers: any address; no AE titles: any."""

    peers: tuple[AllowedPeer, ...] = ()
    calling_ae_titles: tuple[str, ...] = ()
    called_ae_title: str = ""  # "": any

    def is_known(self, address: str) -> bool:
        """Whether somebody at this address may send; asked before a byte is read."""
        return not self.peers or any(True for _ in self._at(address))

    def rejection(
        self,
        address: str,
        request: pdu.AssociateRequest,
        certificate: str = "",
        *,
        by_tls: bool = False,
    ) -> pdu.Rejection | None:
        """Why the request is rejected (PS3.8 9.3.4); None: it is not.

        `certificate` is what it was shown with, by TLS. A passcode that came in clear lets nobody
        in: others may have read it.
        """
        if not request.understands_version_1:
            return pdu.PROTOCOL_VERSION
        if self.called_ae_title and request.called_ae_title != self.called_ae_title:
            return pdu.CALLED_AE_TITLE if request.called_ae_title else pdu.BLANK_CALLED
        title = request.calling_ae_title
        unknown = pdu.CALLING_AE_TITLE if title else pdu.BLANK_CALLING
        if self.calling_ae_titles and title not in self.calling_ae_titles:
            return unknown
        named = [peer for peer in self._at(address) if peer.ae_title in ("", title)]
        if self.peers and not named:
            return unknown
        bound = self._bound(address, title)
        certificates = {peer.certificate for peer in bound if peer.certificate}
        if certificates and certificate not in certificates:
            return pdu.CERTIFICATE
        users = [peer for peer in bound if peer.username]
        if users and not (by_tls and any(peer.is_shown(request.user) for peer in users)):
            return pdu.USER_IDENTITY
        return None

    def asks_who(self, address: str, title: str) -> bool:
        """Whether who calls itself so has to show a user and a passcode."""
        return any(peer.username for peer in self._bound(address, title))

    def _bound(self, address: str, title: str) -> list[AllowedPeer]:
        """The entries that speak of this AE title; one without a title does at its address."""
        here = self._at(address)
        return [p for p in self.peers if p.ae_title == title or (p in here and not p.ae_title)]

    def _at(self, address: str) -> list[AllowedPeer]:
        where = ip_address(address)
        return [peer for peer in self.peers if where in peer.network]


def plain_address(address: str) -> str:
    """An address without its zone; IPv4 mapped into IPv6 (RFC 4291 2.5.5.2) as IPv4."""
    where = ip_address(address.partition("%")[0])
    mapped = getattr(where, "ipv4_mapped", None)
    return str(mapped or where)


def origin(address: str) -> str:
    """Whose share an address counts against: its own, or in IPv6 its network of 64 bits.

    A host has all of such a network to choose from (RFC 4291 2.5.4).
    """
    where = ip_address(address)
    if where.version == 4:
        return address
    return str(ip_network((where, 64), strict=False))


class Holder(Protocol):
    """An association, as far as its place is concerned."""

    def spare_s(self) -> float | None:
        """For how long it has done nothing; None: it is at work."""

    def dismiss(self) -> bool:
        """End it unless it is at work by now; whether it ends."""


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """How many associations there may be, and who is idle: a sender at work is faster."""

    in_all: int
    per_address: int
    idle_s: float = 0.5


@dataclass(frozen=True, slots=True)
class AssociationPlace:
    """A place that an association has. Equal only to itself."""

    address: str
    holder: Holder

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class Room(Enum):
    """Whether there is room for a newcomer as things are."""

    FREE = "free"
    FULL = "full"


VERIFICATIONS = PlaceLimits(in_all=16, per_address=12, idle_s=0.2)


def who_gives_way(
    held: Sequence[tuple[str, float | None]], address: str, limits: PlaceLimits
) -> Room | int:
    """Whether `address` gets a place: `FREE`, the index of whoever gives way, or `FULL`.

    `held` is (address, seconds without doing anything; None: at work) of each association. An
    address gives way only to one that holds no more than itself.
    """
    counts = Counter(one for one, _ in held)
    is_at_its_share = counts[address] >= limits.per_address
    if not is_at_its_share and len(held) < limits.in_all:
        return Room.FREE
    idle = [
        (counts[one], spare_s, index)
        for index, (one, spare_s) in enumerate(held)
        if spare_s is not None
        and spare_s >= limits.idle_s
        and (one == address if is_at_its_share else counts[one] >= counts[address])
    ]
    return max(idle)[2] if idle else Room.FULL


class Places:
    """Who holds which place. May be used from any thread."""

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._places: list[AssociationPlace] = []
        self._lock = threading.Lock()

    def take(self, address: str, holder: Holder) -> AssociationPlace | None:
        """A place for `holder`; None when there is none, and nobody who gives way."""
        place = AssociationPlace(address, holder)
        with self._lock:
            while True:
                held = [(one.address, one.holder.spare_s()) for one in self._places]
                found = who_gives_way(held, address, self._limits)
                if found is Room.FULL:
                    return None
                if isinstance(found, int):
                    if not self._places[found].holder.dismiss():
                        continue  # it has begun to work meanwhile
                    del self._places[found]
                self._places.append(place)
                return place

    def give_back(self, place: AssociationPlace) -> None:
        """The place is free; nothing happens where it has been given to another already."""
        with self._lock:
            if place in self._places:
                self._places.remove(place)

    def holders(self) -> list[Holder]:
        """Who holds a place."""
        with self._lock:
            return [place.holder for place in self._places]
