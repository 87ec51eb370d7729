"""Regions of interest: cut at one pixel size, and brought back to the view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.domain import Box
from cadnode.imaging import roi_chain
from cadnode.imaging.roi_chain import PlaceRoi, RoiIntensity, RoiSpec

PLAIN = RoiSpec(size=64, spacing_mm=0.2, intensity=None)
SPEC = RoiSpec(size=64, spacing_mm=0.2)


def tissue(rows: int = 300, cols: int = 260, seed: int = 0) -> np.ndarray:
    """`(rows, cols) float32` about 0.4, with texture and some bright specks."""
    rng = np.random.default_rng(seed)
    image = 0.4 + 0.05 * rng.standard_normal((rows, cols))
    image[rng.integers(0, rows, 40), rng.integers(0, cols, 40)] += 0.3
    return np.clip(image, 0, 1).astype(np.float32)


@settings(max_examples=60)
@given(
    row=st.floats(-20, 320), col=st.floats(-20, 280),
    row_mm=st.floats(0.04, 0.5), col_mm=st.floats(0.04, 0.5),
)  # fmt: skip
def test_positions_come_back_to_where_they_were_cut(
    row: float, col: float, row_mm: float, col_mm: float
) -> None:
    placement = roi_chain.cut(tissue(), (row, col), (row_mm, col_mm), PLAIN).placement
    points = np.array([[row, col], [0.0, 0.0], [299.5, 13.25]])

    np.testing.assert_allclose(placement.to_source(placement.to_output(points)), points, atol=1e-6)
    crop, content = placement.crop, placement.content
    assert 0 <= crop.row0 < crop.row1 <= 300
    assert 0 <= crop.col0 < crop.col1 <= 260
    assert 0 <= content.row0 < content.row1 <= 64
    assert 0 <= content.col0 < content.col1 <= 64


@pytest.mark.parametrize("spacing", [0.05, 0.07, 0.1, 0.2, 0.3])
def test_the_centre_lies_in_the_middle_whatever_the_pixel_size(spacing: float) -> None:
    placement = roi_chain.cut(
        tissue(800, 800), (400.5, 391.25), (spacing, spacing), PLAIN
    ).placement

    ((row, col),) = placement.to_output(np.array([[400.5, 391.25]]))

    assert abs(row - 32) <= 0.5 * spacing / 0.2 + 1e-6
    assert abs(col - 32) <= 0.5 * spacing / 0.2 + 1e-6


@pytest.mark.parametrize("spacing", [(0.05, 0.05), (0.1, 0.05), (0.07, 0.1)])
def test_a_square_of_4_mm_has_20_pixels_of_0_2_mm(spacing: tuple[float, float]) -> None:
    image = np.zeros((600, 600), np.float32)
    half = round(2 / spacing[0]), round(2 / spacing[1])
    image[300 - half[0] : 300 + half[0], 300 - half[1] : 300 + half[1]] = 1

    plane = roi_chain.cut(image, (300, 300), spacing, PLAIN).image[0]

    assert plane.sum(0).max() == pytest.approx(20, abs=0.5)
    assert plane.sum(1).max() == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize(("row", "col"), [(100, 120), (7, 200), (297, 3), (150, 258)])
@pytest.mark.parametrize("spacing", [0.1, 0.2])
def test_a_bright_dot_comes_back_to_its_pixel(row: int, col: int, spacing: float) -> None:
    image = np.full((300, 260), 0.3, np.float32)
    image[row, col] = 1
    ready = roi_chain.cut(image, (row + 5, col - 4), (spacing, spacing), SPEC)

    r, c = np.unravel_index(ready.image[0].argmax(), (64, 64))
    ((found_row, found_col),) = ready.placement.to_source(np.array([[r + 0.5, c + 0.5]]))

    assert abs(found_row - row - 0.5) <= 0.2 / spacing
    assert abs(found_col - col - 0.5) <= 0.2 / spacing


def test_a_view_of_the_specs_pixel_size_is_not_resampled() -> None:
    image = tissue(64, 64)

    ready = roi_chain.cut(image, (32, 32), (0.2, 0.2), PLAIN)

    np.testing.assert_array_equal(ready.image[0], image)


def test_beyond_the_edge_of_the_view_there_is_nothing() -> None:
    ready = roi_chain.cut(tissue(), (10, 250), (0.2, 0.2), SPEC)

    # 32 pixels up and 32 to the right of the centre; the view ends after 10.
    assert ready.placement.crop == Box(0, 218, 42, 260)
    assert ready.placement.content == Box(22, 0, 64, 42)
    assert ready.image.shape == (1, 64, 64)
    assert ready.image[0, :22].max() == 0
    assert ready.image[0, :, 42:].max() == 0
    assert np.mean(ready.image[0, 22:, :42] > 0) > 0.95


def test_a_centre_outside_of_the_view_is_brought_to_its_edge() -> None:
    placement = roi_chain.cut(tissue(), (-500, 1000), (0.2, 0.2), SPEC).placement

    assert placement.crop == Box(0, 228, 32, 260)


@settings(max_examples=20)
@given(gain=st.floats(0.8, 1.0), offset=st.floats(0, 0.1), seed=st.integers(0, 5))
def test_brightness_and_contrast_of_the_display_do_not_matter(
    gain: float, offset: float, seed: int
) -> None:
    image = 0.2 + 0.7 * tissue(seed=seed)

    a = roi_chain.cut(image, (150, 130), (0.2, 0.2), SPEC).image
    b = roi_chain.cut(gain * image + np.float32(offset), (150, 130), (0.2, 0.2), SPEC).image

    np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_tissues_median_is_brought_to_the_middle() -> None:
    ready = roi_chain.cut(tissue(), (150, 130), (0.2, 0.2), SPEC)

    assert np.median(ready.image) == pytest.approx(0.35, abs=0.01)


def test_the_brightest_specks_keep_their_order() -> None:
    image = 0.5 * tissue()
    for step, col in enumerate(range(110, 150, 4)):
        image[150, col] = 0.4 + 0.03 * step

    plane = roi_chain.cut(image, (150, 130), (0.2, 0.2), SPEC).image[0]

    specks = plane[32, 12:52:4]
    assert (np.diff(specks) > 0.001).all()
    assert specks.max() < 1


def test_the_curve_bends_without_a_corner_at_the_knee() -> None:
    # Of 64 × 64 grey levels from 0.2 to 0.6, median 0.4 and 98th percentile 0.592: the spread is
    # 0.192, and the knee (0.75) lies at 0.4 + 0.4 / 0.3 · 0.192 = 0.656.
    image = np.linspace(0.2, 0.6, 4096, dtype=np.float32).reshape(64, 64)
    image[0, :4] = 0.655, 0.656, 0.657, 0.9

    plane = roi_chain.cut(image, (32, 32), (0.2, 0.2), SPEC).image[0]

    slope = 0.3 / 0.192
    assert plane[0, 1] == pytest.approx(0.75, abs=0.002)
    np.testing.assert_allclose(np.diff(plane[0, :3]), slope * 0.001, rtol=0.02)
    # 1 − 0.25² / (0.25 + slope · (0.9 − 0.656)) = 0.9010
    assert plane[0, 3] == pytest.approx(0.9010, abs=0.002)


def test_air_stays_black_and_does_not_move_the_tissues_median() -> None:
    spec = RoiSpec(size=256, spacing_mm=0.2)
    image = tissue(600, 600)
    with_air = image.copy()
    with_air[:, :300] = 0

    a = roi_chain.cut(image, (300, 300), (0.2, 0.2), spec).image[0]
    b = roi_chain.cut(with_air, (300, 300), (0.2, 0.2), spec).image[0]

    assert b[:, :128].max() == 0
    assert np.median(b[:, 140:]) == pytest.approx(np.median(a[:, 140:]), abs=0.02)


def test_a_flat_region_is_not_stretched_into_noise() -> None:
    image = np.full((300, 260), 0.4, np.float32)
    image += 0.002 * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)

    plane = roi_chain.cut(image, (150, 130), (0.2, 0.2), SPEC).image[0]

    assert plane.std() < 0.3 * 0.002 / 0.04 * 1.2


def test_a_black_view_gives_a_black_region() -> None:
    ready = roi_chain.cut(np.zeros((300, 260), np.float32), (150, 130), (0.2, 0.2), SPEC)

    assert ready.image.max() == 0


def test_cutting_is_the_chain_of_training() -> None:
    image = tissue()

    served = roi_chain.cut(image, (20, 130), (0.07, 0.07), SPEC)
    trained = roi_chain.build(SPEC)(PlaceRoi(image, (20, 130), (0.07, 0.07)))

    np.testing.assert_array_equal(served.image, trained.image)
    assert served.placement == trained.placement
    assert served.image.dtype == np.float32


def test_a_map_inside_the_view_is_not_touched() -> None:
    values = np.random.default_rng(0).random((16, 16), np.float32)
    placement = roi_chain.cut(tissue(), (150, 130), (0.2, 0.2), SPEC).placement

    assert roi_chain.map_to_source(values, placement) is values


def test_a_map_at_the_edge_covers_exactly_what_was_cut() -> None:
    # The content starts at row 22 of 64, inside the map's second cell of 16 rows.
    placement = roi_chain.cut(tissue(), (10, 130), (0.2, 0.2), SPEC).placement
    centres = 8 + 16 * np.arange(4, dtype=np.float32)
    values = np.repeat(centres[:, None], 4, axis=1)

    inside = roi_chain.map_to_source(values, placement)

    # A map of its own rows, in rows of the region: 3 cells of 14 over rows 22 to 64.
    assert placement.content == Box(22, 0, 64, 64)
    np.testing.assert_allclose(inside[:, 0], [29, 43, 56], atol=1e-4)


def test_a_spec_survives_its_card() -> None:
    assert RoiSpec.model_validate_json(SPEC.model_dump_json()) == SPEC
    assert RoiSpec.model_validate_json(PLAIN.model_dump_json()).intensity is None
    assert RoiSpec.model_validate({}).intensity == RoiIntensity()
