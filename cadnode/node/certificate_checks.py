"""Lines of `cadnode check` on TLS: whether its files can be used, for which names, how long."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cadnode.errors import SettingsError
from cadnode.node.check import Check, CheckVerdict
from cadnode.settings import Settings
from cadnode.tls import TlsFiles, client_context, days_left, list_days_left, server_context

_RENEW_DAYS: Final = 30


def certificate_checks(settings: Settings) -> Iterator[Check]:
    """Whether the files of TLS can be used, for how long, and by whom else."""
    listener, web = settings.listener, settings.web
    if (files := listener.tls_files) is not None:
        by = "mutual TLS" if listener.ca_file else "TLS, without certificates of peers"
        yield _certificate("listener", files, server_context, f"{by} on port {listener.tls_port}")
    if (files := web.tls_files) is not None:
        yield _certificate("web", files, server_context, "https")
    for one in settings.destinations:
        if (files := one.tls_files) is not None:
            yield _certificate(f"destination {one.name}", files, client_context, "TLS")
    for source in settings.sources:
        if (files := source.tls_files) is not None:
            yield _certificate(f"source {source.name}", files, client_context, "TLS")
    if settings.audit.certificate_file is not None:
        yield _certificate("audit", settings.audit.tls_files, client_context, "TLS")


def _certificate(of: str, files: TlsFiles, make: Callable[[TlsFiles], object], found: str) -> Check:
    name = f"certificate of {of}"
    try:
        make(files)
        left = days_left(files.certificate) if files.certificate else inf
        lists = list_days_left(files.revoked) if files.revoked else inf
    except SettingsError as error:
        return Check(name, CheckVerdict.FAILED, str(error), "nothing is spoken by TLS like this")
    if left < 0:
        return Check(
            name, CheckVerdict.FAILED, f"{files.certificate} has expired",
            "renew it in place: it is taken up without a restart",
        )  # fmt: skip
    if lists < 0:
        return Check(
            name, CheckVerdict.FAILED, f"{files.revoked} has expired: every peer is refused",
            "put the authority's newest list in its place: it is taken up without a restart",
        )  # fmt: skip
    if left < _RENEW_DAYS:
        return Check(
            name, CheckVerdict.WARNING, f"{files.certificate} expires in {left:.0f} days",
            "renew it in place: it is taken up without a restart",
        )  # fmt: skip
    if files.key is not None and files.key.stat().st_mode & 0o007:
        return Check(
            name, CheckVerdict.WARNING, f"{files.key} can be read by everybody on this machine",
            f"`chmod o-rwx {files.key}`",
        )  # fmt: skip
    if files.certificate is None:
        return Check(name, CheckVerdict.OK, found)
    if not _is_chain(files.certificate):
        return Check(
            name, CheckVerdict.WARNING, f"{files.certificate} is no chain in order",
            "its own certificate first, then that of who signed it, and so on: peers need them",
        )  # fmt: skip
    names = ", ".join(_names(files.certificate)) or "no name"
    return Check(name, CheckVerdict.OK, f"{found}, for {names}, valid for {left:.0f} days")


def _is_chain(certificate: Path) -> bool:
    """Whether each certificate of a PEM file is signed by the next one."""
    chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    try:
        for one, issuer in pairwise(chain):
            one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(certificate: Path) -> list[str]:
    """The host names and addresses that a PEM file's first certificate is for."""
    first = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        found = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    hosts = found.get_values_for_type(x509.DNSName)
    return [*hosts, *map(str, found.get_values_for_type(x509.IPAddress))]
