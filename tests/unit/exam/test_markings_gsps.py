"""exam/markings/gsps.py: graphics that a person drew in a presentation state."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import SkipReason
from tests.synthetic import uid
from tests.unit.region_cases import (
    COLUMNS,
    ROWS,
    boxes,
    compound,
    displayed_area,
    exam_with,
    mammogram,
    presentation_state,
)

SQUARE = [(10, 20), (30, 20), (30, 50), (10, 50), (10, 20)]  # columns 10 to 30, rows 20 to 50


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("POLYLINE", SQUARE, (20, 10, 50, 30)),
        ("POLYLINE", SQUARE[:4], (20, 10, 50, 30)),  # open: the box around it
        ("POLYLINE", [(30, 40), (50, 40)], (30, 30, 50, 50)),  # a diameter of 20
        ("CIRCLE", [(40, 40), (43, 44)], (35, 35, 45, 45)),  # radius 5
        ("ELLIPSE", [(10, 40), (50, 40), (30, 30), (30, 50)], (30, 10, 50, 50)),
        ("POINT", [(40, 48)], (35, 27, 61, 53)),  # 10 mm are 25 pixels of 0.4 mm
        ("INTERPOLATED", [(10, 20), (30, 20), (28, 50)], (20, 10, 50, 30)),  # open
    ],
)
def test_every_graphic_type_has_its_box(
    tmp_path: Path, kind: str, points: list[tuple[float, float]], box: tuple[int, ...]
) -> None:
    exam = exam_with(tmp_path, presentation_state([(kind, points)]))
    assert boxes(exam) == [box]
    reference = exam.regions[0].reference
    assert (reference.sop_class_uid, reference.sop_instance_uid) == (
        "1.2.840.10008.5.1.4.1.1.11.1",
        uid("pr"),
    )
    assert exam.skipped == ()


@pytest.mark.parametrize(
    ("creator", "by_person"),
    [("ZZQReader^Anna", True), ("ZZQReader", True), ("", False), ("^^", False), (None, False)],
)
def test_a_state_is_a_persons_only_where_it_names_one(
    tmp_path: Path, creator: str | None, by_person: bool
) -> None:
    state = presentation_state([("POLYLINE", SQUARE)])
    state.pop("ContentCreatorName", None)
    if creator is not None:
        state.ContentCreatorName = creator

    (region,) = exam_with(tmp_path, state).regions

    assert region.reference.by_person is by_person


def test_dcmtk_takes_the_presentation_states_of_these_tests_for_valid(tmp_path: Path) -> None:
    exam_with(tmp_path, presentation_state([("POLYLINE", SQUARE), ("CIRCLE", SQUARE[:2])]))
    checked = subprocess.run(
        ["dcmpschk", str(tmp_path / "object0.dcm")], capture_output=True, text=True
    )
    assert "Test passed" in checked.stdout + checked.stderr


def test_a_closed_curve_passes_through_its_points_and_bulges_between(tmp_path: Path) -> None:
    diamond = [(40, 20), (60, 40), (40, 60), (20, 40), (40, 20)]
    (region,) = exam_with(tmp_path, presentation_state([("INTERPOLATED", diamond)])).regions
    outline = np.array(region.outline)
    for column, row in diamond:
        assert np.hypot(*(outline - (row, column)).T).min() < 1e-6
    # Between (40, 20) and (60, 40) the curve runs outside the chord, inside the circle's square.
    halfway = outline[np.argmin(np.hypot(*(outline - (26, 54)).T))]
    assert 20 * np.sqrt(2) / 2 < np.hypot(*(halfway - (40, 40))) <= 20.5


def test_pixel_units_count_from_the_corner_of_the_first_pixel_from_zero(tmp_path: Path) -> None:
    """PS3.3 C.10.5: the whole image is 0\\0 to Columns\\Rows, as in a report's SCOORD."""
    whole = [(0, 0), (COLUMNS, 0), (COLUMNS, ROWS), (0, ROWS), (0, 0)]
    one_pixel = [(7, 5), (8, 5), (8, 6), (7, 6), (7, 5)]
    state = presentation_state([("POLYLINE", whole), ("POLYLINE", one_pixel)])
    assert boxes(exam_with(tmp_path, state)) == [(0, 0, ROWS, COLUMNS), (5, 7, 6, 8)]


def test_display_units_are_fractions_of_the_area_displayed(tmp_path: Path) -> None:
    middle = [(0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0), (0.25, 0.5)]
    state = presentation_state([("POLYLINE", middle)], "DISPLAY")
    # Pixels 11 to 50 by 21 to 60 counted from one: the edges 10 to 50 by 20 to 60.
    state.DisplayedAreaSelectionSequence = [displayed_area((11, 21), (50, 60))]
    assert boxes(exam_with(tmp_path, state)) == [(40, 20, 60, 40)]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_display_units_follow_rotation_and_flip(tmp_path: Path, rotation: int, flip: bool) -> None:
    """The image is turned as PS3.3 C.10.6 says, and the region drawn on what is then seen."""
    numbered = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    shown = np.rot90(numbered, -rotation // 90)  # clockwise
    shown = shown[:, ::-1] if flip else shown
    rows, columns = shown.shape
    drawn = shown[rows // 4 : rows // 2, columns // 8 : columns // 4]
    u, v = (1 / 8, 1 / 4), (1 / 4, 1 / 2)
    square = [(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1]), (u[0], v[0])]
    state = presentation_state([("POLYLINE", square)], "DISPLAY")
    state.ImageRotation, state.ImageHorizontalFlip = rotation, "Y" if flip else "N"
    first, last = (
        (int(n % COLUMNS) + 1, int(n // COLUMNS) + 1) for n in (shown[0, 0], shown[-1, -1])
    )
    state.DisplayedAreaSelectionSequence = [displayed_area(first, last)]
    (box,) = boxes(exam_with(tmp_path, state))
    seen, across = drawn // COLUMNS, drawn % COLUMNS
    assert box == (seen.min(), across.min(), seen.max() + 1, across.max() + 1)


def test_without_a_displayed_area_display_units_are_told_unusable(tmp_path: Path) -> None:
    state = presentation_state([("POINT", [(0.5, 0.5)])], "DISPLAY")
    del state.DisplayedAreaSelectionSequence
    exam = exam_with(tmp_path, state)
    assert exam.regions == ()
    assert [(s.reason, s.detail) for s in exam.skipped] == [
        (SkipReason.ROI_UNUSABLE, "its displayed area is not stated")
    ]


@pytest.mark.parametrize(
    ("graphic", "box"),
    [
        (compound("RECTANGLE", [10, 20, 30, 50]), (20, 10, 50, 30)),
        (compound("ELLIPSE", [10, 20, 30, 50]), (20, 10, 50, 30)),
        (compound("RULER", [30, 40, 50, 40]), (30, 30, 50, 50)),
        # A quarter turn counterclockwise about the top left corner: to the right becomes up.
        (
            compound("RECTANGLE", [10, 50, 20, 80], RotationAngle=90.0, RotationPoint=[10.0, 50.0]),
            (40, 10, 50, 40),
        ),
    ],
)
def test_a_compound_graphic_counts_once(tmp_path: Path, graphic, box: tuple[int, ...]) -> None:
    state = presentation_state([("POLYLINE", [(1, 1), (9, 1), (9, 9), (1, 9), (1, 1)])])
    (annotation,) = state.GraphicAnnotationSequence
    annotation.CompoundGraphicSequence = [graphic]
    annotation.GraphicObjectSequence[0].CompoundGraphicInstanceID = 1  # the same for old readers
    assert boxes(exam_with(tmp_path, state)) == [box]


def test_an_arrow_outlines_nothing(tmp_path: Path) -> None:
    state = presentation_state([("POLYLINE", [(1, 1), (9, 9)])])
    (annotation,) = state.GraphicAnnotationSequence
    annotation.CompoundGraphicSequence = [compound("ARROW", [1, 1, 9, 9])]
    annotation.GraphicObjectSequence[0].CompoundGraphicInstanceID = 1
    exam = exam_with(tmp_path, state)
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE]


def test_an_annotation_without_images_applies_to_all_listed(tmp_path: Path) -> None:
    views = [mammogram("L", "CC"), mammogram("L", "MLO")]
    state = presentation_state([("CIRCLE", [(40, 40), (43, 44)])], image=views[0])
    (annotation,) = state.GraphicAnnotationSequence
    del annotation.ReferencedImageSequence
    (series,) = state.ReferencedSeriesSequence
    other = type(series.ReferencedImageSequence[0])()
    other.ReferencedSOPClassUID = views[1].SOPClassUID
    other.ReferencedSOPInstanceUID = views[1].SOPInstanceUID
    series.ReferencedImageSequence.append(other)
    exam = exam_with(tmp_path, state, images=views)
    assert [r.sop_instance_uid for r in exam.regions] == [v.SOPInstanceUID for v in views]


def test_a_presentation_state_that_calls_itself_cad_is_a_devices(tmp_path: Path) -> None:
    state = presentation_state([("CIRCLE", [(40, 40), (43, 44)])])
    state.ContentLabel = "CAD MARKS"
    exam = exam_with(tmp_path, state)
    assert exam.regions == ()
    assert [s.reason for s in exam.skipped] == [SkipReason.NOT_AN_IMAGE]
