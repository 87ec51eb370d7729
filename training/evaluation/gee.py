"""Binary measures by woman: generalized estimating equations, as Kang 2021 compares its models.

A woman's images resemble each other, so that shares of images have wider intervals than their
number says. Logit link, binomial, exchangeable working correlation, robust (sandwich) variance
(Liang and Zeger 1986, Biometrika 73:13).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from statsmodels.genmod.cov_struct import Exchangeable
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_estimating_equations import GEE

from cadnode.errors import DataError
from training.evaluation.binary import Measure, Share, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of several readers of the same cases.

    `overall_p` tests that all are alike (Wald, readers − 1 degrees of freedom); `pairwise_p`
    holds a two-sided p for each pair. None where a share is 0 or 1, which the logit cannot hold.
    """

    measure: Measure
    shares: Mapping[str, Share]
    overall_p: float | None
    pairwise_p: Mapping[tuple[str, str], float | None]


def share(counts: ArrayLike, women: ArrayLike, *, confidence: float = 0.95) -> Share:
    """The share of cases that count, with its interval by woman.

    A share of 0 or 1 has no logit: its interval is Wilson's with the women as cases.
    """
    hits = np.asarray(counts).astype(bool)
    groups = _codes(women)
    n, k = len(hits), int(hits.sum())
    if n == 0:
        return Share(None, None, 0, 0)
    if k in (0, n):
        clusters = len(np.unique(groups))
        bound = wilson(clusters if k else 0, clusters, confidence=confidence).ci
        return Share(k / n, bound, k, n)
    fitted = _fit(hits.astype(float), np.ones((n, 1)), groups)
    z = float(norm.ppf(0.5 + confidence / 2))
    centre, deviation = float(fitted.params[0]), float(np.sqrt(fitted.cov_params()[0, 0]))
    low, high = (1 / (1 + np.exp(-(centre + sign * z * deviation))) for sign in (-1, 1))
    return Share(k / n, (float(low), float(high)), k, n)


def compare(
    measure: Measure,
    labels: ArrayLike,
    called: Mapping[str, ArrayLike],
    women: Sequence[str] | ArrayLike,
) -> Comparison:
    """One measure of all readers of the same cases, overall and pair by pair.

    `labels` is the `(n,)` truth, `called` holds each reader's `(n,)` calls, and `women` says
    whose image each case is.

    Raises
    ------
    DataError
        There is no reader, or lengths differ.
    """
    truth, groups = np.asarray(labels).astype(bool), _codes(women)
    calls = {name: np.asarray(c).astype(bool) for name, c in called.items()}
    if not calls or any(len(c) != len(truth) for c in calls.values()):
        raise DataError("a comparison needs readers with as many calls as there are cases")
    parts = {name: measure.members(truth, c) for name, c in calls.items()}
    shares = {name: share(counts[among], groups[among]) for name, (among, counts) in parts.items()}
    rows = {name: (counts[among], groups[among]) for name, (among, counts) in parts.items()}
    pairs = {pair: _wald({name: rows[name] for name in pair}) for pair in combinations(rows, 2)}
    overall = _wald(rows) if len(rows) > 1 else None
    return Comparison(measure, shares, overall, pairs)


def _wald(rows: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.int64]]]) -> float | None:
    """P that all readers' shares are equal; None where one is 0 or 1, or the fit fails."""
    if any(len(counts) == 0 or counts.all() or not counts.any() for counts, _ in rows.values()):
        return None
    outcome = np.concatenate([counts.astype(float) for counts, _ in rows.values()])
    groups = np.concatenate([women for _, women in rows.values()])
    reader = np.repeat(np.arange(len(rows)), [len(counts) for counts, _ in rows.values()])
    design = np.column_stack([np.ones(len(outcome)), *(reader == i for i in range(1, len(rows)))])
    fitted = _fit(outcome, design.astype(float), groups)
    effects, covariance = fitted.params[1:], fitted.cov_params()[1:, 1:]
    if np.allclose(effects, 0, atol=1e-8):
        return 1.0
    if np.linalg.matrix_rank(covariance) < len(effects):
        return None
    statistic = float(effects @ np.linalg.solve(covariance, effects))
    return float(chi2.sf(statistic, len(effects)))


def _fit(outcome: Floats, design: Floats, groups: NDArray[np.int64]) -> Any:
    """The fitted GEE; statsmodels wants clusters together."""
    order = np.argsort(groups, kind="stable")
    model = GEE(
        outcome[order], design[order], groups=groups[order], family=Binomial(),
        cov_struct=Exchangeable(),
    )  # fmt: skip
    with warnings.catch_warnings():
        # A correlation that is not identified (one case a woman) is no fault of the shares.
        warnings.simplefilter("ignore")
        return model.fit()


def _codes(women: Any) -> NDArray[np.int64]:
    _, codes = np.unique(np.asarray(women).astype(str), return_inverse=True)
    return np.asarray(codes, np.int64)
