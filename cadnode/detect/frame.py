"""The part of a view that detection works on: the breast, at one pixel size in millimetres."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect.regions import BoolMask
from cadnode.domain import Box, FloatImage, Laterality
from cadnode.imaging.geometry import THUMBNAIL, Mask, breast_mask, chest_wall_is_right, resize

# Choice: 0.1 mm still shows the smallest calcifications seen on mammograms (0.1–0.2 mm) and makes
# 45 to 70 µm views four times quicker; coarser film is worked on as it is.
FINEST_MM: Final = 0.1
COARSEST_MM: Final = 0.25
# Skin folds, film edges and the scanner's frame lie in this band along the edge of what is seen.
_EDGE_MM: Final = 2.0
_BLANK: Final = 4  # of 255
_COARSER: Final = 8
_LEAST_PIXELS: Final = 100
# The depth of a region whose distance to the skin is not known.
_DEEP_MM: Final = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class DetectionFrame:
    """A crop of the source at the working pixel size.

    Parameters
    ----------
    image
        `(h, w) float32 in [0, 1]`.
    valid
        `(h, w) bool`: breast, away from its edge and from every blank border.
    depth_mm
        `(h, w) float32`: distance to the nearest pixel outside of the breast.
    spacing_mm
        Of `image`.
    crop
        The part of the source that `image` shows.
    chest_right
        Whether the chest wall lies on the image's right side.
    """

    image: FloatImage
    valid: BoolMask
    depth_mm: FloatImage
    spacing_mm: float
    crop: Box
    chest_right: bool = False

    def to_source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(n, 2)` source positions of `(n, 2)` positions (row, column) of `image`."""
        scaled = np.asarray(points, np.float64) * self._source_per_pixel()
        return np.asarray(scaled + np.array([self.crop.row0, self.crop.col0]), np.float64)

    def to_frame(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `to_source`."""
        moved = np.asarray(points, np.float64) - (self.crop.row0, self.crop.col0)
        return np.asarray(moved / self._source_per_pixel(), np.float64)

    def outlined(self, points: NDArray[np.float64]) -> tuple[tuple[tuple[float, float], ...], Box]:
        """A polygon of `(n, 2)` positions of `image` in the source, and the box around it."""
        crop = self.crop
        low, high = (crop.row0, crop.col0), (crop.row1, crop.col1)
        outline = np.clip(self.to_source(points), low, high)
        first = np.minimum(np.floor(outline.min(0)), np.array(high) - 1).astype(int)
        last = np.maximum(np.ceil(outline.max(0)).astype(int), first + 1)
        box = Box(int(first[0]), int(first[1]), int(last[0]), int(last[1]))
        return tuple((float(r), float(c)) for r, c in outline), box

    def _source_per_pixel(self) -> NDArray[np.float64]:
        crop, (height, width) = self.crop, self.image.shape
        return np.array([(crop.row1 - crop.row0) / height, (crop.col1 - crop.col0) / width])


def working_spacing(spacing_mm: float) -> float:
    """The pixel size that detection works at, for a source of `spacing_mm`."""
    return float(np.clip(spacing_mm, FINEST_MM, COARSEST_MM))


def breast_frame(
    image: FloatImage,
    spacing_mm: float,
    laterality: Laterality = Laterality.LEFT,
    mask: Mask | None = None,
) -> DetectionFrame | None:
    """The breast of a view; None where none is seen.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, dense tissue bright.
    spacing_mm
        Of `image`, in the plane of the breast.
    laterality
        Decides where the chest wall is when the image does not show it.
    mask
        `geometry.breast_mask` of the image, where that is known already.
    """
    thumbnail = breast_mask(image) if mask is None else mask
    if thumbnail is None or not thumbnail.any():
        return None
    crop = _crop(thumbnail, image.shape)
    small = image_at(image, crop, spacing_mm)
    breast = cv2.resize(thumbnail, image.shape[::-1], interpolation=cv2.INTER_NEAREST)
    breast = breast[crop.row0 : crop.row1, crop.col0 : crop.col1]
    breast = cv2.resize(breast, small.shape[::-1], interpolation=cv2.INTER_NEAREST)
    work = spacing_mm * (crop.row1 - crop.row0) / small.shape[0]
    seen = (breast > 0) & ~_blank(small)
    depth = np.asarray(
        cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 3) * work, np.float32
    )
    valid = np.asarray(depth > _EDGE_MM, np.bool_)
    if valid.sum() < _LEAST_PIXELS:
        return None
    small = _filled(small, seen)
    return DetectionFrame(
        small, valid, depth, work, crop, chest_wall_is_right(thumbnail, laterality)
    )


def image_at(image: FloatImage, crop: Box, spacing_mm: float) -> FloatImage:
    """`(h, w) float32`: the crop of a source of `spacing_mm`, at the working pixel size."""
    part = image[crop.row0 : crop.row1, crop.col0 : crop.col1]
    scale = spacing_mm / working_spacing(spacing_mm)
    shape = max(8, round(part.shape[0] * scale)), max(8, round(part.shape[1] * scale))
    return np.ascontiguousarray(resize(part, shape))


def _crop(thumbnail: NDArray[np.uint8], shape: tuple[int, ...]) -> Box:
    rows, cols = np.flatnonzero(thumbnail.any(1)), np.flatnonzero(thumbnail.any(0))
    down, right = shape[0] / THUMBNAIL, shape[1] / THUMBNAIL
    return Box(
        int(max(0, (rows[0] - 2) * down)),
        int(max(0, (cols[0] - 2) * right)),
        int(min(shape[0], np.ceil((rows[-1] + 3) * down))),
        int(min(shape[1], np.ceil((cols[-1] + 3) * right))),
    )


def _blank(image: FloatImage) -> BoolMask:
    """`(h, w) bool`: film that was not exposed, or nothing but padding."""
    levels = np.asarray(np.clip(image, 0, 1) * 255, np.uint8)
    return np.asarray(cv2.medianBlur(levels, 5) <= _BLANK, np.bool_)


def _filled(image: FloatImage, seen: BoolMask) -> FloatImage:
    """The image, what is not seen continued from its surroundings: no edge where the film ends."""
    size = max(1, image.shape[1] // _COARSER), max(1, image.shape[0] // _COARSER)
    weight = seen.astype(np.float32)
    sums = cv2.resize(image * weight, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    sums, share = (cv2.GaussianBlur(a, (0, 0), 1.5) + 1e-3 * cv2.GaussianBlur(a, (0, 0), 12)
                   for a in (sums, share))  # fmt: skip
    around = cv2.resize(sums / np.maximum(share, 1e-6), image.shape[::-1])
    return np.where(seen, image, around).astype(np.float32)


def whole_frame(image: FloatImage, spacing_mm: float) -> DetectionFrame:
    """All of an image that shows nothing but breast, such as a region cut from a view."""
    crop = Box(0, 0, *image.shape)
    small = image_at(image, crop, spacing_mm)
    work = spacing_mm * image.shape[0] / small.shape[0]
    deep = np.full(small.shape, _DEEP_MM, np.float32)
    return DetectionFrame(small, np.ones(small.shape, np.bool_), deep, work, crop)
