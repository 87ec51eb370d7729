"""The whole way: storescu → listener → worker → Orthanc, once, whatever happens in between."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from cadnode.identity.tokens import hash_of, new_token
from cadnode.log import hashed
from tests.integration.node import Node, running_node, wait_until
from tests.synthetic import IDENTIFIERS, MARK, encode, view_dataset, write, write_exam

N_OBJECTS = 5  # one SR and four heat maps
REMOTE = """
[remote]
workers = 1
head_start_s = 300.0
"""
REMOTE_WORKER = """\
[storage]
folder = "{folder}"
min_free_gb = 0.05

[reading]
device = "cpu"

[remote]
url = "http://127.0.0.1:{port}"
token_file = "{token_file}"
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def token() -> str:
    """What a remote worker of these tests' node shows."""
    return new_token()


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory, archive: DemoArchive, token: str
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    tokens = private(folder / "tokens", f"gpu-box:remote-worker:{hash_of(token)}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CADNODE_WEB__TOKENS_FILE", str(tokens))
        with running_node(folder, archive, more=REMOTE) as node:
            yield node


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def node(started: Node) -> Node:
    """The node that these tests share, running and with nothing left to do: a start is long."""
    assert started.process is not None
    if started.process.poll() is not None:  # one of the tests stops it
        started.start()
    wait_until(started.is_idle, "nothing is left to do")
    return started


def headers(archive: DemoArchive, study: Path) -> list[pydicom.Dataset]:
    """Headers of what the archive has of the study that this file is of."""
    wanted = pydicom.dcmread(study, stop_before_pixels=True).StudyInstanceUID
    found = (pydicom.dcmread(BytesIO(d), stop_before_pixels=True) for d in archive.instances())
    return [ds for ds in found if ds.StudyInstanceUID == wanted]


def test_a_node_killed_in_between_delivers_once_and_repeats_no_finished_step(
    tmp_path: Path, archive: DemoArchive
) -> None:
    exam = write_exam(tmp_path / "exam", seed=2)
    before = archive.count()
    with running_node(tmp_path, archive) as node:
        node.send(*exam[:2])
        node.kill()  # half received
        node.start()
        node.send(*exam[2:])
        wait_until(lambda: node.events("study_read") == 1, "the study is read", at_most_s=0.05)
        node.kill()  # read, perhaps not yet reported
        node.start()
        wait_until(lambda: archive.count() >= before + N_OBJECTS, "SR and heat maps in the archive")
        wait_until(lambda: node.jobs("deliver") == 1, "the delivery has ended")
        workers = node.events("working")
        node.kill()  # delivered
        node.start()
        node.send(*exam)
        wait_until(lambda: node.log.count('"already_here"') == 4, "the exam is recognised")
        wait_until(lambda: node.events("working") > workers, "the worker is up again")
        wait_until(node.is_idle, "nothing is left to do")
        assert archive.count() == before + N_OBJECTS
        # The step that was under way when the node was killed may run twice, a finished one never.
        assert node.events("study_read") <= 2


def test_four_views_come_back_as_one_report_and_four_heat_maps_once_also_when_sent_twice(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    exam = write_exam(tmp_path / "exam", seed=1)
    before, n_read, n_known = archive.count(), node.events("study_read"), _known(node)
    node.send(*exam)
    wait_until(lambda: archive.count() >= before + N_OBJECTS, "SR and heat maps in the archive")
    node.send(*exam)
    wait_until(lambda: _known(node) == n_known + 4, "the exam is recognised")
    wait_until(node.is_idle, "nothing is left to do")
    assert archive.count() == before + N_OBJECTS
    assert node.events("study_read") == n_read + 1
    received = headers(archive, exam[0])
    assert sorted(h.Modality for h in received) == ["OT", "OT", "OT", "OT", "SR"]


def _known(node: Node) -> int:
    return node.log.count('"already_here"')


def test_a_later_view_makes_a_new_report_that_names_the_old_one(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    exam = write_exam(tmp_path / "exam", seed=3)
    before, n_delivered = archive.count(), node.jobs("deliver")
    node.send(*exam[:3])
    wait_until(lambda: archive.count() == before + 4, "a report on three views")
    node.send(exam[3])
    wait_until(lambda: node.jobs("deliver") == n_delivered + 2, "a report on four views")
    reports = [h for h in headers(archive, exam[0]) if h.Modality == "SR"]
    assert len(reports) == 2
    (newer,) = [h for h in reports if "PredecessorDocumentsSequence" in h]
    named = newer.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    (older,) = [h for h in reports if h is not newer]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == older.SOPInstanceUID


def test_a_study_that_cannot_be_read_is_reported_with_the_reason_and_the_node_keeps_running(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    broken = view_dataset("L", "CC", seed=7)
    broken = encode(broken, "1.2.840.10008.1.2.5")  # RLE
    frame = bytearray(broken.PixelData)
    frame[80:] = bytes(len(frame) - 80)
    broken.PixelData = bytes(frame)
    before = archive.count()
    node.send(write(broken, tmp_path / "broken.dcm"), options=("-xr",))
    wait_until(lambda: archive.count() == before + 1, "a report that says why")
    node.send(*write_exam(tmp_path / "exam", seed=4))
    wait_until(lambda: archive.count() == before + 1 + N_OBJECTS, "the next study is read")
    assert "Traceback" not in node.log


def test_another_modality_is_refused_and_nothing_is_reported(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    ct = view_dataset("L", "CC", seed=9)
    ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ct.Modality = "CT"
    before = archive.count()
    with pytest.raises(Exception, match="storescu"):
        node.send(write(ct, tmp_path / "ct.dcm"))
    assert node.answers()
    wait_until(node.is_idle, "nothing is left to do")
    assert archive.count() == before


@contextmanager
def remote_worker(folder: Path, node: Node, token: str) -> Iterator[Path]:
    """A remote worker, which shares an address and a token with the node; gives its log."""
    own, config, log = folder / "worker", folder / "worker.toml", folder / "worker.log"
    file = private(folder / "token", f"{token}\n")
    config.write_text(REMOTE_WORKER.format(folder=own, port=node.web_port, token_file=file))
    command = [sys.executable, "-m", "cadnode", "serve", "--role", "remote-worker"]
    with log.open("wb") as output:
        worker = subprocess.Popen([*command, "--config", str(config)], stdout=output, stderr=output)
        try:
            yield log
        finally:
            worker.terminate()
            assert worker.wait(60) == 0
    assert not list(own.rglob("*.dcm"))


def test_an_exam_is_read_by_a_remote_worker_and_reported_by_its_node(
    tmp_path: Path, archive: DemoArchive, node: Node, token: str
) -> None:
    data, exam = node.folder / "data", write_exam(tmp_path / "exam", seed=11)[:2]
    before, n_delivered = archive.count(), node.jobs("deliver")
    with remote_worker(tmp_path, node, token) as log:
        wait_until(lambda: any((data / "remote").glob("seen/*")), "it asks for exams")
        node.send(*exam)
        wait_until(lambda: node.jobs("deliver") > n_delivered, "the report is delivered")
        wait_until(node.is_idle, "nothing is left to do")
    assert archive.count() == before + 3  # SR and two heat maps
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["count"] for line in lines if line["event"] == "study_read"] == [1]
    study = hashed(str(pydicom.dcmread(exam[0], stop_before_pixels=True).StudyInstanceUID))
    way = (data / "way" / f"{study}.jsonl").read_text().splitlines()
    (seen,) = data.glob("remote/seen/*.json")
    assert [json.loads(line)["who"] for line in way if '"read"' in line] == [seen.stem]
    trail = "".join(path.read_text() for path in data.glob("audit/*.jsonl"))
    recorded = [json.loads(line) for line in trail.splitlines() if '"gpu-box"' in line]
    assert [one["action"] for one in recorded] == ["study exported", "study read"]
    assert not list(data.glob("remote/*-*.*"))
    seen.unlink()  # or the node would wait for it to come back


def test_no_identifier_reaches_logs_or_the_job_database(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    exam = write_exam(tmp_path / "exam", seed=5)
    before = archive.count()
    node.send(*exam)
    wait_until(lambda: archive.count() == before + N_OBJECTS, "SR and heat maps in the archive")
    node.stop()
    with closing(sqlite3.connect(node.folder / "data" / "jobs.sqlite")) as database:
        dump = "\n".join(database.iterdump())
    study_uid = str(pydicom.dcmread(exam[0], stop_before_pixels=True).StudyInstanceUID)
    for identifier in (*IDENTIFIERS, MARK, study_uid):
        assert identifier not in node.log
        assert identifier not in dump
