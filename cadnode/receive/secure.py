"""Sockets with TLS or without, for the listener: each question once, whichever it is.

TLS is worked out between two buffers in memory, and what goes into them comes from the socket in
small pieces: however a peer fills its records, a step of it is short, and every deadline holds.
(`ssl.SSLSocket` reads on for as long as records come that carry no data, such as KeyUpdates.)
"""

import socket
import ssl
import time
from contextlib import suppress
from typing import Final

from cadnode.association_failures import AssociationFailure
from cadnode.tls import fingerprint

_PIECE_BYTES: Final = 16 << 10
# Before the request is whole: a handshake with its certificates, and the request in small records.
MOST_BEFORE_REQUEST: Final = 1 << 20


class TooMuch(OSError):
    """A peer sends more than a request needs, or takes none of our answers."""


class SecurePeer:
    """A connection with TLS, as a socket: its timeout is for a whole call."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._timeout: float | None = 0.0
        self._n_raw = 0

    # As a socket

    def fileno(self) -> int:
        """Of the socket."""
        return self._plain.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._plain.close()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        """As a socket's."""
        self._timeout = value
        self._plain.settimeout(value)

    def recv_into(self, buffer: memoryview) -> int:
        """Read what there is; 0: the peer has ended it. Raises `TimeoutError` and `OSError`."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                return self._tls.read(len(buffer), buffer)  # type: ignore[return-value]
            except ssl.SSLZeroReturnError:
                return 0
            except ssl.SSLWantReadError:
                self._flush()
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._plain.settimeout(left)
            data = self._plain.recv(_PIECE_BYTES)
            if not data:
                return 0
            self._in.write(data)

    def sendall(self, data: bytes) -> None:
        """Send all. Raises `TimeoutError` and `OSError`."""
        self._tls.write(data)
        self._plain.settimeout(self._timeout)
        self._flush()

    # As a connection of the loop, which waits for nothing

    def pump(self) -> bool:
        """Take a piece of what has come; False when the peer has ended it.

        Raises
        ------
        TooMuch
            More has come than a request needs.
        """
        try:
            data = self._plain.recv(_PIECE_BYTES)
        except BlockingIOError:
            return True
        self._n_raw += len(data)
        if self._n_raw > MOST_BEFORE_REQUEST:
            raise TooMuch
        self._in.write(data)
        return bool(data)

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done. Raises `ssl.SSLError`."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            with suppress(OSError):  # the alert that says why it failed, where there is room
                self._give()
        return True

    def read(self, most: int) -> bytes | None:
        """What was sent, at most so much; None: nothing yet; b"": the peer has ended it."""
        try:
            return self._tls.read(most)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLWantReadError:
            self._give()
            return None

    def send(self, data: bytes) -> None:
        """Send a short answer, for which there is room."""
        self._tls.write(data)
        self._give()

    def thrown_away(self, most: int) -> bool:
        """Read and forget what still comes; False when it has ended."""
        return bool(self._plain.recv(most))

    def say_no_more(self) -> None:
        """End our side: the peer may still send."""
        with suppress(ssl.SSLError):  # close_notify is sent, the peer's has not come
            self._tls.unwrap()
        self._give()
        self._plain.shutdown(socket.SHUT_WR)

    def shutdown(self, how: int) -> None:
        """Of the socket: what is sent afterwards is encrypted as before."""
        self._plain.shutdown(how)

    @property
    def certificate(self) -> str:
        """SHA-256 of the certificate that the peer has shown; "" without one."""
        return fingerprint(self._tls.getpeercert(binary_form=True))

    def _flush(self) -> None:
        if self._out.pending:
            self._plain.sendall(self._out.read())

    def _give(self) -> None:
        """Send all at once: a peer that leaves no room for it reads nothing."""
        if not self._out.pending:
            return
        data = self._out.read()
        n_sent = 0
        with suppress(BlockingIOError):
            n_sent = self._plain.send(data)
        if n_sent < len(data):
            raise TooMuch


Peer = socket.socket | SecurePeer


def reason_of(error: OSError) -> AssociationFailure:
    """Why a handshake failed, in codes of ours: what the peer wrote is not repeated."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return AssociationFailure.TLS_CERTIFICATE
    if isinstance(error, ssl.SSLError) and error.reason in _REASONS:
        return _REASONS[error.reason]
    return AssociationFailure.TLS


_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": AssociationFailure.TLS_NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": AssociationFailure.TLS_VERSION,
    "NO_SHARED_CIPHER": AssociationFailure.TLS_CIPHER,
    "HTTP_REQUEST": AssociationFailure.TLS_NOT_SPOKEN,
    "WRONG_VERSION_NUMBER": AssociationFailure.TLS_NOT_SPOKEN,
}


def received(peer: Peer, most: int) -> bytes | None:
    """What there is to read, at most so much; None: nothing yet; b"": the peer has ended it."""
    if isinstance(peer, SecurePeer):
        return peer.read(most)
    try:
        return peer.recv(most)
    except BlockingIOError:
        return None


def thrown_away(peer: Peer, most: int) -> bool:
    """Read and forget what a peer still sends; False when it has ended."""
    return peer.thrown_away(most) if isinstance(peer, SecurePeer) else bool(peer.recv(most))


def certificate_of(peer: Peer) -> str:
    """SHA-256 of the certificate that the peer has shown; "" without one, or without TLS."""
    return peer.certificate if isinstance(peer, SecurePeer) else ""


def say_no_more(peer: Peer) -> None:
    """End our side of a connection that does not block; the peer may still send."""
    if isinstance(peer, SecurePeer):
        peer.say_no_more()
    else:
        peer.shutdown(socket.SHUT_WR)
