"""What a peer must not send: the listener answers A-ABORT, logs one line and serves the others.

The bytes are made here, after DICOM PS3.8 9.3 and PS3.7 6.3.1 and E.1, without pynetdicom.
"""

import json
import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from cadnode import log
from cadnode.log import hashed
from cadnode.receive import scp
from cadnode.receive.spool import Spool
from tests.peers import wait_until
from tests.synthetic import view_dataset, write

APPLICATION = b"1.2.840.10008.3.1.1.1"
VERIFICATION = b"1.2.840.10008.1.1"
MG = b"1.2.840.10008.5.1.4.1.1.1.2"
UNKNOWN = b"1.2.826.0.1.3680043.2.1143.9"
EXPLICIT = b"1.2.840.10008.1.2.1"
ACCEPTED, REJECTED, ECHO = 1, 3, 5
COMMAND, DATA, LAST = 1, 0, 2


def item(kind, content):
    return struct.pack(">BxH", kind, len(content)) + content


def pdu(kind, content):
    return struct.pack(">BxI", kind, len(content)) + content


def associate_rq():
    """Mammography accepted as 1, an unknown SOP class rejected as 3, Verification as 5."""
    contexts = b"".join(
        item(0x20, struct.pack(">Bxxx", number) + item(0x30, abstract) + item(0x40, EXPLICIT))
        for number, abstract in ((ACCEPTED, MG), (REJECTED, UNKNOWN), (ECHO, VERIFICATION))
    )
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
    head = struct.pack(">Hxx16s16s32x", 1, b"CADNODE".ljust(16), b"PEER".ljust(16))
    return pdu(0x01, head + item(0x10, APPLICATION) + contexts + user)


def pdv(context, control, content):
    return struct.pack(">IBB", len(content) + 2, context, control) + content


def p_data(context, control, content=b""):
    return pdu(0x04, pdv(context, control, content))


def element(number, value):
    return struct.pack("<HHI", 0, number, len(value)) + value


def text(value):
    return value + b"\0" * (len(value) % 2)


def command(field, sop_class, *, data_set=True, uid=b"1.2.3.4"):
    """A command set in Implicit VR Little Endian (PS3.7 6.3.1)."""
    elements = element(0x0002, text(sop_class)) + element(0x0100, struct.pack("<H", field))
    elements += element(0x0110, struct.pack("<H", 7)) + element(0x0700, struct.pack("<H", 0))
    elements += element(0x0800, struct.pack("<H", 0x0001 if data_set else 0x0101))
    if data_set:
        elements += element(0x1000, text(uid))
    return element(0x0000, struct.pack("<I", len(elements))) + elements


STORE = command(0x0001, MG)
BEGUN = p_data(ACCEPTED, COMMAND | LAST, STORE) + p_data(ACCEPTED, DATA, b"x" * 512)


@pytest.fixture
def node(tmp_path, monkeypatch, capsys):
    """(port, spool, function that gives the log's lines so far); nothing may reach stderr else."""
    died, lines = [], []
    monkeypatch.setattr(threading, "excepthook", died.append)
    log.configure("WARNING")
    spool = Spool(tmp_path / "spool")

    def logged():
        lines.extend(capsys.readouterr().err.splitlines())
        return [json.loads(line) for line in lines]  # a traceback is no JSON

    with scp.serve(scp.ScpConfig(port=0, network_timeout_s=20), spool, lambda s: None) as listener:
        yield listener.port, spool, logged
    assert died == []
    assert logged() is not None


@contextmanager
def associated(port):
    with socket.create_connection(("127.0.0.1", port), timeout=15) as peer:
        peer.sendall(associate_rq())
        kind, answer = received(peer)
        assert kind == 0x02
        results = dict(contexts_of(answer))
        assert (results[ACCEPTED], results[ECHO]) == (0, 0)
        assert results[REJECTED] != 0
        yield peer


def exactly(peer, count):
    data = b""
    while len(data) < count and (part := peer.recv(count - len(data))):
        data += part
    return data


def received(peer):
    """(type, content) of the next PDU; (None, b"") when the connection is closed."""
    header = exactly(peer, 6)
    if len(header) < 6:
        return None, b""
    kind, length = struct.unpack(">BxI", header)
    return kind, exactly(peer, length)


def contexts_of(answer):
    """(identifier, result) of the presentation contexts in an A-ASSOCIATE-AC (PS3.8 9.3.3.2)."""
    at = 68
    while at < len(answer):
        kind, length = struct.unpack_from(">BxH", answer, at)
        if kind == 0x21:
            yield answer[at + 4], answer[at + 6]
        at += 4 + length


def is_abort(peer):
    kind, content = received(peer)
    return kind == 0x07 and len(content) == 4


MISPLACED = {
    "C-STORE on a rejected context": p_data(REJECTED, COMMAND | LAST, STORE)
    + p_data(REJECTED, DATA | LAST, b"x" * 64),
    "C-STORE on a context never proposed": p_data(99, COMMAND | LAST, STORE)
    + p_data(99, DATA | LAST, b"x" * 64),
    "an even identifier": p_data(2, COMMAND | LAST, STORE),
    "identifier 0": p_data(0, COMMAND | LAST, STORE),
    "C-ECHO on a rejected context": p_data(
        REJECTED, COMMAND | LAST, command(0x0030, VERIFICATION, data_set=False)
    ),
    "a part of a command on a rejected context": p_data(REJECTED, COMMAND, STORE[:20]),
    "command and data on two contexts": p_data(ACCEPTED, COMMAND | LAST, STORE)
    + p_data(ECHO, DATA | LAST, b"x" * 64),
    "two contexts in one PDU": pdu(
        0x04, pdv(ACCEPTED, COMMAND | LAST, STORE) + pdv(ECHO, DATA | LAST, b"x")
    ),
    "a middle part on another context": BEGUN + p_data(ECHO, DATA, b"y" * 512),
    "a middle part on a rejected context": BEGUN + p_data(REJECTED, DATA, b"y" * 512),
    "the last part on a context never proposed": BEGUN + p_data(201, DATA | LAST, b"y" * 512),
}
MALFORMED = {
    "a command that is none": p_data(ACCEPTED, COMMAND | LAST, b"\xff" * 40),
    "an empty command": p_data(ACCEPTED, COMMAND | LAST, b""),
    "a command without its field": p_data(ACCEPTED, COMMAND | LAST, element(0x0002, text(MG))),
    "an unknown command": p_data(ACCEPTED, COMMAND | LAST, command(0x7777, MG)),
    "a command without end": p_data(ACCEPTED, COMMAND, b"x" * 70_000),
    "a C-STORE without SOP class": p_data(
        ACCEPTED, COMMAND | LAST,
        element(0x0100, struct.pack("<H", 1)) + element(0x0800, struct.pack("<H", 1)),
    ) + p_data(ACCEPTED, DATA, b"x" * 64),
}  # fmt: skip


@pytest.mark.parametrize("name", [*MISPLACED, *MALFORMED])
def test_a_message_that_must_not_come_ends_its_association_by_abort_and_one_line(node, name):
    port, spool, logged = node

    with associated(port) as peer:
        peer.sendall((MISPLACED | MALFORMED)[name])
        assert is_abort(peer)

    assert wait_until(lambda: not acceptors())
    assert list(spool._incoming.iterdir()) == []
    assert spool.studies() == []
    refused = [line for line in logged() if line["event"] == "message_refused"]
    assert len(refused) == 1
    reasons = {"malformed"} if name in MALFORMED else {"context_not_accepted", "context_changed"}
    assert refused[0]["reason"] in reasons
    assert [line for line in logged() if line["event"] == "association_failed"] == []


def acceptors():
    return [t for t in threading.enumerate() if t.name == "association"]


@pytest.mark.parametrize(
    "sent",
    [p_data(ACCEPTED, COMMAND | LAST, STORE), p_data(99, DATA, b"x"), p_data(0, COMMAND, b"")],
    ids=["a command", "data", "nothing"],
)
def test_data_before_an_association_are_answered_by_abort(node, sent):
    port, spool, logged = node

    with socket.create_connection(("127.0.0.1", port), timeout=15) as peer:
        peer.sendall(sent)
        assert is_abort(peer)

    assert wait_until(lambda: not acceptors())
    assert list(spool._incoming.iterdir()) == []
    assert [(e["event"], e["reason"]) for e in logged()] == [("message_refused", "no_association")]


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", b"\0\0\0\1\1", b"\0\0\0\0"])
def test_a_data_pdu_whose_items_are_cut_off_ends_its_association(node, sent):
    port, _, _ = node

    with associated(port) as peer:
        peer.sendall(pdu(0x04, sent))
        peer.shutdown(socket.SHUT_WR)
        assert received(peer)[0] in {0x07, None}

    assert wait_until(lambda: not acceptors())


def test_a_failing_association_ends_alone(node, monkeypatch):
    port, _, logged = node
    monkeypatch.setattr("cadnode.receive.association.Association._take_fragment", None)

    with associated(port) as peer:
        peer.sendall(p_data(ACCEPTED, COMMAND | LAST, STORE))
        assert is_abort(peer)
        assert received(peer)[0] is None

    assert wait_until(lambda: not acceptors())
    assert [line["event"] for line in logged()] == ["association_failed"]


@pytest.mark.parametrize("name", ["C-STORE on a rejected context", "a command that is none"])
def test_others_are_served_while_one_is_refused(node, name, tmp_path):
    port, spool, _ = node
    ds = view_dataset()
    whole = write(ds, tmp_path / "a.dcm")
    from tests.integration.test_receive import send

    with associated(port) as peer:
        peer.sendall((MISPLACED | MALFORMED)[name])
        assert send(port, whole) == 0
        assert is_abort(peer)

    assert len(spool.instances(hashed(ds.StudyInstanceUID))) == 1
