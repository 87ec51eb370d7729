"""What is known of each image, and what is missing, as reports and the page show it."""

from dataclasses import replace
from functools import partial

import pytest

from cadnode.domain import (
    Evidence,
    EvidenceLevel,
    ExamResult,
    ImageEvidence,
    Laterality,
    Skipped,
    SkipReason,
)
from cadnode.page import panels
from cadnode.report.objects import make_objects
from cadnode.report.profiles import ObjectKind
from cadnode.report.wording import contradictions, missing_breasts
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of

SIDE = Evidence("laterality", "ImageLaterality", EvidenceLevel.IMAGE, "R")
CONTRADICTION = "Image Laterality (0020,0062) says R, View Position (0018,5101) says L"


def of_right_breast(*skipped: Skipped, also: tuple[ImageEvidence, ...] = ()) -> ExamResult:
    """A result whose views are of the right breast alone."""
    whole = result_of(digital_exam(), "findings")
    views = tuple(v for v in whole.views if v.laterality is Laterality.RIGHT)
    return replace(whole, views=views, skipped=skipped, evidence=also)


def test_a_breast_without_an_image_is_missing() -> None:
    assert missing_breasts(of_right_breast()) == [
        "The exam has no image that shows the left breast"
    ]


def test_a_breast_whose_images_were_not_read_is_not_missing() -> None:
    left = ImageEvidence("1.2", (replace(SIDE, says="L"),))
    assert missing_breasts(of_right_breast(also=(left,))) == []
    assert missing_breasts(result_of(digital_exam(), "findings")) == []


def test_an_image_of_unknown_side_may_show_either_breast() -> None:
    unknown = Skipped("1.2", SkipReason.LATERALITY_UNKNOWN)
    assert missing_breasts(of_right_breast(unknown)) == [
        "No image is known to show the left breast"
    ]


def test_contradictions_are_counted_and_named_with_both_sources() -> None:
    unknown = Skipped("1.2", SkipReason.LATERALITY_UNKNOWN, CONTRADICTION)
    result = of_right_breast(unknown, replace(unknown, sop_instance_uid="1.3"))
    assert contradictions(result) == [f"2 images were not read: {CONTRADICTION}"]


@pytest.mark.parametrize("kind", [ObjectKind.MEASUREMENT_SR, ObjectKind.CAD_SR])
def test_reports_say_what_contradicts_itself_and_which_breast_is_missing(kind: ObjectKind) -> None:
    exam = digital_exam()
    unknown = Skipped(
        exam.mammograms[0].sop_instance_uid, SkipReason.LATERALITY_UNKNOWN, CONTRADICTION
    )
    whole = result_of(exam, "findings")
    views = tuple(v for v in whole.views if v.laterality is Laterality.RIGHT)
    right = {v.sop_instance_uid for v in views}
    result = replace(
        whole, views=views, skipped=(unknown,),
        breasts=tuple(b for b in whole.breasts if b.laterality is Laterality.RIGHT),
        findings=tuple(f for f in whole.findings if f.sop_instance_uid in right),
        heat_maps=tuple(m for m in whole.heat_maps if m.sop_instance_uid in right),
        correspondences=(),
    )  # fmt: skip
    (ds,) = make_objects(exam, result, partial(image_of, exam), MADE_AT, kinds={kind})
    said = " ".join(str(e.value) for e in ds.iterall() if e.keyword == "TextValue")
    assert CONTRADICTION in said
    assert "No image is known to show the left breast" in said


def test_the_page_lists_sources_and_strikes_out_those_that_are_overruled() -> None:
    overruled = Evidence("laterality", "Laterality", EvidenceLevel.SERIES, "L", counts=False)
    read = ImageEvidence("1.1", (SIDE, overruled))
    skipped = ImageEvidence("1.2", (replace(SIDE, counts=False),))
    result = replace(
        of_right_breast(Skipped("1.2", SkipReason.LATERALITY_UNKNOWN)), evidence=(skipped, read)
    )
    first, second = panels.evidence(result, {"1.1": "RCC"})
    assert (first["name"], first["skipped"]) == ("RCC", "")
    (side,) = [t["sources"] for t in first["things"] if t["about"] == "Side"]
    assert [(s["name"], s["says"], s["counts"]) for s in side] == [
        ("Image Laterality (0020,0062)", "R", True),
        ("Laterality (0020,0060)", "L", False),
    ]
    assert (second["name"], second["skipped"]) == ("? ?", "laterality_unknown")
