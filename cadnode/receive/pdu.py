"""What the bytes of an association mean: PDUs of the upper layer (DICOM PS3.8 9.3), no I/O.

Only what an acceptor of associations reads and writes. Every length is checked against what is
there; a request is refused as a whole where it is not what PS3.8 says.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from cadnode.association_failures import AssociationFailure

HEADER = struct.Struct(">BxI")  # type, length
PDV_HEADER = struct.Struct(">IBB")  # length, presentation context, message control header
COMMAND, LAST = 0b01, 0b10  # bits of a message control header (annex E.2)
# Of an A-ASSOCIATE-RQ: one of 128 presentation contexts with every transfer syntax fits.
MOST_REQUEST_BYTES = 256 << 10
MOST_CONTEXTS = 128  # odd identifiers from 1 to 255 (9.3.2.2)
_ITEM = struct.Struct(">BxH")  # type, length
_FIXED = struct.Struct(">Hxx16s16s32x")  # protocol version, called and calling AE title
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_VERSION_1 = 0x0001
_ROLE_SELECTION = 0x54
_USER_IDENTITY = 0x58
_USER_IDENTITY_ANSWER = 0x59
_USERNAME_AND_PASSCODE = 2  # PS3.7 table D.3-14


class PduType(IntEnum):
    """First byte of a PDU."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortSource(IntEnum):
    """Who aborts (9.3.8)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class ContextResult(IntEnum):
    """Answer to a proposed presentation context (9.3.3.2)."""

    ACCEPTED = 0
    NO_SUCH_ABSTRACT_SYNTAX = 3
    NO_SUCH_TRANSFER_SYNTAX = 4


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (9.3.4)."""

    result: int
    source: int
    reason: int
    name: AssociationFailure  # its value is in the log


CALLING_AE_TITLE = Rejection(1, 1, 3, AssociationFailure.CALLING_AE_TITLE)
BLANK_CALLING = Rejection(1, 1, 3, AssociationFailure.BLANK_CALLING)
CALLED_AE_TITLE = Rejection(1, 1, 7, AssociationFailure.CALLED_AE_TITLE)
BLANK_CALLED = Rejection(1, 1, 7, AssociationFailure.BLANK_CALLED)
CERTIFICATE = Rejection(1, 1, 3, AssociationFailure.CERTIFICATE)  # another one is expected
USER_IDENTITY = Rejection(1, 2, 1, AssociationFailure.USER_IDENTITY)  # PS3.7 D.3.3.7.3
PROTOCOL_VERSION = Rejection(1, 2, 2, AssociationFailure.PROTOCOL_VERSION)
LOCAL_LIMIT = Rejection(2, 3, 2, AssociationFailure.LOCAL_LIMIT)


class MalformedPdu(Exception):
    """Bytes that are no PDU, or not the one that they say they are."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context that a requestor proposes (9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProposedRole:
    """Which roles a requestor proposes for a SOP class (PS3.7 D.3.3.4); else it is the SCU."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """A user and a passcode that a requestor shows (PS3.7 D.3.3.7); any other kind shows none."""

    username: bytes = field(default=b"", repr=False)
    passcode: bytes = field(default=b"", repr=False)
    wants_answer: bool = False


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ (9.3.2). `titles` are both AE titles as they came, for the answer."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    titles: bytes
    proposals: tuple[Proposal, ...]
    max_pdu_bytes: int  # that the requestor takes; 0: any
    roles: tuple[ProposedRole, ...] = ()
    user: UserIdentity | None = None

    @property
    def understands_version_1(self) -> bool:
        """Whether the bit of the only version that there is is set (9.3.2)."""
        return bool(self.protocol_version & _VERSION_1)


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def associate_request(body: bytes) -> AssociateRequest:
    """The A-ASSOCIATE-RQ whose PDU holds `body`. Raises `MalformedPdu`."""
    if len(body) < _FIXED.size:
        raise MalformedPdu("request too short")
    version, called, calling = _FIXED.unpack_from(body)
    proposals: list[Proposal] = []
    max_pdu_bytes = 0
    roles: tuple[ProposedRole, ...] = ()
    user: UserIdentity | None = None
    for kind, content in _items(memoryview(body)[_FIXED.size :]):
        if kind == 0x20:
            if len(proposals) == MOST_CONTEXTS:
                raise MalformedPdu("too many presentation contexts")
            proposals.append(_proposal(content))
        elif kind == 0x50:
            max_pdu_bytes = _max_pdu_bytes(content)
            roles = tuple(_roles(content))
            user = _user_identity(content)
    return AssociateRequest(
        version, _title(called), _title(calling), called + calling, tuple(proposals),
        max_pdu_bytes, roles, user,
    )  # fmt: skip


def _title(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of each item."""
    at = 0
    while at < len(data):
        if len(data) - at < _ITEM.size:
            raise MalformedPdu("item cut off")
        kind, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if length > len(data) - at:
            raise MalformedPdu("item longer than its PDU")
        yield kind, data[at : at + length]
        at += length


def _proposal(content: memoryview) -> Proposal:
    if len(content) < 4:
        raise MalformedPdu("presentation context cut off")
    abstract, transfer = "", []
    for kind, value in _items(content[4:]):
        if kind == 0x30:
            abstract = _uid(value)
        elif kind == 0x40:
            transfer.append(_uid(value))
    return Proposal(content[0], abstract, tuple(transfer))


def _uid(value: memoryview) -> str:
    return bytes(value).decode("ascii", "replace").strip(" \0")


def _max_pdu_bytes(user_information: memoryview) -> int:
    """Maximum Length Received of the requestor (annex D.1); 0, which is none, where absent."""
    for kind, value in _items(user_information):
        if kind == 0x51 and len(value) == 4:
            return int.from_bytes(value, "big")
    return 0


def _roles(user_information: memoryview) -> Iterator[ProposedRole]:
    """What SCP/SCU Role Selection items propose (PS3.7 D.3.3.4); one that is cut off is none."""
    for kind, value in _items(user_information):
        if kind == _ROLE_SELECTION and len(value) >= 4:
            n_bytes = int.from_bytes(value[:2], "big")
            if len(value) == n_bytes + 4:
                yield ProposedRole(_uid(value[2:-2]), value[-2] == 1, value[-1] == 1)


def _user_identity(user_information: memoryview) -> UserIdentity | None:
    """What a User Identity item says (PS3.7 D.3.3.7.1); one that is cut off shows nobody."""
    for kind, value in _items(user_information):
        if kind != _USER_IDENTITY or len(value) < 4:
            continue
        wants_answer, n_primary = value[1] == 1, int.from_bytes(value[2:4], "big")
        rest = value[4 + n_primary :]
        is_whole = len(rest) >= 2 and len(rest) == 2 + int.from_bytes(rest[:2], "big")
        if value[0] != _USERNAME_AND_PASSCODE or not is_whole:
            return UserIdentity(wants_answer=False)
        return UserIdentity(bytes(value[4 : 4 + n_primary]), bytes(rest[2:]), wants_answer)
    return None


def negotiated(
    proposals: Sequence[Proposal], supported: Mapping[str, Sequence[str]]
) -> tuple[dict[int, Context], list[tuple[Proposal, ContextResult]]]:
    """(accepted contexts by identifier, each proposal with its result).

    Of a proposal's transfer syntaxes the one that comes first in ours is taken.
    """
    accepted: dict[int, Context] = {}
    results: list[tuple[Proposal, ContextResult]] = []
    for proposal in proposals:
        result = ContextResult.NO_SUCH_ABSTRACT_SYNTAX
        if proposal.abstract_syntax in supported:
            ours = supported[proposal.abstract_syntax]
            syntax = next((one for one in ours if one in proposal.transfer_syntaxes), None)
            result = ContextResult.NO_SUCH_TRANSFER_SYNTAX
            if syntax is not None:
                result = ContextResult.ACCEPTED
                accepted[proposal.context_id] = Context(
                    proposal.context_id, proposal.abstract_syntax, syntax
                )
        results.append((proposal, result))
    return accepted, results


def associate_ac(
    request: AssociateRequest,
    accepted: Mapping[int, Context],
    results: Sequence[tuple[Proposal, ContextResult]],
    max_pdu_bytes: int,
    implementation: tuple[str, str],
    roles: Sequence[ProposedRole] = (),
    *,
    confirms_user: bool = False,
) -> bytes:
    """A-ASSOCIATE-AC (9.3.3) with what we take and our implementation's class UID and version.

    `roles` are those that are accepted of the proposed ones; of others the default holds. With
    `confirms_user` it answers that the user was accepted (PS3.7 D.3.3.7.2).
    """
    contexts = b"".join(_result(proposal, result, accepted) for proposal, result in results)
    class_uid, version = implementation
    user = (
        _item(0x51, struct.pack(">I", max_pdu_bytes))
        + _item(0x52, class_uid.encode("ascii"))
        + b"".join(map(_role, roles))
        + _item(0x55, version.encode("ascii"))
        + (_item(_USER_IDENTITY_ANSWER, bytes(2)) if confirms_user else b"")
    )
    fixed = struct.pack(">Hxx", _VERSION_1) + request.titles + bytes(32)
    body = fixed + _item(0x10, _APPLICATION_CONTEXT) + contexts + _item(0x50, user)
    return _pdu(PduType.ASSOCIATE_AC, body)


def _role(role: ProposedRole) -> bytes:
    uid = role.sop_class_uid.encode("ascii", "replace")
    return _item(_ROLE_SELECTION, struct.pack(">H", len(uid)) + uid + bytes([role.scu, role.scp]))


def _result(proposal: Proposal, result: ContextResult, accepted: Mapping[int, Context]) -> bytes:
    if result is ContextResult.ACCEPTED:
        syntax = accepted[proposal.context_id].transfer_syntax
    else:  # not significant, and never absent (9.3.3.2.1)
        syntax = next(iter(proposal.transfer_syntaxes), "")[:64]
    head = struct.pack(">BxBx", proposal.context_id, result)
    return _item(0x21, head + _item(0x40, syntax.encode("ascii", "replace")))


def associate_rj(rejection: Rejection) -> bytes:
    """A-ASSOCIATE-RJ (9.3.4)."""
    return _pdu(
        PduType.ASSOCIATE_RJ,
        struct.pack(">xBBB", rejection.result, rejection.source, rejection.reason),
    )


def abort(source: AbortSource, reason: int = 0) -> bytes:
    """A-ABORT (9.3.8)."""
    return _pdu(PduType.ABORT, struct.pack(">xxBB", source, reason))


def release_rp() -> bytes:
    """A-RELEASE-RP (9.3.7)."""
    return _pdu(PduType.RELEASE_RP, bytes(4))


def p_data(context_id: int, control: int, content: bytes, max_pdu_bytes: int) -> bytes:
    """P-DATA-TF PDUs (9.3.5) with all of a command or data set, in as many as the peer needs."""
    most = len(content) if not max_pdu_bytes else max(1, max_pdu_bytes - PDV_HEADER.size)
    pdus = []
    for at in range(0, len(content), most or 1):
        part = content[at : at + most]
        last = LAST if at + most >= len(content) else 0
        value = PDV_HEADER.pack(len(part) + 2, context_id, control | last) + part
        pdus.append(_pdu(PduType.P_DATA_TF, value))
    return b"".join(pdus)


def _pdu(kind: PduType, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content
