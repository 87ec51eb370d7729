"""Detection in whole views: what is planted is found, where it is, and nothing ever fails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.detect.regions import Detections, Region
from cadnode.detect.view import detect_view
from cadnode.domain import Acquisition, FindingKind, Laterality
from tests.unit.detect_cases import add_mass, add_specks, breast, group

CENTRE = (300.0, 120.0)
SPACING_MM = 0.2


def detect(image: np.ndarray, spacing_mm: float = SPACING_MM, least: float = 0.5) -> Detections:
    return detect_view(image, Laterality.LEFT, spacing_mm, Acquisition.DIGITAL, None, least=least)


def with_cluster(seed: int = 0) -> np.ndarray:
    return add_specks(breast(seed=seed), group(*CENTRE), sigma=1.2, contrast=0.15)


def clusters(found: Detections) -> list[Region]:
    return [r for r in found.regions if r.kind is FindingKind.CALCIFICATION_CLUSTER]


def centre(region: Region) -> tuple[float, float]:
    box = region.box
    return (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2


def test_a_planted_cluster_is_the_most_certain_one_and_lies_where_it_was_planted() -> None:
    region = clusters(detect(with_cluster()))[0]

    assert np.hypot(*np.subtract(centre(region), CENTRE)) < 20
    assert region.certainty > 0.9


def test_a_clusters_calcifications_are_counted_and_measured() -> None:
    region = clusters(detect(with_cluster()))[0]

    assert region.cluster is not None
    assert 7 <= region.cluster.count <= 13
    assert region.cluster.count == len(region.calcifications)
    # Half of the contrast of a Gaussian of 0.24 mm lies 2.355 × 0.24 mm = 0.57 mm apart.
    assert np.median([c.diameter_mm for c in region.calcifications]) == pytest.approx(0.57, abs=0.2)


def test_the_outline_surrounds_the_calcifications_and_lies_in_the_box() -> None:
    region = clusters(detect(with_cluster()))[0]
    outline = np.array(region.outline)

    assert region.box.row0 <= outline[:, 0].min() + 1
    assert outline[:, 0].max() <= region.box.row1 + 1
    for one in region.calcifications:
        assert outline[:, 0].min() < one.row < outline[:, 0].max()
        assert outline[:, 1].min() < one.col < outline[:, 1].max()


def test_a_breast_without_specks_has_no_certain_cluster() -> None:
    certain = [len(clusters(detect(breast(seed=seed)))) for seed in range(4)]

    assert sum(certain) <= 2


def test_a_mirrored_view_has_mirrored_regions() -> None:
    image = with_cluster()
    plain = clusters(detect(image))[0]
    flipped = clusters(detect(np.ascontiguousarray(image[:, ::-1])))[0]

    assert centre(flipped)[0] == pytest.approx(centre(plain)[0], abs=6)
    assert image.shape[1] - centre(flipped)[1] == pytest.approx(centre(plain)[1], abs=6)
    assert flipped.certainty == pytest.approx(plain.certainty, abs=0.1)


def test_the_same_view_gives_the_same_regions() -> None:
    assert detect(with_cluster(), least=0.1) == detect(with_cluster(), least=0.1)


def test_a_view_of_half_the_pixel_size_has_its_cluster_at_the_same_place() -> None:
    fine = np.kron(with_cluster(), np.ones((2, 2), np.float32))

    region = clusters(detect(fine, SPACING_MM / 2))[0]

    assert np.hypot(*np.subtract(centre(region), np.multiply(CENTRE, 2))) < 40


def test_a_planted_mass_is_found_and_outlined() -> None:
    image = add_mass(breast(), *CENTRE, radius=35, contrast=0.25)

    masses = [r for r in detect(image).regions if r.kind is FindingKind.MASS]

    assert np.hypot(*np.subtract(centre(masses[0]), CENTRE)) < 15
    box = masses[0].box
    assert box.row1 - box.row0 == pytest.approx(70, abs=25)


def test_a_label_outside_of_the_breast_is_no_finding() -> None:
    image = with_cluster()
    image[40:60, 340:400:6] = 1.0

    found = detect(image, least=0.1).regions

    assert all(region.box.col0 < 330 for region in found)


def test_a_black_strip_beside_the_chest_wall_is_no_edge_full_of_specks() -> None:
    image = np.pad(breast(), ((0, 0), (60, 0)))

    found = clusters(detect(image))

    assert all(region.box.col0 > 62 for region in found)


@pytest.mark.parametrize("shape", [(40, 40), (64, 63), (1, 500)])
def test_an_image_too_small_for_a_breast_has_no_regions(shape: tuple[int, int]) -> None:
    assert detect(np.zeros(shape, np.float32)) == Detections((), ())


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_image_has_no_regions(value: float) -> None:
    assert detect(np.full((300, 200), value, np.float32)) == Detections((), ())


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(64, 140),
    cols=st.integers(64, 140),
    spacing_mm=st.floats(0.05, 1.5),
    kind=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_no_image_makes_detection_fail(
    rows: int, cols: int, spacing_mm: float, kind: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = (
        rng.random((rows, cols)).astype(np.float32),
        breast(rows, cols, seed=seed),
        (breast(rows, cols, seed=seed) > 0).astype(np.float32),
        np.where(rng.random((rows, cols)) < 0.01, 1, breast(rows, cols)).astype(np.float32),
        np.tile(np.linspace(0, 1, cols, dtype=np.float32), (rows, 1)),
    )[kind]

    for region in detect(image, spacing_mm, least=0.0).regions:
        assert 0 <= region.box.row0 < region.box.row1 <= rows
        assert 0 <= region.box.col0 < region.box.col1 <= cols
        assert 0 <= region.certainty <= 1
