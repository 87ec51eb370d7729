"""The chi-square tests of several AUCs, against DeLong's kernel written out and a simulation."""

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import chi2, kstest

from cadnode.errors import DataError
from cadnode.statistics.auc import auc, delong_test
from cadnode_training.statistics.auc_tests import overall, unpaired

Floats = NDArray[np.float64]


def by_the_kernel(labels: NDArray[np.bool_], scores: Floats, contrasts: Floats) -> float:
    """DeLong 1988 pair by pair, without ranks: V10, V01, S10, S01 and the test."""
    k, m, n = len(scores), int(labels.sum()), int((~labels).sum())
    v10, v01 = np.zeros((k, m)), np.zeros((k, n))
    for r in range(k):
        x, y = scores[r][labels], scores[r][~labels]
        psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
        v10[r], v01[r] = psi.mean(1), psi.mean(0)
    theta = v10.mean(1)
    s10 = (v10 - theta[:, None]) @ (v10 - theta[:, None]).T / (m - 1)
    s01 = (v01 - theta[:, None]) @ (v01 - theta[:, None]).T / (n - 1)
    s = s10 / m + s01 / n
    apart = contrasts @ theta
    return float(apart @ np.linalg.inv(contrasts @ s @ contrasts.T) @ apart)


def correlated(rng: Generator, k: int, n: int, gain: float = 1.0) -> tuple[NDArray, Floats]:
    """`k` scores of `n` cases that share half of their noise; ties in the last."""
    labels = np.arange(n) < n // 3
    shared = rng.normal(0, 1, n)
    scores = np.stack([labels * gain + shared + rng.normal(0, 1, n) for _ in range(k)])
    scores[-1] = np.round(scores[-1], 1)
    return labels, scores


def test_six_aucs_have_the_statistic_of_the_paper_written_out() -> None:
    """Kang 2021 has five networks and their mean."""
    labels, scores = correlated(np.random.default_rng(3), 5, 90)
    scores = np.vstack([scores, scores.mean(0)])
    against_the_last = np.hstack([np.eye(5), -np.ones((5, 1))])

    found = overall(labels, list(scores))

    assert found.df == 5
    assert found.statistic == pytest.approx(by_the_kernel(labels, scores, against_the_last))
    assert found.p == pytest.approx(chi2.sf(found.statistic, 5))


def test_two_aucs_have_the_square_of_the_pairs_z() -> None:
    labels, scores = correlated(np.random.default_rng(5), 2, 60)

    pair, found = delong_test(labels, *scores), overall(labels, list(scores))

    assert (found.df, found.statistic) == (1, pytest.approx(pair.z**2))
    assert found.p == pytest.approx(pair.p)


def test_under_the_null_hypothesis_p_is_uniform() -> None:
    rng = np.random.default_rng(7)

    p = [overall(*correlated(rng, 4, 240)).p for _ in range(250)]

    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_a_score_given_twice_takes_a_degree_of_freedom_and_one_alone_all() -> None:
    labels, scores = correlated(np.random.default_rng(9), 2, 60)
    two = overall(labels, list(scores))

    three = overall(labels, [scores[0], scores[1], 2 * scores[0] + 1])

    assert (three.df, three.statistic) == (1, pytest.approx(two.statistic))
    assert overall(labels, [scores[0], scores[0]]).p == 1.0


def test_scores_that_order_few_of_many_pairs_otherwise_still_differ() -> None:
    """The variance of a difference this small is 1e-14: little, but all that there is."""
    n = 3000
    labels, one = np.arange(2 * n) >= n, np.arange(2 * n, dtype=np.float64)
    one[[n - 1, n]] = one[[n, n - 1]]
    other = one.copy()
    other[n - 1 : n + 2] = one[n - 1] + 2
    twice = np.stack([one, other])

    pair, found = delong_test(labels, one, other), overall(labels, twice)

    assert (found.df, found.statistic) == (1, pytest.approx(pair.z**2))
    assert overall(labels, [one, other, 3 * other]).statistic == pytest.approx(pair.z**2)
    assert found.p < 1


def test_a_worse_score_among_good_ones_is_found() -> None:
    rng = np.random.default_rng(11)
    labels, scores = correlated(rng, 5, 260, gain=2.0)
    scores[2] = rng.normal(0, 1, 260)

    assert overall(labels, list(scores)).p < 1e-4


def test_aucs_of_two_sets_of_women_are_compared_by_their_variances() -> None:
    rng = np.random.default_rng(13)
    (a, (x,)), (b, (y,)) = correlated(rng, 1, 90), correlated(rng, 1, 120)

    found = unpaired((a, x), (b, y))

    difference = auc(a, x) - auc(b, y)
    variances = [by_the_kernel(t, s[None], np.ones((1, 1))) for t, s in ((a, x), (b, y))]
    expected = difference**2 / (auc(a, x) ** 2 / variances[0] + auc(b, y) ** 2 / variances[1])
    assert (found.df, found.statistic) == (1, pytest.approx(expected))
    assert unpaired((a, x), (a, x)).p == 1.0


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(DataError, match="two scores"):
        overall([True, False], [[1.0, 0.0]])
    with pytest.raises(DataError, match="two cases"):
        overall([True, False, False], [[1.0, 0.0, 0.5]] * 2)
    with pytest.raises(DataError, match="two cases"):
        unpaired(([True, False, False], [1.0, 0.0, 0.5]), ([True, False], [1.0, 0.0]))
