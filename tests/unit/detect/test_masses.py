"""Mass candidates: where gradients converge, and the outline that fits best."""

import numpy as np
import pytest

from cadnode.detect.frame import whole_frame
from cadnode.detect.masses import SPACING_MM, convergence, find_masses, outline
from tests.unit.detect_cases import add_mass

BREAST = np.ones((120, 120), np.bool_)


def flat(rows: int = 120, cols: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.4 + 0.002 * rng.normal(0, 1, (rows, cols))).astype(np.float32)


def test_gradients_converge_at_the_centre_of_a_disc_and_diverge_from_a_hole() -> None:
    disc = add_mass(flat(), 60, 60, radius=10, contrast=0.3)
    hole = add_mass(flat(), 60, 60, radius=10, contrast=-0.3)

    to_disc, to_hole = convergence(disc, BREAST), convergence(hole, BREAST)

    assert to_disc[60, 60] > 0.5
    assert np.hypot(*(np.array(np.unravel_index(to_disc.argmax(), to_disc.shape)) - 60)) < 3
    assert to_hole[60, 60] < 0.1


def test_an_even_slope_converges_nowhere() -> None:
    slope = np.tile(np.linspace(0, 1, 120, dtype=np.float32), (120, 1))

    assert np.abs(convergence(slope, BREAST)[30:-30, 30:-30]).max() < 0.05


def test_the_outline_of_a_disc_is_the_disc() -> None:
    image = add_mass(flat(), 60, 60, radius=12, contrast=0.3)

    outlined = outline(image, (60, 60), BREAST)

    assert outlined is not None
    truth = np.hypot(*(np.mgrid[:120, :120] + 0.5 - 60)) < 12
    assert (outlined[0] & truth).sum() / (outlined[0] | truth).sum() > 0.8
    assert outlined[1] > 0.9  # all of the edge's gradients point to the centre


def test_the_outline_is_found_from_a_seed_beside_the_centre() -> None:
    image = add_mass(flat(), 60, 60, radius=12, contrast=0.3)

    outlined = outline(image, (56, 64), BREAST)

    assert outlined is not None
    assert outlined[0].sum() == pytest.approx(np.pi * 12**2, rel=0.25)


def test_a_disc_is_a_candidate_and_its_area_is_in_square_millimetres() -> None:
    image = add_mass(flat(), 60, 60, radius=12, contrast=0.3)
    frame = whole_frame(np.kron(image, np.ones((3, 3), np.float32)), SPACING_MM / 3)

    best = max(find_masses(frame), key=lambda m: m.statistics[0])

    assert np.hypot(best.point[0] - 60, best.point[1] - 60) < 3
    area_mm2 = np.pi * (12 * SPACING_MM) ** 2
    assert np.exp(best.statistics[3]) == pytest.approx(area_mm2, rel=0.25)


def test_there_are_at_most_twelve_candidates() -> None:
    rng = np.random.default_rng(3)
    frame = whole_frame(rng.random((400, 400)).astype(np.float32), SPACING_MM / 3)

    assert len(find_masses(frame)) <= 12
