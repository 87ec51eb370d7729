"""Breast mask, flip, crop and resize, each with its way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.domain import Box, Laterality
from cadnode.imaging import geometry
from cadnode.imaging.geometry import Placement


def view(rows: int = 300, cols: int = 240, *, right: bool = False, film: float = 0.0) -> np.ndarray:
    """`(rows, cols) float32`: a half ellipse at the chest wall on a background of `film`."""
    row, col = np.mgrid[:rows, :cols] / np.array([rows, cols])[:, None, None]
    inside = ((row - 0.5) / 0.4) ** 2 + (col / 0.6) ** 2 < 1
    image = np.where(inside, 0.5 + 0.2 * np.sin(20 * row) * np.sin(20 * col), film)
    return (image[:, ::-1] if right else image).astype(np.float32)


def boxes() -> st.SearchStrategy[Box]:
    sizes = st.tuples(*[st.integers(0, 50), st.integers(0, 50), st.integers(1, 400)] * 2)
    return sizes.map(lambda s: Box(s[0], s[3], s[0] + s[2], s[3] + s[5]))


@settings(max_examples=60, deadline=None)
@given(crop=boxes(), content=boxes(), flipped=st.booleans(), seed=st.integers(0, 9))
def test_positions_come_back_to_where_they_were(
    crop: Box, content: Box, flipped: bool, seed: int
) -> None:
    placement = Placement((500, 500), crop, flipped, (500, 500), content)
    points = np.random.default_rng(seed).uniform(-10, 500, (7, 2))

    there_and_back = placement.to_source(placement.to_output(points))

    np.testing.assert_allclose(there_and_back, points, atol=1e-6)


def test_corners_of_the_content_are_corners_of_the_crop() -> None:
    placement = Placement((100, 90), Box(10, 20, 50, 80), False, (64, 64), Box(0, 4, 64, 64))

    corners = placement.to_source(np.array([[0.0, 4.0], [64.0, 64.0]]))

    np.testing.assert_allclose(corners, [[10, 20], [50, 80]])


def test_a_flipped_content_starts_at_the_crops_right_edge() -> None:
    placement = Placement((100, 90), Box(10, 20, 50, 80), True, (64, 64), Box(0, 0, 64, 64))

    np.testing.assert_allclose(placement.to_source(np.array([[0.0, 0.0]])), [[10, 80]])


def test_a_map_comes_back_in_the_source_direction_without_the_padding() -> None:
    placement = Placement((100, 90), Box(0, 0, 100, 90), True, (64, 64), Box(0, 0, 64, 32))
    values = np.arange(64, dtype=np.float32).reshape(8, 8)

    inside = placement.map_to_source(values)

    np.testing.assert_array_equal(inside, values[:, :4][:, ::-1])


@pytest.mark.parametrize("film", [0.0, 0.2])
def test_the_mask_covers_the_breast_and_little_else(film: float) -> None:
    image = view(film=film)
    truth = geometry.resize((view() > 0).astype(np.float32), (256, 256)) > 0.5

    mask = geometry.breast_mask(image)

    assert mask is not None
    overlap = (mask > 0) & truth
    assert overlap.sum() / ((mask > 0) | truth).sum() > 0.88


def test_labels_outside_the_breast_are_not_in_the_mask() -> None:
    image = view()
    image[10:40, 180:230] = 1.0

    mask = geometry.breast_mask(image)

    assert mask is not None
    assert mask[:40, 190:].sum() == 0


def test_a_black_box_on_grey_film_does_not_make_the_film_a_breast() -> None:
    image = view(film=0.25)
    image[240:290, 160:230] = 0.0

    mask = geometry.breast_mask(image)

    assert mask is not None
    assert mask.mean() < 0.6


def test_a_blank_view_has_no_mask() -> None:
    assert geometry.breast_mask(np.full((50, 40), 0.3, np.float32)) is None


@pytest.mark.parametrize("right", [False, True])
def test_the_chest_wall_is_read_from_the_image_not_from_the_side(right: bool) -> None:
    mask = geometry.breast_mask(view(right=right))

    assert mask is not None
    assert geometry.chest_wall_is_right(mask, Laterality.LEFT) is right
    assert geometry.chest_wall_is_right(mask, Laterality.RIGHT) is right


def test_a_view_that_looks_alike_on_both_sides_follows_the_usual_hanging() -> None:
    mask = np.ones((256, 256), np.uint8)

    assert geometry.chest_wall_is_right(mask, Laterality.RIGHT)
    assert not geometry.chest_wall_is_right(mask, Laterality.LEFT)


def test_a_narrow_box_grows_away_from_the_chest_wall() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[50:150, 0:20] = 1

    left = geometry.breast_box(mask, chest_right=False, narrowest=0.45)
    right = geometry.breast_box(mask[:, ::-1], chest_right=True, narrowest=0.45)

    assert tuple(left) == (50, 0, 150, 45)
    assert tuple(right) == (50, 211, 150, 256)


def test_making_smaller_averages_areas() -> None:
    image = np.array([[0, 1], [1, 0]], np.float32).repeat(2, 0).repeat(2, 1)

    np.testing.assert_allclose(geometry.resize(image, (2, 2)), [[0, 1], [1, 0]])
    np.testing.assert_allclose(geometry.resize(image, (1, 1)), [[0.5]])
