"""Certainty from a candidate's statistics: of masses always, of clusters without a learned filter.

`models.detector` has the learned filter of clusters.

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
    (0.538, 0.081, 1.220),
    (0.836, 0.111, 0.033),
    (0.612, 0.420, -0.893),
    (3.944, 1.053, 0.697),
    (0.943, 0.092, 0.040),
    (21.772, 10.101, 0.036),
    (0.782, 0.195, 0.467),
)
_MASS_INTERCEPT: Final = -1.535


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
