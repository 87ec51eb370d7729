"""The whole way: storescu → listener → worker → Orthanc, once, whatever happens in between."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from tests.integration.node import running_node, wait_until
from tests.synthetic import IDENTIFIERS, MARK, encode, view_dataset, write, write_exam

N_OBJECTS = 5  # one SR and four heat maps


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path / "orthanc") as running:
        yield running


def headers(archive: DemoArchive) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in archive.instances()]


def test_four_views_come_back_as_one_report_and_four_heat_maps_once_also_when_sent_twice(
    tmp_path: Path, archive: DemoArchive
) -> None:
    exam = write_exam(tmp_path / "exam")
    sent = {pydicom.dcmread(p, stop_before_pixels=True).StudyInstanceUID for p in exam}
    with running_node(tmp_path, archive) as node:
        node.send(*exam)
        wait_until(lambda: archive.count() >= N_OBJECTS, "SR and heat maps in the archive")
        node.send(*exam)
        wait_until(lambda: node.log.count('"already_here"') == 4, "the exam is recognised")
        wait_until(node.is_idle, "nothing is left to do")
        assert archive.count() == N_OBJECTS
        assert node.events("study_read") == 1
    received = headers(archive)
    assert {h.StudyInstanceUID for h in received} == sent
    assert sorted(h.Modality for h in received) == ["OT", "OT", "OT", "OT", "SR"]


def test_a_node_killed_in_between_delivers_once_and_repeats_no_finished_step(
    tmp_path: Path, archive: DemoArchive
) -> None:
    exam = write_exam(tmp_path / "exam")
    with running_node(tmp_path, archive) as node:
        node.send(*exam[:2])
        node.kill()  # half received
        node.start()
        node.send(*exam[2:])
        wait_until(lambda: node.events("study_read") == 1, "the study is read")
        node.kill()  # read, perhaps not yet reported
        node.start()
        wait_until(lambda: archive.count() >= N_OBJECTS, "SR and heat maps in the archive")
        wait_until(lambda: node.jobs("deliver") == 1, "the delivery has ended")
        workers = node.events("working")
        node.kill()  # delivered
        node.start()
        node.send(*exam)
        wait_until(lambda: node.log.count('"already_here"') == 4, "the exam is recognised")
        wait_until(lambda: node.events("working") > workers, "the worker is up again")
        wait_until(node.is_idle, "nothing is left to do")
        assert archive.count() == N_OBJECTS
        # The step that was under way when the node was killed may run twice, a finished one never.
        assert node.events("study_read") <= 2


def test_a_later_view_makes_a_new_report_that_names_the_old_one(
    tmp_path: Path, archive: DemoArchive
) -> None:
    exam = write_exam(tmp_path / "exam")
    with running_node(tmp_path, archive) as node:
        node.send(*exam[:3])
        wait_until(lambda: archive.count() == 4, "a report on three views")
        node.send(exam[3])
        wait_until(lambda: node.jobs("deliver") == 2, "a report on four views")
    reports = [h for h in headers(archive) if h.Modality == "SR"]
    assert len(reports) == 2
    (newer,) = [h for h in reports if "PredecessorDocumentsSequence" in h]
    named = newer.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    (older,) = [h for h in reports if h is not newer]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == older.SOPInstanceUID


def test_a_study_that_cannot_be_read_is_reported_with_the_reason_and_the_node_keeps_running(
    tmp_path: Path, archive: DemoArchive
) -> None:
    broken = view_dataset("L", "CC", seed=7)
    broken = encode(broken, "1.2.840.10008.1.2.5")  # RLE
    frame = bytearray(broken.PixelData)
    frame[80:] = bytes(len(frame) - 80)
    broken.PixelData = bytes(frame)
    with running_node(tmp_path, archive) as node:
        node.send(write(broken, tmp_path / "broken.dcm"), options=("-xr",))
        wait_until(lambda: archive.count() == 1, "a report that says why")
        node.send(*write_exam(tmp_path / "exam"))
        wait_until(lambda: archive.count() == 1 + N_OBJECTS, "the next study is read")
    assert "Traceback" not in node.log


def test_another_modality_is_refused_and_nothing_is_reported(
    tmp_path: Path, archive: DemoArchive
) -> None:
    ct = view_dataset("L", "CC", seed=9)
    ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ct.Modality = "CT"
    with running_node(tmp_path, archive) as node:
        with pytest.raises(Exception, match="storescu"):
            node.send(write(ct, tmp_path / "ct.dcm"))
        assert node.answers()
    assert archive.count() == 0


def test_no_identifier_reaches_logs_or_the_job_database(
    tmp_path: Path, archive: DemoArchive
) -> None:
    exam = write_exam(tmp_path / "exam")
    with running_node(tmp_path, archive) as node:
        node.send(*exam)
        wait_until(lambda: archive.count() == N_OBJECTS, "SR and heat maps in the archive")
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.sqlite")) as database:
        dump = "\n".join(database.iterdump())
    study_uid = str(pydicom.dcmread(exam[0], stop_before_pixels=True).StudyInstanceUID)
    for identifier in (*IDENTIFIERS, MARK, study_uid):
        assert identifier not in node.log
        assert identifier not in dump
