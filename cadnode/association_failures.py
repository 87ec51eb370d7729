"""Why two DICOM programs do not come together: every cause, in the same words wherever it is told.

`WE_CALL` is said of a peer that this node calls (delivery reasons, `cadnode check`, health),
`CALLS_US` of one that calls the listener (health; the log and the audit trail have the code).

Sources: DICOM PS3.8 9.3.4 and table 9-21 (A-ASSOCIATE-RJ), PS3.8 9.3.3.2 (presentation contexts),
PS3.5 6.2 (AE titles), PS3.15 B.1 (TLS), RFC 8446 5.1 (a record of TLS begins with its type).
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cadnode.phrases import N_

TLS_HANDSHAKE: Final = 0x16  # the first byte of what a client of TLS says first
_TLS_ALERT: Final = 0x15
_PDU_TYPES: Final = range(1, 8)  # PS3.8 table 9-1


class AssociationFailure(StrEnum):
    """Why there is no association: the code in logs and in the audit trail."""

    UNKNOWN_HOST = "unknown_host"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    NO_CONNECTION = "no_connection_in_time"
    NO_ANSWER = "no_answer_in_time"
    CLOSED = "closed"
    ABORTED = "aborted"
    NOT_DICOM = "not_dicom"
    TLS_IN_CLEAR = "tls_in_clear"
    """One side speaks TLS, and the port is one in clear."""
    TLS_NOT_SPOKEN = "tls_not_spoken"
    """One side speaks in clear, and the port is one of TLS."""
    TLS = "tls"
    TLS_VERSION = "tls_version"
    TLS_CIPHER = "tls_cipher"
    TLS_CERTIFICATE = "tls_certificate"
    TLS_NO_CERTIFICATE = "tls_no_certificate"
    NOT_NAMED = "no_proxy_header"
    """A balancer does not say who connects."""
    UNKNOWN_ADDRESS = "unknown_address"
    CALLED_AE_TITLE = "called_ae_title"
    CALLING_AE_TITLE = "calling_ae_title"
    BLANK_CALLED = "blank_called_ae_title"
    BLANK_CALLING = "blank_calling_ae_title"
    CERTIFICATE = "certificate"
    USER_IDENTITY = "user_identity"
    PROTOCOL_VERSION = "protocol_version"
    APPLICATION_CONTEXT = "application_context"
    LOCAL_LIMIT = "local_limit_exceeded"
    CONGESTION = "temporary_congestion"
    NO_REASON = "no_reason_given"
    NO_CONTEXT = "no_presentation_context"


F = AssociationFailure


@dataclass(frozen=True, slots=True)
class Told:
    """A failure in words that follow the peer's name, and what to look at."""

    words: str
    hint: str


WE_CALL: Final[Mapping[AssociationFailure, Told]] = {
    F.UNKNOWN_HOST: Told(
        N_("cannot be reached: its host's name has no address"),
        N_("is host written right, and does this machine's DNS know it?"),
    ),
    F.CONNECTION_REFUSED: Told(
        N_("refuses the connection: nothing listens on that port"),
        N_("is it running, and are host and port right?"),
    ),
    F.UNREACHABLE: Told(
        N_("cannot be reached: there is no way to its address"),
        N_("is the network up on both sides, and is host right?"),
    ),
    F.NO_CONNECTION: Told(
        N_("did not take the connection in time"),
        N_("is its machine up, and does every firewall between let this one through?"),
    ),
    F.NO_ANSWER: Told(
        N_("took the connection, and did not answer the request for an association in time"),
        N_("does a DICOM program listen on that port, and does it want TLS (tls = true)?"),
    ),
    F.CLOSED: Told(
        N_("closed the connection without an answer"),
        N_(
            "does it let this machine's address in, and does it want TLS on that port (tls = true)?"
        ),
    ),
    F.ABORTED: Told(N_("aborted the request for an association"), N_("its log says why")),
    F.NOT_DICOM: Told(
        N_("does not speak DICOM on that port"), N_("another program answers there: is port right?")
    ),
    F.TLS_NOT_SPOKEN: Told(
        N_("speaks TLS on that port, and is called in clear"),
        N_("set tls = true and ca_file, or name its port in clear"),
    ),
    F.CALLED_AE_TITLE: Told(
        N_("refused the association: called AE title not recognized"),
        N_(
            "is ae_title the archive's own, in upper and lower case? a part of it that answers "
            "queries or storage commitment may have another (query_ae_title, commit_ae_title)"
        ),
    ),
    F.CALLING_AE_TITLE: Told(
        N_("refused the association: calling AE title not recognized"),
        N_(
            "enter this node's AE title there, with its address; calling_ae_title is another one "
            "for this archive alone"
        ),
    ),
    F.APPLICATION_CONTEXT: Told(
        N_("refused the association: application context name not supported"),
        N_("another program than a DICOM archive answers there: is port right?"),
    ),
    F.PROTOCOL_VERSION: Told(
        N_("refused the association: protocol version not supported"),
        N_("its log says what it wants"),
    ),
    F.CONGESTION: Told(
        N_("refused the association: temporary congestion"), N_("it is tried again by itself")
    ),
    F.LOCAL_LIMIT: Told(
        N_("refused the association: local limit exceeded"),
        N_("how many associations does it allow? it is tried again by itself"),
    ),
    F.NO_REASON: Told(
        N_("refused the association: no reason given"),
        N_(
            "does it know this node's AE title and address, and does it want a user and a passcode?"
        ),
    ),
    F.NO_CONTEXT: Told(
        N_("accepts none of the SOP classes that it is offered"),
        N_("let it take what the destination's profile has, or give it another profile"),
    ),
}

CALLS_US: Final[Mapping[AssociationFailure, Told]] = {
    F.NOT_NAMED: Told(
        N_("is in listener.proxy_addresses, and does not say by the PROXY protocol who connects"),
        N_("have the balancer send it (send-proxy-v2); nobody else may be in proxy_addresses"),
    ),
    F.UNKNOWN_ADDRESS: Told(
        N_("is at an address that may not send"),
        N_("name it in [[listener.peers]], by address and AE title"),
    ),
    F.CALLING_AE_TITLE: Told(
        N_("calls itself by an AE title that may not send from its address"),
        N_(
            "name it in [[listener.peers]], by address and AE title; ae_titles are further ones of "
            "the same machine; upper and lower case count"
        ),
    ),
    F.BLANK_CALLING: Told(
        N_("states no AE title of its own (a blank one)"),
        N_("give it an AE title in its configuration"),
    ),
    F.CALLED_AE_TITLE: Told(
        N_("calls this node by another AE title than listener.ae_title"),
        N_("correct it there, or set listener.check_called_ae_title = false"),
    ),
    F.BLANK_CALLED: Told(
        N_("calls this node by no AE title (a blank one)"),
        N_("enter listener.ae_title there, or set listener.check_called_ae_title = false"),
    ),
    F.CERTIFICATE: Told(
        N_("shows no certificate, or another than the one that its AE title is bound to"),
        N_("is certificate_sha256 of its new certificate in [[listener.peers]]?"),
    ),
    F.USER_IDENTITY: Told(
        N_("shows no user, or not the passcode, that its AE title is bound to"),
        N_("compare username and password_file in [[listener.peers]] with its own; TLS is needed"),
    ),
    F.PROTOCOL_VERSION: Told(
        N_("speaks another version of DICOM's protocol"), N_("is it a DICOM program?")
    ),
    F.LOCAL_LIMIT: Told(
        N_("found every place taken by others at work"),
        N_("raise listener.max_associations, or have it send less at a time"),
    ),
    F.NO_CONTEXT: Told(
        N_("offers no SOP class in a transfer syntax that this node takes"),
        N_("docs/conformance.md lists both; is it meant to send mammograms here?"),
    ),
    F.TLS_IN_CLEAR: Told(
        N_("speaks TLS to the port that is in clear"), N_("have it call listener.tls_port")
    ),
    F.TLS_NOT_SPOKEN: Told(
        N_("speaks in clear to the port of TLS"), N_("have it speak TLS, or call listener.port")
    ),
    F.TLS_VERSION: Told(
        N_("speaks no TLS 1.2 or 1.3"), N_("its software or its settings are too old")
    ),
    F.TLS_CIPHER: Told(
        N_("knows none of the ciphers that are taken"), N_("docs/conformance.md lists them")
    ),
    F.TLS_NO_CERTIFICATE: Told(
        N_("shows no certificate"),
        N_("listener.ca_file wants one: give it a key and a certificate"),
    ),
    F.TLS_CERTIFICATE: Told(
        N_("shows a certificate that listener.ca_file does not vouch for"),
        N_("who signed it, has it expired, or is it in listener.crl_file?"),
    ),
    F.TLS: Told(
        N_("breaks the handshake of TLS off"),
        N_("does it trust who signed listener.certificate_file?"),
    ),
}


_CODES: Final = {failure.value: told for failure, told in CALLS_US.items()}


def of_connecting(error: OSError) -> AssociationFailure:
    """Of an error of the connection itself."""
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return F.NO_CONNECTION
    return F.CONNECTION_REFUSED if isinstance(error, ConnectionRefusedError) else F.UNREACHABLE


def of_answer(first: bytes, *, has_ended: bool) -> AssociationFailure:
    """Of what came in place of an answer: its first bytes, and whether the peer has gone then."""
    if not first:
        return F.CLOSED if has_ended else F.NO_ANSWER
    if first[0] == _TLS_ALERT:
        return F.TLS_NOT_SPOKEN
    return F.ABORTED if first[0] in _PDU_TYPES else F.NOT_DICOM


# A-ASSOCIATE-RJ: (source, reason), PS3.8 table 9-21.
_REJECTIONS: Final[Mapping[tuple[int, int], AssociationFailure]] = {
    (1, 2): F.APPLICATION_CONTEXT,
    (1, 3): F.CALLING_AE_TITLE,
    (1, 7): F.CALLED_AE_TITLE,
    (2, 2): F.PROTOCOL_VERSION,
    (3, 1): F.CONGESTION,
    (3, 2): F.LOCAL_LIMIT,
}


def of_rejection(source: int, reason: int) -> AssociationFailure:
    """Of an A-ASSOCIATE-RJ; what the Standard does not know gives no reason."""
    return _REJECTIONS.get((source, reason), F.NO_REASON)


def told_of_caller(code: str) -> Told | None:
    """What is said of a peer that was refused for this code; None for one of no association."""
    return _CODES.get(code)
