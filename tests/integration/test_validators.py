"""What outside validators and a real archive say of the objects we make."""

import re
from pathlib import Path

import pytest
from pydicom import config

from cadnode.report.objects import write_objects
from tests import validators
from tests.peers import orthanc
from tests.report_cases import OUTCOMES, digital_exam, film_exam, objects_of

EXAMS = {"film": film_exam, "digital": digital_exam}
CASES = [(kind, outcome) for kind in EXAMS for outcome in OUTCOMES]


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


@pytest.mark.parametrize("outcome", ["findings", "partial", "systems", "marked"])  # all groups
def test_pixelmed_finds_the_template_kept(
    written: dict[tuple[str, str], list[Path]], outcome: str
) -> None:
    assert validators.pixelmed(written["digital", outcome][0]) == []


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
