"""The listener with real senders: DCMTK's storescu and echoscu, and raw sockets."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from io import BytesIO

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MammographyCADSRStorage,
)
from pynetdicom import AE, _config
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode_file_meta, split_dataset

from cadnode.errors import SettingsError
from cadnode.exam.read import read_instance
from cadnode.imaging.decode import stored_codes
from cadnode.log import hashed
from cadnode.receive import scp
from cadnode.receive.spool import Received, Spool
from cadnode.receive.stream import StorageStatus
from tests.encoding import labelled
from tests.peers import free_port, wait_for_port, wait_until
from tests.synthetic import (
    TRANSFER_SYNTAXES,
    encode,
    stored_values,
    view_dataset,
    write,
    write_exam,
)

STORESCU = {  # the option that proposes each transfer syntax; DCMTK has none for HTJ2K and P14,
    # and deflates anew
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
}


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture(autouse=True)
def _files_are_sent_as_they_are(monkeypatch):
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


@contextmanager
def listening(spool, **options):
    """(port, list that stored instances are appended to)."""
    told = []
    with scp.serve(scp.ScpConfig(port=0, **options), spool, told.append) as listener:
        yield listener.port, told


def storescu(port, *options, files, check=True):
    return subprocess.run(
        ["storescu", *options, "127.0.0.1", str(port), *map(str, files)],
        check=check, capture_output=True, timeout=60, text=True,
        env={**os.environ, "TCP_NODELAY": "1"},
    )  # fmt: skip


def send(port, path, ae_title="ANY-SCP"):
    """Status of one C-STORE by pynetdicom: the file's bytes as they are, its file meta's UIDs."""
    meta, _ = split_dataset(path)
    ae = AE("TEST")
    ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port, ae_title=ae_title)
    assert assoc.is_established
    try:
        return assoc.send_c_store(path).get("Status")
    finally:
        assoc.release()


def data_set_bytes(path):
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def incoming(spool):
    return list(spool._incoming.iterdir())


def test_echo_is_answered(spool):
    with listening(spool) as (port, _):
        subprocess.run(["echoscu", "127.0.0.1", str(port)], check=True, timeout=30)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: uid.name)
def test_a_data_set_is_spooled_byte_for_byte_in_every_transfer_syntax(spool, tmp_path, syntax):
    ds = encode(view_dataset(rows=700), syntax)
    source = write(ds, tmp_path / "a.dcm")

    with listening(spool) as (port, told):
        if syntax in STORESCU:
            storescu(port, STORESCU[syntax], files=[source])
        else:
            assert send(port, source) == StorageStatus.SUCCESS

    [path] = spool.instances(hashed(ds.StudyInstanceUID))
    meta, _ = split_dataset(path)
    assert meta.TransferSyntaxUID == syntax
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert data_set_bytes(path) == data_set_bytes(source)
    assert [t.path for t in told] == [path]
    assert incoming(spool) == []


@pytest.mark.parametrize(
    ("label", "written"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
    ],
)
def test_a_data_set_in_another_encoding_than_its_context_is_taken_and_read_as_it_is(
    spool, tmp_path, label, written
):
    ds = view_dataset(rows=60, columns=40)
    source = tmp_path / "a.dcm"
    source.write_bytes(labelled(ds, label, written))

    with listening(spool) as (port, _):
        assert send(port, source) == StorageStatus.SUCCESS

    [path] = spool.instances(hashed(ds.StudyInstanceUID))
    assert data_set_bytes(path) == data_set_bytes(source)
    mammogram = read_instance(path)
    assert mammogram.transfer_syntax_uid == written
    assert (stored_codes(mammogram)[0] == stored_values(ds)).all()


@pytest.mark.parametrize("label", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_is_a_data_set_in_no_encoding_is_refused(spool, tmp_path, label):
    ds = view_dataset(rows=60, columns=40)
    source = tmp_path / "a.dcm"
    whole = labelled(ds, label, label)
    start = 144 + int.from_bytes(whole[140:144], "little")
    source.write_bytes(whole[:start] + bytes(range(255, 0, -1)) * 20)

    with listening(spool) as (port, _):
        assert send(port, source) == StorageStatus.CANNOT_UNDERSTAND

    assert spool.studies() == []


def test_an_exam_over_parallel_associations_arrives_whole(spool, tmp_path):
    exams = [write_exam(tmp_path / str(n), seed=n) for n in range(2)]
    with listening(spool) as (port, told):
        threads = [
            threading.Thread(target=storescu, args=(port, "-xe"), kwargs={"files": exam})
            for exam in exams
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(len(spool.instances(study)) for study in spool.studies()) == [4, 4]
    assert len(told) == 8


def test_a_re_sent_instance_is_recognised(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    with listening(spool) as (port, told):
        storescu(port, "-xe", files=[source, source])
    assert [t.received for t in told] == [Received.STORED, Received.ALREADY_HERE]
    assert len(spool.instances(told[0].study_key)) == 1


def test_unknown_ae_titles_are_refused_with_the_reason(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    options = {"calling_ae_titles": ("MODALITY",), "check_called_ae_title": True}
    with listening(spool, **options) as (port, _):
        calling = storescu(port, "-aet", "STRANGER", "-aec", "CADNODE", files=[source], check=False)
        called = storescu(port, "-aet", "MODALITY", "-aec", "OTHER", files=[source], check=False)
        right = storescu(port, "-aet", "MODALITY", "-aec", "CADNODE", files=[source])
    assert "Calling AE Title Not Recognized" in calling.stdout + calling.stderr
    assert "Called AE Title Not Recognized" in called.stdout + called.stderr
    assert right.returncode == 0
    assert len(spool.studies()) == 1


def test_a_disk_without_room_answers_out_of_resources_and_stores_nothing(tmp_path):
    spool = Spool(tmp_path / "spool", min_free_bytes=1 << 60)
    source = write(view_dataset(), tmp_path / "a.dcm")
    with listening(spool) as (port, told):
        assert send(port, source) == StorageStatus.OUT_OF_RESOURCES
    assert (spool.studies(), told, incoming(spool)) == ([], [], [])


def test_a_disk_that_fills_up_midway_answers_out_of_resources(spool, tmp_path, monkeypatch):
    source = write(view_dataset(), tmp_path / "a.dcm")

    def full(self, data):
        raise OSError(28, "no space")

    with listening(spool) as (port, told):
        monkeypatch.setattr("cadnode.receive.spool.Incoming.write", full)
        assert send(port, source) == StorageStatus.OUT_OF_RESOURCES
        monkeypatch.undo()
        assert incoming(spool) == []
        assert send(port, source) == StorageStatus.SUCCESS
    assert len(told) == 1


@pytest.mark.parametrize("keyword", ["MediaStorageSOPInstanceUID", "MediaStorageSOPClassUID"])
def test_a_data_set_that_is_another_than_announced_is_refused(spool, tmp_path, keyword):
    ds = view_dataset()
    source = write(ds, tmp_path / "a.dcm")
    announced = FileMetaDataset()
    announced.update(ds.file_meta)
    setattr(announced, keyword, MammographyCADSRStorage)
    other = b"\0" * 128 + b"DICM" + encode_file_meta(announced) + data_set_bytes(source)
    source.write_bytes(other)
    with listening(spool) as (port, told):
        assert send(port, source) == StorageStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    assert (spool.studies(), told, incoming(spool)) == ([], [], [])


def test_an_object_without_study_is_not_understood(spool, tmp_path):
    source = write(view_dataset(StudyInstanceUID=None), tmp_path / "a.dcm")
    with listening(spool) as (port, told):
        assert send(port, source) == StorageStatus.CANNOT_UNDERSTAND
    assert (spool.studies(), told, incoming(spool)) == ([], [], [])


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        os.urandom(5000),
        b"\x01\x00\xff\xff\xff\xff" + b"\0" * 100,
        b"\x04\x00\x00\x00\x00\x10" + b"\0" * 16,
    ],
    ids=["nothing", "http", "random", "huge length", "data before association"],
)
def test_garbage_on_the_port_does_not_stop_the_node(spool, tmp_path, noise):
    source = write(view_dataset(), tmp_path / "a.dcm")
    with (
        listening(spool, network_timeout_s=5) as (port, told),
        socket.create_connection(("127.0.0.1", port), timeout=10) as peer,
    ):
        peer.sendall(noise)
        assert send(port, source) == StorageStatus.SUCCESS
    assert len(told) == 1


def test_a_connection_that_says_nothing_is_cut(spool):
    with (
        listening(spool, network_timeout_s=0.5) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as peer,
    ):
        peer.sendall(b"\x01\x00\x00")
        assert wait_until(lambda: peer.recv(64) == b"")


def test_a_notice_that_fails_does_not_fail_the_response(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")

    def fail(stored):
        raise RuntimeError("the database is away")

    with scp.serve(scp.ScpConfig(port=0), spool, fail) as listener:
        assert send(listener.port, source) == StorageStatus.SUCCESS
        assert send(listener.port, source) == StorageStatus.SUCCESS


def test_a_port_in_use_is_a_settings_error(spool):
    with (
        listening(spool) as (port, _),
        pytest.raises(SettingsError, match="cannot listen"),
        scp.serve(scp.ScpConfig(port=port), spool, lambda stored: None),
    ):
        pass


LISTENER = """
import sys
from pathlib import Path
from cadnode.receive import scp
from cadnode.receive.spool import Spool
with scp.serve(scp.ScpConfig(port=int(sys.argv[2])), Spool(Path(sys.argv[1])), lambda s: None):
    sys.stdin.read()
"""


def half_an_object(port, source):
    """(association in the middle of a C-STORE, half of the data set sent; its socket)."""
    meta, _ = split_dataset(source)
    ae = AE("TEST")
    ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = meta.MediaStorageSOPClassUID
    request.AffectedSOPInstanceUID = meta.MediaStorageSOPInstanceUID
    request.DataSet = BytesIO(data_set_bytes(source))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(assoc.accepted_contexts[0].context_id, 4096))
    for part in parts[: len(parts) // 2]:
        assoc.dul.send_pdu(part)
    return assoc, assoc.dul.socket.socket


def test_kill_9_in_the_middle_of_a_transfer_leaves_no_half_file(tmp_path):
    root, port = tmp_path / "spool", free_port()
    source = write(view_dataset(rows=2000, columns=1500), tmp_path / "a.dcm")
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(root), str(port)],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port)
        assoc, connection = half_an_object(port, source)
        wait_until(lambda: any(p.stat().st_size > 10_000 for p in (root / "incoming").iterdir()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    assoc.abort()
    connection.close()  # pynetdicom only shuts it down
    spool = Spool(root)
    assert spool.studies() == []
    assert len(incoming(spool)) == 1
    with listening(spool) as (again, _):
        assert incoming(spool) == []
        assert send(again, source) == StorageStatus.SUCCESS
    assert len(spool.studies()) == 1


def test_a_sender_that_goes_away_midway_leaves_nothing(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    with listening(spool) as (port, told):
        assoc, connection = half_an_object(port, source)
        wait_until(lambda: incoming(spool))
        assoc.abort()
        connection.close()  # pynetdicom only shuts it down
        wait_until(lambda: not incoming(spool))
    assert (spool.studies(), told) == ([], [])
