"""Certainty from a candidate's statistics alone: what the node uses without the learned filter.

Logistic regressions on standardised statistics; how they were fitted is in docs/detection.md.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# (mean, deviation, weight) of each statistic of `clusters.STATISTICS`, then the intercept.
# Certainty 0.5 is where one candidate an image is marked in mini-MIAS views without calcifications.
_CLUSTER: Final = (
    (5.495, 4.497, 0.890),
    (0.466, 0.580, -0.514),
    (1.085, 0.612, 2.127),
    (3.816, 2.190, 0.541),
    (2.361, 1.786, 0.443),
    (0.604, 0.162, 1.107),
    (0.162, 0.038, -0.190),
    (1.272, 0.676, -0.593),
    (14.917, 5.805, 0.305),
    (2.312, 2.492, -0.991),
)
_CLUSTER_INTERCEPT: Final = -1.518
# The same for `masses.STATISTICS`: 0.5 is one false mark in two normal views.
_MASS: Final = (
    (0.535, 0.068, 1.038),
    (0.849, 0.102, -0.181),
    (0.439, 0.349, -0.637),
    (3.485, 0.871, 1.137),
    (0.977, 0.087, 0.399),
    (20.620, 9.975, 0.376),
    (0.755, 0.190, 0.711),
)
_MASS_INTERCEPT: Final = -1.793


def cluster_certainty(statistics: Floats) -> Floats:
    """`(n,) float64 in [0, 1]` of `(n, 10)` statistics of hotspots."""
    return _logistic(statistics, _CLUSTER, _CLUSTER_INTERCEPT)


def mass_certainty(statistics: Floats) -> Floats:
    """`(n,) float64 in [0, 1]` of `(n, 7)` statistics of mass candidates."""
    return _logistic(statistics, _MASS, _MASS_INTERCEPT)


def _logistic(
    statistics: Floats, terms: tuple[tuple[float, float, float], ...], intercept: float
) -> Floats:
    mean, deviation, weight = np.array(terms).T
    standard = np.clip((statistics - mean) / deviation, -4, 4)
    return np.asarray(1 / (1 + np.exp(-(standard @ weight + intercept))), np.float64)
