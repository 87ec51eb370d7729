"""Which AUC and which shares cases yield, with the interval that suits them.

One case per woman: DeLong and Wilson. Several: bootstrap over women for the AUC, GEE by woman
for shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from cadnode.statistics import auc, binary
from cadnode.statistics.auc import BY_WOMAN, DELONG, Auc, several_a_woman
from cadnode.statistics.binary import Measure, Share
from cadnode_training.results.scored import Scored
from cadnode_training.statistics import gee
from cadnode_training.statistics.resample import REPLICATES

WILSON, GEE = "95 %, Wilson", "95 %, GEE by woman"


def methods(women: ArrayLike) -> tuple[str, str]:
    """How the intervals of AUCs and of shares are computed for these cases."""
    return (BY_WOMAN, GEE) if several_a_woman(women) else (DELONG, WILSON)


def auc_of(cases: Scored, spec: str, *, replicates: int = REPLICATES) -> Auc | None:
    """The scorer's AUC; None where a class has no case."""
    return auc.by_woman(cases.labels, cases.scores(spec), cases.women, replicates=replicates)


def shares(
    labels: NDArray[np.bool_], called: NDArray[np.bool_], women: ArrayLike
) -> Mapping[Measure, Share]:
    """All measures of calls."""
    if not several_a_woman(women):
        return binary.at_threshold(labels, called, 0.5)
    keys, found = np.asarray(women).astype(str), {}
    for measure in Measure:
        among, counts = measure.members(labels, called)
        found[measure] = by_woman(counts[among], keys[among])
    return found


@dataclass(frozen=True, slots=True)
class SharesComparison:
    """One measure of several readers of the same cases.

    `overall_p` tests that all are alike (Wald, readers − 1 degrees of freedom); `pairwise_p`
    holds a two-sided p for each pair. None where a share is 0 or 1, which the logit cannot hold.
    """

    measure: Measure
    shares: Mapping[str, Share]
    overall_p: float | None
    pairwise_p: Mapping[tuple[str, str], float | None]


def by_woman(counts: NDArray[np.bool_], women: ArrayLike, *, confidence: float = 0.95) -> Share:
    """The share of cases that count, by GEE with an interval by woman (`statistics.gee`).

    A share of 0 or 1 has no logit: its interval is Wilson's with the women as cases. Where women
    do not differ (one woman alone, or all half) their variance is unknown: there is no interval.
    """
    n, hits = len(counts), int(counts.sum())
    if n == 0:
        return Share(None, None, 0, 0)
    if hits in (0, n):
        women_n = len(np.unique(np.asarray(women).astype(str)))
        bound = binary.wilson(women_n if hits else 0, women_n, confidence=confidence).ci
        return Share(hits / n, bound, hits, n)
    _, group = np.unique(np.asarray(women).astype(str), return_inverse=True)
    influence = gee.influence(counts, group, int(group.max()) + 1)
    if np.allclose(influence, 0, atol=1e-12):
        return Share(hits / n, None, hits, n)
    half = float(norm.ppf(0.5 + confidence / 2)) * float(np.sqrt((influence**2).sum()))
    centre = np.log(hits / (n - hits))
    low, high = (1 / (1 + np.exp(-(centre + side))) for side in (-half, half))
    return Share(hits / n, (float(low), float(high)), hits, n)


def compared(
    measure: Measure, labels: ArrayLike, called: Mapping[str, ArrayLike], women: ArrayLike
) -> SharesComparison:
    """One measure of several readers' `(n,)` calls on the same cases, overall and pair by pair."""
    truth, keys = np.asarray(labels).astype(bool), np.asarray(women).astype(str)
    _, group = np.unique(keys, return_inverse=True)
    calls = {name: np.asarray(c).astype(bool) for name, c in called.items()}
    rows = {}
    for name, call in calls.items():
        among, counts = measure.members(truth, call)
        rows[name] = (counts[among], group[among])
    size = int(group.max()) + 1
    return SharesComparison(
        measure,
        {name: shares(truth, call, keys)[measure] for name, call in calls.items()},
        gee.wald(list(rows.values()), size) if len(rows) > 1 else None,
        {(a, b): gee.wald([rows[a], rows[b]], size) for a, b in combinations(rows, 2)},
    )
