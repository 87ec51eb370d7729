"""Binary measures, GEE and calibration against worked examples and other implementations."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from cadnode.statistics.binary import Measure, at_threshold, wilson
from cadnode.statistics.wilson import wilson_interval
from cadnode_training.results.measures import by_woman, compared
from cadnode_training.statistics.calibration import reliability


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (7, 10), (80, 97), (10, 10)])
def test_wilsons_interval_is_that_of_statsmodels(hits: int, n: int) -> None:
    assert wilson(hits, n).ci == pytest.approx(proportion_confint(hits, n, method="wilson"))


def test_the_ends_of_an_interval_are_exact() -> None:
    assert wilson_interval(0.0, 10)[0] == 0
    assert wilson_interval(1.0, 10)[1] == 1


def test_kangs_table_follows_from_its_counts() -> None:
    # Kang 2021, Table 1, DenseNet-201: 80 of 97 malignant and 113 of 163 benign called right.
    labels = [True] * 97 + [False] * 163
    scores = [1.0] * 80 + [0.0] * 17 + [0.0] * 113 + [1.0] * 50

    measures = at_threshold(labels, scores, 0.5)

    assert round(100 * measures[Measure.SENSITIVITY].value, 2) == 82.47
    assert round(100 * measures[Measure.NPV].value, 2) == 86.92


def test_no_case_gives_no_share() -> None:
    measures = at_threshold([True, True], [0.1, 0.2], 0.5)

    assert measures[Measure.PPV].value is None
    assert measures[Measure.SPECIFICITY].n == 0


def test_single_cases_get_the_interval_of_the_logit() -> None:
    counts = np.array([True] * 30 + [False] * 10)

    found = by_woman(counts, np.arange(40))

    half = 1.959964 * np.sqrt(1 / 30 + 1 / 10)
    low, high = (1 / (1 + np.exp(-(np.log(3) + sign * half))) for sign in (-1, 1))
    assert found.value == 0.75
    assert found.ci == pytest.approx((low, high), abs=1e-4)


def test_a_woman_who_counts_four_times_counts_once() -> None:
    counts = np.array([True] * 30 + [False] * 10)

    once = by_woman(counts, np.arange(40))
    four = by_woman(np.repeat(counts, 4), np.repeat(np.arange(40), 4))

    assert four.ci == pytest.approx(once.ci, abs=1e-4)


def test_a_full_share_has_an_interval_by_woman() -> None:
    found = by_woman(np.ones(12, bool), np.repeat(np.arange(6), 2))

    assert found.value == 1.0
    assert found.ci == pytest.approx(proportion_confint(6, 6, method="wilson"))


def paired(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    return np.ones(n, bool), hard < 0.75, (hard < 0.6) | (rng.random(n) < 0.1)


@pytest.mark.parametrize("seed", range(3))
def test_two_readers_of_the_same_cases_are_compared_like_mcnemar(seed: int) -> None:
    labels, one, other = paired(seed)

    found = compared(
        Measure.SENSITIVITY, labels, {"one": one, "other": other}, np.arange(len(labels))
    )

    table = [[(one & other).sum(), (one & ~other).sum()],
             [(~one & other).sum(), (~one & ~other).sum()]]  # fmt: skip
    expected = mcnemar(table, exact=False, correction=False).pvalue
    assert found.pairwise_p["one", "other"] == pytest.approx(expected, rel=0.25, abs=1e-4)
    assert found.overall_p == pytest.approx(found.pairwise_p["one", "other"])


def test_readers_that_are_alike_do_not_differ() -> None:
    labels, one, _ = paired(0)

    found = compared(Measure.ACCURACY, labels, {"a": one, "b": one}, np.arange(len(labels)))

    assert found.pairwise_p["a", "b"] == pytest.approx(1.0)


def test_a_perfect_reader_has_no_p() -> None:
    labels, one, _ = paired(0)

    found = compared(
        Measure.SENSITIVITY, labels, {"one": one, "all": np.ones_like(one)}, np.arange(len(labels))
    )

    assert found.overall_p is None


def test_the_brier_score_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(500)
    labels = rng.random(500) < probabilities

    found = reliability(labels, probabilities)

    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities))
    assert found.ece < 0.06
    assert sum(b.share.n for b in found.bins) == 500


def test_overconfidence_shows_in_the_calibration_error() -> None:
    labels = [True, False] * 50
    probabilities = [0.9] * 100

    assert reliability(labels, probabilities).ece == pytest.approx(0.4)
