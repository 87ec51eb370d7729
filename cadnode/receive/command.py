"""What a peer asks for, and how it is answered: command sets (DICOM PS3.7 6.3.1), no I/O.

A response that comes is one to N-EVENT-REPORT, the only request that the listener itself makes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MOST_COMMAND_BYTES = 64 << 10
_ELEMENT = struct.Struct("<HHI")  # group, element, length: Implicit VR Little Endian
_US = struct.Struct("<H")
_NO_DATA_SET, _HAS_DATA_SET = 0x0101, 0x0001
_LONGEST_UID = 64
_LONGEST_AE_TITLE = 16


class CommandField(IntEnum):
    """(0000,0100) of the messages that are known here (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_ACTION_RQ = 0x0130
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RSP = 0x8100


_RESPONSE = 0x8000
_EVENT_TYPE, _ACTION_TYPE = 0x1002, 0x1008
_MOVE_ORIGINATOR = 0x1030
# What each names its object and its kind by (PS3.7 10.3): SOP class, SOP instance, type.
_NAMED_BY = {
    CommandField.N_ACTION_RQ: (0x0003, 0x1001, _ACTION_TYPE),
    CommandField.N_EVENT_REPORT_RQ: (0x0002, 0x1000, _EVENT_TYPE),
}
_WITH_DATA_SET = frozenset({CommandField.C_STORE_RQ, *_NAMED_BY})
_TO_A_MESSAGE = frozenset({CommandField.C_CANCEL_RQ, CommandField.N_EVENT_REPORT_RSP})


class MalformedCommand(Exception):
    """Bytes that are no command set, or a command that is not served here."""


@dataclass(frozen=True, slots=True)
class DimseRequest:
    """A request's command set; `type_id` is its Action or Event Type ID, 0 where it has none.

    Of a response, `message_id` is that of the request that it is to, and `status` how that ended.
    `move_originator`: the AE title whose C-MOVE a C-STORE belongs to (PS3.7 9.3.1.1), "" of none.
    """

    field: CommandField
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str
    type_id: int = 0
    status: int = 0
    move_originator: str = ""


def request(data: bytes) -> DimseRequest:
    """The request that a command set states. Raises `MalformedCommand`."""
    values = dict(_elements(data))
    try:
        field = CommandField(_us(values, 0x0100))
    except ValueError as error:
        raise MalformedCommand("a command that is not served") from error
    named_by = _NAMED_BY.get(field)
    sop_class, sop_instance = named_by[:2] if named_by else (0x0002, 0x1000)
    found = DimseRequest(
        field,
        _us(values, 0x0120 if field in _TO_A_MESSAGE else 0x0110),
        _us(values, 0x0800) != _NO_DATA_SET,
        _uid(values, sop_class),
        _uid(values, sop_instance),
        _us(values, named_by[2]) if named_by else 0,
        _us(values, 0x0900) if field is CommandField.N_EVENT_REPORT_RSP else 0,
        _ae_title(values, _MOVE_ORIGINATOR) if field is CommandField.C_STORE_RQ else "",
    )
    # An Event Reply (PS3.7 10.1.1.1.8) may follow the response; storage commitment has none.
    if found.has_data_set != (field in _WITH_DATA_SET):
        raise MalformedCommand("a data set where there is none, or none where there is one")
    if found.has_data_set and not (found.sop_class_uid and found.sop_instance_uid):
        raise MalformedCommand("a C-STORE, N-ACTION or N-EVENT-REPORT of no object")
    return found


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(element number, value) of each element; all are of group 0000."""
    at = 0
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise MalformedCommand("element cut off")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or length > len(data) - at:
            raise MalformedCommand("no command element")
        yield number, data[at : at + length]
        at += length


def _us(values: dict[int, bytes], number: int) -> int:
    value = values.get(number, b"")
    if len(value) != _US.size:
        raise MalformedCommand("a number is missing")
    return int(_US.unpack(value)[0])


def _uid(values: dict[int, bytes], number: int) -> str:
    value = values.get(number, b"").rstrip(b" \0")
    if len(value) > _LONGEST_UID or not value.isascii():
        raise MalformedCommand("no UID")
    return value.decode("ascii")


def _ae_title(values: dict[int, bytes], number: int) -> str:
    """An AE title without the spaces around it, which mean nothing (PS3.5 6.2); "" of none."""
    value = values.get(number, b"").strip(b" \0")
    return value.decode("ascii") if value.isascii() and len(value) <= _LONGEST_AE_TITLE else ""


def response(to: DimseRequest, status: int) -> bytes:
    """Command set of the response to a request (PS3.7 9.3.1.2, 9.3.5.2, 10.3.1.2, 10.3.5.2)."""
    elements = _element(0x0002, _padded(to.sop_class_uid))
    elements += _element(0x0100, _US.pack(to.field | _RESPONSE))
    elements += _element(0x0120, _US.pack(to.message_id))
    elements += _element(0x0800, _US.pack(_NO_DATA_SET))
    elements += _element(0x0900, _US.pack(status))
    if to.field in _WITH_DATA_SET:
        elements += _element(0x1000, _padded(to.sop_instance_uid))
    if to.field in _NAMED_BY:
        elements += _element(_NAMED_BY[to.field][2], _US.pack(to.type_id))
    return _command_set(elements)


def event_report(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int
) -> bytes:
    """Command set of an N-EVENT-REPORT request with a data set (PS3.7 10.3.1.1)."""
    elements = _element(0x0002, _padded(sop_class_uid))
    elements += _element(0x0100, _US.pack(CommandField.N_EVENT_REPORT_RQ))
    elements += _element(0x0110, _US.pack(message_id))
    elements += _element(0x0800, _US.pack(_HAS_DATA_SET))
    elements += _element(0x1000, _padded(sop_instance_uid))
    elements += _element(_EVENT_TYPE, _US.pack(event_type))
    return _command_set(elements)


def _command_set(elements: bytes) -> bytes:
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value
