"""The working frame: one pixel size, and the way back to the source."""

import numpy as np
import pytest

from cadnode.detect.frame import breast_frame, whole_frame
from cadnode.detect.patches import cut_patches, normalised
from cadnode.domain import Laterality
from tests.unit.detect_cases import add_specks, breast


@pytest.mark.parametrize(
    ("source_mm", "working_mm"), [(0.045, 0.1), (0.07, 0.1), (0.1, 0.1), (0.2, 0.2)]
)
def test_sources_finer_than_a_tenth_of_a_millimetre_are_reduced(
    source_mm: float, working_mm: float
) -> None:
    frame = breast_frame(breast(), source_mm)

    assert frame is not None
    assert frame.spacing_mm == pytest.approx(working_mm, rel=0.01)


def test_positions_come_back_to_where_they_were() -> None:
    frame = breast_frame(breast(), 0.045)
    assert frame is not None
    points = np.random.default_rng(0).uniform(0, 200, (9, 2))

    np.testing.assert_allclose(frame.to_frame(frame.to_source(points)), points, atol=1e-9)


def test_a_bright_point_is_where_the_frame_says_it_is() -> None:
    image = add_specks(breast(noise=0.001), [(320.5, 140.5)], sigma=2, contrast=0.4)
    frame = breast_frame(image, 0.06)
    assert frame is not None

    peak = np.array(np.unravel_index(frame.image.argmax(), frame.image.shape)) + 0.5

    np.testing.assert_allclose(frame.to_source(peak[None])[0], [320.5, 140.5], atol=1.5)


def test_what_is_valid_lies_in_the_breast_away_from_its_edge() -> None:
    image = breast()
    frame = breast_frame(image, 0.2)
    assert frame is not None

    rows, cols = frame.to_source(np.argwhere(frame.valid) + 0.5).astype(int).T

    assert (image[rows, cols] > 0.1).all()
    assert frame.depth_mm[frame.valid].min() > 2


def test_the_chest_walls_side_is_read_from_the_image() -> None:
    left = breast_frame(breast(), 0.2, Laterality.RIGHT)
    right = breast_frame(np.ascontiguousarray(breast()[:, ::-1]), 0.2, Laterality.LEFT)

    assert left is not None
    assert right is not None
    assert not left.chest_right
    assert right.chest_right


def test_a_blank_image_has_no_frame() -> None:
    assert breast_frame(np.zeros((300, 200), np.float32), 0.1) is None


def test_a_region_is_valid_all_over() -> None:
    frame = whole_frame(breast()[100:200, 50:150], 0.1)

    assert frame.valid.all()
    np.testing.assert_array_equal(frame.image, breast()[100:200, 50:150])


def test_a_patch_is_centred_on_its_point_at_any_pixel_size() -> None:
    for spacing_mm, sigma in ((0.1, 2.0), (0.2, 1.0), (0.125, 1.6)):
        image = add_specks(np.full((200, 200), 0.3, np.float32), [(90.5, 70.5)], sigma=sigma,
                           contrast=0.5)  # fmt: skip

        patch = cut_patches(image, spacing_mm, [(90.5, 70.5)], size=63, at_mm=0.125)[0]

        brightest = np.argwhere(patch == patch.max())
        np.testing.assert_allclose(brightest.mean(0), [31, 31], atol=0.6)


def test_a_patch_depends_on_neither_gain_nor_offset() -> None:
    patch = breast()[250:314, 80:144]

    np.testing.assert_allclose(
        normalised(patch * 0.5 + 0.1, 0.125), normalised(patch, 0.125), atol=0.2
    )


def test_a_patch_at_the_corner_of_the_image_is_whole() -> None:
    patches = cut_patches(breast(), 0.2, [(0.0, 0.0), (600.0, 420.0)], size=64, at_mm=0.125)

    assert patches.shape == (2, 64, 64)
    assert np.isfinite(patches).all()
