"""The 15 features of microcalcifications on drawn clusters with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.detect.features import MICROCALCIFICATION_FEATURES, microcalcification_features
from cadnode.detect.regions import Segmentation
from cadnode.domain import Box
from cadnode.models.feature import Features

SPACING_MM = 0.05


def segmentation(
    labels: np.ndarray,
    *,
    tissue: float = 0.3,
    contrast: float = 0.2,
    spacing_mm: float = SPACING_MM,
) -> Segmentation:
    image = np.full(labels.shape, tissue, np.float32) + np.float32(contrast) * (labels > 0)
    box = Box(0, 0, *labels.shape)
    return Segmentation(image.astype(np.float32), SPACING_MM, labels.astype(np.int32), None, box)


def discs(centres: list[tuple[int, int]], radius: float, size: int = 240) -> np.ndarray:
    rows, cols = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for number, (row, col) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return labels


def measured(labels: np.ndarray, **kwargs: float) -> Features:
    return microcalcification_features(segmentation(labels, **kwargs))


def test_there_are_fifteen() -> None:
    found = measured(discs([(50, 50)], 5))

    assert found.names == MICROCALCIFICATION_FEATURES
    assert len(found.values) == 15
    assert found.values.dtype == np.float64


def test_nothing_segmented_is_all_zero() -> None:
    assert not measured(np.zeros((20, 20))).values.any()


def test_four_round_calcifications_are_counted_and_measured() -> None:
    # Discs of radius 6 pixels, 113 pixels each (Gauss's circle problem), in a square of 100.
    found = measured(discs([(60, 60), (60, 160), (160, 60), (160, 160)], 6))

    assert found["calc_number"] == 4
    assert found["calc_area_mm2"] == pytest.approx(4 * 113 * SPACING_MM**2)
    assert found["calc_average_diameter_mm"] == pytest.approx(2 * np.sqrt(113 / np.pi) * SPACING_MM)
    assert found["calc_circularity_proportion"] == 1
    assert found["calc_linear_proportion"] == 0
    assert found["calc_sandy_proportion"] == 0
    assert found["calc_diameter_variation"] == 0
    assert found["calc_cluster_elongation"] == pytest.approx(0, abs=1e-9)
    assert found["calc_cluster_diameter_mm"] == pytest.approx(
        (100 * np.sqrt(2) + 13) * SPACING_MM, rel=0.01
    )


def test_density_is_the_number_in_the_hull_and_half_a_millimetre_around() -> None:
    # One disc: the hull of its pixels' sides has a radius of 6.2 pixels = 0.31 mm; 0.5 mm more.
    found = measured(discs([(100, 100)], 6))

    assert found["calc_density_per_cm2"] == pytest.approx(100 / (np.pi * 0.81**2), rel=0.01)


def test_lines_are_linear_and_dots_are_not() -> None:
    labels = discs([(30, 30), (30, 90)], 4)
    labels[100:102, 40:70] = 3  # 0.1 × 1.5 mm
    labels[120:150, 100:102] = 4

    found = measured(labels)

    assert found["calc_linear_proportion"] == 0.5
    assert found["calc_circularity_proportion"] == 0.5


def test_short_specks_of_two_pixels_are_not_linear() -> None:
    labels = np.zeros((50, 50), np.int32)
    labels[20, 20:22] = 1

    assert measured(labels)["calc_linear_proportion"] == 0


def test_sand_is_below_three_tenths_of_a_millimetre() -> None:
    # radius 2: 13 pixels, 0.20 mm; radius 6: 113 pixels, 0.60 mm
    labels = discs([(30, 30), (30, 90), (90, 30)], 2)
    labels += np.where(discs([(150, 150)], 6) > 0, 4, 0)

    assert measured(labels)["calc_sandy_proportion"] == 0.75


def test_calcifications_of_different_size_vary() -> None:
    # Equivalent diameters of 1 and 9 pixels are as 1 to 3: mean 2, deviation 1.
    labels = np.zeros((60, 60), np.int32)
    labels[20, 20] = 1
    labels[40:43, 40:43] = 2

    assert measured(labels)["calc_diameter_variation"] == pytest.approx(0.5)


def test_volume_ratio_is_what_stands_above_the_tissue() -> None:
    found = measured(discs([(120, 120)], 4), tissue=0.3, contrast=0.2)

    assert found["calc_mean_grey"] == pytest.approx(0.5)
    assert found["calc_volume_ratio"] == pytest.approx(0.2 / 0.5, abs=1e-4)


def test_a_row_of_calcifications_is_an_elongated_cluster() -> None:
    row = measured(discs([(100, c) for c in range(20, 220, 40)], 3))
    square = measured(discs([(r, c) for r in (60, 100, 140) for c in (60, 100, 140)], 3))

    assert row["calc_cluster_elongation"] > 0.8
    assert square["calc_cluster_elongation"] == pytest.approx(0, abs=1e-9)


def test_jagged_calcifications_are_spiculated_and_round_ones_are_not() -> None:
    rows, cols = np.mgrid[:80, :80] - 40
    star = np.hypot(rows, cols) <= 10 * (1 + 0.8 * np.cos(5 * np.arctan2(rows, cols)))

    jagged, smooth = measured(star.astype(np.int32)), measured(discs([(40, 40)], 10, 80))

    assert jagged["calc_spiculation"] > 0.25
    assert smooth["calc_spiculation"] < 0.05
    assert jagged["calc_solidity"] < smooth["calc_solidity"]


def test_numbers_that_are_not_used_change_nothing() -> None:
    labels = discs([(60, 60), (60, 160)], 6)

    np.testing.assert_allclose(measured(np.where(labels == 2, 7, labels)).values,
                               measured(labels).values)  # fmt: skip


@given(
    seed=st.integers(0, 500), share=st.sampled_from([0.003, 0.02, 0.2, 1.0]),
    dark=st.booleans(),
)  # fmt: skip
def test_any_mask_has_finite_features(seed: int, share: float, dark: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
    labels = np.where(rng.random(shape) < share, rng.integers(1, 9, shape), 0)
    labels[shape[0] // 2, shape[1] // 2] = 1
    image = (rng.random(shape) * (not dark)).astype(np.float32)

    found = microcalcification_features(
        Segmentation(image, 0.1, labels.astype(np.int32), None, Box(0, 0, *shape))
    )

    assert np.isfinite(found.values).all()


@given(seed=st.integers(0, 100), quarters=st.integers(0, 3), mirrored=st.booleans())
def test_turning_and_mirroring_changes_nothing(seed: int, quarters: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = discs([tuple(rng.integers(8, 60, 2)) for _ in range(5)], rng.uniform(1, 5), 70)
    image = rng.random((70, 70)).astype(np.float32)

    def turn(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(a[:, ::-1] if mirrored else a, quarters))

    box = Box(0, 0, 70, 70)
    before = microcalcification_features(Segmentation(image, 0.1, labels, None, box))
    after = microcalcification_features(Segmentation(turn(image), 0.1, turn(labels), None, box))

    np.testing.assert_allclose(after.values, before.values, rtol=1e-4, atol=1e-5)
