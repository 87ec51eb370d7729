"""Who made an object, with what, in place of which one: of every kind."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from cadnode import __version__
from cadnode.domain import ExamResult
from cadnode.report import codes
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import STRUCTURED, ObjectKind, kind_of
from tests.cad_cases import DETECTOR, cad_result
from tests.report_cases import MADE_AT, MODEL, digital_exam, image_of

KINDS = list(ObjectKind)
DOCUMENTS = [kind for kind in KINDS if kind in STRUCTURED]
PDF = b"%PDF-1.4\n%%EOF"
RESULT = cad_result(digital_exam(), "pairs")


def made(folder: Path, result: ExamResult = RESULT, **options: Any) -> dict[ObjectKind, Path]:
    """One file of every kind that the result has."""
    exam = digital_exam()
    folder.mkdir(exist_ok=True)
    given = {"made_at": MADE_AT, "longest_side": 96, "small_side": 64, "pdf": lambda: PDF}
    kinds = frozenset(ObjectKind)
    objects = make_objects(exam, result, partial(image_of, exam), kinds=kinds, **(given | options))
    found = {kind_of(path): path for path in write_objects(objects, folder)}
    return {kind: path for kind, path in found.items() if kind is not None}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[ObjectKind, Dataset]:
    paths = made(tmp_path_factory.mktemp("made") / "first")
    return {kind: pydicom.dcmread(path) for kind, path in paths.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_modality_and_this_software_contributed(
    first: dict[ObjectKind, Dataset], kind: ObjectKind
) -> None:
    theirs, ours = first[kind].ContributingEquipmentSequence

    assert theirs.Manufacturer == "Synthetic Imaging"
    assert theirs.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert (ours.Manufacturer, ours.SoftwareVersions) == ("cadnode", __version__)
    assert ours.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert first[kind].Manufacturer == "cadnode"
    assert first[kind].SoftwareVersions == __version__


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_report_names_each_algorithm_with_its_version_and_the_hash_of_its_weights(
    first: dict[ObjectKind, Dataset], kind: ObjectKind
) -> None:
    said = " ".join(str(e.value) for e in first[kind].iterall() if e.keyword == "TextValue")

    for model in RESULT.models:
        assert model.name in said
        assert f"sha256:{model.sha256}" in said, model.name
    assert MODEL.version in said


def test_the_segmentation_names_what_detected_as_the_reports_do(
    first: dict[ObjectKind, Dataset],
) -> None:
    (segment,) = first[ObjectKind.SEGMENTATION].SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence

    told = (algorithm.AlgorithmName, algorithm.AlgorithmVersion, algorithm.AlgorithmParameters)
    assert told == (DETECTOR.name, DETECTOR.version, f"weights=sha256:{DETECTOR.sha256}")
    certainties = [
        item
        for item in walk(first[ObjectKind.MEASUREMENT_SR])
        if item.get("ValueType") == "NUM" and name(item) == codes.CERTAINTY.value
    ]
    algorithms = [{name(i): str(i.TextValue) for i in item.ContentSequence} for item in certainties]
    clusters = [a for a in algorithms if a["111001"] != "cadnode"]
    assert clusters
    assert all((a["111001"], a["111003"]) == told[:2] for a in clusters)


def test_a_segment_has_the_tracking_uid_of_its_findings_group(
    first: dict[ObjectKind, Dataset],
) -> None:
    (segment,) = first[ObjectKind.SEGMENTATION].SegmentSequence

    for kind in (ObjectKind.MEASUREMENT_SR, ObjectKind.CAD_SR, ObjectKind.AI_RESULTS_SR):
        tracked = {str(i.UID): i for i in walk(first[kind]) if i.get("ValueType") == "UIDREF"}
        assert segment.TrackingUID in tracked, kind


def test_the_ai_results_refer_to_segmentations_and_key_objects(
    first: dict[ObjectKind, Dataset],
) -> None:
    report = first[ObjectKind.AI_RESULTS_SR]
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    referred = {
        str(reference.ReferencedSOPInstanceUID)
        for item in walk(report)
        for reference in item.get("ReferencedSOPSequence") or []
    }

    for kind in (ObjectKind.SEGMENTATION, ObjectKind.KEY_OBJECTS):
        assert first[kind].SOPInstanceUID in evidence & referred


def walk(item: Dataset) -> list[Dataset]:
    return [item, *(i for child in item.get("ContentSequence") or [] for i in walk(child))]


def name(item: Dataset) -> str:
    named = item.get("ConceptNameCodeSequence")
    return str(named[0].CodeValue) if named else ""


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_second_reading_names_the_report_of_the_first_that_is_of_its_kind(
    first: dict[ObjectKind, Dataset], kind: ObjectKind, changed: dict[ObjectKind, Dataset]
) -> None:
    (study,) = changed[kind].PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (old,) = series.ReferencedSOPSequence

    assert changed[kind].SOPInstanceUID != first[kind].SOPInstanceUID
    assert old.ReferencedSOPInstanceUID == first[kind].SOPInstanceUID
    assert old.ReferencedSOPClassUID == first[kind].SOPClassUID
    assert series.SeriesInstanceUID == first[kind].SeriesInstanceUID
    assert "PredecessorDocumentsSequence" not in first[kind]


@pytest.fixture(scope="module")
def changed(
    first: dict[ObjectKind, Dataset], tmp_path_factory: pytest.TempPathFactory
) -> dict[ObjectKind, Dataset]:
    """The objects of another reading, which replaces the first."""
    folder = tmp_path_factory.mktemp("changed")
    other = cad_result(digital_exam(), "partial")
    return {
        k: pydicom.dcmread(p)
        for k, p in made(folder, other, predecessors={k: [ds] for k, ds in first.items()}).items()
    }


def test_a_reading_that_says_the_same_is_the_same_object_of_every_kind(
    first: dict[ObjectKind, Dataset], tmp_path: Path
) -> None:
    again = made(tmp_path / "again", predecessors={k: [ds] for k, ds in first.items()})
    fresh = made(tmp_path / "fresh")

    assert set(again) == set(KINDS)
    for kind, path in again.items():
        assert path.read_bytes() == fresh[kind].read_bytes(), kind


def test_the_same_reading_at_another_time_has_the_same_uids_and_other_times(
    first: dict[ObjectKind, Dataset], tmp_path: Path
) -> None:
    later = made(tmp_path / "later", made_at=MADE_AT + timedelta(days=1))

    for kind, path in later.items():
        ds = pydicom.dcmread(path)
        assert ds.SOPInstanceUID == first[kind].SOPInstanceUID
        assert ds.SeriesInstanceUID == first[kind].SeriesInstanceUID
        assert ds.InstanceCreationDate == "20260305"


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_lies_in_the_sources_study_and_in_a_series_of_its_own(
    first: dict[ObjectKind, Dataset], kind: ObjectKind
) -> None:
    source = digital_exam().reference
    assert source is not None

    assert first[kind].StudyInstanceUID == source.StudyInstanceUID
    others = [ds.SeriesInstanceUID for other, ds in first.items() if other is not kind]
    assert first[kind].SeriesInstanceUID not in [source.SeriesInstanceUID, *others]
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "StudyDate", "StudyID"):
        assert first[kind][keyword] == source[keyword]
