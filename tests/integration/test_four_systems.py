"""All four systems on one exam, and a region that a radiologist marked later."""

import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pydicom
import pytest
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.demo.archive import find_orthanc, with_orthanc
from cadnode.demo.exam import DemoExam, write_exam
from cadnode.domain import System
from tests.integration.node import running_node, wait_until
from tests.integration.test_read_command import SCHEMA
from tests.synthetic import uid

pytestmark = pytest.mark.usefixtures("models_loaded_once")
SYSTEMS = {system.value for system in System}


def algorithms(document: Dataset) -> set[str]:
    """Values of every Algorithm Name (111001, DCM) in a report's tree."""
    found = set()
    for item in document.get("ContentSequence", ()):
        concept = item.get("ConceptNameCodeSequence", [Dataset()])[0]
        if concept.get("CodeValue") == "111001":
            found.add(item.TextValue)
        found |= algorithms(item)
    return found


Reading = Callable[[str], Path]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> DemoExam:
    """Drawn once: it takes five seconds."""
    return write_exam(tmp_path_factory.mktemp("phantom") / "exam", "phantom")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory, phantom: DemoExam) -> Reading:
    """The folder that `cadnode read` fills from an exam of that kind, read once."""

    @cache
    def folder_of(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        exam = phantom if kind == "phantom" else write_exam(folder / "exam", kind)
        words = ["read", str(exam.files[0].parent), "--out", str(folder / "out")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return folder / "out"

    return folder_of


@pytest.mark.parametrize("kind", ["phantom", "malignant", "benign"])
def test_one_reading_has_findings_of_all_four_systems(read: Reading, kind: str) -> None:
    out = read(kind)

    document: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    jsonschema.validate(document, SCHEMA)
    assert {s["system"] for s in document["systems"] if s["active"]} == SYSTEMS
    said = {a["system"]: a["algorithm"] for f in document["findings"] for a in f["assessments"]}
    assert set(said) == SYSTEMS
    report = pydicom.dcmread(out / "sr.dcm")
    assert set(said.values()) <= algorithms(report)


def test_planted_calcifications_are_found_and_assessed(read: Reading, phantom: DemoExam) -> None:
    document = json.loads((read("phantom") / "result.json").read_bytes())
    names = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID: p for p in phantom.files}
    clusters = [f for f in document["findings"] if f["kind"] == "calcification_cluster"]
    assert any(_is_planted(f, names[f["sop_instance_uid"]]) for f in clusters)


def _is_planted(finding: dict[str, Any], file: Path) -> bool:
    """Whether a finding's centre lies in a lesion that the truth file has for its view."""
    header = pydicom.dcmread(file, stop_before_pixels=True)
    truth = json.loads((file.parent.parent / f"{file.parent.name}.truth.json").read_bytes())
    row0, col0, row1, col1 = finding["box"]
    row, col = (row0 + row1) / 2, (col0 + col1) / 2
    return any(
        lesion["box"][0] <= row < lesion["box"][2] and lesion["box"][1] <= col < lesion["box"][3]
        for view in truth["views"]
        if (view["laterality"], view["view"]) == (header.ImageLaterality, header.ViewPosition)
        for lesion in view["lesions"]
    )


def marked(image: Dataset, box: tuple[int, int, int, int]) -> Dataset:
    """A radiologist's report: one closed polyline on the image (TID 1410)."""
    row0, col0, row1, col1 = box
    corners = [(col0, row0), (col1, row0), (col1, row1), (col0, row1), (col0, row0)]
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid("mark"), identifier="1"),
        referenced_region=sr.ImageRegion(
            "POLYLINE",
            np.array(corners, np.float64),
            sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
        ),
    )
    person = sr.PersonObserverIdentifyingAttributes(name="Reader^One")
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(sr.ObserverContext(codes.DCM.Person, person)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.ComprehensiveSR(
        evidence=[image], content=content[0], series_instance_uid=uid("marks"), series_number=5,
        sop_instance_uid=uid("marked"), instance_number=1, manufacturer="Some Viewer",
    )  # fmt: skip


def test_a_region_marked_later_is_read_and_answered_by_a_report_that_refers_to_it(
    tmp_path: Path, phantom: DemoExam
) -> None:
    image = pydicom.dcmread(phantom.files[0])
    drawn = tmp_path / "marked.dcm"
    marked(image, (1000, 1300, 1300, 1600)).save_as(drawn)
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with (
        with_orthanc(executable, tmp_path / "orthanc") as archive,
        running_node(tmp_path, archive) as node,
    ):
        node.send(*phantom.files)
        wait_until(lambda: archive.count() >= 5, "the first report and the heat maps")
        node.send(drawn)
        wait_until(lambda: node.events("study_read") == 2, "the study is read again")
        wait_until(lambda: len(_reports(archive)) == 2, "the second report")
        wait_until(node.is_idle, "nothing is left to do")
        reports = _reports(archive)
    newer = next(r for r in reports if "PredecessorDocumentsSequence" in r)
    evidence = newer.CurrentRequestedProcedureEvidenceSequence
    referred = {
        i.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for i in series.ReferencedSOPSequence
    }
    assert pydicom.dcmread(drawn).SOPInstanceUID in referred


def _reports(archive: Any) -> list[Dataset]:
    found = [
        pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in archive.instances()
    ]
    return [ds for ds in found if ds.Modality == "SR"]


def test_a_region_on_the_command_line_is_assessed(tmp_path: Path, phantom: DemoExam) -> None:
    exam, out = phantom.files[0].parent, tmp_path / "out"

    result = CliRunner().invoke(
        app, ["read", str(exam), "--out", str(out), "--roi", "RCC:1000,1300,1300,1600"]
    )

    assert result.exit_code == 0, result.output
    findings = json.loads((out / "result.json").read_bytes())["findings"]
    (first,) = [f for f in findings if f["marked_by"] is not None]
    assert (first["kind"], first["box"]) == ("marked_region", [1000, 1300, 1300, 1600])
    # What is segmented in a region decides whether wang2016 has anything to say of it.
    assert {a["system"] for a in first["assessments"]} >= {"kim2018", "kang2021"}


@pytest.mark.parametrize("text", ["RCC:1,2,3", "nowhere:1,2,3,4", "RCC:50,50,10,10"])
def test_a_region_that_makes_no_sense_is_refused_with_the_way_to_write_it(
    tmp_path: Path, phantom: DemoExam, text: str
) -> None:
    exam = phantom.files[0].parent

    result = CliRunner().invoke(
        app, ["read", str(exam), "--out", str(tmp_path / "o"), "--roi", text]
    )

    assert result.exit_code == 2
    assert "--roi" in result.output
