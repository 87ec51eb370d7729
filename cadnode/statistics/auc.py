"""Which AUC a score reaches, with its interval, and whether two AUCs on the same cases differ."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from cadnode.errors import DataError
from cadnode.statistics.draws import seed_or

Floats = NDArray[np.float64]

DELONG: Final = "95 %, DeLong"
BY_WOMAN: Final = "95 %, bootstrap over women, 1,000 replicates"
NO_INTERVAL: Final = "none: an interval needs two women with and two without"


@dataclass(frozen=True, slots=True)
class Auc:
    """An AUC with its 95 % interval and the numbers of cases.

    `ci` is None where a class has one case (or cases of one woman): their variance is unknown.
    `method` names how the interval was computed.
    """

    value: float
    ci: tuple[float, float] | None
    n_pos: int
    n_neg: int
    method: str = DELONG

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval rounded to four digits; (0, 1) where there is none."""
        low, high = self.ci or (0.0, 1.0)
        return round(low, 4), round(high, 4)

    def as_dict(self) -> dict[str, Any]:
        """As written into JSON."""
        return {
            "auc": round(self.value, 4),
            "auc_ci": list(self.bounds) if self.ci else None,
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
    value = auc(labels, scores)
    of_pos, of_neg = placements(labels, scores)
    counts = len(of_pos), len(of_neg)
    if min(counts) < 2:
        return Auc(value, None, *counts, NO_INTERVAL)
    variance = sum(v.var(ddof=1) / len(v) for v in (of_pos, of_neg))
    half = float(norm.ppf(0.5 + confidence / 2) * np.sqrt(variance))
    return Auc(value, (max(0.0, value - half), min(1.0, value + half)), *counts)


@dataclass(frozen=True, slots=True)
class AucDifference:
    """The difference of two AUCs on the same cases, its 95 % interval, and the test's p."""

    value: float
    ci: tuple[float, float]
    z: float
    p: float


def delong_test(
    labels: ArrayLike, one: ArrayLike, other: ArrayLike, *, confidence: float = 0.95
) -> AucDifference:
    """AUC of `one` minus that of `other`, by DeLong et al. 1988 for correlated curves.

    Two-sided, for independent cases. Where both scores order all pairs alike the difference has
    no variance and p is 1.

    Raises
    ------
    DataError
        One of the classes is empty, or has one case only.
    """
    pos, neg = zip(placements(labels, one), placements(labels, other), strict=True)
    if min(len(pos[0]), len(neg[0])) < 2:
        raise DataError("the test between two AUCs needs two cases of each class")
    difference = float(pos[0].mean() - pos[1].mean())
    variance = sum(float((v[0] - v[1]).var(ddof=1)) / len(v[0]) for v in (pos, neg))
    deviation = float(np.sqrt(variance))
    half = float(norm.ppf(0.5 + confidence / 2)) * deviation
    z = difference / deviation if deviation > 0 else 0.0
    interval = (max(-1.0, difference - half), min(1.0, difference + half))
    return AucDifference(difference, interval, z, float(2 * norm.sf(abs(z))))


def placements(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """`(n_pos,)` and `(n_neg,)`: the share of the other class that each case is ordered against.

    DeLong 1988, equations 4 and 5, by ranks (Sun and Xu 2014, IEEE Signal Process Lett 21:1389).
    """
    positive, values = _checked(labels, scores)
    pos, neg = values[positive], values[~positive]
    ranks = rankdata(np.concatenate([pos, neg]))
    of_pos = (ranks[: len(pos)] - rankdata(pos)) / len(neg)
    of_neg = 1 - (ranks[len(pos) :] - rankdata(neg)) / len(pos)
    return of_pos, of_neg


def clustered(
    labels: ArrayLike,
    scores: ArrayLike,
    women: ArrayLike,
    *,
    seed: int | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> Auc:
    """AUC with a percentile bootstrap interval that resamples women, not breasts.

    A woman's breasts resemble each other, so the cases of one woman stay together.
    """
    positive, values = _checked(labels, scores)
    n_pos = int(positive.sum())
    counts = n_pos, len(values) - n_pos
    keys = np.asarray(women).astype(str)
    if min(len(set(keys[of].tolist())) for of in (positive, ~positive)) < 2:
        return Auc(auc(labels, scores), None, *counts, NO_INTERVAL)
    _, cluster = np.unique(keys, return_inverse=True)
    rng, found = np.random.default_rng(seed_or(seed)), []
    for _ in range(replicates):
        weights = np.bincount(rng.integers(0, cluster.max() + 1, cluster.max() + 1),
                              minlength=cluster.max() + 1)[cluster]  # fmt: skip
        if weights[positive].sum() and weights[~positive].sum():
            found.append(_weighted(positive, values, weights))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(found, (tail, 100 - tail)) if found else (0.0, 1.0)
    return Auc(auc(labels, scores), (float(low), float(high)), *counts, BY_WOMAN)


def several_a_woman(women: ArrayLike) -> bool:
    """Whether a woman has more than one case."""
    keys = np.asarray(women).astype(str)
    return len(np.unique(keys)) < len(keys)


def by_woman(
    labels: ArrayLike, scores: ArrayLike, women: ArrayLike, *, replicates: int = 1000
) -> Auc | None:
    """The AUC with the interval that suits the cases; None where a class is empty.

    Women are resampled where one has several cases, otherwise the interval is DeLong's.
    """
    positive = np.asarray(labels).astype(bool)
    if positive.all() or not positive.any():
        return None
    if several_a_woman(women):
        return clustered(labels, scores, women, replicates=replicates)
    return delong(labels, scores)


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
