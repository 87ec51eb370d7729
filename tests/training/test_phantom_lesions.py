"""Single lesions of the phantom: what is drawn is what the descriptors say."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cadnode.domain import CalcificationType, Distribution
from cadnode_training.phantom import calcifications, cluster, masses
from cadnode_training.phantom.cluster import Site
from cadnode_training.phantom.descriptors import (
    ClusterDescriptors,
    MassDensity,
    MassDescriptors,
    MassMargin,
    MassShape,
    PhantomCase,
    describe,
)

FINE_MM = 0.025
LINEAR = (CalcificationType.FINE_LINEAR, CalcificationType.FINE_LINEAR_BRANCHING)


def site(spacing_mm: float = 0.1, side: int = 600, *, reach_mm: float = 26.0) -> Site:
    """The middle of an empty square, the nipple to the right."""
    middle = (side / 2, side / 2)
    everywhere = np.ones((side, side), np.bool_)
    return Site(everywhere, 1.0, (0, 0), middle, 0.0, spacing_mm, reach_mm, 30.0)


def drawn(kind: CalcificationType, seed: int, spacing_mm: float = FINE_MM) -> NDArray[np.float32]:
    image = np.zeros((400, 400), np.float32)
    calcifications.draw(
        np.random.default_rng(seed), image, (200.5, 200.5), kind,
        spacing_mm=spacing_mm, direction=0.0,
    )  # fmt: skip
    return image


def axes_mm(image: NDArray[np.float32], spacing_mm: float = FINE_MM) -> tuple[float, float]:
    """Length and width of the smallest turned rectangle around what is brighter than a quarter."""
    rows, cols = np.nonzero(image > image.max() / 4)
    _, size, _ = cv2.minAreaRect(np.stack([cols, rows], 1).astype(np.float32))
    long, short = sorted(((size[0] + 1) * spacing_mm, (size[1] + 1) * spacing_mm), reverse=True)
    return long, short


@pytest.mark.parametrize(
    ("kind", "shortest", "longest"),
    [
        (CalcificationType.ROUND, 0.4, 1.05),
        (CalcificationType.PUNCTATE, 0.12, 0.5),
        (CalcificationType.COARSE_HETEROGENEOUS, 0.35, 1.5),
        (CalcificationType.FINE_PLEOMORPHIC, 0.1, 0.75),
        (CalcificationType.FINE_LINEAR, 0.3, 2.4),
        (CalcificationType.FINE_LINEAR_BRANCHING, 0.5, 3.2),
    ],
)
def test_sizes_are_those_of_the_type(
    kind: CalcificationType, shortest: float, longest: float
) -> None:
    lengths = [axes_mm(drawn(kind, seed))[0] for seed in range(40)]

    assert min(lengths) > shortest
    assert max(lengths) < longest


def test_linear_ones_are_long_and_thin_and_round_ones_are_not() -> None:
    def elongation(kind: CalcificationType) -> float:
        sizes = [axes_mm(drawn(kind, seed)) for seed in range(30)]
        return float(np.median([long / short for long, short in sizes]))

    assert elongation(CalcificationType.FINE_LINEAR) > 2.5
    assert elongation(CalcificationType.ROUND) < 1.35
    assert 1.2 < elongation(CalcificationType.FINE_PLEOMORPHIC) < 2.5


def test_fine_linear_ones_are_thinner_than_half_a_millimetre() -> None:
    for seed in range(20):
        image = drawn(CalcificationType.FINE_LINEAR, seed)
        inside = (image > image.max() / 2).astype(np.uint8)
        widest = 2 * cv2.distanceTransform(inside, cv2.DIST_L2, 5).max() * FINE_MM
        assert widest < 0.5


def test_branching_ones_fork() -> None:
    """A fork fills less of its convex hull than a rod does."""

    def solidity(kind: CalcificationType) -> float:
        values = []
        for seed in range(30):
            image = drawn(kind, seed)
            rows, cols = np.nonzero(image > image.max() / 4)
            points = np.stack([cols, rows], 1).astype(np.int32)
            values.append(len(rows) / cv2.contourArea(cv2.convexHull(points)))
        return float(np.median(values))

    assert solidity(CalcificationType.FINE_LINEAR_BRANCHING) < 0.75 * solidity(
        CalcificationType.FINE_LINEAR
    )


@pytest.mark.parametrize("kind", [CalcificationType.PUNCTATE, CalcificationType.ROUND])
def test_a_shift_by_a_part_of_a_pixel_moves_the_centre_and_keeps_the_sum(
    kind: CalcificationType,
) -> None:
    sums, offsets = [], []
    for part in np.linspace(0, 1, 5, endpoint=False):
        image = np.zeros((40, 40), np.float32)
        calcifications.draw(
            np.random.default_rng(3), image, (20 + part, 20.5), kind, spacing_mm=0.1, direction=0.0
        )
        sums.append(image.sum())
        row = (image.sum(1) * (np.arange(40) + 0.5)).sum() / image.sum()
        offsets.append(row - (20 + part))

    np.testing.assert_allclose(sums, sums[0], rtol=0.03)
    np.testing.assert_allclose(offsets, 0, atol=0.08)


def test_a_calcification_at_the_border_is_cut_not_refused() -> None:
    image = np.zeros((10, 10), np.float32)

    calcifications.draw(
        np.random.default_rng(0), image, (0.2, 9.9), CalcificationType.ROUND,
        spacing_mm=0.1, direction=0.0,
    )  # fmt: skip

    assert image[0, 9] > 0
    assert image[9, 0] == 0


def extent_mm(points: NDArray[np.float64], spacing_mm: float = 0.1) -> float:
    return float(np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).max() * spacing_mm)


def layouts(distribution: Distribution, n: int = 25) -> list[NDArray[np.float64]]:
    look = ClusterDescriptors(CalcificationType.FINE_PLEOMORPHIC, distribution)
    return [cluster.layout(np.random.default_rng(seed), site(), look) for seed in range(n)]


def test_groups_are_at_least_five_within_two_centimetres() -> None:
    for points in layouts(Distribution.GROUPED):
        assert len(points) >= 5
        assert extent_mm(points) < 20


def test_regions_are_wider_than_two_centimetres() -> None:
    assert np.median([extent_mm(p) for p in layouts(Distribution.REGIONAL)]) > 22


def test_lines_are_narrow_and_point_to_the_nipple() -> None:
    for points in layouts(Distribution.LINEAR):
        offsets = (points - points.mean(0)) * 0.1
        spread, directions = np.linalg.eigh(np.cov(offsets.T))
        assert np.sqrt(spread[0]) < 0.3 * np.sqrt(spread[1])
        assert abs(directions[1, 1]) > 0.7  # along the columns: the nipple lies to the right


def test_segments_narrow_towards_the_nipple() -> None:
    near, far = [], []
    for points in layouts(Distribution.SEGMENTAL, 40):
        middle = np.median(points[:, 1])
        far.append(np.std(points[points[:, 1] <= middle, 0]))
        near.append(np.std(points[points[:, 1] > middle, 0]))
    assert np.mean(near) < 0.75 * np.mean(far)


def test_diffuse_ones_are_everywhere() -> None:
    points = np.concatenate(layouts(Distribution.DIFFUSE))
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=3, range=[[40, 560]] * 2)
    assert counts.min() > 0.6 * counts.mean()


@pytest.mark.parametrize("distribution", list(Distribution))
def test_no_calcification_lies_where_it_must_not(distribution: Distribution) -> None:
    place = site()
    place.allowed[:, 330:] = False
    look = ClusterDescriptors(CalcificationType.AMORPHOUS, distribution)

    for seed in range(5):
        points = cluster.layout(np.random.default_rng(seed), place, look)
        assert points[:, 1].max() < 330


def test_the_planted_cluster_lies_in_its_mask() -> None:
    look = ClusterDescriptors(CalcificationType.ROUND, Distribution.GROUPED)
    image = np.zeros((600, 600), np.float32)

    lesion = cluster.plant(np.random.default_rng(0), image, site(), PhantomCase(look, True, 0.5))

    box = lesion.box
    assert lesion.mask.shape == (box.row1 - box.row0, box.col1 - box.col0)
    cells = np.floor(lesion.calcifications).astype(int) - (box.row0, box.col0)
    assert lesion.mask[cells[:, 0], cells[:, 1]].all()
    inside = image[box.row0 : box.row1, box.col0 : box.col1]
    assert inside[lesion.mask].sum() == pytest.approx(image.sum(), rel=1e-4)


def mass(margin: MassMargin, seed: int, shape: MassShape = MassShape.ROUND) -> masses.PlantedLesion:
    look = MassDescriptors(shape, margin, MassDensity.HIGH)
    return masses.plant(
        np.random.default_rng(seed),
        np.zeros((600, 600), np.float32),
        site(),
        PhantomCase(look, True, 0.9),
    )


def steepness(margin: MassMargin, seed: int) -> float:
    """Steepest change from pixel to pixel, in shares of the mass's brightness."""
    image = np.zeros((600, 600), np.float32)
    look = MassDescriptors(MassShape.ROUND, margin, MassDensity.HIGH)
    masses.plant(np.random.default_rng(seed), image, site(), PhantomCase(look, True, 0.9))
    return float(np.hypot(*np.gradient(image)).max() / image.max())


def test_a_circumscribed_border_is_sharp_and_an_indistinct_one_is_not() -> None:
    sharp = [steepness(MassMargin.CIRCUMSCRIBED, seed) for seed in range(8)]
    vague = [steepness(MassMargin.INDISTINCT, seed) for seed in range(8)]

    assert min(sharp) > max(vague)
    assert np.median(sharp) > 2.5 * np.median(vague)


def test_spicules_reach_beyond_the_body() -> None:
    def beyond(margin: MassMargin, seed: int) -> float:
        image = np.zeros((600, 600), np.float32)
        look = MassDescriptors(MassShape.ROUND, margin, MassDensity.HIGH)
        lesion = masses.plant(
            np.random.default_rng(seed), image, site(), PhantomCase(look, True, 0.9)
        )
        rows, cols = np.mgrid[:600, :600] + 0.5
        radius = np.sqrt(lesion.mask.sum() / np.pi)
        return float(image[np.hypot(rows - 300, cols - 300) > 1.4 * radius].max() / image.max())

    assert min(beyond(MassMargin.SPICULATED, seed) for seed in range(6)) > 0.1
    assert max(beyond(MassMargin.CIRCUMSCRIBED, seed) for seed in range(6)) < 0.02


def test_oval_masses_are_longer_than_wide_and_round_ones_are_not() -> None:
    def elongation(shape: MassShape, seed: int) -> float:
        rows, cols = np.nonzero(mass(MassMargin.CIRCUMSCRIBED, seed, shape).mask)
        _, size, _ = cv2.minAreaRect(np.stack([cols, rows], 1).astype(np.float32))
        return float(max(size) / min(size))

    assert max(elongation(MassShape.ROUND, seed) for seed in range(10)) < 1.15
    assert min(elongation(MassShape.OVAL, seed) for seed in range(10)) > 1.2


def test_irregular_and_microlobulated_outlines_are_less_convex() -> None:
    def solidity(margin: MassMargin, shape: MassShape) -> float:
        values = []
        for seed in range(10):
            body = mass(margin, seed, shape).mask
            rows, cols = np.nonzero(body)
            hull = cv2.convexHull(np.stack([cols, rows], 1).astype(np.int32))
            values.append(body.sum() / cv2.contourArea(hull))
        return float(np.median(values))

    smooth = solidity(MassMargin.CIRCUMSCRIBED, MassShape.ROUND)
    assert smooth > 0.98
    assert solidity(MassMargin.CIRCUMSCRIBED, MassShape.IRREGULAR) < smooth - 0.02
    assert solidity(MassMargin.MICROLOBULATED, MassShape.ROUND) < smooth - 0.02


def test_lesions_are_described_in_words() -> None:
    text = describe(mass(MassMargin.SPICULATED, 0, MassShape.IRREGULAR))
    look = ClusterDescriptors(CalcificationType.COARSE_HETEROGENEOUS, Distribution.GROUPED)
    image = np.zeros((600, 600), np.float32)
    lesion = cluster.plant(np.random.default_rng(0), image, site(), PhantomCase(look, False, 0.1))

    assert text == "irregular spiculated mass of high density, malignant"
    assert describe(lesion) == "grouped coarse heterogeneous calcifications, benign"


def test_masses_near_the_skin_are_small() -> None:
    near = Site(np.ones((600, 600), np.bool_), 1.0, (0, 0), (300, 300), 0.0, 0.1, 26.0, 7.0)
    look = MassDescriptors(MassShape.OVAL, MassMargin.CIRCUMSCRIBED, MassDensity.EQUAL)

    for seed in range(10):
        image = np.zeros((600, 600), np.float32)
        lesion = masses.plant(
            np.random.default_rng(seed), image, near, PhantomCase(look, False, 0.1)
        )
        assert np.hypot(*lesion.mask.shape) < 2 * 2 * 7.0 / 0.1
        assert lesion.mask.sum() < np.pi * (7.0 / 0.1) ** 2
