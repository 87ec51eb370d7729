"""The outline of a mass, found by dynamic programming around a rough one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.detect.features import outline

SIZE = 161


def polar(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[:size, :size] - size // 2
    return np.hypot(rows, cols), np.arctan2(rows, cols)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def mass(mask: np.ndarray, *, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tissue = 0.3 + 0.05 * np.cos(np.arange(SIZE) / 25)[None, :]
    return (tissue + 0.2 * mask + rng.normal(0, noise, mask.shape)).astype(np.float32)


@pytest.mark.parametrize("radius", [15, 30, 50])
def test_a_disc_is_found_around_a_rough_mask_of_another_size(radius: int) -> None:
    away, _ = polar()
    true = away <= radius

    for rough in (away <= 0.6 * radius, away <= 1.4 * radius):
        assert overlap(outline.refined(mass(true), rough, 0.2), true) > 0.92


def test_lobes_that_the_rough_mask_lacks_are_found() -> None:
    away, angle = polar()
    true = away <= 35 * (1 + 0.25 * np.cos(5 * angle))
    rough = away <= 33

    found = outline.refined(mass(true), rough, 0.2)

    assert overlap(found, true) > 0.9 > overlap(rough, true)


def test_a_rough_mask_that_fills_the_patch_starts_from_its_middle() -> None:
    away, _ = polar()
    true = away <= 40

    found = outline.refined(mass(true), np.ones(true.shape, bool), 0.2)

    assert overlap(found, true) > 0.92


def test_a_mass_that_reaches_the_edge_of_the_patch_ends_there() -> None:
    rows, cols = np.mgrid[:SIZE, :SIZE]
    true = np.hypot(rows - 80, cols - 20) <= 40

    found = outline.refined(mass(true), np.hypot(rows - 80, cols - 20) <= 25, 0.2)

    assert found.shape == true.shape
    assert overlap(found, true) > 0.85


def test_a_tiny_patch_keeps_its_mask() -> None:
    rough = np.zeros((6, 7), bool)
    rough[2:4, 3] = True

    np.testing.assert_array_equal(outline.refined(np.zeros((6, 7), np.float32), rough, 0.2), rough)


def test_the_cheapest_closed_path_is_found() -> None:
    # a wave of zero cost in a field of ones, closed after one turn
    n, m = 40, 21
    wave = np.round(10 + 4 * np.sin(np.arange(n) * 2 * np.pi / n)).astype(int)
    cost = np.ones((n, m))
    cost[np.arange(n), wave] = 0

    np.testing.assert_array_equal(outline.closed_path(cost, 2), wave)


@given(seed=st.integers(0, 200), swing=st.integers(1, 3))
def test_a_path_closes_and_never_swings_farther_than_allowed(seed: int, swing: int) -> None:
    cost = np.random.default_rng(seed).random((60, 25))

    path = outline.closed_path(cost, swing)

    steps = np.abs(np.diff(np.append(path, path[0])))
    assert steps.max() <= swing


def test_steps_that_cost_make_a_straight_path() -> None:
    cost = np.random.default_rng(0).random((60, 25))

    free, held = outline.closed_path(cost, 2), outline.closed_path(cost, 2, weight=10.0)

    assert np.abs(np.diff(held)).sum() < np.abs(np.diff(free)).sum() / 5


@given(seed=st.integers(0, 50))
def test_any_mask_gives_a_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 60)), int(rng.integers(1, 60)))
    rough = rng.random(shape) < rng.random()
    rough[shape[0] // 2, shape[1] // 2] = True

    found = outline.refined(rng.random(shape).astype(np.float32), rough, 0.3)

    assert found.shape == shape
    assert found.any()
