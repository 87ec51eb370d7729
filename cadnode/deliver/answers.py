"""Which answers of a destination mean what: taken, or when the same is to be tried again.

The one table of it. `Again.SOON`: away, busy, full: tried again within minutes. `Again.SLOWLY`: a
refusal whose cause can pass (a right, an AE title, a configuration, a fault of the archive): tried
again daily. `Again.NEVER`: the same bytes would be refused again, a person has to look.
`node.retry` says after which pauses, and for how long.

DICOM PS3.4 table B.2-1 and PS3.7 annex C (C-STORE), PS3.8 9.3.4 (association), PS3.18 10.5.3
(STOW-RS gives the statuses of C-STORE, object by object), RFC 9110 (HTTP).
"""

import errno
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cadnode.association_failures import WE_CALL, AssociationFailure
from cadnode.errors import Again, DeliveryError, not_taken

SOON, SLOWLY, NEVER = Again.SOON, Again.SLOWLY, Again.NEVER


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer means in words, and when the same is to be tried again."""

    words: str
    again: Again


DUPLICATE: Final = 0x0111
"""The peer has an object of that UID: an earlier try's, or another (`deliver.held`)."""

_TAKEN: Final = (0x0000, 0x0001, 0x0107, 0x0116)  # Success, and PS3.7 C.4: warnings, performed
_WARNINGS: Final = range(0xB000, 0xC000)

C_STORE: Final[Mapping[int, Meaning]] = {
    0x0105: Meaning("no such attribute", NEVER),
    0x0106: Meaning("invalid attribute value", NEVER),
    0x0110: Meaning("processing failure", SLOWLY),
    0x0112: Meaning("no such SOP instance", SLOWLY),
    0x0115: Meaning("invalid argument value", NEVER),
    0x0117: Meaning("invalid object instance", NEVER),
    0x0118: Meaning("no such SOP class", SLOWLY),
    0x0119: Meaning("class-instance conflict", NEVER),
    0x0120: Meaning("missing attribute", NEVER),
    0x0121: Meaning("missing attribute value", NEVER),
    0x0122: Meaning("SOP class not supported", SLOWLY),
    0x0124: Meaning("not authorized", SLOWLY),
    0x0210: Meaning("duplicate invocation", SOON),
    0x0211: Meaning("unrecognized operation", SLOWLY),
    0x0212: Meaning("mistyped argument", SLOWLY),
    0x0213: Meaning("resource limitation", SOON),
}
_C_STORE_RANGES: Final[tuple[tuple[range, Meaning], ...]] = (
    (range(0xA700, 0xA800), Meaning("out of resources", SOON)),
    (range(0xA900, 0xAA00), Meaning("data set does not match SOP class", NEVER)),
    (range(0xC000, 0xD000), Meaning("cannot understand", SLOWLY)),
    (range(0xFE00, 0xFF00), Meaning("cancelled", SLOWLY)),
)
_UNKNOWN: Final = Meaning("failure", SLOWLY)  # also pending (FFxx), which C-STORE does not know

NOT_ACCEPTED: Final = SLOWLY
"""A presentation context that is not accepted: the archive's configuration decides."""

_REFUSALS: Final = frozenset(
    {
        AssociationFailure.CALLED_AE_TITLE, AssociationFailure.CALLING_AE_TITLE,
        AssociationFailure.APPLICATION_CONTEXT, AssociationFailure.PROTOCOL_VERSION,
        AssociationFailure.NO_REASON, AssociationFailure.NO_CONTEXT,
    }
)  # fmt: skip
"""The failures of an association that settings decide, here or there; others pass by themselves."""

# 401, 403 and what the network between us answers may be right in a moment; they are tried daily
# once that did not help. Everything that is not named: 5xx SOON, the rest SLOWLY.
HTTP: Final[Mapping[int, Again]] = {
    400: SLOWLY, 401: SOON, 403: SOON, 404: SLOWLY, 405: SLOWLY, 406: SLOWLY, 407: SLOWLY,
    408: SOON, 409: SLOWLY, 410: SLOWLY, 411: SLOWLY, 412: SLOWLY, 413: SLOWLY, 415: SLOWLY,
    421: SOON, 422: NEVER, 423: SOON, 425: SOON, 429: SOON, 501: SLOWLY, 505: SLOWLY, 511: SLOWLY,
}  # fmt: skip

# X509_V_ERR_…: what OpenSSL finds wrong with a peer's certificate.
_CERTIFICATES: Final[Mapping[int, str]] = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, and ca_file does not hold it",
    19: "is signed by somebody whom ca_file does not hold",
    20: "is signed by somebody whom ca_file does not hold",
    21: "is signed by somebody whom ca_file does not hold",
    23: "was revoked",
    62: "is for another name (tls_name says which one is expected)",
    64: "is for another address (tls_name says which name is expected)",
}
_ALERTS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on that port",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS 1.2 or 1.3",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS 1.2 or 1.3",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it wants other ciphers, or a certificate of ours",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours: certificate_file",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust who signed our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it refuses our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "it refuses our certificate",
}

_FOLDER_SLOWLY: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EFBIG}
)


def is_taken(status: int) -> bool:
    """Whether a C-STORE status means that the peer stored the object, perhaps with a warning."""
    return status in _TAKEN or status in _WARNINGS


def of_status(status: int) -> Meaning:
    """Of a C-STORE status that is neither taken nor a duplicate."""
    for statuses, meaning in _C_STORE_RANGES:
        if status in statuses:
            return meaning
    return C_STORE.get(status, _UNKNOWN)


def of_failure(failure: AssociationFailure, name: str, again: Again | None = None) -> DeliveryError:
    """Of an association that did not come about with the peer of that name.

    `again`: when the peer itself says when it is to be tried again.
    """
    told = WE_CALL[failure]
    usual = SLOWLY if failure in _REFUSALS else SOON
    return not_taken(again or usual, f"{name} {told.words}", told.hint)


def of_http(status: int | None) -> Again:
    """Of an HTTP status that is no success; None: an answer that makes no sense."""
    if status is None:
        return SLOWLY
    return HTTP.get(status, SOON if status >= 500 else SLOWLY)


def of_tls(error: OSError, name: str) -> DeliveryError:
    """Of a TLS handshake that failed: a certificate or a setting has to be mended, here or there.

    What the peer wrote is not repeated.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATES.get(error.verify_code, "is not valid")
        return not_taken(SLOWLY, f"the certificate of {name} {why}")
    alert = _ALERTS.get(error.reason or "") if isinstance(error, ssl.SSLError) else None
    if alert is None:
        return not_taken(SOON, f"no TLS with {name}: does it speak TLS on that port?")
    return not_taken(SLOWLY, f"no TLS with {name}: {alert}")


def of_os_error(error: OSError) -> Again:
    """Of a folder that cannot be written: full and away pass by themselves, rights slowly."""
    return SLOWLY if error.errno in _FOLDER_SLOWLY else SOON


def most_hopeful(answers: Iterable[Again]) -> Again:
    """When several objects of a result are to be tried again: as soon as one of them is."""
    found = set(answers)
    return next((again for again in (SOON, SLOWLY) if again in found), NEVER)
