"""Lines that run towards a mass, on drawn lines with known answers."""

import numpy as np
import pytest

from cadnode.detect.features import stellate

SIZE, SPACING_MM = 121, 0.2
CENTRE = SIZE // 2


def away() -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[:SIZE, :SIZE] - CENTRE
    return np.hypot(rows, cols), np.arctan2(rows, cols)


def measured(image: np.ndarray) -> dict[str, float]:
    radius, _ = away()
    distance_mm = (radius - 15) * SPACING_MM
    return dict(
        stellate.measure(image.astype(np.float32), radius <= 15, distance_mm, SPACING_MM, 4.0)
    )


def test_spicules_run_towards_the_mass_and_rings_around_it() -> None:
    radius, angle = away()
    spicules = 0.4 + 0.2 * (np.cos(8 * angle) > 0.9)
    rings = 0.4 + 0.2 * (np.cos(radius / 2) > 0.7)

    assert measured(spicules)["mass_radial_lines_rim_fine"] > 0.9
    assert measured(rings)["mass_radial_lines_rim_fine"] < 0.1


@pytest.mark.parametrize("zone", ["inside", "rim", "all"])
def test_noise_runs_anywhere_and_nothing_has_no_strength(zone: str) -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.1, (SIZE, SIZE))
    flat = measured(np.full((SIZE, SIZE), 0.5))

    assert measured(noise)[f"mass_radial_lines_{zone}_fine"] == pytest.approx(0.5, abs=0.05)
    assert flat[f"mass_line_strength_{zone}_coarse"] == pytest.approx(0, abs=1e-6)
    assert flat[f"mass_radial_lines_{zone}_coarse"] == 0.5


def test_shares_stay_when_the_exposure_changes_and_the_image_is_turned() -> None:
    _, angle = away()
    image = 0.4 + 0.1 * (np.cos(8 * angle) > 0.9)
    image += np.random.default_rng(1).normal(0, 0.01, image.shape)
    first, brighter, turned = measured(image), measured(0.8 * image + 0.1), measured(image[:, ::-1])

    for name, value in first.items():
        assert turned[name] == pytest.approx(value, rel=1e-3)
        if "radial" in name:
            assert brighter[name] == pytest.approx(value, rel=1e-3)
