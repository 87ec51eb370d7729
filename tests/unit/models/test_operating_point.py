"""The stored ROC curve and the operating points chosen on it."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from cadnode.errors import SettingsError
from cadnode.models.operating_point import Roc, roc


def curve(seed: int, n: int = 90) -> tuple[list[bool], list[float]]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    scores = 1 / (1 + np.exp(-(labels + rng.normal(0, 1, n)).round(1)))
    return labels.tolist(), scores.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_youdens_point_is_where_scikit_learns_curve_is_highest(seed: int) -> None:
    labels, scores = curve(seed)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)

    point = roc(labels, scores, "toy").at("youden")

    index = point.sensitivity + point.specificity - 1
    assert index == pytest.approx((true - false).max(), abs=1e-5)
    reached = np.mean([s >= point.threshold for s, p in zip(scores, labels, strict=True) if p])
    assert reached == pytest.approx(point.sensitivity, abs=1e-5)


def test_a_wanted_sensitivity_is_reached_at_the_best_specificity() -> None:
    measured = Roc(
        points=((1.0, 0.0, 1.0), (0.8, 0.6, 0.95), (0.5, 0.9, 0.7), (0.2, 0.95, 0.3), (0, 1, 0)),
        measured_on="toy", n_pos=20, n_neg=20,
    )  # fmt: skip

    assert measured.at("sensitivity=0.9").threshold == 0.5
    assert measured.at("specificity=0.9").threshold == 0.8
    assert measured.at("youden").threshold == 0.5


@pytest.mark.parametrize("choice", ["best", "sensitivity", "sensitivity=2", "specificity=-1"])
def test_an_unknown_choice_is_refused_with_the_known_ones(choice: str) -> None:
    labels, scores = curve(0)

    with pytest.raises(SettingsError, match="youden"):
        roc(labels, scores, "toy").at(choice)


def test_a_thinned_curve_keeps_its_ends_and_its_best_point() -> None:
    labels, scores = curve(1, 3000)
    whole, thin = roc(labels, scores, "toy", most=10_000), roc(labels, scores, "toy", most=20)

    assert len(thin.points) <= 22
    assert thin.points[0] == whole.points[0]
    assert thin.points[-1] == whole.points[-1]
    assert thin.at() == whole.at()
