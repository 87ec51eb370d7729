"""How well probabilities are calibrated: reliability diagram, ECE, Brier score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cadnode.statistics.binary import Share, wilson


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases of similar probability: their mean probability and the share that was malignant."""

    mean_probability: float
    share: Share


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal size, the expected calibration error and the Brier score."""

    bins: tuple[Bin, ...]
    ece: float
    brier: float


def reliability(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> Reliability:
    """Calibration of probabilities in [0, 1].

    Bins hold (nearly) equally many cases. ECE is the mean over cases of |share − mean
    probability| of their bin (Naeini et al. 2015, AAAI, with equal-mass bins); the Brier score is
    the mean squared difference of probability and label (Brier 1950).
    """
    truth = np.asarray(labels).astype(bool)
    values = np.asarray(probabilities, np.float64)
    order = np.argsort(values, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    found = tuple(
        Bin(float(values[part].mean()), wilson(int(truth[part].sum()), len(part))) for part in parts
    )
    gaps = [abs((b.share.value or 0.0) - b.mean_probability) * b.share.n for b in found]
    return Reliability(found, sum(gaps) / len(values), float(np.mean((values - truth) ** 2)))
