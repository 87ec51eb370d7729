"""Regions of the masses that the learned detector found: its boxes, outlined inside."""

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect import masses
from cadnode.detect.frame import DetectionFrame
from cadnode.detect.regions import BoolMask, Region
from cadnode.domain import Box, FindingKind, FloatImage
from cadnode.models.mass_finder import FoundMass

Floats = NDArray[np.float64]

# Points of an ellipse, which a mass without a convincing outline is drawn as.
_POINTS: Final = 24
# The outline's share of its box from which on it is taken.
_FILLS: Final = 0.25


def learned_regions(frame: DetectionFrame, found: Iterable[FoundMass]) -> list[Region]:
    """The regions of the detector's boxes: outlined inside, where there is such an outline.

    The outline is that of the candidates, cut to the box; where it fills less than a quarter of
    the box, it is the ellipse in it.
    """
    marked = list(found)
    if not marked:
        return []
    image = masses.coarse(frame)
    depth = cv2.resize(frame.depth_mm, image.shape[::-1], interpolation=cv2.INTER_AREA)
    breast = np.asarray(depth > 0, np.bool_)
    smooth = cv2.GaussianBlur(
        masses.flattened(image, breast),
        (0, 0),
        masses.SMOOTH_MM / masses.SPACING_MM,
        borderType=cv2.BORDER_REPLICATE,
    )
    scale = np.array(frame.image.shape) / np.array(image.shape)
    return [
        Region(
            kind=FindingKind.MASS, box=mass.box, certainty=mass.certainty,
            outline=_outline_in(frame, smooth, breast, scale, mass.box),
        )
        for mass in marked
    ]  # fmt: skip


def _outline_in(
    frame: DetectionFrame, smooth: FloatImage, breast: BoolMask, scale: Floats, box: Box
) -> tuple[tuple[float, float], ...]:
    """A polygon of source positions inside the box."""
    corners = np.array([[box.row0, box.col0], [box.row1, box.col1]], np.float64)
    (row0, col0), (row1, col1) = np.clip(
        np.round(frame.to_frame(corners) / scale).astype(int), 0, smooth.shape
    )
    part = np.zeros(smooth.shape, np.bool_)
    part[row0:row1, col0:col1] = True
    last_row, last_col = smooth.shape[0] - 1, smooth.shape[1] - 1
    seed = min((row0 + row1) // 2, last_row), min((col0 + col1) // 2, last_col)
    outlined = masses.outline(smooth, seed, breast)
    inside = None if outlined is None else outlined[0] & part
    if inside is None or inside.sum() < _FILLS * part.sum() or not inside.any():
        return _ellipse(box)
    contours, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1
    )
    points = max(contours, key=cv2.contourArea)[:, 0, ::-1]
    if len(points) < 3:
        return _ellipse(box)
    source = np.clip(frame.to_source((points + 0.5) * scale), corners[0], corners[1])
    return tuple((float(r), float(c)) for r, c in source)


def _ellipse(box: Box) -> tuple[tuple[float, float], ...]:
    angles = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    rows = (box.row0 + box.row1) / 2 + (box.row1 - box.row0) / 2 * np.sin(angles)
    cols = (box.col0 + box.col1) / 2 + (box.col1 - box.col0) / 2 * np.cos(angles)
    return tuple((float(r), float(c)) for r, c in zip(rows, cols, strict=True))
