"""Areas and intervals, checked against independent implementations."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from cadnode.errors import DataError
from cadnode.statistics.auc import (
    NO_INTERVAL,
    auc,
    by_woman,
    clustered,
    delong,
    delong_test,
)


def cases(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    return labels, np.round(rng.normal(labels * 0.8, 1), 1)


def slow_delong_variance(labels: np.ndarray, scores: np.ndarray) -> float:
    """DeLong 1988, equations 4 to 7, by comparing every pair."""
    pos, neg = scores[labels], scores[~labels]
    kernel = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    of_pos, of_neg = kernel.mean(1), kernel.mean(0)
    area = kernel.mean()
    s10 = ((of_pos - area) ** 2).sum() / (len(pos) - 1)
    s01 = ((of_neg - area) ** 2).sum() / (len(neg) - 1)
    return s10 / len(pos) + s01 / len(neg)


def slow_difference_variance(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """DeLong 1988: L S L' with L = (1, -1) and S from the kernels of every pair."""
    kernels = []
    for scores in (one, other):
        pos, neg = scores[labels], scores[~labels]
        kernels.append((pos[:, None] > neg) + 0.5 * (pos[:, None] == neg))
    s10 = np.cov([k.mean(1) for k in kernels])
    s01 = np.cov([k.mean(0) for k in kernels])
    contrast = np.array([1.0, -1.0])
    return float(contrast @ (s10 / labels.sum() + s01 / (~labels).sum()) @ contrast)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_scikit_learns(seed: int) -> None:
    labels, scores = cases(seed)

    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize("seed", range(5))
def test_delongs_interval_is_that_of_the_slow_formula(seed: int) -> None:
    labels, scores = cases(seed)

    area = delong(labels, scores)

    half = 1.959964 * np.sqrt(slow_delong_variance(labels, scores))
    assert area.ci == pytest.approx((area.value - half, area.value + half), abs=1e-6)
    assert (area.n_pos, area.n_neg) == (labels.sum(), (~labels).sum())


def test_by_hand() -> None:
    assert auc([1, 1, 0, 0], [3, 1, 2, 0]) == 0.75
    assert auc([1, 0], [1, 1]) == 0.5


def test_the_bootstrap_agrees_with_delong_where_every_case_is_a_woman() -> None:
    labels, scores = cases(3, 400)

    boot = clustered(labels, scores, np.arange(400), replicates=600)

    assert boot.value == pytest.approx(auc(labels, scores))
    assert boot.ci == pytest.approx(delong(labels, scores).ci, abs=0.015)


def test_women_who_count_twice_widen_the_interval() -> None:
    labels, scores = cases(4, 200)
    twice = np.repeat(labels, 2), np.repeat(scores, 2)

    by_woman = clustered(*twice, np.repeat(np.arange(200), 2))
    by_case = clustered(*twice, np.arange(400))

    assert by_woman.ci[1] - by_woman.ci[0] > 1.2 * (by_case.ci[1] - by_case.ci[0])


def test_the_bootstrap_repeats_itself() -> None:
    labels, scores = cases(1)

    assert clustered(labels, scores, np.arange(80)) == clustered(labels, scores, np.arange(80))


@pytest.mark.parametrize("seed", range(5))
def test_delongs_test_is_that_of_the_slow_covariance(seed: int) -> None:
    labels, one = cases(seed)
    _, other = cases(seed + 50)
    other = 0.6 * one + other

    difference = delong_test(labels, one, other)

    variance = slow_difference_variance(labels, one, other)
    z = (roc_auc_score(labels, one) - roc_auc_score(labels, other)) / np.sqrt(variance)
    assert difference.z == pytest.approx(z)
    assert difference.p == pytest.approx(2 * norm.sf(abs(z)))


def test_delongs_test_agrees_with_a_permutation_of_the_two_readers() -> None:
    labels, one = cases(7, 150)
    _, noise = cases(8, 150)
    other = 0.5 * one + 0.6 * noise

    difference = delong_test(labels, one, other)

    # Under no difference each case's two ranks may be exchanged (Venkatraman and Begg 1996).
    ranks = np.stack([rankdata(one), rankdata(other)])
    rng, larger = np.random.default_rng(0), 0
    for _ in range(2000):
        swapped = np.where(rng.random(len(labels)) < 0.5, ranks, ranks[::-1])
        gap = roc_auc_score(labels, swapped[0]) - roc_auc_score(labels, swapped[1])
        larger += abs(gap) >= abs(difference.value)
    assert difference.p == pytest.approx(larger / 2000, abs=0.04)


def test_a_score_does_not_differ_from_itself() -> None:
    labels, scores = cases(2)

    difference = delong_test(labels, scores, 2 * scores + 1)

    assert (difference.value, difference.p) == (0.0, 1.0)


def test_one_class_alone_has_no_area() -> None:
    with pytest.raises(DataError, match="both classes"):
        auc([1, 1], [0.1, 0.2])


def test_a_class_of_one_woman_has_an_area_and_no_interval() -> None:
    one_case = delong([1, 0, 0], [0.9, 0.2, 0.95])
    one_woman = clustered([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.85], ["a", "a", "b", "c"])

    assert (one_case.value, one_case.ci, one_case.method) == (0.5, None, NO_INTERVAL)
    assert (one_woman.value, one_woman.ci) == (0.75, None)
    assert one_woman.as_dict()["auc_ci"] is None
    assert one_woman.bounds == (0, 1)


def test_women_are_drawn_only_where_one_has_several_cases() -> None:
    labels, scores = [1, 1, 0, 0, 0], [0.9, 0.3, 0.2, 0.5, 0.1]

    assert by_woman(labels, scores, list("abcde")) == delong(labels, scores)
    assert by_woman(labels, scores, list("abcda")) == clustered(labels, scores, list("abcda"))
    assert by_woman([1, 1], [0.1, 0.2], ["a", "b"]) is None
