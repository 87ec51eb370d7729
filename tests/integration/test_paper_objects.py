"""PDF and small heat maps: what validators say; Orthanc gives them back and shows them."""

import io
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, config

from cadnode.exam.patient import patient_of
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.page.pdf import pdf_of
from cadnode.report.objects import write_objects
from cadnode.report.profiles import ObjectKind
from tests import validators
from tests.peers import orthanc
from tests.report_cases import (
    MADE_AT,
    OUTCOMES,
    digital_exam,
    film_exam,
    image_of,
    objects_of,
    result_of,
)

EXAMS = {"film": film_exam, "digital": digital_exam}
CASES = [(kind, outcome) for kind in EXAMS for outcome in OUTCOMES]
KINDS = {ObjectKind.PDF, ObjectKind.SMALL_HEAT_MAP}


@cache
def paper(kind: str, outcome: str) -> bytes:
    """The exam's page as PDF."""
    exam = EXAMS[kind]()
    content = PageContent(
        "exam", "", "Research use only", exam, result_of(exam, outcome), partial(image_of, exam),
        patient=patient_of(exam.reference), made_at=MADE_AT,
    )  # fmt: skip
    return pdf_of(exam_page(content)).data


def made(kind: str, outcome: str) -> list[Dataset]:
    return objects_of(
        EXAMS[kind](), outcome, pdf=lambda: paper("digital", "none"), kinds=KINDS, small_side=128
    )


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_dciodvfy_finds_nothing_but_documented_false_alarms(
    case: tuple[str, str], tmp_path: Path
) -> None:
    for path in write_objects(made(*case), tmp_path):
        assert validators.dciodvfy(path) == [], path.name


@pytest.mark.parametrize("kind", EXAMS)
def test_patient_and_study_agree_with_the_source(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    with config.disable_value_validation():
        header = EXAMS[kind]().reference
        header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        header.save_as(source, enforce_file_format=True)

    objects = write_objects(made(kind, "findings"), tmp_path / "made")

    assert validators.dcentvfy([source, *objects]) == []


def test_orthanc_gives_the_pdf_back_bit_for_bit_and_shows_the_small_heat_map(
    tmp_path: Path,
) -> None:
    pdf = paper("digital", "systems")
    objects = objects_of(digital_exam(), "systems", pdf=lambda: pdf, kinds=KINDS, small_side=128)
    with orthanc(tmp_path / "archive") as archive:
        ids = {}
        for path in write_objects(objects, tmp_path):
            ids[path.stem] = archive.post("/instances", path.read_bytes())["ID"]
        returned = archive.get_bytes(f"/instances/{ids['report-pdf']}/pdf")
        png = archive.get_bytes(f"/instances/{ids['small-heatmap-1-RCC']}/preview")

    assert returned == pdf
    (small,) = (ds for ds in objects if "small" in ds.SeriesDescription and ds.InstanceNumber == 1)
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert max(shown.shape) == 128
    assert np.abs(shown.astype(int) - small.pixel_array).mean() < 3  # another JPEG decoder
