"""BI-RADS words of a cluster, from positions, sizes and shapes."""

import numpy as np
import pytest

from cadnode.detect.clusters import elongation
from cadnode.detect.description import describe, diameter, distribution, kind
from cadnode.domain import CalcificationType, Distribution

FAR = np.array([1000.0, 1000.0])


def patch(n: int, across: float, *, narrow: float = 1.0, seed: int = 0) -> np.ndarray:
    """N positions (mm) evenly in an ellipse, its long axis along the columns."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, n), across / 2 * np.sqrt(rng.random(n))
    return np.stack([narrow * radius * np.sin(angle), radius * np.cos(angle)], 1)


def test_a_patch_of_one_centimetre_is_grouped() -> None:
    assert distribution(patch(15, 10), None, 150) is Distribution.GROUPED


def test_a_patch_of_four_centimetres_is_regional() -> None:
    assert distribution(patch(40, 40), FAR, 200) is Distribution.REGIONAL


def test_calcifications_over_most_of_the_breast_are_diffuse() -> None:
    assert distribution(patch(60, 110), FAR, 150) is Distribution.DIFFUSE


def test_positions_along_a_line_are_linear_in_any_direction() -> None:
    along = np.linspace(-8, 8, 9)
    for angle in (0.0, 0.7, 2.0):
        points = np.stack([along * np.sin(angle), along * np.cos(angle)], 1)
        assert distribution(points, None, 150) is Distribution.LINEAR


def test_a_wedge_to_the_nipple_is_segmental_and_one_across_it_is_regional() -> None:
    wedge = patch(40, 40, narrow=0.4)

    assert distribution(wedge, np.array([0.0, 60.0]), 200) is Distribution.SEGMENTAL
    assert distribution(wedge, np.array([60.0, 0.0]), 200) is Distribution.REGIONAL


@pytest.mark.parametrize(
    ("size", "spread", "longer", "strength", "expected"),
    [
        (0.3, 0.1, 1.2, 9.0, CalcificationType.PUNCTATE),
        (0.7, 0.1, 1.2, 9.0, CalcificationType.ROUND),
        (1.6, 0.1, 1.2, 9.0, CalcificationType.COARSE),
        (0.3, 0.1, 1.2, 3.5, CalcificationType.AMORPHOUS),
        (0.35, 0.7, 1.4, 9.0, CalcificationType.FINE_PLEOMORPHIC),
        (0.75, 0.7, 1.4, 9.0, CalcificationType.COARSE_HETEROGENEOUS),
        (0.4, 0.1, 4.0, 9.0, CalcificationType.FINE_LINEAR_BRANCHING),
    ],
)
def test_size_spread_shape_and_contrast_give_the_type(
    size: float, spread: float, longer: float, strength: float, expected: CalcificationType
) -> None:
    # Pairs around the size: their standard deviation is spread times their mean.
    sizes = np.array([size * (1 - spread), size * (1 + spread)] * 5)

    assert kind(sizes, np.full(10, longer), np.full(10, strength)) is expected


def test_a_third_of_elongated_ones_makes_fine_linear() -> None:
    longer = np.array([4.0] * 4 + [1.2] * 6)

    assert kind(np.full(10, 0.4), longer, np.full(10, 9.0)) is CalcificationType.FINE_LINEAR


def test_the_longest_diameter_is_between_the_two_farthest() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]])

    assert diameter(points) == pytest.approx(5.0)
    assert diameter(points[:1]) == 0
    line = np.stack([np.zeros(50), np.linspace(0, 7, 50)], 1)
    assert diameter(line) == pytest.approx(7.0)


def test_a_description_counts_and_measures() -> None:
    found = describe(
        np.array([[0.0, 0.0], [6.0, 8.0], [4.0, 1.0]]), np.full(3, 0.3), np.full(3, 1.2),
        np.full(3, 9.0),
    )  # fmt: skip

    assert found.count == 3
    assert found.diameter_mm == pytest.approx(10.0)
    assert found.type is CalcificationType.PUNCTATE


def test_elongation_of_a_square_is_one_and_of_a_bar_its_sides_ratio() -> None:
    square = np.argwhere(np.ones((5, 5), bool))
    bar = np.argwhere(np.ones((2, 8), bool))

    assert elongation(square) == pytest.approx(1)
    assert elongation(bar) == pytest.approx(4)
    assert elongation(square[:1]) == pytest.approx(1)
