"""Why there is no association, told by its cause: peers that refuse in every way there is."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from cadnode.association_failures import (
    CALLS_US,
    WE_CALL,
    AssociationFailure,
    of_rejection,
    told_of_caller,
)
from cadnode.deliver import dicom
from cadnode.deliver.dicom import DicomPeer
from cadnode.errors import DeliveryError, PassingRefusal, TransientDeliveryError
from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.spool import Spool
from cadnode.tls import TlsFiles
from tests.certificates import Authority

F = AssociationFailure


class Heard:
    """A witness that keeps what it hears."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, str]] = []

    def received(self, ae_title: str, address: str, study: str) -> None:
        pass

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        self.refusals.append((reason, ae_title))


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which somebody answers each connection in this way."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                answer(peer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def failure_of(port: int, **how: object) -> DeliveryError:
    values: dict[str, object] = {"ae_title": "ARCHIVE", "timeout_s": 2.0, "host": "127.0.0.1"}
    with pytest.raises(DeliveryError) as raised:
        dicom.echo(DicomPeer(name="archive", port=port, **{**values, **how}))  # type: ignore[arg-type]
    return raised.value


def is_told(error: DeliveryError, failure: AssociationFailure) -> bool:
    told = WE_CALL[failure]
    return (str(error), error.hint) == (f"archive {told.words}", told.hint)


def test_a_port_on_which_nothing_listens_refuses_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    error = failure_of(port)
    assert is_told(error, F.CONNECTION_REFUSED)
    assert isinstance(error, TransientDeliveryError)


def test_a_host_without_an_address() -> None:
    assert is_told(failure_of(104, host="archive.invalid"), F.UNKNOWN_HOST)


def test_a_connection_that_is_not_taken_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:  # the queue of connections that wait to be accepted
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        try:
            assert is_told(failure_of(port, timeout_s=0.5), F.NO_CONNECTION)
        finally:
            for one in waiting:
                one.close()


def test_a_request_that_is_not_answered_in_time() -> None:
    done = threading.Event()

    def wait(peer: socket.socket) -> None:
        done.wait(5)

    with answering(wait) as port:
        error = failure_of(port, timeout_s=0.5)
        done.set()
    assert is_told(error, F.NO_ANSWER)


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"", F.CLOSED),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", F.NOT_DICOM),
        (b"\x15\x03\x01\x00\x02\x02\x46", F.TLS_NOT_SPOKEN),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00", F.ABORTED),
    ],
)
def test_what_comes_in_place_of_an_answer_is_the_cause(
    said: bytes, failure: AssociationFailure
) -> None:
    def answer(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(said)

    with answering(answer) as port:
        assert is_told(failure_of(port), failure)


def request_of(peer: socket.socket) -> None:
    """The whole request, so that nothing is left unread when the peer closes."""
    _, _, length = struct.unpack(">BBI", peer.recv(6, socket.MSG_WAITALL))
    peer.recv(length, socket.MSG_WAITALL)


@pytest.mark.parametrize("source", [1, 2, 3])
@pytest.mark.parametrize("reason", [1, 2, 3, 7])
def test_a_rejection_is_told_by_its_reason(source: int, reason: int) -> None:
    def answer(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(bytes([3, 0, 0, 0, 0, 4, 0, 1, source, reason]))
        peer.recv(65536)

    with answering(answer) as port:
        assert is_told(failure_of(port), of_rejection(source, reason))


def test_an_archive_that_takes_none_of_our_classes(tmp_path: Path) -> None:
    ae = AE("ARCHIVE")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        error = failure_of(server.socket.getsockname()[1])
    finally:
        server.shutdown()
    assert is_told(error, F.NO_CONTEXT)
    assert isinstance(error, PassingRefusal)


@contextmanager
def listener(
    tmp_path: Path, heard: Heard, *peers: AllowedPeer, **how: object
) -> Iterator[scp.Listener]:
    config = scp.ScpConfig(port=0, tls_port=0, peers=peers, **how)  # type: ignore[arg-type]
    spool = Spool(tmp_path / "spool")
    with scp.serve(config, spool, lambda stored: None, witness=heard) as listening:
        yield listening


def peer_named(title: str, network: str = "127.0.0.0/8") -> AllowedPeer:
    return AllowedPeer(title, ip_network(network))


def test_both_sides_tell_of_the_titles(tmp_path: Path) -> None:
    heard = Heard()
    named = peer_named("PACS_STORE"), peer_named("PACS_QUERY")
    with listener(tmp_path, heard, *named, check_called_ae_title=True) as there:
        for title in ("PACS_STORE", "PACS_QUERY"):
            dicom.echo(DicomPeer("n", "127.0.0.1", there.port, "CADNODE", title))
        unknown = failure_of(there.port, ae_title="CADNODE", calling_ae_title="pacs_store")
        other = failure_of(there.port, ae_title="OTHER", calling_ae_title="PACS_STORE")
    assert is_told(unknown, F.CALLING_AE_TITLE)
    assert is_told(other, F.CALLED_AE_TITLE)
    assert heard.refusals == [
        ("calling_ae_title", "pacs_store"), ("called_ae_title", "PACS_STORE"),
    ]  # fmt: skip


def test_a_blank_title_is_told_apart(tmp_path: Path) -> None:
    heard = Heard()
    for called, calling in ((b"CADNODE", b""), (b"", b"PACS")):
        fixed = b"\0\1\0\0" + called.ljust(16) + calling.ljust(16) + bytes(32)
        context = b"\x20\0\0\x2e\1\0\0\0\x30\0\0\x11" + b"1.2.840.10008.1.1"
        context += b"\x40\0\0\x11" + b"1.2.840.10008.1.2"
        body = fixed + b"\x10\0\0\x15" + b"1.2.840.10008.3.1.1.1" + context
        request = b"\1\0" + len(body).to_bytes(4, "big") + body
        with (
            listener(tmp_path, heard, peer_named("PACS"), check_called_ae_title=True) as there,
            socket.create_connection(("127.0.0.1", there.port)) as peer,
        ):
            peer.sendall(request)
            assert peer.recv(10)[0] == 3  # A-ASSOCIATE-RJ
    assert heard.refusals == [("blank_calling_ae_title", ""), ("blank_called_ae_title", "PACS")]


def test_an_unknown_address_and_classes_that_are_not_taken(tmp_path: Path) -> None:
    heard = Heard()
    with listener(tmp_path, heard, peer_named("PACS", "10.0.0.0/8")) as there:
        assert is_told(failure_of(there.port), F.CLOSED)
    with listener(tmp_path, heard) as there:
        ae = AE("SCANNER")
        ae.add_requested_context(CTImageStorage)
        assert not ae.associate("127.0.0.1", there.port).is_established
    assert dict(heard.refusals) == {"unknown_address": "", "no_presentation_context": "SCANNER"}


def test_tls_against_clear_is_told_on_both_sides(tmp_path: Path) -> None:
    heard = Heard()
    authority = Authority(tmp_path / "ca")
    node = authority.sign("node")
    with listener(tmp_path, heard, tls=TlsFiles(node.certificate, node.key)) as there:
        in_clear = failure_of(there.tls_port)
        trusted = TlsFiles(authorities=authority.path)
        by_tls = failure_of(there.port, tls=trusted)
        dicom.echo(DicomPeer("n", "127.0.0.1", there.tls_port, "CADNODE", tls=trusted))
    assert is_told(in_clear, F.TLS_NOT_SPOKEN)
    assert "no TLS with archive" in str(by_tls)
    codes = {code for code, _ in heard.refusals}
    assert codes == {"tls_in_clear", "tls_not_spoken", "tls"}  # tls: we looked whether it speaks it


def test_a_refused_connection_by_tls_is_no_fault_of_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    assert is_told(failure_of(port, tls=TlsFiles()), F.CONNECTION_REFUSED)


def test_every_code_has_words_on_the_side_where_it_happens() -> None:
    for failure in F:
        assert failure in WE_CALL or failure in CALLS_US
    assert told_of_caller("calling_ae_title") is CALLS_US[F.CALLING_AE_TITLE]
    assert told_of_caller("too_slow") is None
