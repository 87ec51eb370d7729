"""The 26 features of masses on drawn masses with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.detect.features import MASS_FEATURES, features_of, mass_features, masses
from cadnode.detect.regions import Segmentation
from cadnode.domain import Box
from cadnode.models.feature import Features

SPACING_MM = 0.2
SIZE = 160


def disc(radius: float, size: int = SIZE) -> np.ndarray:
    rows, cols = np.mgrid[:size, :size] - size // 2
    return rows**2 + cols**2 <= radius**2


def radial(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[:size, :size] - size // 2
    return np.hypot(rows, cols), np.arctan2(rows, cols)


def measured(mask: np.ndarray, image: np.ndarray, spacing_mm: float = SPACING_MM) -> Features:
    """Of the mask as it is given."""
    whole = masses._at_working_spacing(image.astype(np.float32), mask, spacing_mm)
    return masses._measured(*whole)


def segmented(rough: np.ndarray, image: np.ndarray, spacing_mm: float = SPACING_MM) -> Features:
    """As the node measures: the outline is found again."""
    labels = np.zeros(rough.shape, np.int32)
    return mass_features(
        Segmentation(image.astype(np.float32), spacing_mm, labels, rough, Box(0, 0, *rough.shape))
    )


def soft_mass(width_mm: float, radius: float = 30) -> np.ndarray:
    """Tissue of 0.3, a mass of 0.6, and an edge of that width."""
    away, _ = radial()
    return 0.3 + 0.3 / (1 + np.exp((away - radius) * SPACING_MM / width_mm * 4))


def test_there_are_twenty_six_and_forty_one_together_and_twelve_of_lines() -> None:
    mask = disc(30)
    found = measured(mask, soft_mass(0.4))

    assert found.names == MASS_FEATURES
    assert len(found.values) == 26 + 12
    whole = Segmentation(
        soft_mass(0.4).astype(np.float32), SPACING_MM, np.zeros(mask.shape, np.int32), mask,
        Box(0, 0, *mask.shape),
    )  # fmt: skip
    assert len(features_of(whole, "both").values) == 41 + 12


def test_no_mass_is_all_zero() -> None:
    image, labels = np.zeros((9, 9), np.float32), np.zeros((9, 9), np.int32)

    found = mass_features(Segmentation(image, 0.1, labels, None, Box(0, 0, 9, 9)))

    assert not found.values.any()


def test_an_even_disc_is_known_by_hand() -> None:
    mask = disc(30)
    found = measured(mask, np.where(mask, 0.6, 0.3))

    assert found["mass_area_mm2"] == pytest.approx(np.pi * 6**2, rel=0.005)
    assert found["mass_mean_grey"] == pytest.approx(0.6)
    assert found["mass_maximum_grey"] == pytest.approx(0.6)
    assert found["mass_heterogeneity"] == pytest.approx(0, abs=1e-6)
    # tissue without deviation: (0.6 − 0.3) over the least that counts, 0.005
    assert found["mass_grey_relativity"] == pytest.approx(60, rel=1e-3)
    assert found["mass_volume_ratio"] == pytest.approx(0.5, rel=1e-3)
    assert found["mass_energy"] == 1
    assert found["mass_entropy"] == 0
    assert found["mass_solidity"] > 0.97
    assert found["mass_convexity"] > 0.98
    assert found["mass_circularity"] > 0.97
    assert found["mass_axis_ratio"] == pytest.approx(1, abs=0.001)
    assert found["mass_spiculation"] < 0.02


def test_heterogeneity_is_deviation_over_mean() -> None:
    mask = disc(30)
    halves = np.where(np.arange(SIZE) < SIZE // 2, 0.4, 0.6)[None, :] * np.ones((SIZE, 1))
    share = float(mask[:, : SIZE // 2].sum() / mask.sum())

    found = measured(mask, halves)

    mean = 0.4 * share + 0.6 * (1 - share)
    sd = 0.2 * np.sqrt(share * (1 - share))
    assert found["mass_heterogeneity"] == pytest.approx(sd / mean, rel=1e-4)


def test_a_sharp_margin_is_sharper_than_a_soft_one() -> None:
    mask = disc(30)
    sharp, soft = (measured(mask, soft_mass(width)) for width in (0.4, 2.0))

    # logistic edge: its steepest slope is contrast / width
    assert soft["mass_margin_sharpness_per_mm"] == pytest.approx(1 / 2, rel=0.2)
    assert sharp["mass_margin_sharpness_per_mm"] > 1.4 * soft["mass_margin_sharpness_per_mm"]


def test_a_margin_that_is_hidden_on_one_side_varies() -> None:
    mask = disc(30)
    _, angle = radial()
    hidden = np.where(np.cos(angle) > 0, soft_mass(0.4), 0.6)

    whole, half = measured(mask, soft_mass(0.4)), measured(mask, hidden)

    assert half["mass_margin_variation"] > 2 * whole["mass_margin_variation"]


def test_lines_that_radiate_are_spicules() -> None:
    mask = disc(30)
    away, angle = radial()
    lines = 0.15 * (np.cos(12 * angle) > 0.6) * (away < 55)

    smooth = measured(mask, soft_mass(0.4))
    spiculated = measured(mask, np.maximum(soft_mass(0.4), 0.3 + lines))

    assert spiculated["mass_spiculation"] > 0.3 > 10 * smooth["mass_spiculation"]


def test_an_ellipse_is_elongated_and_a_star_irregular() -> None:
    rows, cols = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    away, angle = radial()
    ellipse = (rows / 20) ** 2 + (cols / 50) ** 2 <= 1
    star = away <= 30 * (1 + 0.5 * np.cos(7 * angle))
    image = np.full((SIZE, SIZE), 0.4)

    long, jagged = measured(ellipse, image), measured(star, image)

    assert long["mass_axis_ratio"] == pytest.approx(0.4, rel=0.02)
    assert long["mass_elongation"] == pytest.approx(0.6, abs=0.02)
    assert long["mass_solidity"] > 0.97
    assert jagged["mass_solidity"] < 0.75
    assert jagged["mass_radial_length_sd"] > 0.25
    assert jagged["mass_axis_ratio"] == pytest.approx(1, abs=0.02)


def test_the_pixel_size_hardly_matters() -> None:
    coarse = measured(disc(30), soft_mass(1.0))
    fine_mask = np.kron(disc(30), np.ones((2, 2), bool))
    fine = measured(fine_mask, np.kron(soft_mass(1.0), np.ones((2, 2))), spacing_mm=0.1)

    np.testing.assert_allclose(fine.values, coarse.values, rtol=1e-4, atol=1e-4)


def test_texture_depends_on_the_pattern_not_on_the_exposure() -> None:
    mask = disc(30)
    pattern = 0.4 + 0.1 * np.random.default_rng(0).random((SIZE, SIZE))

    light, dark = measured(mask, pattern), measured(mask, pattern * 0.5)

    for name in ("mass_entropy", "mass_energy", "mass_contrast", "mass_correlation"):
        assert dark[name] == pytest.approx(light[name], rel=0.01)
    assert dark["mass_mean_grey"] == pytest.approx(light["mass_mean_grey"] / 2)


@given(seed=st.integers(0, 300), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), dark=st.booleans())
def test_any_mask_has_finite_features(seed: int, share: float, dark: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 25)), int(rng.integers(1, 25)))
    mask = rng.random(shape) < share
    mask[shape[0] // 2, shape[1] // 2] = True
    image = rng.random(shape) * (not dark)

    for spacing_mm in (0.05, 0.2, 0.6):
        assert np.isfinite(measured(mask, image, spacing_mm).values).all()
        assert np.isfinite(segmented(mask, image, spacing_mm).values).all()


@given(seed=st.integers(0, 100), quarters=st.integers(0, 3), mirrored=st.booleans())
def test_turning_and_mirroring_changes_nothing(seed: int, quarters: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    away, angle = radial(60)
    mask = away <= 15 * (1 + 0.3 * np.cos(rng.integers(2, 6) * angle + rng.uniform(0, 6)))
    image = rng.random((60, 60))

    def turn(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(a[:, ::-1] if mirrored else a, quarters))

    before, after = measured(mask, image), measured(turn(mask), turn(image))

    np.testing.assert_allclose(after.values, before.values, rtol=1e-5, atol=1e-6)


def test_a_rough_mask_is_measured_on_the_mass_it_stands_for() -> None:
    mask, image = disc(30), soft_mass(0.4)

    of_rough, of_true = segmented(disc(18), image), measured(mask, image)

    for name in ("mass_area_mm2", "mass_solidity", "mass_mean_grey", "mass_volume_ratio"):
        assert of_rough[name] == pytest.approx(of_true[name], rel=0.08)
