"""Where the breast lies in a view, and the way there and back: flip, crop, resize, pad.

Coordinates are (row, column) in pixels, with pixel (0, 0) covering `[0, 1) × [0, 1)`: continuous
positions, so that an enlargement by s maps position p to s · p exactly.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, FloatImage, Laterality

Mask = NDArray[np.uint8]

# The mask is found on a square thumbnail, so that a view and its stretched copy get the same one.
THUMBNAIL: Final = 256
# Film borders and scan lines lie in the outermost pixels of the thumbnail.
BORDER: Final = 4
_KERNEL: Final = 9
_SMALLEST_BREAST: Final = 0.04


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of the source an output array shows, and where.

    Parameters
    ----------
    source_shape
        Rows and columns of the source image.
    crop
        The part of the source that is shown, in source pixels (before any flip).
    flipped
        Whether the crop was mirrored left to right.
    shape
        Rows and columns of the output array.
    content
        The part of the output array that the crop fills; the rest is padding.
    """

    source_shape: tuple[int, int]
    crop: Box
    flipped: bool
    shape: tuple[int, int]
    content: Box

    def to_source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(n, 2)` source positions of `(n, 2)` output positions (row, column)."""
        unit = self._normalised(points, self.content)
        if self.flipped:
            unit[:, 1] = 1 - unit[:, 1]
        return self._placed(unit, self.crop)

    def to_output(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(n, 2)` output positions of `(n, 2)` source positions; the inverse of `to_source`."""
        unit = self._normalised(points, self.crop)
        if self.flipped:
            unit[:, 1] = 1 - unit[:, 1]
        return self._placed(unit, self.content)

    def map_to_source(self, values: FloatImage) -> FloatImage:
        """`(h', w')` part of a map of the output that covers exactly `crop`, in source direction.

        `values` is `(h, w) float32` of any resolution, covering the whole output array. Cells
        that only touch the content belong to it.
        """
        rows, cols = (n / size for n, size in zip(values.shape, self.shape, strict=True))
        inside = values[
            int(np.floor(self.content.row0 * rows)) : int(np.ceil(self.content.row1 * rows)),
            int(np.floor(self.content.col0 * cols)) : int(np.ceil(self.content.col1 * cols)),
        ]
        return np.ascontiguousarray(inside[:, ::-1] if self.flipped else inside)

    @staticmethod
    def _normalised(points: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
        size = (box.row1 - box.row0, box.col1 - box.col0)
        return (np.asarray(points, np.float64) - (box.row0, box.col0)) / size

    @staticmethod
    def _placed(unit: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
        size = (box.row1 - box.row0, box.col1 - box.col0)
        return np.asarray(unit * size + (box.row0, box.col0), np.float64)


def resize(image: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """`(h, w) float32`: area-averaged when made smaller, bilinear when made larger."""
    if image.shape == shape:
        return image
    smaller = shape[0] <= image.shape[0] and shape[1] <= image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(image), shape[::-1], interpolation=method)
    return np.asarray(resized, np.float32)


def breast_mask(image: FloatImage) -> Mask | None:
    """`(256, 256) uint8` mask of the breast, stretched to a square; None where nothing is seen.

    The largest bright component of the thumbnail in logarithmic grey levels (dark films keep
    their thin parts), by Otsu's threshold. Where that takes in the whole frame (grey film base),
    the threshold is found again among the brighter pixels. Labels and boxes fall away as they
    are not connected to the breast.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, dense tissue bright.
    """
    levels = _log_levels(image)
    if levels is None:
        return None
    component = _breast_component(levels)
    mask = np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    inner = mask[BORDER:-BORDER, BORDER:-BORDER]
    inner[:] = 1 if component is None else cv2.dilate(component, np.ones((3, 3), np.uint8))
    if mask.mean() < _SMALLEST_BREAST:
        inner[:] = 1
    return mask


def chest_wall_is_right(mask: Mask, laterality: Laterality) -> bool:
    """Whether the chest wall lies on the image's right side.

    Read from the mask: film exams are stored in both directions. Where both sides look alike,
    the usual hanging is assumed: a right breast has its chest wall on the right.
    """
    quarter = mask.shape[1] // 4
    difference = float(mask[:, :quarter].mean()) - float(mask[:, -quarter:].mean())
    if abs(difference) < 0.05:
        return laterality == Laterality.RIGHT
    return difference < 0


def breast_box(mask: Mask, *, chest_right: bool, narrowest: float) -> Box:
    """Bounding box of the mask, in pixels of the thumbnail.

    A box narrower than `narrowest` of its height grows away from the chest wall, so that a small
    breast is not stretched beyond recognition.
    """
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    row0, row1 = int(rows[0]), int(rows[-1]) + 1
    col0, col1 = int(cols[0]), int(cols[-1]) + 1
    wanted = int(narrowest * (row1 - row0))
    if chest_right:
        col0 = max(0, min(col0, col1 - wanted))
    else:
        col1 = min(mask.shape[1], max(col1, col0 + wanted))
    return Box(row0, col0, row1, col1)


def scale_box(box: Box, shape: tuple[int, int], to_shape: tuple[int, int]) -> Box:
    """The box of an image of `shape`, in whole pixels of its copy of `to_shape`."""
    rows, cols = to_shape[0] / shape[0], to_shape[1] / shape[1]
    row0, col0 = round(box.row0 * rows), round(box.col0 * cols)
    row1, col1 = round(box.row1 * rows), round(box.col1 * cols)
    return Box(row0, col0, max(row1, row0 + 1), max(col1, col0 + 1))


def cut(image: NDArray[np.generic], box: Box) -> NDArray[np.generic]:
    """The part of `(H, W)` inside the box: a view, not a copy."""
    return image[box.row0 : box.row1, box.col0 : box.col1]


def _log_levels(image: FloatImage) -> Mask | None:
    """`(248, 248) uint8` smoothed logarithmic grey levels of the thumbnail without its border."""
    thumbnail = resize(image, (THUMBNAIL, THUMBNAIL))
    smooth = cv2.GaussianBlur(thumbnail, (0, 0), 1.5)[BORDER:-BORDER, BORDER:-BORDER]
    levels = np.log1p(np.clip(smooth, 0, 1) * 255) / np.log(256)
    low, high = np.percentile(levels, (1, 99))
    if high - low < 1e-3:
        return None
    return np.asarray(np.clip((levels - low) / (high - low), 0, 1) * 255, np.uint8)


def _breast_component(levels: Mask) -> Mask | None:
    """Largest bright component that leaves one side of the frame free, if there is one."""
    values, component = levels.ravel(), None
    for _ in range(3):
        threshold, _ = cv2.threshold(values.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
        component = _largest_component(np.asarray(levels > threshold, np.uint8))
        if component is None or _leaves_a_side_free(component):
            break
        values = values[values > threshold]
        if values.size < 500:
            break
    return component


def _leaves_a_side_free(component: Mask) -> bool:
    eighth = component.shape[1] // 8
    sides = component[:, :eighth].mean(), component[:, -eighth:].mean()
    return bool(min(sides) < 0.5 and component.mean() < 0.8)


def _largest_component(binary: Mask) -> Mask | None:
    """The largest component after opening, closed and with its holes filled."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_KERNEL, _KERNEL))
    opened = cv2.morphologyEx(binary, cv2.MORPH_OPEN, disc)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return None
    largest = np.asarray(labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]), np.uint8)
    closed = cv2.morphologyEx(largest, cv2.MORPH_CLOSE, disc)
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(closed), contours, -1, 1, -1)
    return np.asarray(filled, np.uint8)
