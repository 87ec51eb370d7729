"""One lesion in two views: the distance from the nipple is what they share."""

from dataclasses import replace
from math import hypot
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.domain import Box, Finding, FindingKind, FloatImage, Laterality, ViewPosition
from cadnode.exam.exam import Mammogram
from cadnode.reading.correspondence import correspondences, nipple_of
from tests.report_cases import digital_header, mammogram

ROWS, COLUMNS, MM = 512, 400, 0.4  # as in digital_header


def view_of(side: Laterality, view: ViewPosition) -> Mammogram:
    return mammogram(digital_header(side, view), side, view, Path("made"))


CC = view_of(Laterality.LEFT, ViewPosition.CC)
MLO = view_of(Laterality.LEFT, ViewPosition.MLO)
OTHER_MLO = view_of(Laterality.RIGHT, ViewPosition.MLO)
VIEWS = [CC, MLO, OTHER_MLO]
NIPPLES = {view.sop_instance_uid: (256.0, 300.0) for view in VIEWS}


def mass(view: Mammogram, mm_from_nipple: float) -> Finding:
    """A mass whose box's middle lies that far behind the nipple, towards the chest wall."""
    col = 300 - mm_from_nipple / MM
    box = Box(246, round(col - 10), 266, round(col + 10))
    return Finding(view.sop_instance_uid, box, (), FindingKind.MASS, 0.5, "a")


def test_findings_of_equal_distance_from_the_nipple_are_one_lesion() -> None:
    (pair,) = correspondences([mass(MLO, 40), mass(CC, 40)], VIEWS, NIPPLES)

    assert (pair.cc, pair.mlo) == (1, 0)
    assert pair.nipple_mm == (40, 40)
    assert pair.certainty == 1


def test_certainty_falls_in_a_straight_line_to_15_mm() -> None:
    (pair,) = correspondences([mass(CC, 40), mass(MLO, 46)], VIEWS, NIPPLES)

    assert pair.certainty == pytest.approx(1 - 6 / 15)


@pytest.mark.parametrize(
    "other",
    [
        mass(MLO, 55.2),
        mass(CC, 40),
        mass(OTHER_MLO, 40),
        replace(mass(MLO, 40), kind=FindingKind.CALCIFICATION_CLUSTER),
        replace(mass(MLO, 40), sop_instance_uid="2.25.1"),
    ],
    ids=["farther", "same view", "other breast", "other kind", "unknown image"],
)
def test_what_cannot_be_one_lesion_is_not_paired(other: Finding) -> None:
    assert correspondences([mass(CC, 40), other], VIEWS, NIPPLES) == ()


def test_a_view_without_a_nipple_pairs_nothing() -> None:
    nipples = {CC.sop_instance_uid: (256.0, 300.0)}

    assert correspondences([mass(CC, 40), mass(MLO, 40)], VIEWS, nipples) == ()


def test_of_all_ways_to_pair_the_surest_is_taken() -> None:
    # 40–44 alone would be the best single pair (11/15); then 30 would have no partner.
    found = [mass(CC, 40), mass(CC, 30), mass(MLO, 44), mass(MLO, 28)]

    pairs = correspondences(found, VIEWS, NIPPLES)

    assert [(p.cc, p.mlo) for p in pairs] == [(0, 2), (1, 3)]


@given(st.lists(st.floats(5, 100), max_size=5), st.lists(st.floats(5, 100), max_size=5))
def test_no_finding_is_in_two_pairs(cc: list[float], mlo: list[float]) -> None:
    found = [*(mass(CC, d) for d in cc), *(mass(MLO, d) for d in mlo)]

    pairs = correspondences(found, VIEWS, NIPPLES)

    assert len({p.cc for p in pairs}) == len({p.mlo for p in pairs}) == len(pairs)
    assert all(abs(p.nipple_mm[0] - p.nipple_mm[1]) < 15 for p in pairs)


def cone(tip_row: int, *, right: bool) -> FloatImage:
    """A breast that narrows from the chest wall to a tip at 60 % of the width."""
    rows, cols = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = np.abs(rows - tip_row) < 180 * (1 - cols / (0.6 * COLUMNS))
    image = np.where(inside, 0.6, 0.0).astype(np.float32)
    return image[:, ::-1].copy() if right else image


@pytest.mark.parametrize("view", [ViewPosition.CC, ViewPosition.MLO])
@pytest.mark.parametrize("side", list(Laterality))
def test_the_nipple_is_the_breasts_tip(side: Laterality, view: ViewPosition) -> None:
    right = side is Laterality.RIGHT
    image = cone(280, right=right)

    nipple = nipple_of(image, view_of(side, view))

    assert nipple is not None
    tip = (280, 160 if right else 240)
    off_mm = hypot(nipple[0] - tip[0], nipple[1] - tip[1]) * MM
    assert off_mm < 6  # of a breast 96 mm deep; the mask is a thumbnail's


def test_left_and_right_are_mirror_images() -> None:
    left = nipple_of(cone(280, right=False), CC)
    right = nipple_of(cone(280, right=True), view_of(Laterality.RIGHT, ViewPosition.CC))

    assert left is not None
    assert right is not None
    assert right == pytest.approx((left[0], COLUMNS - left[1]), abs=COLUMNS / 256)


def test_in_an_mlo_view_the_nipple_of_a_round_breast_lies_below_its_widest_part() -> None:
    rows, cols = np.mgrid[0:ROWS, 0:COLUMNS]
    image = (((rows - 256) ** 2 + cols**2) < 200**2).astype(np.float32)

    cc, mlo = nipple_of(image, CC), nipple_of(image, MLO)

    # On a circle of radius 200 the tip under 20° lies 200 · sin 20° = 68 pixels lower.
    assert cc is not None
    assert mlo is not None
    assert mlo[0] - cc[0] == pytest.approx(68.4, abs=6)


def test_where_there_is_no_finding_there_is_no_pair() -> None:
    assert correspondences([], VIEWS, NIPPLES) == ()
