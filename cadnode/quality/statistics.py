"""How far two samples of scores are apart: PSI, Kolmogorov-Smirnov, shares with intervals.

SciPy's statistics take a second to import, and who only shows results starts without them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.statistics.wilson import wilson_interval

Scores = NDArray[np.float64]

BINS: Final = 10
MODERATE_PSI, LARGE_PSI = 0.1, 0.25
"""The usual reading of PSI: below the first no change, from the second on a large one."""
_SMOOTHING: Final = 0.5  # of a count, in each bin: an empty one would be infinitely far away
_EDGE: Final = 1e-4
_SAME: Final = 1e-9  # a standard deviation that is rounding


def psi(reference: Scores, now: Scores, n_bins: int = BINS) -> float:
    """Population stability index of two samples, at least 0; 0 when they fall alike into the bins.

    Sum over bins of (q − p) · ln(q / p), with p and q the shares of `reference` and `now`. Bins end
    at quantiles of `reference`; equal quantiles, where many scores are the same, are one.

    Source: Siddiqi, Credit Risk Scorecards (2006), chapter 10. Its expectation without any change
    is about (bins − 1) · (1/n + 1/m): Yurdakul, Statistical properties of PSI (2018).

    Deviation: half a count is added to each bin, because an empty one has no logarithm.
    """
    inner = np.unique(np.quantile(reference, np.arange(1, n_bins) / n_bins))
    shares = []
    for sample in (reference, now):
        counts = np.bincount(np.searchsorted(inner, sample, side="left"), minlength=len(inner) + 1)
        smoothed = counts + _SMOOTHING
        shares.append(smoothed / smoothed.sum())
    before, after = shares
    return float(np.sum((after - before) * np.log(after / before)))


@dataclass(frozen=True, slots=True)
class KsTest:
    """Two-sample Kolmogorov-Smirnov: the largest distance of two distribution functions, and p."""

    distance: float
    p: float


def ks(reference: Scores, now: Scores) -> KsTest:
    """The two-sided test of two samples, p by Kolmogorov's limiting distribution.

    With ties p is too large, never too small.

    Choice: not `scipy.stats.ks_2samp`, whose exact distribution takes a hundred times as long for
    samples of hundreds, and which a test compares this with.
    """
    from scipy.special import kolmogorov

    a, b = np.sort(reference), np.sort(now)
    at = np.concatenate([a, b])
    below_a = np.searchsorted(a, at, side="right") / len(a)
    below_b = np.searchsorted(b, at, side="right") / len(b)
    distance = float(np.max(np.abs(below_a - below_b)))
    scale = (len(a) * len(b) / (len(a) + len(b))) ** 0.5
    return KsTest(distance, float(kolmogorov(scale * distance)))


@dataclass(frozen=True, slots=True)
class MeanShift:
    """How far the mean of log-odds has moved, in standard deviations of the reference, and p."""

    sds: float
    p: float


def mean_shift(reference: Scores, now: Scores) -> MeanShift:
    """The shift of two samples of scores in [0, 1], p by Welch's two-sided test.

    Scores are clipped to [10⁻⁴, 1 − 10⁻⁴] first. No shift and p 1 where all are the same.
    """
    from scipy.special import stdtr

    before, after = (np.log(x / (1 - x)) for x in (_inside(reference), _inside(now)))
    sd = float(np.std(before, ddof=1))
    a, b = sd**2 / len(before), float(np.var(after, ddof=1)) / len(after)
    if sd < _SAME:
        return MeanShift(0.0, 1.0)
    moved = float(np.mean(after) - np.mean(before))
    freedom = (a + b) ** 2 / (a**2 / (len(before) - 1) + b**2 / (len(after) - 1))
    return MeanShift(moved / sd, float(2 * stdtr(freedom, -abs(moved) / (a + b) ** 0.5)))


def _inside(scores: Scores) -> Scores:
    return np.clip(scores, _EDGE, 1 - _EDGE)


@dataclass(frozen=True, slots=True)
class CalledShare:
    """`k` of `n` exams that were called."""

    k: int
    n: int

    @property
    def share(self) -> float:
        """In [0, 1]; 0 of none."""
        return self.k / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Wilson 1927); all of [0, 1] of none."""
        return wilson_interval(self.share, self.n) if self.n else (0.0, 1.0)


def differ(one: CalledShare, other: CalledShare) -> float:
    """Two-sided p of two shares being one (Fisher's exact test); 1 where one is of none."""
    if not one.n or not other.n:
        return 1.0
    from scipy import stats

    table = [[one.k, one.n - one.k], [other.k, other.n - other.k]]
    return float(stats.fisher_exact(table)[1])
