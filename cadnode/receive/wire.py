"""How long a peer may take: a connection that is read and written against the clock.

Three clocks: `silence_s` while nothing is owed; a budget for what has begun (a PDU, a message
with its data set), so that dripping bytes is no way to stay; a limit for each answer, so that a
peer that reads none holds nobody. Only the time in which the peer is waited for is counted: a
slow disk of ours is not its fault.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from cadnode.receive.secure import Peer

# Read at once: the PDU that most peers send (DCMTK: 128 KiB) and its successor's head.
_BUFFER_BYTES = 256 << 10


class PeerGone(Exception):
    """The peer closed the connection, or it broke."""


class TooSlow(Exception):
    """What the peer has begun does not end in time, or it does not take our answer."""


class Silent(Exception):
    """The peer sends nothing where something is expected."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds, and the least rate of what has begun, in bytes a second."""

    silence_s: float
    begun_s: float
    bytes_per_s: float
    answer_s: float


class Wire:
    """One peer's connection."""

    def __init__(self, peer: Peer, patience: Patience) -> None:
        self._peer = peer
        self._patience = patience
        self._buffer = memoryview(b"")  # made when the first byte is waited for
        self._start = self._end = 0
        self._budget_s: float | None = None

    def await_bytes(self) -> None:
        """Return when there is a byte to read. Raises `Silent` or `PeerGone`."""
        if self._start == self._end:
            self._fill()

    def begin(self) -> None:
        """From here on the peer has a budget, which what it sends enlarges."""
        arrived = self._end - self._start
        self._budget_s = self._patience.begun_s + arrived / self._patience.bytes_per_s

    def end(self) -> None:
        """What the peer began has ended."""
        self._budget_s = None

    def take(self, n_bytes: int) -> bytes:
        """The next `n_bytes`. Raises `PeerGone`, `Silent` or `TooSlow`."""
        return b"".join(bytes(part) for part in self.parts(n_bytes))

    def parts(self, n_bytes: int) -> Iterator[memoryview]:
        """The next `n_bytes` as they come; each part is valid until the next one is asked for."""
        while n_bytes:
            if self._start == self._end:
                self._fill()
            end = min(self._end, self._start + n_bytes)
            part = self._buffer[self._start : end]
            self._start = end
            n_bytes -= len(part)
            yield part

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `TooSlow` or `PeerGone`."""
        self._peer.settimeout(self._patience.answer_s)
        try:
            self._peer.sendall(data)
        except TimeoutError as error:
            raise TooSlow from error
        except OSError as error:
            raise PeerGone from error

    def _fill(self) -> None:
        if not self._buffer:
            self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._end = 0
        budget_s = self._budget_s
        if budget_s is not None and budget_s <= 0:
            raise TooSlow
        silence_s = self._patience.silence_s
        self._peer.settimeout(silence_s if budget_s is None else min(silence_s, budget_s))
        began = time.monotonic()
        try:
            n_read = self._peer.recv_into(self._buffer)
        except TimeoutError as error:
            is_silent = budget_s is None or budget_s > silence_s
            raise (Silent if is_silent else TooSlow) from error
        except OSError as error:
            raise PeerGone from error
        if not n_read:
            raise PeerGone
        self._end = n_read
        if budget_s is not None:
            gained_s = n_read / self._patience.bytes_per_s
            self._budget_s = budget_s - (time.monotonic() - began) + gained_s
