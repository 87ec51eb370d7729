"""Size and form of masks: known shapes by hand, and scikit-image beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import measure as skimage_measure

from cadnode.detect.features import shape

Mask = NDArray[np.bool_]


def disc(radius: float, size: int = 101) -> Mask:
    rows, cols = np.mgrid[:size, :size] - size // 2
    return rows**2 + cols**2 <= radius**2


def ellipse(major: float, minor: float, degrees: float, size: int = 161) -> Mask:
    """An ellipse with these semi-axes in pixels."""
    rows, cols = np.mgrid[:size, :size] - size // 2
    turn = np.deg2rad(degrees)
    along = cols * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - cols * np.sin(turn)
    return (along / major) ** 2 + (across / minor) ** 2 <= 1


def rectangle(rows: int, cols: int) -> Mask:
    return np.pad(np.ones((rows, cols), bool), 3)


def star(points: int = 8, core: float = 20, reach: float = 45, size: int = 121) -> Mask:
    rows, cols = np.mgrid[:size, :size] - size // 2
    wave = (1 + np.cos(points * np.arctan2(rows, cols))) / 2
    return np.hypot(rows, cols) <= core + (reach - core) * wave**4


def random_mask(seed: int) -> Mask:
    rng = np.random.default_rng(seed)
    mask = rng.random((12, 15)) < rng.uniform(0.1, 0.9)
    mask[6, 7] = True
    return mask


def test_a_disc_is_round_solid_and_smooth() -> None:
    found = shape.measure(disc(40))

    assert found.area == pytest.approx(np.pi * 40**2, rel=0.002)
    assert found.diameter == pytest.approx(80, rel=0.002)
    assert found.perimeter == pytest.approx(2 * np.pi * 40, rel=0.01)
    assert found.circularity > 0.98
    assert found.solidity > 0.98
    assert found.convexity > 0.98
    assert found.axis_ratio == pytest.approx(1, abs=0.001)
    assert found.elongation == pytest.approx(0, abs=0.01)
    assert found.roughness < 0.01
    assert found.radial_sd < 0.01
    assert found.hull.feret == pytest.approx(81, abs=0.5)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_an_ellipse_has_its_axes_in_every_direction(degrees: float) -> None:
    found = shape.measure(ellipse(60, 20, degrees))

    assert found.major == pytest.approx(120, rel=0.01)
    assert found.minor == pytest.approx(40, rel=0.01)
    assert found.axis_ratio == pytest.approx(1 / 3, rel=0.01)
    assert found.elongation == pytest.approx(1 - 1 / 3, abs=0.015)
    assert found.roughness < 0.02  # elongated, but smooth
    assert found.solidity > 0.97


def test_a_square_has_the_circularity_of_its_crofton_perimeter() -> None:
    # h = v = 2 · 30, d = 2 · (2 · 30 − 1): π/8 · (120 + 236 / √2)
    found = shape.measure(rectangle(30, 30))

    assert found.perimeter == pytest.approx(np.pi / 8 * (120 + 236 / np.sqrt(2)))
    assert found.circularity == pytest.approx(4 * np.pi * 900 / found.perimeter**2)
    assert found.solidity == 1
    assert found.elongation == pytest.approx(0, abs=1e-9)


def test_a_line_is_as_long_as_its_pixels() -> None:
    # second moment of n pixels in a row: (n² − 1) / 12, of one pixel across: 1 / 12
    found = shape.measure(rectangle(1, 20))

    assert found.area == 20
    assert found.axis_ratio == pytest.approx(1 / 20)
    assert found.elongation == pytest.approx(1 - 1 / 20)
    assert found.hull.feret == pytest.approx(20)
    assert found.circularity < 0.3


def test_a_diagonal_line_is_as_convex_as_a_horizontal_one() -> None:
    assert shape.measure(np.eye(20, dtype=bool)).solidity == 1


def test_a_star_is_neither_solid_nor_smooth() -> None:
    found, round_one = shape.measure(star()), shape.measure(disc(30))

    assert found.solidity < 0.65
    assert found.convexity < 0.75
    assert found.circularity < 0.3
    assert found.radial_sd > 10 * round_one.radial_sd
    assert found.roughness > 0.25
    assert found.axis_ratio == pytest.approx(1, abs=0.01)


def test_a_single_pixel_has_finite_measures() -> None:
    found = shape.measure(np.ones((1, 1), bool))

    assert (found.area, found.circularity, found.solidity) == (1, 1, 1)
    assert (found.axis_ratio, found.elongation, found.radial_sd, found.roughness) == (1, 0, 0, 0)
    assert found.hull.feret == pytest.approx(1)


@pytest.mark.parametrize("mask", [disc(17), ellipse(40, 12, 25), star(), rectangle(9, 23)])
def test_measures_agree_with_scikit_image(mask: Mask) -> None:
    (theirs,) = skimage_measure.regionprops(mask.astype(np.uint8))

    ours = shape.measure(mask)

    assert ours.area == theirs.area
    # They leave out a pixel's own second moment, 1/12: an axis is 4 √moment.
    assert ours.major**2 - 16 / 12 == pytest.approx(theirs.axis_major_length**2)
    assert ours.minor**2 - 16 / 12 == pytest.approx(theirs.axis_minor_length**2)
    assert ours.diameter == pytest.approx(theirs.equivalent_diameter_area)
    assert ours.perimeter == pytest.approx(skimage_measure.perimeter_crofton(mask, directions=4))
    # They count the pixels of the hull, we take its area: some border pixels apart.
    assert ours.solidity == pytest.approx(theirs.solidity, abs=0.03)
    # They take the greatest distance on the contour between pixel centres, we of pixel sides.
    assert ours.hull.feret == pytest.approx(theirs.feret_diameter_max, abs=1.0)


@given(seed=st.integers(0, 1000), quarters=st.integers(0, 3), mirrored=st.booleans())
def test_turning_and_mirroring_changes_no_measure(seed: int, quarters: int, mirrored: bool) -> None:
    mask = random_mask(seed)
    turned = np.rot90(mask[:, ::-1] if mirrored else mask, quarters)

    before, after = shape.measure(mask), shape.measure(turned)

    for name in ("area", "perimeter", "major", "minor", "roughness", "radial_sd"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-9)
    for name in ("area", "perimeter", "feret", "length", "width"):
        assert getattr(after.hull, name) == pytest.approx(getattr(before.hull, name), abs=1e-9)


@given(seed=st.integers(0, 1000))
def test_ratios_of_any_mask_stay_in_their_range(seed: int) -> None:
    found = shape.measure(random_mask(seed))

    ratios = (found.circularity, found.solidity, found.convexity, found.axis_ratio)
    assert all(0 < ratio <= 1 for ratio in ratios)
    assert 0 <= found.elongation < 1
    assert 0 <= found.roughness < 1


def test_doubling_a_shape_changes_no_ratio() -> None:
    small, large = shape.measure(ellipse(30, 12, 20)), shape.measure(ellipse(60, 24, 20))

    assert large.area == pytest.approx(4 * small.area, rel=0.02)
    for name in ("circularity", "solidity", "convexity", "axis_ratio", "elongation"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), abs=0.02)
