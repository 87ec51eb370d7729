"""Regions that people marked where nothing can be scored: a reason, never a number."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Box, FloatImage, RoiReference, Skipped, SkipReason
from cadnode.exam.exam import Exam, PersonRegion
from cadnode.exam.read import exam_of as exam_of
from cadnode.imaging.geometry import breast_mask
from cadnode.imaging.spacing import Spacing
from cadnode.reading import Readers, read_exam
from cadnode.reading.regions import unusable
from tests.synthetic import write_exam
from tests.unit.reading.test_exam import Reader

ROWS, COLUMNS = 800, 640
MM = Spacing(0.25, 0.25, estimated=False)  # 200 by 160 mm
OUTSIDE, SMALL, WHOLE = (
    "it lies mostly outside the breast",
    "it is smaller than the networks can see",
    "it holds the whole breast",
)


def breast(air: float = 0.0, *, label: bool = False, mirrored: bool = False) -> FloatImage:
    """Half an ellipse at the left edge, rows 80 to 720, columns up to 320; 0.4 to 0.7 inside."""
    row, col = np.mgrid[:ROWS, :COLUMNS]
    inside = ((row - 400) / 320) ** 2 + (col / 320) ** 2 < 1
    texture = 0.55 + 0.1 * np.sin(row / 11) * np.cos(col / 7)
    image = np.where(inside, texture, air)
    if label:
        image[40:90, 520:600] = 0.95
    image = image[:, ::-1] if mirrored else image
    return np.ascontiguousarray(image, np.float32)


def why(box: Box, image: FloatImage | None = None, spacing: Spacing = MM) -> str:
    image = breast() if image is None else image
    return unusable(box, image, breast_mask(image), spacing)


@pytest.mark.parametrize(
    "box",
    [
        Box(300, 450, 400, 550),  # beside the breast
        Box(0, 0, 60, 60),  # above it
        Box(740, 0, 800, 100),  # below it
        Box(60, 560, 160, 630),  # the corner
        Box(-200, 100, -100, 200),  # above the image
        Box(300, 700, 400, 900),  # beyond the image
        Box(350, 250, 450, 640),  # a fifth of it in the breast
        Box(400, -700, 500, 300),  # most of it beyond the chest wall's edge
    ],
)
def test_a_box_in_air_has_a_reason(box: Box) -> None:
    assert why(box) == OUTSIDE


def test_a_box_on_a_label_outside_the_breast_has_a_reason() -> None:
    assert why(Box(45, 525, 85, 595), breast(label=True)) == OUTSIDE


def test_the_grey_base_of_a_film_is_not_taken_for_tissue() -> None:
    assert why(Box(300, 450, 400, 550), breast(air=0.1)) == OUTSIDE


def test_a_blackened_place_within_the_breast_is_air() -> None:
    image = breast()
    image[350:450, 50:150] = 0.0

    assert why(Box(360, 60, 440, 140), image) == OUTSIDE


@pytest.mark.parametrize("out_of_ten", [0, 1, 2, 3, 7, 8, 9, 10])
def test_a_box_across_the_skin_is_scored_from_half_tissue_on(out_of_ten: int) -> None:
    """At row 400 the skin is at column 320; the mask is drawn within two cells of 2.5 pixels."""
    box = Box(390, 220 + 10 * out_of_ten, 410, 320 + 10 * out_of_ten)

    assert why(box) == ("" if out_of_ten < 5 else OUTSIDE)


@pytest.mark.parametrize(
    ("box", "spacing"),
    [
        (Box(400, 100, 401, 101), MM),  # one pixel
        (Box(400, 100, 403, 103), MM),  # 0.75 mm
        (Box(400, 100, 480, 102), MM),  # a sliver: 20 by 0.5 mm
        (Box(400, 100, 412, 112), Spacing(0.07, 0.07, estimated=False)),  # 0.84 mm
        (Box(400, 100, 401, 101), Spacing(0.9, 0.9, estimated=True)),  # a pixel of a small image
        (Box(900, 900, 901, 901), MM),  # and beyond the image
    ],
)
def test_a_box_smaller_than_the_networks_can_see_has_a_reason(box: Box, spacing: Spacing) -> None:
    assert why(box, spacing=spacing) == SMALL


@pytest.mark.parametrize(
    ("side", "spacing"),
    [(4, MM), (12, MM), (43, Spacing(0.07, 0.07, estimated=False)), (160, MM)],
)
def test_a_region_of_one_to_forty_millimetres_in_the_breast_is_scored(
    side: int, spacing: Spacing
) -> None:
    assert why(Box(400, 100, 400 + side, 100 + side), spacing=spacing) == ""


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "box", [Box(0, 0, ROWS, COLUMNS), Box(60, 0, 740, 340), Box(-50, -900, 900, 3000)]
)
def test_a_box_around_the_whole_breast_has_a_reason(box: Box, mirrored: bool) -> None:
    row0, col0, row1, col1 = box
    turned = Box(row0, COLUMNS - col1, row1, COLUMNS - col0) if mirrored else box

    assert why(turned, breast(mirrored=mirrored)) in {OUTSIDE, WHOLE}


def test_a_box_around_the_breast_alone_holds_the_whole_breast() -> None:
    assert why(Box(70, 0, 730, 330)) == WHOLE


def test_where_no_breast_is_seen_grey_levels_alone_decide() -> None:
    bright, dark = np.full((40, 40), 0.5, np.float32), np.zeros((40, 40), np.float32)

    assert unusable(Box(5, 5, 20, 20), bright, None, MM) == ""
    assert unusable(Box(5, 5, 20, 20), dark, None, MM) == OUTSIDE


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=ROWS, columns=COLUMNS, views=(("L", "CC"),)))


def marked(exam: Exam, *boxes: Box, drawn_in: str = "1.2.3") -> Exam:
    uid = exam.mammograms[0].sop_instance_uid
    reference = RoiReference("1.2.840.10008.5.1.4.1.1.88.33", drawn_in)
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))
    regions = tuple(PersonRegion(uid, box, corners, reference) for box in boxes)
    return dataclasses.replace(exam, regions=regions)


def test_an_unusable_mark_is_skipped_under_the_object_it_was_drawn_in(exam: Exam) -> None:
    air, also_air, good = Box(300, 450, 400, 550), Box(0, 500, 90, 600), Box(300, 80, 400, 180)
    reader = Reader(threshold=0.99)

    result = read_exam(
        marked(exam, air, good, also_air),
        Readers(views=(reader,)),  # type: ignore[arg-type]
        load=lambda m: breast(),
    )

    assert [f.box for f in result.findings if f.marked_by] == [good]
    assert result.skipped == (Skipped("1.2.3", SkipReason.ROI_UNUSABLE, OUTSIDE),)
    assert len(result.views) == 1
