"""What outside validators and a real archive say of the objects we make."""

import re
from pathlib import Path

import pytest
from pydicom import config

from cadnode.report.objects import write_objects
from tests import validators
from tests.cad_cases import CAD_OUTCOMES, cad_of
from tests.peers import orthanc
from tests.report_cases import OUTCOMES, digital_exam, film_exam, objects_of

EXAMS = {"film": film_exam, "digital": digital_exam}
CASES = [(kind, outcome) for kind in EXAMS for outcome in OUTCOMES]
CAD_CASES = [(kind, outcome) for kind in EXAMS for outcome in CAD_OUTCOMES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Path]]:
    """Files of every exam and outcome."""
    folder = tmp_path_factory.mktemp("objects")
    return {
        (kind, outcome): write_objects(
            objects_of(EXAMS[kind](), outcome), folder / f"{kind}-{outcome}"
        )
        for kind, outcome in CASES
    }


@pytest.fixture(scope="module")
def cad_reports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A CAD report of every exam and outcome."""
    folder = tmp_path_factory.mktemp("cad")
    with config.disable_value_validation():
        return {
            (kind, outcome): write_objects(
                [cad_of(EXAMS[kind](), outcome)], folder / f"{kind}-{outcome}"
            )[0]
            for kind, outcome in CAD_CASES
        }


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_dciodvfy_finds_nothing_but_documented_false_alarms(
    written: dict[tuple[str, str], list[Path]], case: tuple[str, str]
) -> None:
    for path in written[case]:
        assert validators.dciodvfy(path) == [], path.name


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_dcmtk_reads_the_report_without_a_complaint(
    written: dict[tuple[str, str], list[Path]], case: tuple[str, str]
) -> None:
    assert validators.dsrdump(written[case][0]) == []


@pytest.mark.parametrize("case", CAD_CASES, ids="-".join)
def test_dciodvfy_and_dcmtk_take_the_cad_report(
    cad_reports: dict[tuple[str, str], Path], case: tuple[str, str]
) -> None:
    assert validators.dciodvfy(cad_reports[case]) == []
    assert validators.dsrdump(cad_reports[case]) == []


def test_dcmtk_renders_the_cad_report_and_finds_the_images_behind_its_references(
    cad_reports: dict[tuple[str, str], Path],
) -> None:
    page = validators.dsr2html(cad_reports["digital", "pairs"])

    anchors = set(re.findall(r'<a name="(content_item_\d+)"', page))
    links = re.findall(r'<a href="#(content_item_\d+)"', page)
    assert "Mammography CAD Report" in page
    assert "Fine pleomorphic calcification" in page
    assert len(anchors) == 4  # the images of the library
    assert set(links) == anchors


@pytest.mark.parametrize("kind", EXAMS)
def test_patient_and_study_agree_with_the_source(
    written: dict[tuple[str, str], list[Path]], kind: str, tmp_path: Path
) -> None:
    source = tmp_path / "source.dcm"
    with config.disable_value_validation():
        header = EXAMS[kind]().reference
        header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        header.save_as(source, enforce_file_format=True)

    assert validators.dcentvfy([source, *written[kind, "findings"]]) == []


def test_orthanc_takes_one_reading_twice_and_has_it_once(
    written: dict[tuple[str, str], list[Path]], tmp_path: Path
) -> None:
    paths = written["digital", "findings"]

    with orthanc(tmp_path / "archive") as archive:
        for path in [*paths, *paths]:
            archive.post("/instances", path.read_bytes())
        statistics = archive.get("/statistics")
        (study,) = archive.get("/studies?expand")

    assert statistics["CountInstances"] == 5
    assert statistics["CountSeries"] == 2
    assert study["PatientMainDicomTags"]["PatientName"] == "Müller^Änne"


def test_every_documented_false_alarm_is_one_that_is_filtered() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dicom-objects.md").read_text(encoding="utf-8")

    for alarm in validators.FALSE_ALARMS:
        assert alarm.documented in page
        assert re.compile(alarm.pattern)
