"""The scale of colours: one for all, readable without telling red from green."""

import numpy as np
import pytest

from cadnode.explain import ramp

# Linear RGB as deuteranopes and protanopes see it: Viénot F, Brettel H, Mollon JD. Color Res Appl
# 1999;24:243-252, by way of the cones' responses (Smith and Pokorny) of a usual display.
_TO_CONES = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714],
                      [0.0299566, 0.184309, 1.46709]])  # fmt: skip
_SEEN = {
    "all": np.eye(3),
    "protanopia": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deuteranopia": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
}


def linear() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """`(n, 3)` linear RGB of the scale's colours."""
    srgb = ramp.colours(np.linspace(0, 1, 60)) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("eyes", list(_SEEN))
def test_each_colour_is_lighter_than_the_one_before_for_everybody(eyes: str) -> None:
    seen = np.linalg.inv(_TO_CONES) @ _SEEN[eyes] @ _TO_CONES @ linear().T
    luminance = np.array([0.2126, 0.7152, 0.0722]) @ seen
    assert (np.diff(luminance) > 0).all()
    assert luminance[-1] - luminance[0] > 0.3


def test_paint_begins_where_it_is_said_and_is_full_where_it_is_said() -> None:
    values = np.array([0, ramp.SILENT, (ramp.SILENT + ramp.FULL) / 2, ramp.FULL, 1])
    assert ramp.opacity(values) == pytest.approx([0, 0, 0.5, 1, 1])
    alpha = ramp.painted(values)[:, 3] / 255
    assert alpha[-1] == pytest.approx(ramp.OPACITY, abs=0.003)


def test_pages_draw_the_colours_that_pictures_are_painted_with() -> None:
    scale = ramp.scale()
    assert (scale.stops[0].at, scale.stops[-1].at) == (0, 1)
    for stop in scale.stops:
        at = np.array([stop.at])
        share = ramp.opacity(at)[0]
        wanted = np.rint(share * ramp.colours(at)[0] + (1 - share) * ramp.GROUND).astype(int)
        assert stop.colour == "rgb({},{},{})".format(*wanted)
    assert [ramp.tick(value) for value in scale.ticks] == ["0", "0.25", "0.5", "0.75", "1"]


def test_no_colour_is_that_of_outlines() -> None:
    outline = np.array([255, 213, 74])
    away = np.abs(ramp.colours(np.linspace(0, 1, 100)).astype(int) - outline).sum(1)
    assert away.min() > 50


def test_every_value_has_its_colour_and_opacity_whether_painted_alone_or_in_a_layer() -> None:
    values = np.linspace(0, 1, 30_008, dtype=np.float32).reshape(11, -1).copy()[:, ::-1]

    layer = ramp.painted(values)

    assert np.array_equal(layer[..., :3], ramp.colours(values))
    alpha = np.rint(255 * ramp.OPACITY * ramp.opacity(values)).astype(np.uint8)
    assert np.array_equal(layer[..., 3], alpha)
    assert not layer[values <= ramp.SILENT, 3].any()


def test_up_to_nothing_a_value_has_the_colour_of_0() -> None:
    assert np.array_equal(ramp.colours(np.array([ramp.NOTHING])), ramp.colours(np.array([0.0])))
