"""Area under the ROC curve with intervals, and the threshold of Youden's index."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from cadnode.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Auc:
    """An area with its 95 % interval and the numbers behind it."""

    value: float
    ci: tuple[float, float]
    n_pos: int
    n_neg: int

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON."""
        return {
            "auc": round(self.value, 4),
            "auc_ci": [round(bound, 4) for bound in self.ci],
            "n_pos": self.n_pos,
            "n_neg": self.n_neg,
        }


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann–Whitney).

    Raises
    ------
    DataError
        One of the classes is empty.
    """
    positive, values = _checked(labels, scores)
    n_pos = int(positive.sum())
    n_neg = len(values) - n_pos
    above = rankdata(values)[positive].sum() - n_pos * (n_pos + 1) / 2
    return float(above / (n_pos * n_neg))


def delong(labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95) -> Auc:
    """AUC with the interval of DeLong et al. 1988 (Biometrics 44:837), for independent cases."""
    positive, values = _checked(labels, scores)
    pos, neg = values[positive], values[~positive]
    ranks = rankdata(np.concatenate([pos, neg]))
    area = auc(labels, scores)
    of_pos = (ranks[: len(pos)] - rankdata(pos)) / len(neg)
    of_neg = 1 - (ranks[len(pos) :] - rankdata(neg)) / len(pos)
    variance = sum(v.var(ddof=1) / len(v) for v in (of_pos, of_neg) if len(v) > 1)
    half = float(norm.ppf(0.5 + confidence / 2) * np.sqrt(variance))
    return Auc(area, (max(0.0, area - half), min(1.0, area + half)), len(pos), len(neg))


def clustered(
    labels: ArrayLike,
    scores: ArrayLike,
    women: ArrayLike,
    *,
    seed: int = 0,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> Auc:
    """AUC with a percentile bootstrap interval that draws women, not breasts.

    A woman's breasts resemble each other; cases of one woman stay together.
    """
    positive, values = _checked(labels, scores)
    _, cluster = np.unique(np.asarray(women).astype(str), return_inverse=True)
    rng, areas = np.random.default_rng(seed), []
    for _ in range(replicates):
        weights = np.bincount(rng.integers(0, cluster.max() + 1, cluster.max() + 1),
                              minlength=cluster.max() + 1)[cluster]  # fmt: skip
        if weights[positive].sum() and weights[~positive].sum():
            areas.append(_weighted(positive, values, weights))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(areas, (tail, 100 - tail)) if areas else (0.0, 1.0)
    n_pos = int(positive.sum())
    return Auc(auc(labels, scores), (float(low), float(high)), n_pos, len(values) - n_pos)


def youden(labels: ArrayLike, scores: ArrayLike) -> float:
    """The score from which on sensitivity + specificity is highest (Youden 1950)."""
    positive, values = _checked(labels, scores)
    candidates = np.unique(values)
    sensitivity = 1 - np.searchsorted(np.sort(values[positive]), candidates) / positive.sum()
    specificity = np.searchsorted(np.sort(values[~positive]), candidates) / (~positive).sum()
    return float(candidates[np.argmax(sensitivity + specificity)])


def _weighted(positive: NDArray[np.bool_], values: Floats, weights: NDArray[np.int64]) -> float:
    """AUC where case i counts `weights[i]` times."""
    order = np.argsort(values, kind="stable")
    _, group = np.unique(values[order], return_inverse=True)
    pos = np.bincount(group, (weights * positive)[order])
    neg = np.bincount(group, (weights * ~positive)[order])
    below = np.cumsum(neg) - neg
    return float((pos * (below + neg / 2)).sum() / (pos.sum() * neg.sum()))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    positive, values = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    if positive.all() or not positive.any():
        raise DataError("an AUC needs both classes: one of them is empty")
    return positive, values
