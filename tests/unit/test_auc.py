"""Areas and intervals, checked against independent implementations."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from cadnode.errors import DataError
from training.evaluation.auc import auc, clustered, delong, youden


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
def test_youdens_threshold_is_where_the_roc_curve_is_highest(seed: int) -> None:
    labels, scores = cases(seed)
    false, true, thresholds = roc_curve(labels, scores, drop_intermediate=False)

    best = youden(labels, scores)

    reached = (scores[labels] >= best).mean() - (scores[~labels] >= best).mean()
    assert reached == pytest.approx((true - false).max())
    assert best in thresholds


def test_one_class_alone_has_no_area() -> None:
    with pytest.raises(DataError, match="both classes"):
        auc([1, 1], [0.1, 0.2])
