"""Calibration slope and intercept, and intervals where a woman has two breasts."""

import numpy as np
import pytest
import statsmodels.api as sm

from cadnode.statistics import logistic


def drawn(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds, labels and women: two breasts of each that resemble each other."""
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 1.5, n).repeat(2)
    values = rng.normal(-0.5, 0.6, 2 * n) + shared
    labels = rng.random(2 * n) < 1 / (1 + np.exp(-(0.8 * values + 1.2 * shared)))
    return values, labels, np.arange(n).repeat(2)


def test_intervals_by_woman_are_those_of_a_gee() -> None:
    values, labels, women = drawn()
    design = sm.add_constant(values)
    gee = sm.GEE(labels.astype(float), design, groups=women, family=sm.families.Binomial()).fit()
    fit = logistic.fit(values, labels, women=women)
    assert (fit.intercept, fit.slope) == pytest.approx(tuple(gee.params), rel=1e-3)
    wanted = gee.conf_int()
    assert fit.intercept_ci == pytest.approx(tuple(wanted[0]), rel=1e-2)
    assert fit.slope_ci == pytest.approx(tuple(wanted[1]), rel=1e-2)


def test_breasts_that_were_counted_twice_add_nothing() -> None:
    values, labels, _ = drawn()
    own = np.arange(len(values))
    for holding_slope in (False, True):
        once = logistic.fit(values, labels, women=own, holding_slope=holding_slope)
        twice = logistic.fit(
            np.tile(values, 2), np.tile(labels, 2), women=np.tile(own, 2),
            holding_slope=holding_slope,
        )  # fmt: skip
        assert twice.intercept_ci == pytest.approx(once.intercept_ci, abs=2e-3)
        naive = logistic.fit(np.tile(values, 2), np.tile(labels, 2), holding_slope=holding_slope)
        assert np.diff(naive.intercept_ci) < 0.8 * np.diff(twice.intercept_ci)
        assert (once.slope_ci is None) == holding_slope


def test_cases_of_women_with_one_each_have_nearly_the_interval_of_independent_ones() -> None:
    values, labels, _ = drawn(2000)
    own, independent = (
        logistic.fit(values, labels, women=women) for women in (np.arange(4000), None)
    )
    assert own.intercept_ci == pytest.approx(independent.intercept_ci, abs=0.02)
