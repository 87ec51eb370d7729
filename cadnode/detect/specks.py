"""Bright specks: everything that could be a calcification, with its strength.

Second derivatives at several scales (Lindeberg 1998, Int J Comput Vis 30:79, feature detection with
automatic scale selection), measured against the local noise: a film's or a detector's noise
depends on the grey level, and dense tissue is rougher than fat.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect.regions import BoolMask
from cadnode.domain import FloatImage

Floats = NDArray[np.float64]

# Standard deviations of the blob filters. A disc of diameter d answers most at σ = d / 2.8.
SCALES_MM: Final = (0.12, 0.2, 0.35)
# A blob curves in every direction, a vessel or a fibre in one: the weaker curvature counts more.
_WEAKER: Final = 0.7
_NOISE_WINDOW_MM: Final = 8.0
# Responses beyond this many robust deviations are signal and do not count as noise.
_CLIP: Final = 4.0
# The least noise, as a share of the whole breast's: flat dark fat would make dust of anything.
_FLOOR: Final = 0.3
LEAST: Final = 2.0
_MOST: Final = 8000


@dataclass(frozen=True, eq=False, slots=True)
class Specks:
    """Local maxima of the answer, the strongest first; arrays of equal length `n`.

    Parameters
    ----------
    points
        `(n, 2) float64`: row and column in the frame (centre of the pixel at + 0.5).
    strength
        `(n,) float64`: the answer over the local noise.
    scale
        `(n,) float64`: standard deviation in mm of the filter that answered most.
    roundness
        `(n,) float64 in [-1, 1]`: weaker over stronger curvature; 1 a disc, 0 a line.
    """

    points: Floats
    strength: Floats
    scale: Floats
    roundness: Floats

    def __len__(self) -> int:
        return len(self.strength)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> "Specks":
        """Those that `keep` selects."""
        return Specks(
            self.points[keep], self.strength[keep], self.scale[keep], self.roundness[keep]
        )


def find_specks(image: FloatImage, valid: BoolMask, spacing_mm: float) -> Specks:
    """Specks of `(h, w) float32` at pixels where `valid` is true."""
    best = np.full(image.shape, -np.inf, np.float32)
    scale = np.zeros(image.shape, np.float32)
    roundness = np.zeros(image.shape, np.float32)
    for sigma_mm in SCALES_MM:
        strong, weak = curvatures(image, max(sigma_mm / spacing_mm, 0.7))
        answer = _WEAKER * weak + (1 - _WEAKER) * strong
        answer /= local_noise(answer, valid, spacing_mm)
        better = answer > best
        np.copyto(best, answer, where=better)
        scale[better] = sigma_mm
        np.copyto(roundness, weak / np.maximum(strong, 1e-9), where=better)
    best[~valid] = -1
    peaks = np.argwhere((best >= cv2.dilate(best, np.ones((3, 3), np.uint8))) & (best > LEAST))
    rows, cols = peaks[:, 0], peaks[:, 1]
    order = np.argsort(-best[rows, cols], kind="stable")[:_MOST]
    rows, cols = rows[order], cols[order]
    return Specks(
        np.asarray(peaks[order] + 0.5, np.float64),
        best[rows, cols].astype(np.float64),
        scale[rows, cols].astype(np.float64),
        roundness[rows, cols].astype(np.float64),
    )


def curvatures(image: FloatImage, sigma: float) -> tuple[FloatImage, FloatImage]:
    """Two `(h, w) float32`: the stronger and the weaker downward curvature, scale-normalised.

    Eigenvalues of the negative Hessian at `sigma` pixels, times σ² (Lindeberg 1998, section 4).
    """
    smooth = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    one, second = np.ones(1, np.float32), np.array([1, -2, 1], np.float32)
    first = np.array([-0.5, 0, 0.5], np.float32)
    border = cv2.BORDER_REPLICATE
    across = cv2.sepFilter2D(smooth, -1, second, one, borderType=border)
    down = cv2.sepFilter2D(smooth, -1, one, second, borderType=border)
    mixed = cv2.sepFilter2D(smooth, -1, first, first, borderType=border)
    mean = (across + down) * np.float32(-0.5 * sigma * sigma)
    radius = cv2.magnitude(across - down, 2 * mixed) * np.float32(0.5 * sigma * sigma)
    return mean + radius, mean - radius


def local_noise(answer: FloatImage, valid: BoolMask, spacing_mm: float) -> FloatImage:
    """`(h, w) float32`: standard deviation of the answer around each pixel, specks left out."""
    size = np.abs(answer)
    inside = size[valid][::7]
    overall = float(np.median(inside)) / 0.6745 if inside.size else 0.0
    overall = max(overall, 1e-6)
    weight = valid.astype(np.float32)
    square = np.minimum(size, _CLIP * overall) ** 2 * weight
    window = int(_NOISE_WINDOW_MM / spacing_mm) | 1
    total = cv2.blur(square, (window, window))
    share = cv2.blur(weight, (window, window))
    variance = np.maximum(total, 0) / np.maximum(share, 1e-3)
    return np.asarray(np.sqrt(variance) + np.float32(_FLOOR * overall), np.float32)
