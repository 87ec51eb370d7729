"""What a peer asks for, and how it is answered: command sets (DICOM PS3.7 6.3.1), no I/O."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MOST_COMMAND_BYTES = 64 << 10
_ELEMENT = struct.Struct("<HHI")  # group, element, length: Implicit VR Little Endian
_US = struct.Struct("<H")
_NO_DATA_SET = 0x0101
_LONGEST_UID = 64


class CommandField(IntEnum):
    """(0000,0100) of the requests that are known here (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    C_CANCEL_RQ = 0x0FFF


_RESPONSE = 0x8000


class MalformedCommand(Exception):
    """Bytes that are no command set, or a command that is not served here."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's command set."""

    field: CommandField
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str


def request(data: bytes) -> Request:
    """The request that a command set states. Raises `MalformedCommand`."""
    values = dict(_elements(data))
    try:
        field = CommandField(_us(values, 0x0100))
    except ValueError as error:
        raise MalformedCommand("a command that is not served") from error
    found = Request(
        field,
        _us(values, 0x0120 if field is CommandField.C_CANCEL_RQ else 0x0110),
        _us(values, 0x0800) != _NO_DATA_SET,
        _uid(values, 0x0002),
        _uid(values, 0x1000),
    )
    is_store = field is CommandField.C_STORE_RQ
    if found.has_data_set != is_store:
        raise MalformedCommand("a data set where there is none, or none where there is one")
    if is_store and not (found.sop_class_uid and found.sop_instance_uid):
        raise MalformedCommand("a C-STORE of no object")
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


def response(to: Request, status: int) -> bytes:
    """Command set of the response to a C-ECHO or C-STORE request (PS3.7 9.3.1.2, 9.3.5.2)."""
    elements = _element(0x0002, _padded(to.sop_class_uid))
    elements += _element(0x0100, _US.pack(to.field | _RESPONSE))
    elements += _element(0x0120, _US.pack(to.message_id))
    elements += _element(0x0800, _US.pack(_NO_DATA_SET))
    elements += _element(0x0900, _US.pack(status))
    if to.field is CommandField.C_STORE_RQ:
        elements += _element(0x1000, _padded(to.sop_instance_uid))
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" * (len(value) % 2)


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value
