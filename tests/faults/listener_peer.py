"""A listener in a process of its own, and a peer that is made of bytes and does as it likes.

The bytes are those of DICOM PS3.8 9.3 and PS3.7 6.3.1 and E.1; no DICOM library is used.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port, wait_for_port

VERIFICATION = b"1.2.840.10008.1.1"
MG = b"1.2.840.10008.5.1.4.1.1.1.2"
IMPLICIT = b"1.2.840.10008.1.2"
COMMAND, DATA, LAST = 1, 0, 2
ACCEPTED, REJECTED, ABORTED = 0x02, 0x03, 0x07

_PROGRAM = """\
import json, os, sys
from ipaddress import ip_network
from pathlib import Path
from cadnode import log
from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.spool import Spool
log.configure("INFO")
options = json.loads(sys.argv[2])
peers = tuple(AllowedPeer(title, ip_network(net)) for title, net in options.pop("peers", ()))
log_is_full = options.pop("log_is_full", False)
config = scp.ScpConfig(peers=peers, **options)
with scp.serve(config, Spool(Path(sys.argv[1])), lambda stored: None):
    if log_is_full:
        kept = os.dup(2)
        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    sys.stdin.read()
    if log_is_full:
        os.dup2(kept, 2)
"""


@dataclass(frozen=True)
class Listening:
    """A running listener."""

    port: int
    pid: int
    spool: Path
    log_file: Path

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def status(self) -> dict[str, int]:
        """`threads`, `rss_mb`, `peak_mb` and `descriptors` of the process."""
        found = {"descriptors": self.descriptors()}
        names = {"Threads": "threads", "VmRSS": "rss_mb", "VmHWM": "peak_mb"}
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in names:
                number = int(value.split()[0])
                found[names[key]] = number if key == "Threads" else number // 1024
        return found

    def incoming(self) -> list[Path]:
        """Files on their way in."""
        return list((self.spool / "incoming").iterdir())

    def stored(self) -> int:
        """Instances that have arrived."""
        return len(list((self.spool / "studies").glob("*/*.dcm")))

    def events(self, name: str) -> list[dict[str, object]]:
        """Lines of the log of that event; every line must be one of ours."""
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]


@contextlib.contextmanager
def listening(folder: Path, **options: object) -> Iterator[Listening]:
    """A listener with these fields of its configuration; it must end by itself when asked to.

    With `log_is_full`, no line of its log can be written once it has started.
    """
    port, log_file = free_port(), folder / "listener.log"
    arguments = {"port": port, **options}
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(folder / "spool"), json.dumps(arguments)],
            stdin=subprocess.PIPE, stderr=log, stdout=log,
        )  # fmt: skip
    try:
        wait_for_port(port)
        yield Listening(port, process.pid, folder / "spool", log_file)
        assert process.poll() is None
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def item(kind: int, content: bytes) -> bytes:
    """An item of a PDU."""
    return struct.pack(">BxH", kind, len(content)) + content


def pdu(kind: int, content: bytes) -> bytes:
    """A PDU."""
    return struct.pack(">BxI", kind, len(content)) + content


def associate_rq(
    sop_class: bytes = MG, calling: bytes = b"PEER", called: bytes = b"CADNODE", max_pdu: int = 0
) -> bytes:
    """A request with `sop_class` as context 1."""
    context = item(0x20, b"\x01\0\0\0" + item(0x30, sop_class) + item(0x40, IMPLICIT))
    user = item(0x50, item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3"))
    head = struct.pack(">Hxx16s16s32x", 1, called.ljust(16), calling.ljust(16))
    return pdu(0x01, head + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user)


def p_data(control: int, content: bytes) -> bytes:
    """A P-DATA-TF with one fragment of context 1."""
    return pdu(0x04, struct.pack(">IBB", len(content) + 2, 1, control) + content)


def element(group: int, number: int, value: bytes) -> bytes:
    """A data element, Implicit VR Little Endian."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


def command(field: int, sop_class: bytes, uid: bytes = b"") -> bytes:
    """The PDU of a request's command; with `uid` it is of that object, and has a data set."""
    elements = element(0, 0x0002, sop_class) + element(0, 0x0100, struct.pack("<H", field))
    elements += element(0, 0x0110, struct.pack("<H", 7))
    elements += element(0, 0x0800, struct.pack("<H", 1 if uid else 0x0101))
    if uid:
        elements += element(0, 0x1000, uid)
    group_length = element(0, 0x0000, struct.pack("<I", len(elements)))
    return p_data(COMMAND | LAST, group_length + elements)


def data_set(uid: bytes, study: bytes = b"1.2.3.9", more_bytes: int = 0) -> bytes:
    """A data set with just the UIDs and, if wanted, something like pixels."""
    head = element(8, 0x16, MG) + element(8, 0x18, uid) + element(0x20, 0x0D, study)
    return head + (element(0x7FE0, 0x0010, bytes(more_bytes)) if more_bytes else b"")


def store(number: int, more_bytes: int = 0) -> bytes:
    """The PDUs of a whole C-STORE."""
    uid = b"1.2.3.9.%d" % number
    whole = data_set(uid, more_bytes=more_bytes)
    parts = [whole[at : at + 16_000] for at in range(0, len(whole), 16_000)]
    last = len(parts) - 1
    fragments = (p_data(LAST if n == last else DATA, part) for n, part in enumerate(parts))
    return command(0x0001, MG, uid) + b"".join(fragments)


ECHO = command(0x0030, VERIFICATION)
RELEASE = pdu(0x05, bytes(4))


def connect(port: int, source: str = "127.0.0.1", timeout_s: float = 15.0) -> socket.socket:
    """A connection that comes from `source`, any address of loopback."""
    return socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))


def received(peer: socket.socket) -> tuple[int, bytes]:
    """(type, content) of the next PDU; type 0 when the connection is closed."""
    try:
        header = _exactly(peer, 6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, _exactly(peer, length)
    except ConnectionError:
        return 0, b""


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := peer.recv(count - len(data))):
        data += part
    return data


def associate(
    port: int, sop_class: bytes = MG, source: str = "127.0.0.1", **options: bytes
) -> tuple[socket.socket, int]:
    """(connection, type of the answer to a request)."""
    peer = connect(port, source)
    peer.sendall(associate_rq(sop_class, **options))  # type: ignore[arg-type]
    return peer, received(peer)[0]


def echo_s(port: int, source: str = "127.0.0.1") -> float:
    """Seconds for a C-ECHO from connecting to release; fails when it is not answered."""
    began = time.monotonic()
    peer, answer = associate(port, VERIFICATION, source)
    with peer:
        assert answer == ACCEPTED, f"answered by PDU type {answer}"
        peer.sendall(ECHO)
        kind, content = received(peer)
        assert kind == 0x04
        assert status_of(content) == 0x0000
        peer.sendall(RELEASE)
        assert received(peer)[0] == 0x06
    return time.monotonic() - began


def status_of(content: bytes) -> int:
    """Status of the response in a P-DATA-TF's content."""
    at = content.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
    return int.from_bytes(content[at : at + 2], "little")


def is_closed(peer: socket.socket, within_s: float = 10.0) -> bool:
    """Whether the connection is closed by the other side in time, whatever is said before."""
    peer.settimeout(within_s)
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def reset(peer: socket.socket) -> None:
    """Close by RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
