"""Calcifications grown from specks: their pixels, size and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect.specks import Specks
from cadnode.domain import FloatImage

# A calcification's edge lies where half of its contrast is left: its width does not depend on the
# blur of the system as long as it is wider than that.
_HALF: Final = 0.5
# Half of the window a calcification is grown in; the second one for what fills the first.
_REACHES_MM: Final = (1.0, 2.5)
_BACKGROUND_PERCENTILE: Final = 50


@dataclass(frozen=True, eq=False, slots=True)
class Grown:
    """A calcification in the frame: `pixels` is `(n, 2) int` (row, column)."""

    pixels: NDArray[np.intp]
    peak: tuple[float, float]
    contrast: float
    strength: float


def grow(image: FloatImage, specks: Specks, spacing_mm: float) -> list[Grown]:
    """The specks' pixels: connected, and above half of the peak's contrast to its surroundings.

    A speck that lies in the pixels of a stronger one belongs to that.

    Parameters
    ----------
    image, spacing_mm
        `(h, w) float32` that the specks were found in, and its pixel size.
    specks
        The strongest first.
    """
    taken = np.zeros(image.shape, np.bool_)
    reaches = [max(3, round(reach / spacing_mm)) for reach in _REACHES_MM]
    smooth = cv2.GaussianBlur(image, (0, 0), 0.5, borderType=cv2.BORDER_REPLICATE)
    grown = []
    for point, strength in zip(specks.points, specks.strength, strict=True):
        row, col = int(point[0]), int(point[1])
        if taken[row, col]:
            continue
        region = _region(smooth, row, col, reaches)
        if region is None:
            continue
        pixels, contrast = region
        taken[pixels[:, 0], pixels[:, 1]] = True
        grown.append(Grown(pixels, (row + 0.5, col + 0.5), contrast, float(strength)))
    return grown


def _region(
    image: FloatImage, row: int, col: int, reaches: Sequence[int]
) -> tuple[NDArray[np.intp], float] | None:
    """Pixels above half of the contrast around a peak, and the contrast; None without any."""
    for reach in reaches:
        row0, col0 = max(row - reach, 0), max(col - reach, 0)
        window = image[row0 : row + reach + 1, col0 : col + reach + 1]
        seed = (row - row0, col - col0)
        peak = float(window[seed])
        contrast = peak - float(np.percentile(window, _BACKGROUND_PERCENTILE))
        if contrast <= 0:
            return None
        bright = np.asarray(window >= peak - _HALF * contrast, np.uint8)
        _, labels = cv2.connectedComponents(bright, connectivity=4)
        inside = labels == labels[seed]
        if not _touches_side(inside):
            return np.argwhere(inside) + np.array([row0, col0]), contrast
    return np.array([[row, col]]), contrast  # a plateau or a fibre: its extent is not known


def _touches_side(inside: NDArray[np.bool_]) -> bool:
    return bool(inside[[0, -1]].any() or inside[:, [0, -1]].any())
