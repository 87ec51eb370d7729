"""Segmentation inside a box: calcifications and a mass, the input of the 41 features.

Wang 2016 segments semi-automatically (its reference 29). Choice: specks by multi-scale curvature
against the local noise, grown to half of their contrast; a mass by the radial gradient index from
the box's centre, because both are documented and need nothing but the box.
"""

from typing import Final

import cv2
import numpy as np

from cadnode.detect import masses
from cadnode.detect.calcifications import grow
from cadnode.detect.frame import image_at
from cadnode.detect.regions import BoolMask, Labels, Segmentation
from cadnode.detect.specks import find_specks
from cadnode.domain import Acquisition, Box, FloatImage, Laterality

# Filters and the noise estimate need surroundings.
_MARGIN_MM: Final = 8.0
_CERTAIN: Final = 4.2
_LEAST_INDEX: Final = 0.35


def segment_roi(
    image: FloatImage,
    laterality: Laterality,
    spacing_mm: float,
    box: Box,
    acquisition: Acquisition,
) -> Segmentation:
    """What lies in a box of a view: detected, drawn by a person, or a peak of the DIB map.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, dense tissue bright.
    laterality, acquisition
        Unused today: what lies in a box is decided from its pixels alone.
    spacing_mm
        Of `image`, in the plane of the breast.
    box
        In pixels of `image`; the part outside of the image is left out.
    """
    box = _within(box, image.shape)
    margin = round(_MARGIN_MM / spacing_mm)
    wide = _within(
        Box(box.row0 - margin, box.col0 - margin, box.row1 + margin, box.col1 + margin), image.shape
    )
    around = image_at(image, wide, spacing_mm)
    scale = (
        around.shape[0] / (wide.row1 - wide.row0),
        around.shape[1] / (wide.col1 - wide.col0),
    )
    rows = _part(box.row0 - wide.row0, box.row1 - wide.row0, scale[0], around.shape[0])
    cols = _part(box.col0 - wide.col0, box.col1 - wide.col0, scale[1], around.shape[1])
    work_mm = spacing_mm / scale[0]
    return Segmentation(
        image=np.ascontiguousarray(around[rows, cols]),
        spacing_mm=work_mm,
        calcifications=_calcifications(around, work_mm, rows, cols),
        mass=_mass(around, work_mm, rows, cols),
        box=box,
    )


def _calcifications(around: FloatImage, spacing_mm: float, rows: slice, cols: slice) -> Labels:
    """`(h, w) int32`: the calcifications of the inner part, numbered from 1."""
    valid = np.zeros(around.shape, np.bool_)
    valid[rows, cols] = True
    specks = find_specks(around, np.asarray(around > 0, np.bool_), spacing_mm)
    at = specks.points.astype(int)
    keep = (specks.strength > _CERTAIN) & valid[at[:, 0], at[:, 1]]
    labels = np.zeros(around.shape, np.int32)
    for number, one in enumerate(grow(around, specks.where(keep), spacing_mm), start=1):
        free = labels[one.pixels[:, 0], one.pixels[:, 1]] == 0
        labels[one.pixels[free, 0], one.pixels[free, 1]] = number
    inner = np.ascontiguousarray(labels[rows, cols])
    _, numbered = np.unique(inner, return_inverse=True)
    return np.asarray(numbered.reshape(inner.shape) + int(inner.min() > 0), np.int32)


def _mass(around: FloatImage, spacing_mm: float, rows: slice, cols: slice) -> BoolMask | None:
    """`(h, w) bool`: the mass around the box's centre, or around the most mass-like place near it.

    None where neither has an edge.
    """
    scale = spacing_mm / masses.SPACING_MM
    size = [max(8, round(n * scale)) for n in around.shape]
    small = cv2.resize(around, size[::-1], interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(small, (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)
    seed = (
        min(int((rows.start + rows.stop) / 2 * scale), size[0] - 1),
        min(int((cols.start + cols.stop) / 2 * scale), size[1] - 1),
    )
    seen = np.asarray(small > 0, np.bool_)
    outlined = masses.outline(smooth, seed, seen)
    if outlined is None or outlined[1] < _LEAST_INDEX:
        outlined = masses.outline(smooth, _converging(smooth, seen, seed), seen)
    if outlined is None or outlined[1] < _LEAST_INDEX:
        return None
    full = cv2.resize(
        outlined[0].astype(np.float32), around.shape[::-1], interpolation=cv2.INTER_LINEAR
    )
    mask = np.asarray(full[rows, cols] >= 0.5, np.bool_)
    return mask if mask.any() else None


def _converging(smooth: FloatImage, seen: BoolMask, centre: tuple[int, int]) -> tuple[int, int]:
    """The place to which gradients point most, those near the centre preferred."""
    rows, cols = np.ogrid[: smooth.shape[0], : smooth.shape[1]]
    sigma = min(smooth.shape) / 5
    near = np.exp(-((rows - centre[0]) ** 2 + (cols - centre[1]) ** 2) / (2 * sigma**2))
    best = int(np.argmax(np.maximum(masses.convergence(smooth, seen), 0) * near))
    return best // smooth.shape[1], best % smooth.shape[1]


def _within(box: Box, shape: tuple[int, ...]) -> Box:
    """The box inside the image, at least one pixel of it."""
    row0, col0 = (min(max(a, 0), n - 1) for a, n in zip((box.row0, box.col0), shape, strict=True))
    return Box(
        row0, col0, max(row0 + 1, min(box.row1, shape[0])), max(col0 + 1, min(box.col1, shape[1]))
    )


def _part(first: int, last: int, scale: float, size: int) -> slice:
    start = min(int(first * scale), size - 1)
    return slice(start, max(start + 1, min(round(last * scale), size)))
