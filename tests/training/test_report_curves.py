"""Curves, bands and the bootstrap by woman, against scikit-learn and cases by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_curve

from cadnode.statistics.auc import auc, clustered
from cadnode_training.statistics import resample
from cadnode_training.statistics.curves import GRID, precision_recall, roc, single_features
from tests.training import score_cases


def test_the_curve_is_scikit_learns() -> None:
    cases = score_cases.drawn()
    labels, values = cases.labels, np.round(cases.scores("a"), 1)

    found = roc(labels, values, cases.women, replicates=10)

    fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
    assert found.fpr.tolist() == pytest.approx(fpr.tolist())
    assert found.tpr.tolist() == pytest.approx(tpr.tolist())
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc(labels, values))


def test_the_band_holds_the_curve_and_narrows_with_more_women() -> None:
    few, many = score_cases.drawn(60), score_cases.drawn(600)

    widths = []
    for cases in (few, many):
        found = roc(cases.labels, cases.scores("a"), cases.women, replicates=200)
        curve = np.interp(GRID, found.fpr, found.tpr)
        inside = (found.low <= curve + 1e-9) & (curve <= found.high + 1e-9)
        assert inside.mean() > 0.95
        widths.append((found.high - found.low).mean())

    assert widths[1] < 0.5 * widths[0]


def test_a_woman_counts_as_often_as_she_is_drawn() -> None:
    weights = resample.drawn(["a", "a", "b"], replicates=50)

    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all()


def test_the_weighted_area_is_that_of_repeated_cases() -> None:
    labels, values = np.array([1, 1, 0, 0], bool), np.array([3.0, 1.0, 2.0, 1.0])
    weights = np.array([2, 1, 3, 1])

    found = resample.weighted_auc(labels, values)

    assert found(weights) == auc(np.repeat(labels, weights), np.repeat(values, weights))
    assert found(np.array([0, 0, 1, 1])) is None


def test_one_bootstrap_gives_the_interval_of_the_other() -> None:
    cases = score_cases.drawn()
    labels, values = cases.labels, cases.scores("a")
    area = resample.weighted_auc(labels, values)

    draws = resample.drawn(cases.women)
    found = resample.interval([a for w in draws if (a := area(w)) is not None])

    assert found == pytest.approx(clustered(labels, values, cases.women).ci, abs=0.01)


def test_the_average_precision_is_scikit_learns() -> None:
    cases = score_cases.drawn()
    values = np.round(cases.scores("b"), 1)

    found = precision_recall(cases.labels, values)

    assert found.average == pytest.approx(average_precision_score(cases.labels, values))
    assert found.precision[-1] == found.prevalence == cases.labels.mean()


def test_a_falling_feature_is_turned_round_and_the_best_comes_first() -> None:
    labels = [True, True, False, False]

    found = single_features(labels, {"weak": [3, 1, 2, 0], "falling": [0, 1, 2, 3]})

    assert list(found) == ["falling", "weak"]
    assert found["falling"][0].value == 1.0
    assert found["weak"][0].value == 0.75
