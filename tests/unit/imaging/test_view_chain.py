"""The one chain of training and serving."""

import numpy as np
import pytest

from cadnode.domain import Box, Laterality, SkipReason
from cadnode.errors import NotProcessable
from cadnode.imaging import geometry
from cadnode.imaging.view_chain import PAPER, Intensity, PreprocessSpec, build, start
from tests.unit.imaging.test_geometry import view

SPEC = PreprocessSpec(height=96, width=64, stretch_to=256)


def test_a_served_view_and_its_stretched_copy_give_nearly_the_same_tensor() -> None:
    rng = np.random.default_rng(0)
    texture = geometry.resize(rng.random((40, 32), np.float32), (3328, 2560))
    served = view(3328, 2560) * (0.5 + 0.5 * texture)
    stored = geometry.resize(served, (640, 640))
    chain = build(SPEC.model_copy(update={"stretch_to": 640}))

    a, b = (chain(start(image, "L")) for image in (served, stored))

    assert np.abs(a.image - b.image).max() < 1e-4
    unstretched = build(SPEC.model_copy(update={"stretch_to": None}))(start(served, "L"))
    assert np.abs(unstretched.image - b.image).mean() < 0.01


def test_the_tensor_has_its_size_its_range_and_zeros_outside_the_breast() -> None:
    ready = build(SPEC)(start(view(film=0.1), "L"))

    assert ready.image.shape == (1, 96, 64)
    assert ready.image.dtype == np.float32
    assert ready.image.min() == 0
    assert ready.image.max() == 1
    assert ready.image[0, 0, -1] == 0


def test_a_mirrored_view_gives_the_same_tensor() -> None:
    chain = build(SPEC)

    left, right = chain(start(view(), "L")), chain(start(view(right=True), "R"))

    np.testing.assert_allclose(left.image, right.image, atol=1e-5)
    assert (left.placement.flipped, right.placement.flipped) == (False, True)


@pytest.mark.parametrize("right", [False, True])
def test_a_planted_lesion_comes_back_to_its_source_pixel(right: bool) -> None:
    image = view(600, 480, right=right) * 0.5
    col = 350 if right else 130
    image[274:287, col - 6 : col + 7] = 1.0

    spec = SPEC.model_copy(update={"intensity": None})
    ready = build(spec)(start(image, "R" if right else "L"))

    row0, col0 = np.unravel_index(ready.image[0].argmax(), ready.image.shape[1:])
    ((row, column),) = ready.placement.to_source(np.array([[row0 + 0.5, col0 + 0.5]]))
    assert abs(row - 280.5) < 8
    assert abs(column - col - 0.5) < 8


def test_brightness_and_contrast_of_the_display_do_not_matter() -> None:
    chain = build(SPEC)

    a, b = chain(start(view(), "L")), chain(start(view() * 0.6, "L"))

    assert np.abs(a.image - b.image).mean() < 0.02


def test_the_median_is_brought_to_the_middle() -> None:
    spec = SPEC.model_copy(update={"intensity": Intensity(middle=0.3)})
    ready = build(spec)(start(view(), "L"))

    assert np.median(ready.image[ready.image > 0.01]) == pytest.approx(0.3, abs=0.08)


def test_a_blank_view_is_refused_with_its_reason() -> None:
    with pytest.raises(NotProcessable) as caught:
        build(SPEC)(start(np.zeros((80, 60), np.float32), "L"))
    assert caught.value.reason == SkipReason.NO_BREAST_FOUND


@pytest.mark.parametrize(("side", "content"), [("R", Box(0, 320, 1600, 1600)),
                                               ("L", Box(0, 0, 1600, 1280))])  # fmt: skip
def test_the_paper_pads_right_views_on_the_left(side: str, content: Box) -> None:
    image = view(200, 160, right=side == "R") + 0.01

    ready = build(PAPER)(start(image, side))

    assert ready.image.shape == (1, 1600, 1600)
    assert ready.placement.content == content
    assert ready.placement.crop == Box(0, 0, 200, 160)
    padding = ready.image[0, :, :320] if side == "R" else ready.image[0, :, 1280:]
    assert padding.max() == 0


def test_start_takes_planes_and_channels() -> None:
    image = view()

    assert start(image, "L").image.shape == start(image[None], Laterality.LEFT).image.shape


def test_a_spec_survives_its_card() -> None:
    assert PreprocessSpec.model_validate_json(SPEC.model_dump_json()) == SPEC


def test_monais_compose_of_the_steps_gives_the_same_view() -> None:
    chain = build(SPEC)

    served, composed = chain(start(view(), "L")), chain.composed()(start(view(), "L"))

    np.testing.assert_array_equal(served.image, composed.image)
    assert served.placement == composed.placement
