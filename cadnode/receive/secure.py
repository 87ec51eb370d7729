"""Sockets with TLS or without, for the listener: each question once, whichever it is.

A handshake is made piece by piece in the loop, like the request that follows. Where a side of a
connection is shut, the socket itself is: `SSLSocket.shutdown` would also end the encryption, and
the next answer would go out in clear.
"""

import selectors
import socket
import ssl
from contextlib import suppress

from cadnode.tls import fingerprint


def wrapped(peer: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """The connection with TLS; its handshake is still to be made."""
    return context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)


def shaken(peer: socket.socket) -> int:
    """Go on with the handshake: what it waits for, as a selector's event; 0 when it is done.

    Raises
    ------
    OSError
        It has failed: `reason_of` says why.
    """
    assert isinstance(peer, ssl.SSLSocket)
    try:
        peer.do_handshake()
    except ssl.SSLWantReadError:
        return selectors.EVENT_READ
    except ssl.SSLWantWriteError:
        return selectors.EVENT_WRITE
    return 0


def reason_of(error: OSError) -> str:
    """Why a handshake failed, in words of ours: what the peer wrote is not repeated."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate"
    if isinstance(error, ssl.SSLError) and error.reason in _REASONS:
        return _REASONS[error.reason]
    return "tls"


_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls_no_certificate",
    "UNSUPPORTED_PROTOCOL": "tls_version",
    "NO_SHARED_CIPHER": "tls_cipher",
    "HTTP_REQUEST": "tls_not_spoken",
    "WRONG_VERSION_NUMBER": "tls_not_spoken",
}


def received(peer: socket.socket, most: int) -> bytes | None:
    """What there is to read, at most so much; None: nothing yet; b"": the peer has ended it."""
    try:
        return peer.recv(most)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None


def has_more(peer: socket.socket) -> bool:
    """Whether bytes are decrypted that nobody has read."""
    return isinstance(peer, ssl.SSLSocket) and bool(peer.pending())


def thrown_away(peer: socket.socket, most: int) -> bool:
    """Read and forget what a peer still sends; False when it has ended."""
    return bool(socket.socket.recv(peer, most))


def certificate_of(peer: socket.socket) -> str:
    """SHA-256 of the certificate that the peer has shown; "" without one, or without TLS."""
    if not isinstance(peer, ssl.SSLSocket):
        return ""
    return fingerprint(peer.getpeercert(binary_form=True))


def say_no_more(peer: socket.socket) -> None:
    """End our side of a connection that does not block; the peer may still send."""
    if isinstance(peer, ssl.SSLSocket):
        with suppress(ssl.SSLError):  # close_notify is sent, the peer's has not come
            peer.unwrap()
    shut(peer, socket.SHUT_WR)


def shut(peer: socket.socket, how: int) -> None:
    """`socket.shutdown`, of the connection below the encryption."""
    socket.socket.shutdown(peer, how)
