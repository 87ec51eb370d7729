"""A size in mm that rests on a guessed pixel size says so in every object."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom import Dataset

from cadnode.domain import ExamResult, Laterality, ViewPosition
from cadnode.exam.exam import Exam
from cadnode.page import panels
from cadnode.report import codes
from cadnode.report.cad_sr import cad_sr
from cadnode.report.edition import Edition
from cadnode.report.fhir.bundle import bundle
from cadnode.report.result import to_json
from cadnode.report.sr.measurement_report import measurement_sr
from cadnode.report.sr.region_report import region_sr
from tests.cad_cases import cad_result
from tests.report_cases import MADE_AT, digital_exam, film_exam
from tests.sr_tree import items

EXAMS = {"film": (film_exam, True), "digital": (digital_exam, False)}
BOTH = pytest.mark.parametrize(("exam", "estimated"), EXAMS.values(), ids=list(EXAMS))


def edition_of(exam: Exam) -> Edition:
    """Clusters and masses, each in CC and MLO; the result does not say what is guessed."""
    return Edition(exam, cad_result(exam, "pairs"), MADE_AT)


@BOTH
def test_the_cad_report_tells_an_estimated_diameter_in_words_alone(
    exam: Callable[[], Exam], estimated: bool
) -> None:
    """TID 1400 has no row for it, and the template is not extensible."""
    ds = cad_sr(edition_of(exam()))
    assert ds is not None

    diameters = [i for i in walk(ds) if name(i) == codes.DIAMETER.value]
    words = [str(i.TextValue) for i in walk(ds) if "diameter" in str(i.get("TextValue", ""))]

    assert len(diameters) == (0 if estimated else 2)
    told = "estimated diameter 8.25 mm: the image states no pixel size"
    assert words == ([told] * 2 if estimated else [])


def derivations(ds: Dataset) -> list[list[str]]:
    """What stands under each diameter in mm of a report."""
    diameters = [i for i in walk(ds) if name(i) == codes.DIAMETER.value]
    assert len(diameters) == 2
    return [
        [i.ConceptCodeSequence[0].CodeValue for i in walk(d) if name(i) == codes.DERIVATION.value]
        for d in diameters
    ]


def walk(item: Dataset) -> list[Dataset]:
    return [item, *(i for child in item.get("ContentSequence") or [] for i in walk(child))]


def name(item: Dataset) -> str:
    """Code of an item's concept name; "" for an item by reference."""
    named = item.get("ConceptNameCodeSequence")
    return str(named[0].CodeValue) if named else ""


@BOTH
@pytest.mark.parametrize("make", [measurement_sr, region_sr], ids=lambda f: f.__name__)
def test_a_diameter_of_a_guessed_pixel_size_is_coded_as_estimated(
    make: Callable[[Edition], Dataset], exam: Callable[[], Exam], estimated: bool
) -> None:
    told = derivations(make(edition_of(exam())))

    assert told == [["414135002"] if estimated else []] * len(told)


@BOTH
def test_distances_from_the_nipple_are_called_estimated(
    exam: Callable[[], Exam], estimated: bool
) -> None:
    ds = cad_sr(edition_of(exam()))
    assert ds is not None

    told = [text for i in walk(ds) if "nipple distances" in (text := str(i.get("TextValue", "")))]

    assert len(told) == 2
    assert all(t.startswith("estimated") is estimated for t in told)


@BOTH
def test_fhir_says_estimated_beside_the_diameter(exam: Callable[[], Exam], estimated: bool) -> None:
    made = bundle(edition_of(exam()))

    told = [
        part["code"].get("text", "")
        for entry in made["entry"]
        for part in entry["resource"].get("component", [])
        if part["code"]["coding"][0]["code"] == codes.DIAMETER.value
    ]

    assert len(told) == 2
    assert all(("estimated" in text) is estimated for text in told)


@BOTH
def test_the_page_says_estimated_before_the_diameter(
    exam: Callable[[], Exam], estimated: bool
) -> None:
    result = cad_result(exam(), "pairs")

    row = panels.finding_row(1, result.findings[0], "RCC", result, estimated=estimated)

    wanted = "estimated 8 mm" if estimated else "12 · 8 mm"
    assert row["descriptors"].endswith(wanted)


@pytest.mark.parametrize("estimated", [True, False])
def test_result_json_tells_what_the_reading_knew(estimated: bool) -> None:
    told = to_json(with_flags(cad_result(digital_exam(), "pairs"), estimated))

    assert told["findings"][0]["cluster"]["diameter_estimated"] is estimated
    assert {pair["nipple_estimated"] for pair in told["correspondences"]} == {estimated}


def with_flags(result: ExamResult, estimated: bool) -> ExamResult:
    """The result as the reading of views makes it, their pixel sizes guessed or not."""
    findings = tuple(
        replace(f, cluster=replace(f.cluster, diameter_estimated=estimated)) if f.cluster else f
        for f in result.findings
    )
    pairs = tuple(replace(p, nipple_estimated=estimated) for p in result.correspondences)
    return replace(result, findings=findings, correspondences=pairs)


@BOTH
def test_no_spacing_that_is_a_guess_is_stated_in_a_report(
    exam: Callable[[], Exam], estimated: bool
) -> None:
    given = exam()
    ds = measurement_sr(edition_of(given))

    stated = items(ds, codes.SPACING_HORIZONTAL) + items(ds, codes.SPACING_VERTICAL)

    assert len(stated) == (0 if estimated else 2 * len(given.mammograms))
    assert {(m.laterality, m.view) for m in given.mammograms} == {
        (side, view) for side in Laterality for view in (ViewPosition.CC, ViewPosition.MLO)
    }
