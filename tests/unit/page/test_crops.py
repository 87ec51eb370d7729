"""A zoom shows the finding, at a known scale, under the maps that look at it."""

import base64
import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from cadnode.domain import Box, ExamResult, HeatMap, System, SystemStatus
from cadnode.imaging.spacing import Spacing
from cadnode.page.crops import (
    SIDE_MM,
    crop_of,
    is_of_region,
    map_label,
    maps_of,
    window_of,
)
from tests.report_cases import digital_exam, film_exam, finding, heat_map

FINE = Spacing(0.05, 0.05, estimated=False)  # 51.2 mm are 1024 pixels
VIEW = digital_exam().mammograms[0]  # 512 × 400 pixels of 0.4 mm: 51.2 mm are 128 pixels


def decoded(url: str) -> np.ndarray:
    """The picture in a data URL."""
    content = base64.b64decode(url.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(content)))


def square(row: int, column: int, half: int = 10) -> Box:
    return Box(row - half, column - half, row + half, column + half)


def with_maps(*maps: HeatMap) -> ExamResult:
    return ExamResult("1.2.3", None, (), (), (), (), (), heat_maps=maps)


def test_a_window_is_51_mm_wide_with_the_finding_in_its_middle() -> None:
    assert window_of(square(2000, 1500), FINE, (4500, 2800)) == Box(1488, 988, 2512, 2012)


def test_a_window_is_square_in_mm_where_pixels_are_not() -> None:
    flat = Spacing(0.1, 0.05, estimated=False)

    assert window_of(square(2000, 1500), flat, (4500, 2800)) == Box(1744, 988, 2256, 2012)


def test_a_window_at_the_edge_is_moved_into_the_image() -> None:
    assert window_of(square(20, 2790), FINE, (4500, 2800)) == Box(0, 1776, 1024, 2800)


def test_a_large_finding_gets_a_window_with_a_margin() -> None:
    large = Box(1000, 1000, 2600, 1400)  # 80 mm high

    window = window_of(large, FINE, (4500, 2800))

    assert window == Box(800, 200, 2800, 2200)  # 100 mm


def test_an_image_smaller_than_the_window_lies_in_its_middle() -> None:
    assert window_of(square(50, 50), FINE, (100, 200)) == Box(-462, -412, 562, 612)


def test_the_zoomed_picture_shows_what_lies_about_the_finding() -> None:
    image = np.zeros((VIEW.rows, VIEW.columns), np.float32)
    image[200:210, 180:190] = 1  # centre (205, 185)
    found = replace(finding(VIEW), box=square(215, 200))  # window 151 … 279, 136 … 264

    crop = crop_of(found, VIEW, image, with_maps())

    picture = decoded(crop["image"]).astype(float)
    row, column = cv2.minMaxLoc(cv2.GaussianBlur(picture, (0, 0), 8))[3][::-1]
    scale = picture.shape[0] / 128
    assert row / scale + 151 == pytest.approx(205, abs=2)
    assert column / scale + 136 == pytest.approx(185, abs=2)
    assert crop["view_box"] == "136 151 128 128"
    assert crop["side_mm"] == pytest.approx(SIDE_MM)
    assert crop["scale_percent"] == pytest.approx(100 * 10 / 51.2)


def test_outside_of_the_image_a_zoom_is_black() -> None:
    small = replace(VIEW, rows=60, columns=80)
    found = replace(finding(small), box=square(30, 40))

    crop = crop_of(found, small, np.ones((60, 80), np.float32), with_maps())

    picture = decoded(crop["image"]).astype(float) / 255
    assert picture.mean() == pytest.approx(60 * 80 / 128**2, abs=0.02)
    assert picture[280, 280] == pytest.approx(1, abs=0.02)
    assert picture[5, 5] == pytest.approx(0, abs=0.02)


def test_a_maps_peak_lies_on_its_place_in_the_zoom() -> None:
    values = np.zeros((32, 32), np.float32)
    values[8, 20] = 1
    box = Box(150, 130, 278, 258)  # cells of 4 pixels: the peak at (184, 212)
    cam = HeatMap(VIEW.sop_instance_uid, values, box, "kang2021-resnet101")
    found = replace(finding(VIEW), box=square(215, 200))  # window 151 … 279, 136 … 264

    crop = crop_of(found, VIEW, np.zeros((VIEW.rows, VIEW.columns), np.float32), with_maps(cam))

    (layer,) = crop["maps"]
    alpha = decoded(layer["url"])[..., 3].astype(float)
    rows, columns = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]]
    scale = alpha.shape[0] / 128
    assert (rows * alpha).sum() / alpha.sum() / scale + 151 == pytest.approx(184, abs=1)
    assert (columns * alpha).sum() / alpha.sum() / scale + 136 == pytest.approx(212, abs=1)


def test_each_algorithm_shows_its_map_of_this_finding_the_ensembles_first() -> None:
    first, second = digital_exam().mammograms[:2]
    found = replace(finding(first), box=square(200, 200))

    def cam(algorithm: str, row: int, column: int, view: str = first.sop_instance_uid) -> HeatMap:
        box = square(row, column, 64)
        return HeatMap(view, np.zeros((2, 2), np.float32), box, algorithm)

    maps = [
        cam("kang2021-resnet101", 240, 200),
        cam("kang2021-resnet101", 205, 200),
        cam("helsinki-resnext50", 200, 300),  # of another finding
        cam("kang2021-xception", 200, 200, second.sop_instance_uid),
        replace(heat_map(first), algorithm="dib-mg-digital"),
        replace(heat_map(first), algorithm="ensemble"),
    ]

    chosen = maps_of(found, with_maps(*maps))

    assert [m.algorithm for m in chosen] == ["ensemble", "dib-mg-digital", "kang2021-resnet101"]
    assert chosen[2] is maps[1]


def test_a_pixel_size_that_is_guessed_is_told_to_be() -> None:
    film = film_exam().mammograms[0]
    image = np.zeros((film.rows, film.columns), np.float32)

    assert crop_of(finding(film), film, image, with_maps())["estimated"]
    assert not crop_of(finding(VIEW), VIEW, image[: VIEW.rows, : VIEW.columns], with_maps())[
        "estimated"
    ]


def test_whether_a_map_is_of_a_region_is_said_by_its_system_not_by_its_models_name() -> None:
    """A site calls its own model as it likes; the map of a whole view fades at no edge in it."""
    status = SystemStatus(System.KIM2018, models=("our-net",), active=True)
    result = replace(with_maps(), systems=(status,))
    assert not is_of_region(result, "our-net")
    assert map_label(result, "our-net") == "kim2018: our-net"
    assert is_of_region(result, "kang2021")
