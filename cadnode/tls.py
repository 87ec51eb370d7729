"""TLS with DICOM peers and for the node's pages: one profile, contexts from files, their reload.

TLS 1.2 or 1.3 with forward secrecy and authenticated encryption, and never less: BCP 195 (RFC 8996
and 9325), the BCP 195 secure transport connection profile of DICOM PS3.15 annex B.
"""

import hashlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from cryptography import x509

from cadnode.errors import SettingsError
from cadnode.log import get_logger

# Of TLS 1.2; those of TLS 1.3 are all of this kind (RFC 9325 4.2).
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_LOOK_EVERY_S: Final = 2.0
_CRL_BEGIN: Final = b"-----BEGIN X509 CRL-----"

log = get_logger("tls")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: ours (certificate and key), and whom we trust.

    `authorities` sign the other side's certificate; `revoked` are their lists of what they have
    taken back.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    revoked: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that are named."""
        named = (self.certificate, self.key, self.authorities, self.revoked)
        return tuple(path for path in named if path is not None)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For who connects to us; with `authorities` it must show a certificate.

    Raises
    ------
    SettingsError
        A file cannot be read or used, or certificate and key do not fit each other.
    """
    context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load(context, files)
    if files.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    # Each connection shows its certificate: none goes on from one that was made before a recall.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For a peer that we connect to: its certificate must be valid for its name.

    Without `authorities` the system's are trusted.

    Raises
    ------
    SettingsError
        A file cannot be read or used, or certificate and key do not fit each other.
    """
    context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if files.authorities is None:
        context.load_default_certs()
    _load(context, files)
    return context


def days_left(certificate: Path) -> float:
    """How long the certificate in a PEM file (the first of a chain) is valid; below 0: it was.

    Raises
    ------
    SettingsError
        The file holds none, or cannot be read.
    """
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"certificate {certificate} cannot be read: {type(error).__name__}"
        ) from None
    return (read.not_valid_after_utc.timestamp() - time.time()) / 86_400


def list_days_left(revoked: Path) -> float:
    """How long a list of revoked certificates is valid, the first to end; inf where none says.

    Raises
    ------
    SettingsError
        The file holds none, or cannot be read.
    """
    try:
        parts = revoked.read_bytes().split(_CRL_BEGIN)[1:]
        lists = [x509.load_pem_x509_crl(_CRL_BEGIN + part) for part in parts]
    except (OSError, ValueError) as error:
        raise SettingsError(f"{revoked} cannot be read: {type(error).__name__}") from None
    if not lists:
        raise SettingsError(f"{revoked} holds no list of revoked certificates")
    ends = [one.next_update_utc for one in lists]
    return min(((end.timestamp() - time.time()) / 86_400 for end in ends if end), default=inf)


def fingerprint(certificate: bytes | None) -> str:
    """SHA-256 of a certificate (DER), in hexadecimal; "" of none."""
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _profile(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    for path in files.paths:
        if not path.is_file():
            raise SettingsError(f"there is no file {path}, which TLS needs")
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise SettingsError(
                f"certificate {files.certificate} and key {files.key} cannot be used: "
                f"{type(error).__name__}; both are PEM, the key has no password and is the "
                "certificate's"
            ) from None
    for path in filter(None, (files.authorities, files.revoked)):
        try:
            context.load_verify_locations(path)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"{path} cannot be used: {type(error).__name__}; it holds certificates, or lists "
                "of revoked ones, in PEM"
            ) from None
    if files.revoked is not None:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _no_password() -> str:
    """Never asks on a terminal that is not there."""
    raise ValueError("the key has a password")


class Reloaded:
    """A context that follows its files: connections made from now on have the new ones.

    New files that cannot be used change nothing; `problem` says so until they can.
    """

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], ssl.SSLContext]) -> None:
        self._files = files
        self._make = make
        self._seen = self._stamps()
        self._context = make(files)
        self._looked_at = time.monotonic()
        self.problem = ""

    def current(self) -> ssl.SSLContext:
        """The context of the files as they are, looked at every few seconds."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return self._context
        self._looked_at = now
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            self._reload()
        return self._context

    def _reload(self) -> None:
        try:
            self._context = self._make(self._files)
        except (SettingsError, OSError) as error:
            self.problem = str(error) if isinstance(error, SettingsError) else type(error).__name__
            log.error("certificates_not_reloaded", error=error)
        else:
            self.problem = ""
            log.info("certificates_reloaded")

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in self._files.paths:
            try:
                at = path.stat()
                found.append((at.st_mtime_ns, at.st_size, at.st_ino))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)
