"""The connection under an association that this node asks for, and why there is none.

pynetdicom says only that there is no connection, or no association. What the socket saw says more:
how the connection failed, what came in place of an answer, why TLS failed.
"""

import socket
import ssl
from contextlib import suppress
from typing import Any

from cadnode.association_failures import (
    AssociationFailure,
    of_answer,
    of_connecting,
    of_rejection,
)
from cadnode.deliver.answers import SOON, of_failure, of_tls
from cadnode.errors import DeliveryError
from cadnode.tls import TlsFiles, client_context

_TRANSIENT_RESULT = 2  # of an A-ASSOCIATE-RJ, PS3.8 9.3.4
_ASSOCIATE_RJ = 0x03
REJECTION_BYTES = 10  # of the whole PDU
_LOOK_S = 3.0
_TLS_RECORDS = range(0x14, 0x18)  # types of records, RFC 8446 5.1


class Transport:
    """Stands where pynetdicom wants an `SSLContext`: the one place where it hands its socket out.

    Answers leave at once (TCP_NODELAY), the socket of a failed connection can be closed (pynetdicom
    only shuts it down, which fails when it is not connected, and forgets it), and why there is no
    association is known. `peer` is its name in the settings, `server` the one in its certificate.

    Raises
    ------
    SettingsError
        A file of TLS cannot be used.
    """

    def __init__(self, peer: str, server: str, tls: TlsFiles | None) -> None:
        self._peer = peer
        self._server = server
        self._context = None if tls is None else client_context(tls)
        self._socket: _PlainSocket | _TlsSocket | None = None

    def wrap_socket(self, plain: socket.socket, **_tls: Any) -> socket.socket:
        """The socket, with TLS where the peer is spoken to by it."""
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            self._socket = _PlainSocket(fileno=plain.detach())
        else:
            self._context.sslsocket_class = _TlsSocket
            wrapped = self._context.wrap_socket(plain, server_hostname=self._server)
            assert isinstance(wrapped, _TlsSocket)
            self._socket = wrapped
        return self._socket

    def problem(self, assoc: Any) -> DeliveryError:
        """Why there is no association: of TLS, of the connection, or by the peer's answer.

        The answer to A-ASSOCIATE-RQ: DICOM PS3.8 9.3.3 and 9.3.4.
        """
        seen = self._socket
        if isinstance(seen, _TlsSocket) and seen.error is not None:
            return of_tls(seen.error, self._peer)
        if seen is not None and seen.unconnected is not None:
            return of_failure(of_connecting(seen.unconnected), self._peer)
        first, has_ended = (b"", False) if seen is None else (seen.first, seen.has_ended)
        if len(first) == REJECTION_BYTES and first[0] == _ASSOCIATE_RJ:
            # By its bytes: pynetdicom forgets one that is here before it looks for the connection.
            result, source, reason = first[7:]
            again = SOON if result == _TRANSIENT_RESULT else None
            return of_failure(of_rejection(source, reason), self._peer, again)
        answer = assoc.acceptor.primitive
        if answer is not None and answer.result == 0:
            return of_failure(AssociationFailure.NO_CONTEXT, self._peer)
        failure = of_answer(first, has_ended=has_ended)
        if failure is AssociationFailure.CLOSED and isinstance(seen, _PlainSocket):
            # Most programs that want TLS say so by hanging up.
            failure = AssociationFailure.TLS_NOT_SPOKEN if speaks_tls(seen.where) else failure
        return of_failure(failure, self._peer)

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._socket.close()


def speaks_tls(where: Any) -> bool:
    """Whether what listens there answers a client of TLS as a server of TLS does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is entrusted to it
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    try:
        with socket.create_connection(where[:2], _LOOK_S) as plain:
            plain.sendall(out.read())
            answer = plain.recv(1)
    except OSError:
        return False
    return bool(answer) and answer[0] in _TLS_RECORDS


class _PlainSocket(socket.socket):
    """Remembers how connecting failed, what came first, and whether the peer has gone."""

    unconnected: OSError | None = None
    first: bytes = b""
    has_ended: bool = False
    where: Any = None

    def connect(self, address: Any) -> None:
        """As `socket`'s."""
        self.where = address
        try:
            super().connect(address)
        except OSError as error:
            self.unconnected = error
            raise

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """As `socket`'s."""
        try:
            data = super().recv(bufsize, flags)
        except OSError:
            self.has_ended = True
            raise
        self.first += data[: REJECTION_BYTES - len(self.first)]
        self.has_ended = self.has_ended or not data
        return data


class _TlsSocket(ssl.SSLSocket):
    """Remembers why it failed. By TLS 1.3 a refused certificate shows at the first reading."""

    error: OSError | None = None
    unconnected: OSError | None = None
    first: bytes = b""
    has_ended: bool = False

    def connect(self, addr: Any) -> None:
        """As `SSLSocket`'s."""
        try:
            super().connect(addr)
        except OSError as error:
            if self.error is None:  # else it was connected, and the handshake failed
                self.unconnected = error
            raise

    def do_handshake(self, block: bool = False) -> None:
        """As `SSLSocket`'s."""
        try:
            super().do_handshake(block)
        except OSError as error:
            self.error = error
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As `SSLSocket`'s."""
        try:
            data = super().recv(buflen, flags)
        except ssl.SSLError as error:
            self.error = error
            raise
        self.first += data[: REJECTION_BYTES - len(self.first)]
        self.has_ended = self.has_ended or not data
        return data
