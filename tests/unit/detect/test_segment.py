"""Segmentation inside a box: the calcifications and the mass that lie there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cadnode.detect.regions import Segmentation
from cadnode.detect.segment import segment_roi
from cadnode.domain import Acquisition, Box, Laterality
from tests.unit.detect_cases import add_mass, add_specks, breast

POINTS = [(280.0, 100.0), (290.0, 125.0), (305.0, 110.0), (315.0, 140.0), (300.0, 150.0)]
BOX = Box(260, 80, 340, 170)


def segment(image: np.ndarray, box: Box = BOX, spacing_mm: float = 0.2) -> Segmentation:
    return segment_roi(image, Laterality.LEFT, spacing_mm, box, Acquisition.DIGITAL)


def test_each_planted_calcification_has_a_label_of_its_own() -> None:
    found = segment(add_specks(breast(), POINTS, sigma=1.2, contrast=0.2))

    labels = {int(found.calcifications[int(r) - 260, int(c) - 80]) for r, c in POINTS}
    assert len(labels) == 5
    assert 0 not in labels


def test_labels_are_numbered_without_gaps() -> None:
    found = segment(add_specks(breast(), POINTS, sigma=1.2, contrast=0.2))

    numbers = np.unique(found.calcifications)
    np.testing.assert_array_equal(numbers, np.arange(len(numbers)))


def test_the_patch_shows_exactly_the_box_at_its_pixel_size() -> None:
    image = breast()

    found = segment(image)

    assert found.box == BOX
    assert found.spacing_mm == pytest.approx(0.2)
    np.testing.assert_array_equal(found.image, image[260:340, 80:170])
    assert found.calcifications.shape == found.image.shape


def test_a_finer_source_is_reduced_to_a_tenth_of_a_millimetre() -> None:
    fine = np.kron(breast(), np.ones((4, 4), np.float32))

    found = segment(fine, Box(1040, 320, 1360, 680), 0.05)

    assert found.image.shape == (160, 180)
    assert found.spacing_mm == pytest.approx(0.1)


def test_a_mass_in_the_middle_is_segmented_with_about_its_area() -> None:
    found = segment(add_mass(breast(), 300, 125, radius=30, contrast=0.3), Box(240, 65, 360, 185))

    assert found.mass is not None
    truth = np.hypot(*(np.mgrid[:120, :120] - 59.5)) < 30
    overlap = (found.mass & truth).sum() / (found.mass | truth).sum()
    assert overlap > 0.75


def test_flat_tissue_has_no_calcifications() -> None:
    found = segment(np.full((400, 300), 0.4, np.float32))

    assert found.calcifications.max() == 0


def test_a_box_that_leaves_the_image_is_cut() -> None:
    found = segment(breast(), Box(-50, -20, 90, 70))

    assert tuple(found.box) == (0, 0, 90, 70)


@settings(max_examples=40, deadline=None)
@given(
    row=st.integers(-20, 700), col=st.integers(-20, 500),
    height=st.integers(1, 120), width=st.integers(1, 120), spacing_mm=st.floats(0.03, 1.0),
)  # fmt: skip
def test_no_box_makes_segmentation_fail(
    row: int, col: int, height: int, width: int, spacing_mm: float
) -> None:
    found = segment(breast(300, 200), Box(row, col, row + height, col + width), spacing_mm)

    assert found.image.shape == found.calcifications.shape
    assert found.mass is None or found.mass.shape == found.image.shape
