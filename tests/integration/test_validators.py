"""What outside validators and a real archive say of the objects we make."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import config

from cadnode.report.objects import write_objects
from tests import validators
from tests.peers import find_orthanc, orthanc
from tests.report_cases import OUTCOMES, digital_exam, film_exam, objects_of

EXAMS = {"film": film_exam, "digital": digital_exam}
CASES = [(kind, outcome) for kind in EXAMS for outcome in OUTCOMES]

needs = {
    program: pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
    for program in ("dciodvfy", "dcentvfy", "dsrdump", "java", "storescu")
}


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


@needs["dciodvfy"]
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_dciodvfy_finds_nothing_but_documented_false_alarms(
    written: dict[tuple[str, str], list[Path]], case: tuple[str, str]
) -> None:
    for path in written[case]:
        assert validators.dciodvfy(path) == [], path.name


@needs["dsrdump"]
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_dcmtk_reads_the_report_without_a_complaint(
    written: dict[tuple[str, str], list[Path]], case: tuple[str, str]
) -> None:
    assert validators.dsrdump(written[case][0]) == []


@needs["java"]
@pytest.mark.skipif(not validators.PIXELMED_JAR.exists(), reason="PixelMed is not installed")
@pytest.mark.parametrize("case", [c for c in CASES if c[0] == "digital"], ids="-".join)
def test_pixelmed_finds_the_template_kept(
    written: dict[tuple[str, str], list[Path]], case: tuple[str, str]
) -> None:
    assert validators.pixelmed(written[case][0]) == []


@needs["dcentvfy"]
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


@pytest.fixture(scope="module")
def archive() -> Iterator[object]:
    if find_orthanc() is None:
        pytest.skip("Orthanc is not installed")
    with orthanc() as running:
        yield running


@needs["storescu"]
def test_orthanc_stores_every_object_of_one_reading_in_one_study(
    written: dict[tuple[str, str], list[Path]], archive: object
) -> None:
    paths = written["digital", "findings"]

    for _twice in range(2):
        subprocess.run(
            ["storescu", "-xy", "-R", "-aec", archive.aet, "127.0.0.1", str(archive.port),
             *map(str, paths)],
            check=True, timeout=60, capture_output=True,
        )  # fmt: skip

    statistics = json.load(urllib.request.urlopen(f"{archive.url}/statistics", timeout=20))
    assert statistics["CountInstances"] == 5
    assert statistics["CountSeries"] == 2
    assert statistics["CountStudies"] == 1


def test_every_documented_false_alarm_is_one_that_is_filtered() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dicom-objects.md").read_text(encoding="utf-8")

    for alarm in validators.FALSE_ALARMS:
        assert alarm.documented in page
        assert re.compile(alarm.pattern)
