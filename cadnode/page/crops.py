"""Each finding zoomed: about 51 mm of its view, plain and under each map that covers it.

51.2 mm are the 512 pixels of 0.1 mm that Kang's regions of interest show (`RoiSpec`).
"""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np

from cadnode.domain import Box, ExamResult, Finding, FloatImage, HeatMap, System
from cadnode.exam.exam import Mammogram
from cadnode.imaging.spacing import Spacing, spacing_of
from cadnode.page.pictures import grey_url, map_url
from cadnode.report.edition import ENSEMBLE
from cadnode.report.scores import system_of

SIDE_MM: Final = 51.2
MARGIN: Final = 1.25
PIXELS: Final = 560
MAP_PIXELS: Final = 224
SCALE_BAR_MM: Final = 10

Outline = Sequence[tuple[float, float]]


def crop_of(
    finding: Finding,
    mammogram: Mammogram,
    image: FloatImage,
    result: ExamResult,
) -> dict[str, Any]:
    """What the page needs to show the finding's surroundings, in pixels of the source image.

    `image` is the whole view, `(H, W) float32 in [0, 1]`. Each calcification is circled at three
    times its size, so that the circle does not hide it.
    """
    spacing = spacing_of(mammogram)
    window = window_of(finding.box, spacing, image.shape)
    side_mm = (window.row1 - window.row0) * spacing.row_mm
    return {
        "image": grey_url(_cut(image, window)),
        "view_box": f"{window.col0} {window.row0} {window.col1 - window.col0}"
        f" {window.row1 - window.row0}",
        "stroke": (window.col1 - window.col0) / 250,
        "side_mm": side_mm,
        "estimated": spacing.estimated,
        "scale_percent": 100 * SCALE_BAR_MM / side_mm,
        "outline": points(finding.outline),
        "specks": [
            {
                "row": c.row,
                "col": c.col,
                "row_radius": 1.5 * c.diameter_mm / spacing.row_mm,
                "col_radius": 1.5 * c.diameter_mm / spacing.col_mm,
            }
            for c in finding.calcifications
        ],
        "maps": [
            {
                "name": m.algorithm,
                "label": map_label(result, m.algorithm),
                "url": _layer(result, m, (image.shape[0], image.shape[1]), window),
            }
            for m in maps_of(finding, result)
        ],
    }


def window_of(box: Box, spacing: Spacing, shape: tuple[int, ...]) -> Box:
    """A part of the view about the box, square in mm: 51.2 mm wide, or more for a large box.

    It is moved into the image where the image is large enough for it.
    """
    height_mm = (box.row1 - box.row0) * spacing.row_mm
    width_mm = (box.col1 - box.col0) * spacing.col_mm
    side_mm = max(SIDE_MM, MARGIN * height_mm, MARGIN * width_mm)
    rows, columns = round(side_mm / spacing.row_mm), round(side_mm / spacing.col_mm)
    row0 = _start((box.row0 + box.row1) / 2, rows, shape[0])
    col0 = _start((box.col0 + box.col1) / 2, columns, shape[1])
    return Box(row0, col0, row0 + rows, col0 + columns)


def _start(centre: float, length: int, limit: int) -> int:
    """First pixel of `length` about the centre; centred on the image when that is smaller."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(round(centre - length / 2), 0), limit - length)


def _cut(image: FloatImage, window: Box) -> FloatImage:
    """The window's part of the image at the page's size, black outside of the image."""
    rows, columns = image.shape
    top, bottom = max(-window.row0, 0), max(window.row1 - rows, 0)
    left, right = max(-window.col0, 0), max(window.col1 - columns, 0)
    inside = image[
        window.row0 + top : window.row1 - bottom, window.col0 + left : window.col1 - right
    ]
    padded = np.pad(inside, ((top, bottom), (left, right)))
    method = cv2.INTER_AREA if padded.shape[0] > PIXELS else cv2.INTER_CUBIC
    resized: FloatImage = cv2.resize(padded, (PIXELS, PIXELS), interpolation=method)
    return resized


def maps_of(finding: Finding, result: ExamResult) -> list[HeatMap]:
    """One map per algorithm: of the finding's view, and the one that lies nearest to the finding.

    An algorithm that reads regions has a map for each of them. The ensemble's comes first.
    """
    centre = _centre(finding.box)
    nearest: dict[str, tuple[float, HeatMap]] = {}
    for heat_map in result.heat_maps:
        box = heat_map.box
        holds = box.row0 <= centre[0] < box.row1 and box.col0 <= centre[1] < box.col1
        if heat_map.sop_instance_uid != finding.sop_instance_uid or not holds:
            continue
        away = float(np.hypot(*np.subtract(_centre(box), centre)))
        if heat_map.algorithm not in nearest or away < nearest[heat_map.algorithm][0]:
            nearest[heat_map.algorithm] = (away, heat_map)
    return [nearest[name][1] for name in sorted(nearest, key=lambda n: _place(result, n))]


def _place(result: ExamResult, algorithm: str) -> tuple[bool, bool, str]:
    """Sort key: the ensemble's map, then the whole view's, then those of regions."""
    return algorithm != ENSEMBLE, is_of_region(result, algorithm), algorithm


def is_of_region(result: ExamResult, algorithm: str) -> bool:
    """Whether an algorithm's maps are of regions, not of whole views, as DIB-MG's and the joint."""
    if algorithm == ENSEMBLE:
        return False
    if any(view.algorithm == algorithm for view in result.views):
        return False
    system = system_of(result, algorithm)
    if system is None:  # a result that does not say which models it is by
        return not algorithm.startswith(("dib-mg", "kim2018"))
    return system is not System.KIM2018


def map_label(result: ExamResult, algorithm: str) -> str:
    """What pages call an algorithm's maps: by the system that it belongs to."""
    if algorithm == ENSEMBLE:
        return "all systems"
    system = system_of(result, algorithm)
    if system is None or algorithm.startswith(system.value):
        return algorithm
    return f"{system.value}: {algorithm}"


def points(outline: Outline) -> str:
    """SVG points, x before y."""
    return " ".join(f"{column:.1f},{row:.1f}" for row, column in outline)


def _centre(box: Box) -> tuple[float, float]:
    return (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2


def _layer(result: ExamResult, heat_map: HeatMap, view: tuple[int, int], window: Box) -> str:
    """The window's part of the map as a picture."""
    size = (MAP_PIXELS, MAP_PIXELS)
    of_region = is_of_region(result, heat_map.algorithm)
    return map_url(heat_map, view, size, window, of_region=of_region)
