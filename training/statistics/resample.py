"""How women are resampled: one bootstrap for every band and interval."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cadnode.statistics.auc import Floats

REPLICATES = 1000
Weights = NDArray[np.int64]


def drawn(women: ArrayLike, *, replicates: int = REPLICATES, seed: int = 0) -> Weights:
    """`(replicates, n)`: how often each of n cases counts when women are drawn with replacement."""
    _, cluster = np.unique(np.asarray(women).astype(str), return_inverse=True)
    count = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, count, (replicates, count))
    each = np.array([np.bincount(row, minlength=count) for row in picks]).reshape(-1, count)
    return np.asarray(each[:, cluster], np.int64)


def weighted_auc(labels: ArrayLike, scores: ArrayLike) -> Callable[[Weights], float | None]:
    """A function that returns the AUC where case i counts `weights[i]` times.

    It returns None where no case of a class is drawn. The cases are sorted once.
    """
    positive = np.asarray(labels).astype(bool)
    levels, group = np.unique(np.asarray(scores, np.float64), return_inverse=True)

    def auc_of(weights: Weights) -> float | None:
        pos = np.bincount(group, weights * positive, len(levels))
        neg = np.bincount(group, weights * ~positive, len(levels))
        total = pos.sum() * neg.sum()
        if total == 0:
            return None
        return float((pos * (np.cumsum(neg) - neg / 2)).sum() / total)

    return auc_of


def interval(values: list[float], *, confidence: float = 0.95) -> tuple[float, float] | None:
    """The percentile interval of replicates; None without any."""
    if not values:
        return None
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)


def band(rows: Floats, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """`(k,)` lower and upper percentiles, column by column, of `(replicates, k)`."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(rows, (tail, 100 - tail), axis=0)
    return np.asarray(low, np.float64), np.asarray(high, np.float64)
