"""Outlines, key objects, calcifications and regions: what validators, DCMTK and Orthanc say."""

import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from cadnode.domain import Calcification
from cadnode.exam.exam import Exam
from cadnode.http import HttpFailure
from cadnode.report.edition import DISCLAIMER, Edition
from cadnode.report.images.presentation_state import presentation_states
from cadnode.report.images.segmentation import segmentations
from cadnode.report.objects import write_objects
from cadnode.report.sr.key_objects import key_objects
from cadnode.report.sr.region_report import region_sr
from tests import validators
from tests.golden_cases import golden_files
from tests.peers import Orthanc, orthanc
from tests.report_cases import MADE_AT, digital_exam, film_exam, objects_of, result_of

EXAMS = {"film": film_exam, "digital": digital_exam}
CASES = [(kind, outcome) for kind in EXAMS for outcome in ("systems", "partial", "none", "failed")]
SPECKS = (Calcification(40, 40, 2.0, 1.6, 0.2), Calcification(50, 30, 1.0, 1.1, 0.2))


def further_objects(exam: Exam, outcome: str) -> list[Dataset]:
    """Every object of these four kinds that such a reading has."""
    result = result_of(exam, outcome)
    found = tuple(replace(f, calcifications=SPECKS) for f in result.findings)
    edition = Edition(exam, replace(result, findings=found), MADE_AT)
    selection = key_objects(edition)
    return [
        region_sr(edition),
        *presentation_states(edition),
        *segmentations(edition),
        *([selection] if selection else []),
    ]


def written(objects: list[Dataset], folder: Path) -> list[Path]:
    paths = [folder / f"{ds.Modality}-{n}.dcm" for n, ds in enumerate(objects)]
    for ds, path in zip(objects, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return paths


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_validators_find_nothing_but_documented_false_alarms(
    case: tuple[str, str], tmp_path: Path
) -> None:
    kind, outcome = case
    objects = further_objects(EXAMS[kind](), outcome)

    for path in written(objects, tmp_path):
        assert validators.dciodvfy(path) == [], path.name
        if path.name.startswith(("SR", "KO")):
            assert validators.dsrdump(path) == [], path.name
        if path.name.startswith("PR"):
            assert validators.dcmpschk(path) == [], path.name
    assert len(objects) == {"systems": 7, "partial": 4, "none": 1, "failed": 1}[outcome]


def html(path: Path) -> str:
    """What DCMTK renders for people."""
    command = ["dsr2html", "+U8", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return run.stdout


def test_dcmtk_renders_reports_that_say_the_finding_and_the_disclaimer(tmp_path: Path) -> None:
    exam = digital_exam()
    (full,) = written(objects_of(exam, "systems")[:1], tmp_path)
    page = html(full)

    assert "Müller" in page
    assert "Imaging Measurement Report" in page
    assert "0.6875" in page
    assert "Research use only, not for primary diagnosis" in page
    regions, *_, selection = written(further_objects(exam, "systems"), tmp_path)
    page = html(regions)
    assert "finding 1: wang2016: " in page
    assert "CAD score of wang2016" in page
    assert "Of Interest" in html(selection)


@dataclass(frozen=True)
class Stored:
    """An archive with one reading's objects, and their Orthanc identifiers by modality."""

    archive: Orthanc
    ids: dict[str, str]
    heat_map: Dataset
    segmentation: Dataset

    def preview(self, modality: str) -> np.ndarray:
        """Orthanc's own picture of an object, `(h, w[, 3])` in 8 bits."""
        png = self.archive.get_bytes(f"/instances/{self.ids[modality]}/preview")
        return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder = tmp_path_factory.mktemp("previews")
    exam = digital_exam()
    made = objects_of(exam, "systems")[:2]
    further = further_objects(exam, "systems")
    paths = [*write_objects(made, folder), *written(further, folder)]
    with orthanc(folder / "archive") as archive:
        for path in paths:
            archive.post("/instances", path.read_bytes())
        names = archive.get("/instances")
        ids = {archive.get(f"/instances/{i}/simplified-tags")["Modality"]: i for i in names}
        yield Stored(archive, ids, made[1], next(d for d in further if d.Modality == "SEG"))


def test_orthanc_previews_the_heat_map_as_it_was_made(stored: Stored) -> None:
    shown = stored.preview("OT")

    assert shown.shape == stored.heat_map.pixel_array.shape
    assert np.abs(shown.astype(int) - stored.heat_map.pixel_array).mean() < 2


def test_orthanc_previews_the_calcifications(stored: Stored) -> None:
    shown = stored.preview("SEG")

    wanted = stored.segmentation.pixel_array
    assert shown.shape == wanted.shape
    np.testing.assert_array_equal(shown > 0, wanted > 0)


def test_orthanc_lists_reports_outlines_and_key_objects(stored: Stored) -> None:
    assert set(stored.ids) == {"SR", "OT", "PR", "SEG", "KO"}
    for modality in ("SR", "PR", "KO"):
        assert stored.archive.get(f"/instances/{stored.ids[modality]}/tags")


def test_orthanc_tells_the_content_of_every_report_and_draws_every_picture(tmp_path: Path) -> None:
    made = golden_files(digital_exam(), "findings", tmp_path / "made")

    with orthanc(tmp_path / "archive") as archive:
        for path in made:
            archive.post("/instances", path.read_bytes())
        names = archive.get("/instances")
        assert len(names) == len(made)
        for name in names:
            tags = archive.get(f"/instances/{name}/simplified-tags")
            if tags["Modality"] in {"SR", "KO"}:
                assert DISCLAIMER in str(tags["ContentSequence"])
            if tags["Modality"] in {"OT", "SEG"}:
                png = archive.get_bytes(f"/instances/{name}/preview")
                shown = Image.open(io.BytesIO(png))
                assert shown.size == (int(tags["Columns"]), int(tags["Rows"]))
            else:  # it has no picture of a document, and says so
                with pytest.raises(HttpFailure, match="415"):
                    archive.get_bytes(f"/instances/{name}/preview")
