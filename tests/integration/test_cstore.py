"""Delivery to real peers: Orthanc and DCMTK's storescp, up, down, refusing and going away."""

import socket
from contextlib import suppress

import pytest
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE, evt
from pynetdicom.dsutils import split_dataset

from cadnode.deliver import folder
from cadnode.deliver.associations import MOST_CONTEXTS, QueuedObject, plan
from cadnode.deliver.dicom import Delivered, DicomPeer, echo, send
from cadnode.deliver.outcome import DeliveryOutcome, outcome_of
from cadnode.errors import Again, PermanentDeliveryError, TransientDeliveryError
from tests.peers import free_port, orthanc, storescp
from tests.synthetic import MARK, encode, view_dataset, write, write_exam

MG = "1.2.840.10008.5.1.4.1.1.1.2"


def peer_at(port, ae_title="PEER", timeout_s=10.0):
    return DicomPeer("archive", "127.0.0.1", port, ae_title, timeout_s=timeout_s)


@pytest.fixture
def answering():
    """Start an SCP that answers C-STORE with the given handler; gives its destination."""
    servers = []

    def start(handler, *, syntaxes=("1.2.840.10008.1.2.1",), **options):
        ae = AE("PEER")
        for name, value in options.items():
            setattr(ae, name, value)
        ae.add_supported_context(MG, list(syntaxes))
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handler)]
        )
        servers.append(server)
        return peer_at(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()


def test_an_exam_arrives_in_orthanc_as_it_was_sent(tmp_path):
    files = write_exam(tmp_path / "exam")
    files.append(write(encode(view_dataset(seed=5), JPEG2000Lossless), tmp_path / "j2k.dcm"))
    sent = []
    with orthanc(tmp_path / "orthanc") as archive:
        peer = peer_at(archive.dicom_port, archive.aet)
        echo(peer)
        assert send(files, peer, sent.append) == Delivered(5, 0)
        received = [archive.get_bytes(f"/instances/{i}/file") for i in archive.get("/instances")]
    assert sent == files
    assert len(received) == 5
    for file in files:
        _, offset = split_dataset(file)
        data_set = file.read_bytes()[offset:]
        assert any(r.endswith(data_set) for r in received)


def test_sending_twice_leaves_one_instance_in_orthanc(tmp_path):
    files = write_exam(tmp_path / "exam", views=(("L", "CC"),))
    with orthanc(tmp_path / "orthanc") as archive:
        peer = peer_at(archive.dicom_port, archive.aet)
        send(files, peer)
        send(files, peer)
        assert len(archive.get("/instances")) == 1


def test_dcmtk_takes_an_exam_bit_by_bit(tmp_path):
    files = write_exam(tmp_path / "exam")
    with storescp(tmp_path / "got", "+B") as peer:
        assert send(files, peer_at(peer.port, peer.aet)) == Delivered(4, 0)
    got = {p.read_bytes()[split_dataset(p)[1] :] for p in (tmp_path / "got").iterdir()}
    assert got == {p.read_bytes()[split_dataset(p)[1] :] for p in files}


def test_a_peer_that_is_down_is_transient(tmp_path):
    peer = peer_at(free_port())
    with pytest.raises(TransientDeliveryError, match="archive"):
        send([write(view_dataset(), tmp_path / "a.dcm")], peer)
    with pytest.raises(TransientDeliveryError):
        echo(peer)


def test_a_peer_that_never_answers_is_transient(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = peer_at(silent.getsockname()[1], timeout_s=0.5)
        with pytest.raises(TransientDeliveryError):
            send([write(view_dataset(), tmp_path / "a.dcm")], peer)


def test_a_peer_that_does_not_know_us_is_permanent(tmp_path):
    path = write(view_dataset(), tmp_path / "a.dcm")
    with storescp(tmp_path / "got", "--refuse") as peer, pytest.raises(PermanentDeliveryError):
        send_until_answered([path], peer_at(peer.port))


def send_until_answered(files, peer):
    """As the node does: `storescp` closes at once, and now and then its answer is lost with it."""
    for _ in range(5):
        with suppress(TransientDeliveryError):
            return send(files, peer)
    raise AssertionError("the peer's answer was lost five times")


def test_an_unknown_calling_ae_title_is_permanent_and_says_so(tmp_path, answering):
    peer = answering(lambda event: 0, require_calling_aet=["SOMEONE"])
    with pytest.raises(PermanentDeliveryError, match=r"[Cc]alling AE"):
        send([write(view_dataset(), tmp_path / "a.dcm")], peer)


def test_a_peer_that_aborts_midway_is_transient(tmp_path):
    files = write_exam(tmp_path / "exam")
    with (
        storescp(tmp_path / "got", "--abort-during") as peer,
        pytest.raises(TransientDeliveryError),
    ):
        send(files, peer_at(peer.port))


def test_a_transfer_syntax_that_the_peer_refuses_is_named_and_the_rest_is_sent(tmp_path, answering):
    plain = write(view_dataset(), tmp_path / "a.dcm")
    j2k = write(encode(view_dataset(seed=5), JPEG2000Lossless), tmp_path / "b.dcm")
    sent = []
    with pytest.raises(PermanentDeliveryError, match=r"took 1 of 2.*JPEG 2000") as refused:
        send([j2k, plain], answering(lambda event: 0), sent.append)
    assert sent == [plain]
    assert MARK not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, TransientDeliveryError),
        (0xC000, PermanentDeliveryError),
        (0xA900, PermanentDeliveryError),
    ],
)
def test_a_failure_status_is_transient_or_permanent(tmp_path, answering, status, error):
    with pytest.raises(error, match=f"{status:04X}"):
        send([write(view_dataset(), tmp_path / "a.dcm")], answering(lambda event: status))


def test_a_warning_is_counted_and_taken(tmp_path, answering):
    files = write_exam(tmp_path / "exam", views=(("L", "CC"), ("R", "CC")))
    statuses = iter([0xB000, 0x0000])
    assert send(files, answering(lambda event: next(statuses))) == Delivered(2, 1)


def test_a_file_that_is_not_dicom_is_refused_and_the_rest_is_sent(tmp_path, answering):
    noise = tmp_path / "README.txt"
    noise.write_text(f"{MARK} is not DICOM")
    files = [noise, write(view_dataset(), tmp_path / "a.dcm"), tmp_path / "missing.dcm"]
    with pytest.raises(PermanentDeliveryError, match="took 1 of 3") as refused:
        send(files, answering(lambda event: 0))
    assert MARK not in str(refused.value)


def test_nothing_to_send_needs_no_peer():
    assert send([], peer_at(free_port())) == Delivered(0, 0)


def test_a_peer_without_verification_refuses_echo_for_good(answering):
    with pytest.raises(PermanentDeliveryError):
        echo(answering(lambda event: 0))


def test_more_contexts_than_an_association_holds_are_split(tmp_path):
    items = [QueuedObject(tmp_path / str(n), f"1.2.{n}", "1.2.840.10008.1.2") for n in range(300)]
    items += items[:1]
    batches = list(plan(items))
    assert [len(contexts) for contexts, _ in batches] == [MOST_CONTEXTS, MOST_CONTEXTS, 45]
    assert [item for _, batch in batches for item in batch] == items


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, DeliveryOutcome()),
        (0xB007, DeliveryOutcome(is_warning=True)),
        (
            0x0122,
            DeliveryOutcome("answered 0122, SOP class not supported", again=Again.SLOWLY),
        ),
        (0xC123, DeliveryOutcome("answered C123, cannot understand", again=Again.SLOWLY)),
    ],
)
def test_statuses_have_their_meaning(status, outcome):
    assert outcome_of(status, "archive") == outcome


def test_a_folder_gets_whole_files_only(tmp_path):
    files = write_exam(tmp_path / "exam")
    assert folder.deliver(files, tmp_path / "out" / "study") == 4
    assert folder.deliver(files, tmp_path / "out" / "study") == 4
    got = sorted((tmp_path / "out" / "study").iterdir())
    assert [p.read_bytes() for p in got] == [p.read_bytes() for p in files]


def test_a_folder_that_cannot_be_is_permanent(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermanentDeliveryError):
        folder.deliver([], tmp_path / "file" / "study")
