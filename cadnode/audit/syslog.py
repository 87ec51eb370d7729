"""Audit messages to a repository: syslog (RFC 5424) over TLS (RFC 5425), DICOM PS3.15 A.6.

Syslog has no receipts. The only one is TLS's and TCP's: a connection that the repository closes in
good order, after ours was closed, has been read to its end. So a batch has a connection of its
own, and counts as sent when that has ended well; until then it is sent again, in the same order. A
message may come twice therefore, never not at all.

Deviation: a repository that closes the connection without a close_notify alert has read it, too,
although RFC 5425 4.4 asks for the alert, because rsyslog with GnuTLS sends none.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cadnode.audit.atna import audit_message
from cadnode.audit.entry import TrailEntry
from cadnode.errors import CadnodeError, SettingsError
from cadnode.settings.sections import AuditSection
from cadnode.tls import Reloaded, client_context

_PRIORITY: Final = 85  # facility 10 (security), severity 5 (notice): PS3.15 A.6
_MESSAGE_ID: Final = "DICOM+RFC3881"  # PS3.15 A.6
_BOM: Final = b"\xef\xbb\xbf"
_TIMEOUT_S: Final = 10.0
_READ_BYTES: Final = 16 << 10


class RepositoryAway(CadnodeError):
    """The repository cannot be reached, or does not end a connection in good order."""

    retryable = True


@dataclass(frozen=True, slots=True)
class SyslogSender:
    """The host and process that a syslog header names."""

    host: str
    process: str

    @staticmethod
    def here() -> "SyslogSender":
        """Of the process that asks, on its machine."""
        return SyslogSender(socket.gethostname() or "-", str(os.getpid()))


def framed(entry: TrailEntry, sender: SyslogSender) -> bytes:
    """The line as a syslog message (RFC 5424 6), after its length (RFC 5425 4.3.1)."""
    names = " ".join(_printable(name, 48) for name in (sender.host, "cadnode", sender.process))
    header = f"<{_PRIORITY}>1 {entry.at} {names} {_MESSAGE_ID} - "
    message = header.encode("ascii") + _BOM + audit_message(entry)
    return str(len(message)).encode("ascii") + b" " + message


def _printable(text: str, longest: int) -> str:
    """A header field: printable ASCII without a space, "-" where there is nothing."""
    return "".join(c for c in text if "!" <= c <= "~")[:longest] or "-"


class Repository:
    """An audit record repository. One thread uses it.

    Raises
    ------
    SettingsError
        A file of TLS cannot be used.
    """

    def __init__(self, settings: AuditSection) -> None:
        if settings.syslog_host is None:
            raise SettingsError("audit.syslog_host names no repository")
        self._where = settings.syslog_host, settings.syslog_port
        self._contexts = Reloaded(settings.tls_files, client_context)
        self._sender = SyslogSender.here()

    @property
    def problem(self) -> str:
        """Why older certificates are shown than the files hold; "" when they are not."""
        return self._contexts.problem

    def send(self, entries: Sequence[TrailEntry]) -> None:
        """Return when the repository has read all of these; none: whether it can be reached.

        Raises
        ------
        RepositoryAway
            It has not, or it cannot be known.
        """
        data = b"".join(framed(entry, self._sender) for entry in entries)
        try:
            with socket.create_connection(self._where, _TIMEOUT_S) as plain:
                _Connection(plain, self._contexts.current(), self._where[0]).send(data)
        except ssl.SSLCertVerificationError as error:
            raise RepositoryAway(
                f"its certificate is not trusted ({error.verify_message})"
            ) from None
        except ssl.SSLError as error:
            raise RepositoryAway(f"TLS failed ({error.reason or 'closed'})") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "it does not answer in time"
            raise RepositoryAway(f"{type(error).__name__}: {reason}") from None


class _Connection:
    """One TLS connection, of which every byte that comes is looked at.

    `SSLSocket.unwrap` is not enough: it may return before the answer to our end, which can be the
    alert that our certificate was refused (in TLS 1.3 after the handshake).
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    def send(self, data: bytes) -> None:
        """Return when the repository has ended the connection after our end (RFC 5425 4.4).

        Raises `OSError`, of which `ssl.SSLError` is one.
        """
        while not self._is_done(self._tls.do_handshake):
            if not self._receive():
                raise ConnectionResetError(errno.ECONNRESET, "within the handshake")
        if data:
            self._tls.write(data)
        self._is_done(self._tls.unwrap)
        while not self._has_ended():
            if not self._receive():
                return

    def _is_done(self, step: Callable[[], object]) -> bool:
        """Whether a step needs nothing more from the repository; what it said is sent."""
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        finally:
            if said := self._out.read():
                self._plain.sendall(said)
        return True

    def _has_ended(self) -> bool:
        """Whether the repository has said its end; an alert raises."""
        try:
            while self._tls.read(_READ_BYTES):  # nobody has anything to say here
                pass
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            return True
        return True

    def _receive(self) -> bool:
        """Whether bytes came; False: the repository has closed."""
        received = self._plain.recv(_READ_BYTES)
        self._in.write(received)
        return bool(received)
