"""exam/markings/regions.py: whose markings count, on which images, and the option `--roi`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from cadnode.domain import (
    Box,
    ExamResult,
    Finding,
    FindingKind,
    ModelUse,
    RoiReference,
    SkipReason,
    ViewScore,
)
from cadnode.errors import SettingsError
from cadnode.exam.exam import Exam
from cadnode.exam.markings.regions import parse_roi
from cadnode.exam.read import exam_of
from cadnode.report.objects import make_objects
from tests.synthetic import IDENTIFIERS, MARK, code, uid, write, write_exam
from tests.unit.region_cases import (
    COLUMNS,
    ROWS,
    boxes,
    exam_with,
    mammogram,
    presentation_state,
    segmentation,
    tid1500,
    view_of,
)

SQUARE = [(10, 20), (30, 20), (30, 50), (10, 50), (10, 20)]  # columns 10 to 30, rows 20 to 50
SMALL = {"rows": ROWS, "columns": COLUMNS}


def everything() -> list[Dataset]:
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[60:70, 5:15] = 1
    return [
        segmentation(mask),
        presentation_state([("POLYLINE", SQUARE), ("CIRCLE", [(40, 40), (43, 44)])]),
        tid1500([("POLYLINE", SQUARE)]),
    ]


def test_what_is_marked_in_two_objects_is_one_region_the_reports(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, *everything())
    assert boxes(exam) == [(20, 10, 50, 30), (35, 35, 45, 45), (60, 5, 70, 15)]
    told = [region.reference.sop_instance_uid for region in exam.regions]
    assert told == [uid("report"), uid("pr"), uid("seg")]


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    one = exam_with(tmp_path / "a", *everything())
    other = exam_with(tmp_path / "b", *reversed(everything()))
    assert one.regions == other.regions


def test_nothing_a_person_typed_is_kept(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, *everything(), tid1500([("POINT", [(900, 900)])], sop="second"))
    shown = repr(exam.regions) + repr(exam.skipped)
    assert "outside" in shown
    assert not any(text in shown for text in (MARK, *IDENTIFIERS))


def test_a_region_is_clipped_to_its_image(tmp_path: Path) -> None:
    across = tid1500([("CIRCLE", [(0, 90), (10, 90)])])
    (region,) = exam_with(tmp_path, across).regions
    assert tuple(region.box) == (80, 0, ROWS, 10)
    outline = np.array(region.outline)
    assert outline.min() >= 0
    assert outline[:, 0].max() <= ROWS


@pytest.mark.parametrize(
    ("kind", "points", "detail"),
    [
        ("CIRCLE", [(300, 300), (310, 300)], "it lies outside its image"),
        ("POINT", [(900, 900)], "it lies outside its image"),
        ("POLYLINE", [(10, 20), (30, 20), (20, 20), (10, 20)], "it has no area"),
    ],
)
def test_a_shape_that_covers_nothing_is_told(
    tmp_path: Path, kind: str, points: list[tuple[float, float]], detail: str
) -> None:
    exam = exam_with(tmp_path, tid1500([(kind, points)]))
    assert exam.regions == ()
    assert [(s.sop_instance_uid, s.reason, s.detail) for s in exam.skipped] == [
        (uid("report"), SkipReason.ROI_UNUSABLE, detail)
    ]


def test_a_region_on_an_image_that_is_not_read_is_told_once(tmp_path: Path) -> None:
    elsewhere = mammogram("R", "MLO", seed=5)
    shapes = [("POLYLINE", SQUARE), ("POINT", [(4, 4)])]
    exam = exam_with(tmp_path, tid1500(shapes, elsewhere))
    assert exam.regions == ()
    assert [(s.reason, s.detail) for s in exam.skipped] == [
        (SkipReason.ROI_UNUSABLE, "its image is not read")
    ]


def test_a_usable_region_is_kept_beside_an_unusable_one(tmp_path: Path) -> None:
    exam = exam_with(tmp_path, tid1500([("POLYLINE", SQUARE), ("POINT", [(900, 900)])]))
    assert boxes(exam) == [(20, 10, 50, 30)]
    assert [s.reason for s in exam.skipped] == [SkipReason.ROI_UNUSABLE]


def test_a_point_without_a_pixel_spacing_is_given_that_of_a_film(tmp_path: Path) -> None:
    image = mammogram(ImagerPixelSpacing=None)
    exam = exam_with(tmp_path, tid1500([("POINT", [(40, 48)])], image), images=[image])
    # 96 rows for 240 mm: 10 mm are 4 pixels.
    assert boxes(exam) == [(46, 38, 50, 42)]


def test_an_object_that_no_report_can_refer_to_is_left_out(tmp_path: Path) -> None:
    report = tid1500([("POLYLINE", SQUARE)])
    del report.SeriesInstanceUID
    exam = exam_with(tmp_path, report)
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE]


def found(sop_instance_uid: str, corners: list[tuple[float, float]]) -> Finding:
    low, high = np.floor(np.min(corners, 0)), np.ceil(np.max(corners, 0))
    box = Box(*(int(edge) for edge in (*low, *high)))
    outline = tuple(corners)
    return Finding(sop_instance_uid, box, outline, FindingKind.MASS, 0.5, "any")


def as_a_persons(report: Dataset) -> Dataset:
    """The same report, but from another vendor's viewer and observed by a person."""
    report.Manufacturer = "Some Viewer"
    del report.ContributingEquipmentSequence
    for item in report.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == "121005":
            item.ConceptCodeSequence = [code("121006", "DCM", "Person")]
    return report


def test_the_regions_of_our_own_report_read_back_to_their_boxes(tmp_path: Path) -> None:
    write_exam(tmp_path, (("L", "CC"),), **SMALL)
    exam = exam_of([tmp_path])
    view = view_of(exam)
    name = view.sop_instance_uid
    findings = (
        found(name, [(20, 10), (20, 30), (50, 30), (50, 10)]),
        found(name, [(60.25, 10.5), (70.75, 20.125), (64.5, 33.0)]),
    )
    score = ViewScore(name, view.laterality, view.view, 0.5, "any")
    result = ExamResult(
        exam.study_instance_uid, 0.5, (), (score,), findings, (), (ModelUse("any", "1", "00" * 32),)
    )
    made_at = datetime(2026, 3, 4, tzinfo=UTC)
    ours, *_ = make_objects(exam, result, lambda _: np.zeros((1, 1), np.float32), made_at)

    write(ours, tmp_path / "sr.dcm")
    assert exam_of([tmp_path]).regions == ()

    write(as_a_persons(ours), tmp_path / "sr.dcm")
    again = exam_of([tmp_path])
    assert boxes(again) == [tuple(finding.box) for finding in findings]
    assert again.regions[1].outline == findings[1].outline


# --- `cadnode read --roi` -----------------------------------------------------------------------


@pytest.fixture
def four_views(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, **SMALL))


@pytest.mark.parametrize("name", ["LMLO", "lmlo", " LMLO"])
def test_an_option_names_a_view_and_a_box(four_views: Exam, name: str) -> None:
    region = parse_roi(f"{name}:10,20, 30,40", four_views)
    (lmlo,) = (m for m in four_views.mammograms if (m.laterality, m.view) == ("L", "MLO"))
    assert region.sop_instance_uid == lmlo.sop_instance_uid
    assert region.box == Box(10, 20, 30, 40)
    assert region.outline == ((10, 20), (10, 40), (30, 40), (30, 20))
    assert region.reference == RoiReference("", "")


def test_an_option_may_name_the_instance(four_views: Exam) -> None:
    name = four_views.mammograms[2].sop_instance_uid
    assert parse_roi(f"{name}:1,2,3,4", four_views).sop_instance_uid == name


def test_an_options_box_is_clipped_to_the_image(four_views: Exam) -> None:
    assert parse_roi("RCC:-5,70,20,500", four_views).box == Box(0, 70, 20, COLUMNS)


@pytest.mark.parametrize(
    ("option", "taught"),
    [
        ("RCC", "VIEW:row0,col0,row1,col1"),
        ("RCC:1,2,3", "VIEW:row0,col0,row1,col1"),
        ("RCC:1,2,3,four", "VIEW:row0,col0,row1,col1"),
        (":1,2,3,4", "VIEW:row0,col0,row1,col1"),
        ("1,2,3,4", "VIEW:row0,col0,row1,col1"),
        ("RXX:1,2,3,4", "LCC, LMLO, RCC, RMLO"),
        ("RCC:30,40,10,20", "has no area"),
        ("RCC:96,0,200,10", "96 rows and 80 columns"),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_form(
    four_views: Exam, option: str, taught: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_roi(option, four_views)
    assert taught in str(caught.value)


def test_an_option_for_an_exam_without_views_says_so(four_views: Exam) -> None:
    with pytest.raises(SettingsError, match="this exam's are: none"):
        parse_roi("RCC:1,2,3,4", replace(four_views, mammograms=()))
