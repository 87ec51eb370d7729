"""Reports' content as we encode it, beside the same made by highdicom and written by pydicom."""

import copy
import io

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sr.coding import Code

from cadnode.errors import ReportError
from cadnode.exam.dicom_file import tolerant
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.content_tree import add_content
from cadnode.report.sr.measurement_report import measurement_sr
from tests.by_highdicom.measurement_report import content
from tests.cad_cases import cad_of, cad_result
from tests.report_cases import MADE_AT, OUTCOMES, digital_exam, film_exam, with_marker

CAD_OUTCOMES = (*OUTCOMES, "implants", "nothing_tried", "system_failed", "pairs")


def edition_of(outcome: str, *, film: bool = False, disclaimer: str = "Research only") -> Edition:
    exam = film_exam() if film else digital_exam()
    exam = with_marker(exam) if outcome == "marked" else exam
    return Edition(exam, cad_result(exam, outcome), MADE_AT, disclaimer)


def written(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    with tolerant():
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def by_highdicom(edition: Edition) -> Dataset:
    """Our report with highdicom's content, all of it for pydicom to encode."""
    ds = copy.copy(measurement_sr(edition))
    for element in content(edition):
        ds[element.tag] = element
    return ds


@pytest.mark.parametrize("outcome", CAD_OUTCOMES)
def test_a_report_has_the_bytes_that_highdicom_and_pydicom_give_it(outcome: str) -> None:
    edition = edition_of(outcome, film=outcome == "findings")

    assert written(measurement_sr(edition)) == written(by_highdicom(edition))


@pytest.mark.parametrize(
    ("declared", "disclaimer", "encoding"),
    [
        ("", "Nur für Forschung", "utf8"),
        ("ISO_IR 100", "Nur für Forschung", "latin-1"),
        ("ISO_IR 100", "Čtení mamografu", "utf8"),
        (["", "ISO 2022 IR 87"], "読影", "utf8"),
    ],
)
def test_text_is_in_the_character_set_of_the_document(
    declared: str | list[str], disclaimer: str, encoding: str
) -> None:
    edition = edition_of("systems", disclaimer=disclaimer)
    edition.reference.SpecificCharacterSet = declared

    made = measurement_sr(edition)

    assert disclaimer.encode(encoding) in written(made)
    assert written(made) == written(by_highdicom(edition))


@pytest.mark.parametrize("outcome", ["pairs", "marked", "system_failed"])
def test_every_attribute_has_the_vr_of_the_dictionary(outcome: str) -> None:
    exam = digital_exam()
    for document in (measurement_sr(edition_of(outcome)), cad_of(exam, outcome)):
        found = {(e.tag, str(e.VR)) for e in document.iterall()}

        assert found == {(tag, dictionary_VR(tag)) for tag, _ in found}
        assert len(found) > 60


def test_who_reads_the_content_leaves_the_bytes_as_they_are() -> None:
    made = measurement_sr(edition_of("systems"))
    before = written(made)

    assert len([*made.iterall()]) > 1000
    assert written(made) == before


@pytest.mark.parametrize("long", [Code("1" * 17, "99X", "one"), Code("1", "99X", "x" * 65)])
def test_a_code_that_no_attribute_can_hold_is_refused(long: Code) -> None:
    root = items.container("", codes.IMAGE_LIBRARY, [items.code(items.CONTAINS, long, codes.YES)])

    with pytest.raises(ReportError, match="longer"):
        add_content(Dataset(), root)
