"""The picture shows what the map says, where it says it, and leaves the rest alone."""

from typing import Any

import numpy as np
import pytest

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.explain.overlay import ColourImage, display_size, heat_layer, overlay, place
from cadnode.explain.ramp import SILENT
from tests.report_cases import flat_image

GREY = np.full((400, 300), 0.4, np.float32)


def overlaid(image: FloatImage, heat: HeatMap, **options: Any) -> ColourImage:
    return np.asarray(overlay(image, heat, **options))


def hill(row: int, column: int, box: Box, top: float = 1.0) -> HeatMap:
    """A map of 40×30 with its highest cell at (row, column)."""
    r, c = np.mgrid[0:40, 0:30]
    values = top * np.exp(-((r - row) ** 2 + (c - column) ** 2) / 8)
    return HeatMap("1.2.3", values.astype(np.float32), box, "kim2018")


@pytest.mark.parametrize(("row", "column"), [(8, 22), (30, 5), (20, 15)])
def test_the_hottest_point_lies_on_the_peak_of_the_map(row: int, column: int) -> None:
    box = Box(100, 60, 300, 240)  # one cell is 5 rows × 6 columns

    picture = overlaid(GREY, hill(row, column, box), longest_side=None).astype(int)

    redness = (picture[..., 0] - picture[..., 2])[100:300, 60:240]  # the scale lies outside
    found_row, found_column = np.unravel_index(redness.argmax(), redness.shape)
    assert abs(found_row - 5 * (row + 0.5)) <= 5
    assert abs(found_column - 6 * (column + 0.5)) <= 6


def test_high_values_are_orange_and_middling_ones_violet() -> None:
    whole = Box(0, 0, 400, 300)
    high = HeatMap("1", np.full((4, 3), 0.95, np.float32), whole, "m")
    low = HeatMap("1", np.full((4, 3), 0.3, np.float32), whole, "m")

    red, _, blue = overlaid(GREY, high)[200, 150].astype(int)
    assert red > blue + 80

    red, _, blue = overlaid(GREY, low)[200, 150].astype(int)
    assert blue > red


def test_nothing_is_painted_where_the_map_is_low() -> None:
    low = HeatMap("1", np.full((4, 3), SILENT, np.float32), Box(0, 0, 400, 300), "m")

    assert heat_layer(low, (400, 300), (400, 300))[..., 3].max() == 0
    assert (overlaid(GREY, low)[200, 150] == 102).all()  # 0.4 · 255


def test_a_weak_map_is_not_stretched() -> None:
    weak = hill(20, 15, Box(0, 0, 400, 300), top=0.3)

    picture = overlaid(GREY, weak).astype(int)

    assert (picture[150:300, :, 0] - picture[150:300, :, 2]).max() <= 0


def test_anatomy_stays_visible_under_the_hottest_paint() -> None:
    stripes = np.tile(np.repeat([0.2, 0.8], 10), 15).astype(np.float32)[None].repeat(400, 0)
    hot = HeatMap("1", np.ones((4, 3), np.float32), Box(0, 0, 400, 300), "m")

    row = overlaid(stripes, hot)[200].astype(int)

    assert row[15].sum() - row[5].sum() > 3 * 50


def test_outside_its_box_a_map_is_nothing() -> None:
    hot = HeatMap("1", np.ones((4, 3), np.float32), Box(100, 60, 300, 240), "m")

    placed = place(hot, (400, 300), (200, 150))

    assert placed[50:150, 30:120].min() == 1
    assert placed.sum() == 100 * 90


@pytest.mark.parametrize("chest", ["left", "right"])
def test_the_caption_is_written_on_the_background_side(chest: str) -> None:
    image = flat_image(400, 300)
    image = image if chest == "left" else image[:, ::-1].copy()
    silent = HeatMap("1", np.zeros((4, 3), np.float32), Box(0, 0, 400, 300), "m")

    picture = overlaid(image, silent, caption=["cadnode"])

    plain = np.round(255 * image).astype(int)
    _, columns = np.nonzero(np.abs(picture[..., 0].astype(int) - plain) > 60)
    assert columns.size > 50
    assert (columns.min() > 150) if chest == "left" else (columns.max() < 150)


def test_the_picture_keeps_the_aspect_and_is_never_enlarged() -> None:
    assert display_size(4736, 2624, 2048) == (2048, 1135)
    assert display_size(400, 300, 2048) == (400, 300)
    assert display_size(4736, 2624, None) == (4736, 2624)


def test_the_same_input_gives_the_same_picture() -> None:
    heat = hill(10, 10, Box(0, 0, 400, 300))

    first = overlaid(GREY, heat, caption=["a"])

    assert np.array_equal(first, overlaid(GREY, heat, caption=["a"]))
    assert first.dtype == np.uint8
    assert first.shape == (400, 300, 3)


def test_colours_are_mixed_with_the_image_as_their_opacity_says_and_nowhere_else() -> None:
    random = np.random.default_rng(3)
    grey = random.random((400, 300), np.float32)
    heat = hill(20, 15, Box(50, 20, 380, 290))

    picture = overlaid(grey, heat, longest_side=None)

    layer = heat_layer(heat, (400, 300), (400, 300))
    alpha = layer[..., 3:].astype(np.float32) / 255
    mixed = ((1 - alpha) * (255 * grey[..., None]) + alpha * layer[..., :3]).round()
    drawn = np.zeros((400, 300), bool)  # the legend lies in a corner
    drawn[100:300] = True
    assert (alpha[drawn] > 0).any()
    assert np.array_equal(picture[drawn], mixed[drawn].astype(np.uint8))
