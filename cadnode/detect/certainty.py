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
    (5.710, 4.443, 0.968),
    (0.501, 0.586, -0.464),
    (1.130, 0.586, 2.967),
    (3.933, 2.212, 0.309),
    (2.451, 1.790, 0.544),
    (0.597, 0.167, 1.195),
    (0.163, 0.036, -0.044),
    (1.342, 0.643, -0.710),
    (14.282, 5.842, 0.194),
    (2.383, 2.458, -1.750),
)
_CLUSTER_INTERCEPT: Final = -1.487
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
    standard = standardized(statistics, mean, deviation)
    return np.asarray(1 / (1 + np.exp(-(standard @ weight + intercept))), np.float64)


def standardized(statistics: Floats, mean: Floats, deviation: Floats) -> Floats:
    """`(n, S) float64`: what the regressions are fitted to, and read; outliers are clipped."""
    return np.asarray(np.clip((statistics - mean) / deviation, -4, 4), np.float64)
