"""The PROXY protocol: a TCP balancer says who connects, before the first byte of DICOM.

Versions 1 and 2 of https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt. Without it
everybody comes from the balancer's address: no peer could be known by its own, all would
share one address's places, and no storage commitment could be reported to a sender.
"""

import struct
from ipaddress import ip_address
from typing import Final

MOST_BYTES: Final = 16 + 512  # of a header with further fields, which are passed over
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = struct.Struct(">12sBBH")
_LONGEST_LINE: Final = 107  # of version 1, section 2.1
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_LENGTHS: Final = {0x11: (4, 12), 0x21: (16, 36)}  # TCP over IPv4 and IPv6: an address, all of them


class MalformedProxyHeader(Exception):
    """A connection of a balancer does not begin with a header of this protocol."""


def said_by_proxy(head: bytes) -> tuple[str, int] | None:
    """(address, bytes of the header) of a connection that begins so; None: more is to come.

    The address is "" where none is named (UNKNOWN, LOCAL): of a health check, or of a client whose
    address the balancer cannot tell.

    Raises
    ------
    MalformedProxyHeader
        It is no such header, or not of TCP.
    """
    if head.startswith(_SIGNATURE[: len(head)]) and len(head) < _FIXED.size:
        return None
    if head.startswith(_SIGNATURE):
        return _of_version_2(head)
    if head.startswith(b"PROXY "[: len(head)]):
        return _of_version_1(head)
    raise MalformedProxyHeader


def _of_version_1(head: bytes) -> tuple[str, int] | None:
    line, end, _ = head.partition(b"\r\n")
    if not end:
        if len(head) > _LONGEST_LINE:
            raise MalformedProxyHeader
        return None
    words = line.decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return "", len(line) + 2
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise MalformedProxyHeader
    try:
        return str(ip_address(words[2])), len(line) + 2
    except ValueError:
        raise MalformedProxyHeader from None


def _of_version_2(head: bytes) -> tuple[str, int] | None:
    _, command, family, length = _FIXED.unpack_from(head)
    whole = _FIXED.size + length
    if command not in (_LOCAL, _PROXY) or whole > MOST_BYTES:
        raise MalformedProxyHeader
    if len(head) < whole:
        return None
    if command == _LOCAL:
        return "", whole
    if family not in _LENGTHS or length < _LENGTHS[family][1]:
        raise MalformedProxyHeader
    address = head[_FIXED.size : _FIXED.size + _LENGTHS[family][0]]
    return str(ip_address(address)), whole
