"""Specks: where they are, how strong, and that lines and noise are none."""

import cv2
import numpy as np
import pytest

from cadnode.detect.calcifications import grow
from cadnode.detect.specks import curvatures, find_specks
from tests.unit.detect_cases import add_specks

EVERYWHERE = np.ones((200, 200), np.bool_)


def noise(seed: int = 0, sigma: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.4 + sigma * rng.normal(0, 1, (200, 200))).astype(np.float32)


def test_the_curvature_of_a_gaussian_blob_is_the_analytic_one() -> None:
    # A blob exp(−r²/2s²) smoothed by σ is s²/(s²+σ²) · exp(−r²/2(s²+σ²)): at its centre both
    # principal curvatures are −s²/(s²+σ²)², times σ² when scale-normalised.
    rows, cols = np.mgrid[:101, :101] - 50
    blob = np.exp(-(rows**2 + cols**2) / (2 * 6.0**2)).astype(np.float32)

    strong, weak = curvatures(blob, 4.0)

    expected = 4.0**2 * 6.0**2 / (6.0**2 + 4.0**2) ** 2
    assert strong[50, 50] == pytest.approx(expected, rel=0.02)
    assert weak[50, 50] == pytest.approx(expected, rel=0.02)


def test_a_line_curves_strongly_in_one_direction_and_not_in_the_other() -> None:
    image = np.zeros((101, 101), np.float32)
    image[:, 50] = 1

    strong, weak = curvatures(image, 2.0)

    assert strong[50, 50] > 0.05
    assert abs(weak[50, 50]) < 1e-4


def test_a_speck_is_found_where_it_is_and_is_the_strongest() -> None:
    image = add_specks(noise(), [(80.5, 120.5)], sigma=1.5, contrast=0.15)

    specks = find_specks(image, EVERYWHERE, 0.1)

    assert specks.points[0] == pytest.approx([80.5, 120.5], abs=1)
    assert specks.strength[0] > 1.8 * specks.strength[1]
    assert specks.roundness[0] > 0.7


def test_specks_come_strongest_first_and_none_outside_of_what_is_valid() -> None:
    image = add_specks(noise(), [(50, 50), (150, 150)], sigma=1.5, contrast=0.2)
    valid = EVERYWHERE.copy()
    valid[100:] = False

    specks = find_specks(image, valid, 0.1)

    assert (np.diff(specks.strength) <= 0).all()
    assert (specks.points[:, 0] < 100).all()


def test_the_same_contrast_counts_less_where_the_noise_is_higher() -> None:
    quiet = find_specks(
        add_specks(noise(sigma=0.005), [(100, 100)], sigma=1.5, contrast=0.1), EVERYWHERE, 0.1
    )
    loud = find_specks(
        add_specks(noise(sigma=0.02), [(100, 100)], sigma=1.5, contrast=0.1), EVERYWHERE, 0.1
    )

    assert quiet.strength[0] > 2 * loud.strength[0]


def test_a_fibre_is_weaker_than_a_speck_of_its_contrast_and_width() -> None:
    rows, cols = np.mgrid[:200, :200]
    across = (rows - 0.2 * cols - 80) / np.hypot(1, 0.2)
    image = (noise() + 0.15 * np.exp(-(across**2) / 2)).astype(np.float32)
    line = find_specks(image, EVERYWHERE, 0.1).strength[0]
    speck = find_specks(
        add_specks(noise(), [(100, 100)], sigma=1.0, contrast=0.15), EVERYWHERE, 0.1
    ).strength[0]

    assert line < 0.8 * speck


def test_strength_does_not_depend_on_gain() -> None:
    image = add_specks(noise(), [(80, 120)], sigma=1.5, contrast=0.15)

    one, half = find_specks(image, EVERYWHERE, 0.1), find_specks(image / 2, EVERYWHERE, 0.1)

    np.testing.assert_allclose(half.strength[:5], one.strength[:5], rtol=1e-2)


def test_a_grown_disc_has_its_own_area() -> None:
    image = np.full((60, 60), 0.3, np.float32)
    cv2.circle(image, (30, 30), 4, 0.6, -1)
    true_area = int((image > 0.5).sum())
    valid = np.ones(image.shape, np.bool_)

    grown = grow(image, find_specks(image, valid, 0.1), 0.1)

    assert len(grown[0].pixels) == pytest.approx(true_area, rel=0.15)
    assert grown[0].contrast == pytest.approx(0.3, rel=0.1)


def test_every_pixel_belongs_to_one_calcification_at_most() -> None:
    image = add_specks(noise(), [(100, 100), (100, 107), (60, 40)], sigma=1.5, contrast=0.25)

    grown = grow(image, find_specks(image, EVERYWHERE, 0.1), 0.1)

    peaks = {one.peak for one in grown}
    first = {tuple(p) for p in grown[0].pixels.tolist()}
    assert len(peaks) == len(grown)
    assert all((int(g.peak[0]), int(g.peak[1])) not in first for g in grown[1:])
