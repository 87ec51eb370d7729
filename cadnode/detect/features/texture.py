"""Haralick's features of a grey-level co-occurrence matrix.

Haralick RM, Shanmugam K, Dinstein I. Textural features for image classification. IEEE Trans Syst
Man Cybern 3:610-621 (1973), appendix I. Entropies are in bits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.detect.regions import BoolMask
from cadnode.domain import FloatImage

LEVELS: Final = 32
_DIRECTIONS: Final = ((0, 1), (1, 1), (1, 0), (1, -1))
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Haralick:
    """Features of a matrix p(i, j) with i, j from 1 on; f₁ … f₁₁ are Haralick's numbers.

    `energy` f₁, `contrast` f₂, `correlation` f₃, `inverse_difference_moment` f₅, `sum_average`
    f₆, `sum_variance` f₇ (about the sum average), `sum_entropy` f₈, `entropy` f₉,
    `difference_variance` f₁₀, `difference_entropy` f₁₁; `mutual_information` is
    H(x) + H(y) − H(x, y), from which f₁₂ and f₁₃ are made.
    """

    energy: float
    contrast: float
    correlation: float
    inverse_difference_moment: float
    sum_average: float
    sum_variance: float
    sum_entropy: float
    entropy: float
    difference_variance: float
    difference_entropy: float
    mutual_information: float


def quantize(image: FloatImage, mask: BoolMask, levels: int = LEVELS) -> NDArray[np.int64]:
    """`(h, w) int64` grey levels 0 … levels − 1, equally wide from the 1st to the 99th percentile.

    Percentiles of the mask's pixels: so the texture depends neither on exposure nor on window,
    nor on single outliers. Where the mask is of one grey, everything is level 0.
    """
    low, high = np.percentile(image[mask], (1, 99))
    if high - low < 1e-6:
        return np.zeros(image.shape, np.int64)
    share = (image.astype(np.float64) - low) / (high - low)
    return np.asarray(np.clip(np.floor(share * levels), 0, levels - 1), np.int64)


def cooccurrence(levels: NDArray[np.int64], mask: BoolMask, distance: int, n: int) -> Matrix:
    """`(n, n) float64` symmetric matrix, sum 1: pairs inside the mask, four directions together.

    A pair lies `distance` pixels apart along a row, a column or (in both) a diagonal. Without
    any pair each pixel counts as a pair with itself.
    """
    counts = np.zeros(n * n, np.int64)
    for down, right in _DIRECTIONS:
        first, second = _shifted(down * distance, right * distance, mask.shape)
        inside = mask[first] & mask[second]
        pairs = levels[first][inside] * n + levels[second][inside]
        counts += np.bincount(pairs, minlength=n * n)
    if not counts.any():
        counts += np.bincount(levels[mask] * (n + 1), minlength=n * n)
    matrix = counts.reshape(n, n) + counts.reshape(n, n).T
    return np.asarray(matrix / matrix.sum(), np.float64)


def haralick(p: Matrix) -> Haralick:
    """The features of a symmetric `(n, n)` matrix of sum 1."""
    i, j = np.mgrid[1 : len(p) + 1, 1 : len(p) + 1]
    marginal, levels = p.sum(1), np.arange(1, len(p) + 1)
    mean = float(marginal @ levels)
    variance = float(marginal @ (levels - mean) ** 2)
    sums = _gathered(i + j, p)
    differences = _gathered(np.abs(i - j), p)
    sum_average, sum_variance = _moments(sums)
    return Haralick(
        energy=float((p**2).sum()),
        contrast=float(((i - j) ** 2 * p).sum()),
        # One grey level: 1, as in scikit-image and pyradiomics.
        correlation=float(((i - mean) * (j - mean) * p).sum()) / variance if variance > 0 else 1.0,
        inverse_difference_moment=float((p / (1 + (i - j) ** 2)).sum()),
        sum_average=sum_average,
        sum_variance=sum_variance,
        sum_entropy=entropy(sums),
        entropy=entropy(p),
        difference_variance=_moments(differences)[1],
        difference_entropy=entropy(differences),
        mutual_information=max(0.0, 2 * entropy(marginal) - entropy(p)),
    )


def entropy(p: Matrix) -> float:
    """−Σ p log₂ p, in bits; nothing is added to p, empty cells count 0."""
    filled = p[p > 0]
    return max(0.0, float(-(filled * np.log2(filled)).sum()))


def _gathered(keys: NDArray[np.int64], p: Matrix) -> Matrix:
    """`(k,)` probabilities of the keys from 0 on."""
    return np.asarray(np.bincount(keys.ravel(), p.ravel()), np.float64)


def _moments(p: Matrix) -> tuple[float, float]:
    """Mean and variance of 0, 1, 2 … with the probabilities p."""
    values = np.arange(len(p))
    mean = float(p @ values)
    return mean, float(p @ (values - mean) ** 2)


def _shifted(
    down: int, right: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Two equally large parts of an array, the second `down` rows and `right` columns further."""
    rows, cols = shape
    down, far = min(down, rows), min(abs(right), cols)
    here, there = slice(0, rows - down), slice(down, rows)
    left, beyond = slice(0, cols - far), slice(far, cols)
    return ((here, left), (there, beyond)) if right >= 0 else ((here, beyond), (there, left))
