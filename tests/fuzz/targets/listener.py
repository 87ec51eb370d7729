"""The DICOM listener over raw sockets: PDUs, command sets, data sets (PS3.7, PS3.8)."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Final

from pynetdicom import AE
from pynetdicom.sop_class import Verification

from cadnode.receive import scp
from cadnode.receive.spool import Spool
from tests.fuzz.mutate import dicom, raw
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target
from tests.fuzz.targets.files import file_bytes, view

_WAIT: Final = b"\n=====WAIT=====\n"  # the peer waits for an answer here
_MG: Final = b"1.2.840.10008.5.1.4.1.1.1.2"
_ECHO: Final = b"1.2.840.10008.1.1"
_SYNTAXES: Final = (dicom.IMPLICIT, dicom.EXPLICIT, dicom.BIG, dicom.DEFLATED, dicom.JPEG2000)
_TYPES: Final = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x00, 0x08, 0xFF)
_ANSWER_S: Final = 0.5
_CLOSED_S: Final = 8.0
_ECHO_S: Final = 1.0
# Of another process' work on the same cores: it is not the listener that is slow then.
_PATIENCE_S: Final = 10.0


class Listener(Target):
    """A conversation: what one peer sends, and where it waits for an answer."""

    name = "listener"
    marks = (b"ZZQ",)
    weight = 1.0

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._stack = ExitStack()
        config = scp.ScpConfig(port=0, network_timeout_s=5.0, association_within_s=3.0)
        spool = Spool(folder / "spool")
        self._stored: list[object] = []
        listening = scp.serve(config, spool, self._stored.append)
        self._port = self._stack.enter_context(listening).port

    def close(self) -> None:
        self._stack.close()

    def seeds(self) -> list[bytes]:
        store = _store_pdus(1)
        whole = [request(), store[0] + store[1], release()]
        return [
            _WAIT.join((request(), echo(), release())),
            _WAIT.join(whole),
            _WAIT.join((request(), b"".join(store) + b"".join(_store_pdus(3)), release())),
            _WAIT.join((request(), b"".join(_store_pdus(1, fragment=200)), abort())),
        ]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        steps = data.split(_WAIT)
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(steps))
            roll = rng.random()
            if roll < 0.1:
                steps[at] = raw.mutated(steps[at], rng, other)
            elif roll < 0.15 and len(steps) > 1:
                del steps[at]
            elif roll < 0.2:
                steps.insert(at, rng.choice((request(), echo(), release(), abort(), steps[at])))
            else:
                pdus = _changed(split(steps[at]), rng)
                steps[at] = b"".join(pdus)
        return _WAIT.join(steps[:8])

    def run(self, data: bytes) -> Iterator[str]:
        with socket.create_connection(("127.0.0.1", self._port), timeout=_CLOSED_S) as peer:
            steps = data.split(_WAIT)
            with suppress(ConnectionError, BrokenPipeError, OSError):
                for step in steps:
                    peer.sendall(step)
                    if step is not steps[-1] and not _answered(peer):
                        break
                peer.shutdown(socket.SHUT_WR)
            yield from _until_closed(peer)

    def batch(self) -> None:
        """C-ECHO is answered within a second, and a good study is taken."""
        self._calm()
        started = time.monotonic()
        ae = AE("FUZZ")
        ae.add_requested_context(Verification)
        ae.add_requested_context(_MG.decode(), dicom.EXPLICIT.decode())
        assoc = ae.associate("127.0.0.1", self._port)
        if not assoc.is_established:
            raise Violation("no association: the listener does not answer")
        status = assoc.send_c_echo()
        took = time.monotonic() - started
        ds = view()
        before = len(self._stored)
        stored = assoc.send_c_store(ds)
        assoc.release()
        if status.get("Status") != 0 or stored.get("Status") != 0:
            raise Violation("refused: C-ECHO or a good C-STORE")
        if took > _ECHO_S and not _is_busy():
            raise Violation(f"slow: C-ECHO took {took:.1f} s")
        deadline = time.monotonic() + _PATIENCE_S
        while len(self._stored) <= before:
            if time.monotonic() > deadline:
                raise Violation("lost: a good C-STORE was not announced")
            time.sleep(0.01)
        del self._stored[:]

    def _calm(self) -> None:
        """Wait for the threads of ended conversations."""
        deadline = time.monotonic() + _PATIENCE_S
        while threading.active_count() > 6 and time.monotonic() < deadline:
            time.sleep(0.02)


def request(syntaxes: tuple[bytes, ...] = _SYNTAXES) -> bytes:
    """A-ASSOCIATE-RQ for Verification (1) and mammograms, a context a syntax from 3 on."""
    contexts = [(1, _ECHO, dicom.IMPLICIT)]
    contexts += [(3 + 2 * n, _MG, syntax) for n, syntax in enumerate(syntaxes)]
    items = _item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, abstract, transfer in contexts:
        inner = bytes((number, 0, 0, 0)) + _item(0x30, abstract) + _item(0x40, transfer)
        items += _item(0x20, inner)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4") + _item(0x55, b"FUZZ")
    body = b"\0\1\0\0" + b"CADNODE".ljust(16) + b"ZZQ".ljust(16) + b"\0" * 32
    return pdu(0x01, body + items + _item(0x50, user))


def echo() -> bytes:
    """C-ECHO-RQ in context 1."""
    return pdu(0x04, _value(1, 3, command(0x0030, _ECHO, b"", 0x0101)))


def release() -> bytes:
    """A-RELEASE-RQ."""
    return pdu(0x05, b"\0" * 4)


def abort() -> bytes:
    """A-ABORT by the user."""
    return pdu(0x07, b"\0" * 4)


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU of PS3.8 section 9.3."""
    return struct.pack(">BxI", kind, len(body)) + body


def command(field: int, sop_class: bytes, instance: bytes, data_set: int) -> bytes:
    """A command set of PS3.7 annex E, in implicit little endian."""
    elements = [
        dicom.Element(0x00000002, b"UI", sop_class + b"\0" * (len(sop_class) % 2)),
        dicom.Element(0x00000100, b"US", field.to_bytes(2, "little")),
        dicom.Element(0x00000110, b"US", b"\1\0"),
        dicom.Element(0x00000700, b"US", b"\0\0"),
        dicom.Element(0x00000800, b"US", data_set.to_bytes(2, "little")),
    ]
    if instance:
        elements.append(dicom.Element(0x00001000, b"UI", instance + b"\0" * (len(instance) % 2)))
    body = dicom.encoded(elements, dicom.IMPLICIT)
    length = dicom.Element(0x00000000, b"UL", len(body).to_bytes(4, "little"))
    return dicom.encoded([length], dicom.IMPLICIT) + body


def split(data: bytes) -> list[bytes]:
    """PDUs by their stated lengths; the rest in one piece."""
    found = []
    while len(data) >= 6:
        (length,) = struct.unpack_from(">I", data, 2)
        found.append(data[: 6 + length])
        data = data[6 + length :]
    return [*found, data] if data else found


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _value(context: int, control: int, value: bytes) -> bytes:
    """A presentation data value item (PS3.8 9.3.5.1)."""
    return struct.pack(">IBB", len(value) + 2, context, control) + value


def _store_pdus(context: int, fragment: int = 0) -> list[bytes]:
    """C-STORE-RQ of a tiny view: the command, then the data set in explicit little endian."""
    ds = view()
    instance = str(ds.SOPInstanceUID).encode()
    whole = file_bytes(ds)
    file = dicom.parsed(whole)
    body = whole[len(file.preamble) + len(dicom.encoded(file.meta)) :]
    context = 5 if context == 1 else context
    first = pdu(0x04, _value(context, 3, command(0x0001, _MG, instance, 0x0000)))
    size = fragment or len(body)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    last = len(parts) - 1
    return [first] + [
        pdu(0x04, _value(context, 2 if n == last else 0, part)) for n, part in enumerate(parts)
    ]


def _changed(pdus: list[bytes], rng: Random) -> list[bytes]:
    if not pdus:
        return [request()]
    at = rng.randrange(len(pdus))
    data = bytearray(pdus[at])
    roll = rng.random()
    if roll < 0.08:
        data[0:1] = bytes((rng.choice(_TYPES),))
    elif roll < 0.18:
        length = max(0, len(data) - 6)
        lies = (
            0,
            1,
            length + 1,
            max(length - 1, 0),
            length * 2,
            0xFFFFFFFF,
            1 << 24,
            1 << 31,
            4,
            6,
        )
        data[2:6] = struct.pack(">I", rng.choice(lies) & 0xFFFFFFFF)
    elif roll < 0.28 and data[:1] == b"\4" and len(data) >= 12:
        data[10] = rng.choice((0, 1, 2, 3, 5, 7, 9, 255))
    elif roll < 0.36 and data[:1] == b"\4" and len(data) >= 12:
        data[11] = rng.choice((0, 1, 2, 3, 4, 255))
    elif roll < 0.46 and data[:1] == b"\4" and len(data) >= 12:
        data[6:10] = struct.pack(">I", rng.choice((0, 1, 2, 3, len(data), 0xFFFFFFFF, 1 << 31)))
    elif roll < 0.66 and data[:1] == b"\4" and len(data) > 12 and data[11] & 1:
        data = _with_command(bytes(data), rng)
    elif roll < 0.76 and data[:1] == b"\4" and len(data) > 12:
        inner = raw.mutated(bytes(data[12:]), rng)
        data = bytearray(pdu(4, _value(data[10], data[11], inner)))
    elif roll < 0.8:
        del pdus[at]
        return pdus
    elif roll < 0.84:
        pdus.insert(at, bytes(data))
        return pdus
    elif roll < 0.88:
        rng.shuffle(pdus)
        return pdus
    else:
        body = raw.mutated(bytes(data[6:]), rng)
        data = bytearray(pdu(data[0], body))
    pdus[at] = bytes(data)
    return pdus


def _with_command(data: bytes, rng: Random) -> bytearray:
    """A command set with a lie in it, in a PDU whose lengths are true."""
    elements, tail = dicom._elements(data[12:], dicom.IMPLICIT)
    if not elements:
        return bytearray(data)
    element = rng.choice(elements)
    roll = rng.random()
    if roll < 0.5:
        element.value = dicom.value_for(element.vr, rng)
    elif roll < 0.6:
        element.length = rng.choice((0, 1, 0xFFFFFFFF, 0xFFFF, 7))
    elif roll < 0.7:
        elements.remove(element)
    elif roll < 0.9:
        element.tag = rng.choice(
            (0x00000002, 0x00000100, 0x00000120, 0x00000800, 0x00080016, 0x000011FF)
        )
    else:
        elements.append(dicom.Element(0x00001030, b"AE", b"ZZQ " * rng.choice((1, 4, 400, 20_000))))
    body = dicom.encoded(elements, dicom.IMPLICIT) + tail
    return bytearray(pdu(4, _value(data[10], data[11], body)))


def _answered(peer: socket.socket) -> bool:
    """Whether the connection is still open after an answer, or a while without one."""
    peer.settimeout(_ANSWER_S)
    try:
        return bool(peer.recv(65536))
    except TimeoutError:
        return True


def _until_closed(peer: socket.socket) -> Iterator[str]:
    """What the listener still sends; it closes the connection soon after the peer has."""
    peer.settimeout(_CLOSED_S)
    try:
        while data := peer.recv(65536):
            yield data.decode("latin-1") if data[:1] not in (b"\2", b"\4") else ""
    except ConnectionError:
        return
    except TimeoutError:
        if not _is_busy():
            raise Violation("not closed: a connection that the peer has closed") from None


def _is_busy() -> bool:
    with open("/proc/loadavg") as file:
        return float(file.read().split()[0]) > 6
