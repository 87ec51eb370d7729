"""How long who has given a wrong password waits, and when they are locked out.

Counted are wrong passwords of a **pair** (this name from this address), of a **name** from
everywhere, and of an **address** for all names. After the k-th the next try waits 2**(k-1) s; after
the tenth, 15 minutes; then, and after 15 minutes without one, the count is forgotten. People share
addresses (a proxy, a ward's station): an address gets twenty for nothing before it counts so.

*Choice:* a pair that has logged in before is judged by its own count alone. So whoever tries
another's name from elsewhere, or many names from a shared address, locks out neither the person at
their usual place nor the others there, for however long it is kept up: only log-ins of that name
from places where it has not been since the node was started wait, 15 minutes for each ten wrong
ones. The price is that a guesser at such a place has the pair's ten tries, no more than anywhere.

A try counts as wrong from its beginning until it has succeeded, so that many at the same time count
as many; one that must wait is not looked at and not counted, so that knocking locks nobody longer.

Each table is bounded. A new name or address finds its place when what has been forgotten is cleared
away; in a full table it shares one count with all others that are new, and pushes nobody out.
(OWASP ASVS 2.2.1; NIST SP 800-63B 5.2.2.)
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from cadnode.identity.accounts import NAME

LOCK_AFTER: Final = 10
LOCK_S: Final = 15 * 60.0
FREE_OF_AN_ADDRESS: Final = 20
_MOST: Final = 4096
_PLACES_OF_A_NAME: Final = 8
_MANY: Final = "many"  # whoever finds no place of their own


@dataclass(slots=True)
class _Count:
    wrong: int
    last: float
    until: float
    before: float  # `until`, as it was before the last one


class _Table:
    """Counts by key, at most `most` of them."""

    def __init__(self, free: int = 0, most: int = _MOST) -> None:
        self._free = free
        self._most = most
        self._counts: dict[Hashable, _Count] = {}

    def wait_s(self, key: Hashable, now: float) -> float:
        count = self._counts.get(self._place(key, now))
        return 0.0 if count is None or self._is_old(count, now) else max(0.0, count.until - now)

    def add(self, key: Hashable, now: float) -> float:
        """Count a wrong one; returns how long the next waits."""
        place = self._place(key, now)
        count = self._counts.get(place)
        if count is None or self._is_old(count, now):
            count = self._counts[place] = _Count(0, now, now, now)
        count.wrong += 1
        count.last, count.before = now, count.until
        counted = count.wrong - self._free
        if counted > 0:
            count.until = now + (LOCK_S if counted >= LOCK_AFTER else 2.0 ** (counted - 1))
        return max(0.0, count.until - now)

    def take_back(self, key: Hashable, now: float) -> None:
        """What was counted last was none."""
        count = self._counts.get(self._place(key, now))
        if count is not None:
            count.wrong -= 1
            count.until = count.before
            if count.wrong <= 0:
                self.forget(key)

    def forget(self, key: Hashable) -> None:
        self._counts.pop(key, None)

    def _place(self, key: Hashable, now: float) -> Hashable:
        if key in self._counts or len(self._counts) < self._most:
            return key
        for old in [k for k, count in self._counts.items() if self._is_old(count, now)]:
            del self._counts[old]
        return key if len(self._counts) < self._most else _MANY

    def _is_old(self, count: _Count, now: float) -> bool:
        return not 0 <= now - count.last < LOCK_S


class Attempts:
    """The counts of this process."""

    def __init__(self, clock: Callable[[], float], most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._pairs = _Table(most=most)
        self._names = _Table(most=most)
        self._addresses = _Table(FREE_OF_AN_ADDRESS, most)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: str, address: str) -> float:
        """How long this try has to wait; 0 when it may be made, and it then counts as wrong."""
        pair, now = _pair(name, address), self._clock()
        with self._lock:
            wait_s = max(table.wait_s(key, now) for table, key in self._judges(pair))
            if not wait_s:
                for table, key in self._judges(pair):
                    table.add(key, now)
        return wait_s

    def wait_s(self, name: str, address: str) -> float:
        """How long the next try would have to wait."""
        pair, now = _pair(name, address), self._clock()
        with self._lock:
            return max(table.wait_s(key, now) for table, key in self._judges(pair))

    def succeed(self, name: str, address: str) -> None:
        """The try was right: the name's counts are forgotten; the address keeps what it had."""
        pair, now = _pair(name, address), self._clock()
        with self._lock:
            if pair not in self._known:
                self._addresses.take_back(pair[1], now)
            self._pairs.forget(pair)
            self._names.forget(pair[0])
            self._remember(pair)

    def abandon(self, name: str, address: str) -> None:
        """The try was not looked at: it does not count."""
        pair, now = _pair(name, address), self._clock()
        with self._lock:
            for table, key in self._judges(pair):
                table.take_back(key, now)

    def _judges(self, pair: tuple[str, str]) -> list[tuple[_Table, Hashable]]:
        """The counts that a pair is judged by, and that it adds to."""
        judges: list[tuple[_Table, Hashable]] = [(self._pairs, pair)]
        if pair not in self._known:
            judges.append((self._addresses, pair[1]))
            if pair[0]:  # who has no name locks out no other without one
                judges.append((self._names, pair[0]))
        return judges

    def _remember(self, pair: tuple[str, str]) -> None:
        """Of a name the places where it was last; a name pushes out only its own."""
        self._known.pop(pair, None)
        own = [one for one in self._known if one[0] == pair[0]]
        if len(own) >= _PLACES_OF_A_NAME:
            del self._known[own[0]]
        elif len(self._known) >= self._most:
            self._known.popitem(last=False)
        self._known[pair] = None


def place_of(address: str) -> str:
    """Whose an address is: of IPv6 the network (/64) that a host has to choose from."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64)
    return str(ip)


def _pair(name: str, address: str) -> tuple[str, str]:
    """What is counted: names that cannot be one are one."""
    return (name if NAME.fullmatch(name) else "", place_of(address))
