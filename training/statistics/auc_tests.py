"""Whether several AUCs differ: of the same cases all together, and of two sets of cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from cadnode.errors import DataError
from cadnode.statistics.auc import placements

# Share of the largest variance below which a contrast has none: rounding leaves some 1e-16.
_NONE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class AucTest:
    """A chi-square test of AUCs.

    `df` is 0, and `p` 1, where the scores order all pairs alike.
    """

    statistic: float
    df: int
    p: float


def overall(labels: ArrayLike, scores: Sequence[ArrayLike]) -> AucTest:
    """Whether `k` scores of the same cases have one AUC (Kang 2021, Statistical analysis).

    DeLong et al. 1988 (Biometrics 44:837), equation 5 and its section 4: `(Lθ)ᵀ (L S Lᵀ)⁻¹ Lθ`, L
    holding the k − 1 contrasts of an AUC with the next one. Under the null hypothesis it is
    chi-square with as many degrees of freedom as L S Lᵀ has rank; for two scores it is the square
    of `auc.delong_test`'s z. Which contrasts of full rank are taken makes no difference.

    Raises
    ------
    DataError
        There are fewer than two scores, or two cases of a class.
    """
    if len(scores) < 2:
        raise DataError("a test between AUCs needs two scores")
    placed = [placements(labels, one) for one in scores]
    pos, neg = (np.stack(of) for of in zip(*placed, strict=True))
    if min(pos.shape[1], neg.shape[1]) < 2:
        raise DataError("the test between AUCs needs two cases of each class")
    # Contrasts of the placements, not of their covariance: those of equal orders are exactly 0.
    of_pos, of_neg = np.diff(pos, axis=0), np.diff(neg, axis=0)
    of_contrasts = np.cov(of_pos) / pos.shape[1] + np.cov(of_neg) / neg.shape[1]
    variances, axes = np.linalg.eigh(np.atleast_2d(of_contrasts))
    kept = variances > _NONE * variances.max()
    if not kept.any() or variances.max() <= 0:
        return AucTest(0.0, 0, 1.0)
    apart = of_pos.mean(1) @ axes[:, kept]
    statistic, df = float((apart**2 / variances[kept]).sum()), int(kept.sum())
    return AucTest(statistic, df, float(chi2.sf(statistic, df)))


def unpaired(one: tuple[ArrayLike, ArrayLike], other: tuple[ArrayLike, ArrayLike]) -> AucTest:
    """Whether AUCs of two disjoint sets of cases differ, each (labels, scores).

    The squared difference over the sum of DeLong's variances, chi-square with one degree of
    freedom (Kim 2018, Statistical Analysis: "compared … using chi-square statistics").

    Raises
    ------
    DataError
        A set lacks two cases of each class.
    """
    found = []
    for labels, scores in (one, other):
        pos, neg = placements(labels, scores)
        if min(len(pos), len(neg)) < 2:
            raise DataError("the test between AUCs needs two cases of each class")
        found.append((pos.mean(), pos.var(ddof=1) / len(pos) + neg.var(ddof=1) / len(neg)))
    variance = found[0][1] + found[1][1]
    if variance == 0:
        same = found[0][0] == found[1][0]
        return AucTest(0.0 if same else float("inf"), 1, float(same))
    statistic = float((found[0][0] - found[1][0]) ** 2 / variance)
    return AucTest(statistic, 1, float(chi2.sf(statistic, 1)))
