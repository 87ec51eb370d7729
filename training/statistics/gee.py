"""How shares of clustered cases vary: GEE with an independent working correlation, closed form.

Liang and Zeger 1986 (Biometrika 73:13), section 2: the estimate is the share itself, and its robust
variance adds up each woman's residuals.

Choice: independence, not an exchangeable correlation, because women with cancer often show one
breast and women without two. The size of a cluster then predicts the outcome, an exchangeable fit
weighs women instead of cases, and its interval need not hold the share that is reported (Hoffman,
Sen and Weinberg 2001, Biometrika 88:1121; Pepe and Anderson 1994, Commun Stat Simul 23:939).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from cadnode.statistics.auc import Floats

Rows = tuple[NDArray[np.bool_], NDArray[np.int64]]


def influence(counts: NDArray[np.bool_], group: NDArray[np.int64], clusters: int) -> Floats:
    """`(clusters,)`: what each cluster adds to the error of the share's logit.

    Its squares add up to the robust variance; `counts` holds both values.
    """
    p = float(counts.mean())
    return np.bincount(group, counts - p, clusters) / (len(counts) * p * (1 - p))


def wald(rows: Sequence[Rows], clusters: int) -> float | None:
    """P that all readers' shares are equal, readers − 1 degrees of freedom.

    `rows` holds, for each reader, which of its cases count and whose they are. None where a share
    is 0 or 1, which the logit cannot hold, or where readers differ in no cluster but in the share.
    """
    if any(len(counts) == 0 or counts.all() or not counts.any() for counts, _ in rows):
        return None
    logits = np.array([np.log(c.mean() / (1 - c.mean())) for c, _ in rows])
    errors = np.stack([influence(counts, group, clusters) for counts, group in rows])
    effects, differences = logits[1:] - logits[0], errors[1:] - errors[0]
    if np.allclose(effects, 0, atol=1e-12):
        return 1.0
    covariance = differences @ differences.T
    if np.linalg.matrix_rank(covariance) < len(effects):
        return None
    statistic = float(effects @ np.linalg.solve(covariance, effects))
    return float(chi2.sf(statistic, len(effects)))
