"""Squares around candidates, as the learned filter sees them: in training and in serving."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage

_BACKGROUND_MM: Final = 1.2
_DARKEST, _BRIGHTEST = -4.0, 16.0
_LEAST_NOISE: Final = 1e-3
_SPREAD: Final = 4.0


def cut_patches(
    image: FloatImage,
    spacing_mm: float,
    points: Sequence[tuple[float, float]],
    *,
    size: int,
    at_mm: float,
) -> NDArray[np.float32]:
    """`(n, size, size) float32`: detail around each point in units of the patch's own noise.

    Parameters
    ----------
    image, spacing_mm
        `(h, w) float32`, and its pixel size.
    points
        (row, column) positions in `image`.
    size, at_mm
        Rows and columns of a patch, and its pixel size.
    """
    step = at_mm / spacing_mm
    patches = np.empty((len(points), size, size), np.float32)
    for patch, (row, col) in zip(patches, points, strict=True):
        # Output pixel centre (i + 0.5) lies at row + (i + 0.5 − size / 2) · step.
        first = 0.5 * step - 0.5 - size / 2 * step
        affine = np.array([[step, 0, col + first], [0, step, row + first]])
        raw = cv2.warpAffine(
            image, affine, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        patch[:] = normalised(raw, at_mm)
    return patches


def normalised(raw: FloatImage, spacing_mm: float) -> FloatImage:
    """`(h, w) float32`: the detail of a patch over its noise, about −1 … 4; 0 is the background."""
    background = cv2.GaussianBlur(
        raw, (0, 0), _BACKGROUND_MM / spacing_mm, borderType=cv2.BORDER_REPLICATE
    )
    detail = raw - background
    noise = float(np.median(np.abs(detail))) / 0.6745 + _LEAST_NOISE
    return np.asarray(np.clip(detail / noise, _DARKEST, _BRIGHTEST) / _SPREAD, np.float32)
