"""Whose images, over the network: corrected, rejected and mixed-up studies in a running node."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from cadnode.demo.archive import DemoArchive, find_orthanc, with_orthanc
from tests.integration.node import Node, running_node, views_alone, wait_until
from tests.rejection import note
from tests.synthetic import uid, view_dataset, write

VIEWS = (("R", "CC"), ("R", "MLO"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoArchive]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with with_orthanc(executable, tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: DemoArchive) -> Iterator[Node]:
    """One for all tests, each with a study of its own."""
    folder = tmp_path_factory.mktemp("node")
    views_alone(folder / "data")
    with running_node(folder, archive) as started:
        yield started


def reports(archive: DemoArchive, image: Dataset) -> list[Dataset]:
    """The structured reports that the archive has of an image's study."""
    found = (pydicom.dcmread(BytesIO(d), stop_before_pixels=True) for d in archive.instances())
    return [
        ds for ds in found
        if ds.Modality == "SR" and ds.StudyInstanceUID == image.StudyInstanceUID
    ]  # fmt: skip


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
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    wrong = [
        view_dataset(*v, seed=1, PatientID="WRONG-1", PatientName="Wrong^Wanda") for v in VIEWS
    ]
    right = [view_dataset(*v, seed=1, PatientID="RIGHT-2", PatientName="Right^Rita") for v in VIEWS]
    node.send(*sent(tmp_path, "wrong", *wrong))
    wait_until(lambda: len(reports(archive, wrong[0])) == 1, "a report")
    node.send(*sent(tmp_path, "right", *right))
    wait_until(lambda: len(reports(archive, right[0])) == 2, "a report of the right patient")
    wait_until(node.is_idle, "nothing is left to do")
    old, new = sorted(reports(archive, right[0]), key=lambda ds: len(named_by(ds)))
    assert (old.PatientID, new.PatientID) == ("WRONG-1", "RIGHT-2")
    assert named_by(new) == {str(old.SOPInstanceUID)}


def test_a_rejection_note_renews_the_report_and_then_withdraws_it(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    good, mlo = (view_dataset(*v, seed=2) for v in VIEWS)
    bad = view_dataset(
        "R", "CC", seed=2, SOPInstanceUID=uid("bad"), AcquisitionTime="235959", rows=640
    )
    node.send(*sent(tmp_path, "exam", good, mlo, bad))
    wait_until(lambda: len(reports(archive, good)) == 1, "a report")
    node.send(*sent(tmp_path, "note", note([bad], "113001")))
    wait_until(lambda: len(reports(archive, good)) == 2, "a renewed report")
    node.send(*sent(tmp_path, "all", note([good, mlo], "113037")))
    wait_until(lambda: len(reports(archive, good)) == 3, "a report that withdraws")
    found = reports(archive, good)
    first, second, third = sorted(found, key=lambda ds: _place(ds, found))
    assert named_by(second) == {str(first.SOPInstanceUID)}
    assert named_by(third) == {str(second.SOPInstanceUID)}
    assert "rejected" in str(third).lower()
    assert "CAD_SCORE" not in str(third)


def test_a_study_of_two_patients_has_a_report_for_each_and_none_shows_the_other(
    tmp_path: Path, archive: DemoArchive, node: Node
) -> None:
    ann = [
        view_dataset("R", v, seed=3, PatientID="A-111 ", PatientName="Alfa^Ann")
        for v in ("CC", "MLO")
    ]
    bea = [
        view_dataset("L", v, seed=3, PatientID="B-222", PatientName="Beta^Bea")
        for v in ("CC", "MLO")
    ]
    node.send(*sent(tmp_path, "both", *ann, *bea))
    wait_until(lambda: len(reports(archive, ann[0])) == 2, "a report for each")
    wait_until(node.is_idle, "nothing is left to do")
    of = {str(ds.PatientID).strip(): images_of(ds) for ds in reports(archive, ann[0])}
    assert of == {
        "A-111": {str(ds.SOPInstanceUID) for ds in ann},
        "B-222": {str(ds.SOPInstanceUID) for ds in bea},
    }


def _place(report: Dataset, found: list[Dataset]) -> int:
    """How many reports come before this one."""
    by_uid = {str(ds.SOPInstanceUID): ds for ds in found}
    place = 0
    while names := named_by(report):
        (name,) = names
        report, place = by_uid[name], place + 1
    return place
