"""Whose images, over the network: corrected, rejected and mixed-up studies in a running node."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from tests.integration.node import running_node, wait_until
from tests.rejection import note
from tests.synthetic import uid, view_dataset, write

VIEWS = (("R", "CC"), ("R", "MLO"))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path / "orthanc") as running:
        yield running


def reports(archive: DemoArchive) -> list[Dataset]:
    """The structured reports in the archive."""
    found = [
        pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in archive.instances()
    ]
    return [ds for ds in found if ds.Modality == "SR"]


def named_by(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the documents that a report replaces."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def images_of(report: Dataset) -> set[str]:
    """SOP Instance UIDs of all that a report refers to."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence", ())
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def sent(folder: Path, name: str, *images: Dataset) -> list[Path]:
    return [write(ds, folder / f"{name}-{n}.dcm") for n, ds in enumerate(images)]


def test_a_corrected_patient_has_a_new_report_that_names_the_old_one(
    tmp_path: Path, archive: DemoArchive
) -> None:
    wrong = [view_dataset(*v, PatientID="WRONG-1", PatientName="Wrong^Wanda") for v in VIEWS]
    right = [view_dataset(*v, PatientID="RIGHT-2", PatientName="Right^Rita") for v in VIEWS]
    with running_node(tmp_path, archive) as node:
        node.send(*sent(tmp_path, "wrong", *wrong))
        wait_until(lambda: len(reports(archive)) == 1, "a report")
        node.send(*sent(tmp_path, "right", *right))
        wait_until(lambda: len(reports(archive)) == 2, "a report of the right patient")
        wait_until(node.is_idle, "nothing is left to do")
    old, new = sorted(reports(archive), key=lambda ds: len(named_by(ds)))
    assert (old.PatientID, new.PatientID) == ("WRONG-1", "RIGHT-2")
    assert named_by(new) == {str(old.SOPInstanceUID)}
    assert len(reports(archive)) == 2


def test_a_rejection_note_renews_the_report_and_then_withdraws_it(
    tmp_path: Path, archive: DemoArchive
) -> None:
    good, mlo = (view_dataset(*v) for v in VIEWS)
    bad = view_dataset("R", "CC", SOPInstanceUID=uid("bad"), AcquisitionTime="235959", rows=640)
    with running_node(tmp_path, archive) as node:
        node.send(*sent(tmp_path, "exam", good, mlo, bad))
        wait_until(lambda: len(reports(archive)) == 1, "a report")
        node.send(*sent(tmp_path, "note", note([bad], "113001")))
        wait_until(lambda: len(reports(archive)) == 2, "a renewed report")
        node.send(*sent(tmp_path, "all", note([good, mlo], "113037")))
        wait_until(lambda: len(reports(archive)) == 3, "a report that withdraws")
    first, second, third = sorted(reports(archive), key=lambda ds: _place(ds, archive))
    assert named_by(second) == {str(first.SOPInstanceUID)}
    assert named_by(third) == {str(second.SOPInstanceUID)}
    assert "rejected" in str(third).lower()
    assert "CAD_SCORE" not in str(third)


def test_a_study_of_two_patients_has_a_report_for_each_and_none_shows_the_other(
    tmp_path: Path, archive: DemoArchive
) -> None:
    ann = [view_dataset("R", v, PatientID="A-111 ", PatientName="Alfa^Ann") for v in ("CC", "MLO")]
    bea = [view_dataset("L", v, PatientID="B-222", PatientName="Beta^Bea") for v in ("CC", "MLO")]
    with running_node(tmp_path, archive) as node:
        node.send(*sent(tmp_path, "both", *ann, *bea))
        wait_until(lambda: len(reports(archive)) == 2, "a report for each")
        wait_until(node.is_idle, "nothing is left to do")
    of = {str(ds.PatientID).strip(): images_of(ds) for ds in reports(archive)}
    assert of == {
        "A-111": {str(ds.SOPInstanceUID) for ds in ann},
        "B-222": {str(ds.SOPInstanceUID) for ds in bea},
    }


def _place(report: Dataset, archive: DemoArchive) -> int:
    """How many reports come before this one."""
    by_uid = {str(ds.SOPInstanceUID): ds for ds in reports(archive)}
    place = 0
    while names := named_by(report):
        (name,) = names
        report, place = by_uid[name], place + 1
    return place
