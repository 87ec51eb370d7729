"""Who connects, as a TCP balancer says it: the PROXY protocol's two versions, by their text."""

import struct

import pytest

from cadnode.receive.proxied import MalformedProxyHeader, said_by_proxy

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")  # section 2.2
IPV4 = bytes([10, 1, 2, 3, 10, 9, 9, 9]) + struct.pack(">HH", 40000, 11112)
IPV6 = bytes.fromhex("fd00" + "00" * 13 + "07") + bytes(16) + struct.pack(">HH", 40000, 11112)


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(addresses)) + addresses


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 10.1.2.3 10.9.9.9 40000 11112\r\n", "10.1.2.3"),
        (b"PROXY TCP6 fd00::7 ::1 40000 11112\r\n", "fd00::7"),
        (b"PROXY UNKNOWN\r\n", ""),
        (v2(0x21, 0x11, IPV4), "10.1.2.3"),
        (v2(0x21, 0x21, IPV6), "fd00::7"),
        (v2(0x21, 0x11, IPV4 + b"\x03\x00\x04crc!"), "10.1.2.3"),  # a further field
        (v2(0x20, 0x00, b""), ""),  # of the balancer itself
    ],
)
def test_an_address_is_read_and_what_follows_is_left(header: bytes, address: str) -> None:
    assert said_by_proxy(header + b"\x01\x00") == (address, len(header))
    for n in range(len(header)):
        assert said_by_proxy(header[:n]) is None


@pytest.mark.parametrize(
    "head",
    [
        b"\x01\x00\x00\x00\x00\xcd",  # an A-ASSOCIATE-RQ
        b"PROXY TCP4 10.1.2.3\r\n",
        b"PROXY TCP4 somebody 10.9.9.9 40000 11112\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        v2(0x31, 0x11, IPV4),  # another version
        v2(0x21, 0x12, IPV4),  # of UDP
        v2(0x21, 0x11, IPV4[:8]),
        v2(0x21, 0x11, IPV4 + bytes(600)),
    ],
)
def test_what_is_no_header_is_not_taken(head: bytes) -> None:
    with pytest.raises(MalformedProxyHeader):
        said_by_proxy(head)
