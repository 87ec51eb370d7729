from math import exp, log

import pytest

from cadnode.domain import Laterality
from cadnode.models.breast import BreastScoring, combine

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT


def scoring(weight: float, mean: float = 0.0) -> BreastScoring:
    return BreastScoring(
        contralateral_weight=weight,
        contralateral_mean=mean,
        slope=2.0,
        intercept=-1.0,
        fitted_on="by hand",
    )


def test_a_breast_alone_is_the_calibrated_mean_of_its_views() -> None:
    scores = scoring(0.0).scores({LEFT: [0.0, 1.0]})
    assert scores == {LEFT: pytest.approx(1 / (1 + exp(-(2 * 0.5 - 1))))}


def test_what_both_breasts_share_cancels_out_at_full_weight() -> None:
    low = scoring(1.0).scores({LEFT: [0.3], RIGHT: [0.1]})
    high = scoring(1.0).scores({LEFT: [5.3], RIGHT: [5.1]})
    assert low[LEFT] == pytest.approx(high[LEFT])
    assert low[LEFT] > low[RIGHT]


def test_a_missing_breast_counts_as_an_average_one() -> None:
    weighted = scoring(0.5, mean=log(2))
    alone = weighted.scores({LEFT: [1.0]})
    beside_average = weighted.scores({LEFT: [1.0], RIGHT: [log(2)]})
    assert alone[LEFT] == pytest.approx(beside_average[LEFT])


def test_a_breast_without_views_has_no_score() -> None:
    assert set(scoring(1.0).scores({LEFT: [0.0], RIGHT: []})) == {LEFT}


def test_extreme_log_odds_do_not_overflow() -> None:
    scores = scoring(0.0).scores({LEFT: [1e6], RIGHT: [-1e6]})
    assert 0 <= scores[RIGHT] < scores[LEFT] <= 1


def test_the_combination_by_hand() -> None:
    assert combine(2.0, 1.0, 0.5, 0.4) == pytest.approx(2.0 - 0.5 * (1.0 - 0.4))
    assert combine(2.0, None, 0.5, 0.4) == 2.0
