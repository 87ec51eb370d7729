"""PSI, KS and shares against independent computation and hand checks."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cadnode.quality.statistics import CalledShare, differ, ks, mean_shift, psi


def test_psi_of_two_bins_by_hand() -> None:
    reference = np.array([0.1] * 50 + [0.9] * 50)
    now = np.array([0.1] * 25 + [0.9] * 75)
    # Deciles of the reference are 0.1, 0.5 and 0.9: bins up to each, and above. With half a count
    # more in each of the four: 50.5, 0.5, 50.5, 0.5 of 102, then 25.5, 0.5, 75.5, 0.5.
    p, q = (50.5 / 102, 50.5 / 102), (25.5 / 102, 75.5 / 102)
    by_hand = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert psi(reference, now) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.266, abs=0.001)


def test_psi_against_a_computation_by_histograms() -> None:
    rng = np.random.default_rng(1)
    reference, now = rng.beta(2, 5, 400), rng.beta(3, 5, 300)
    edges = np.quantile(reference, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    before, after = (np.histogram(x, edges)[0] + 0.5 for x in (reference, now))
    before, after = before / before.sum(), after / after.sum()
    expected = float(((after - before) * np.log(after / before)).sum())
    assert psi(reference, now) == pytest.approx(expected, rel=1e-9)
    assert psi(reference, reference) == 0


def test_psi_without_a_change_is_what_its_theory_says() -> None:
    rng = np.random.default_rng(2)
    found = [psi(rng.random(300), rng.random(200)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(9 * (1 / 300 + 1 / 200), rel=0.1)


@pytest.mark.parametrize(("n", "m", "shift"), [(300, 200, 0.4), (300, 200, 0), (150, 800, 0.3)])
def test_ks_is_that_of_scipy(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, n), rng.normal(shift, 1, m)
    expected = stats.ks_2samp(a, b, method="exact")
    found = ks(a, b)
    assert found.distance == pytest.approx(expected.statistic)
    assert math.log10(found.p) == pytest.approx(math.log10(expected.pvalue), abs=0.2)
    ties = np.round(a), np.round(b)
    assert ks(*ties).distance == pytest.approx(stats.ks_2samp(*ties).statistic)


def test_intervals_of_shares_are_wilsons() -> None:
    for k, n in ((8, 10), (0, 20), (20, 20), (37, 200)):
        low, high = proportion_confint(k, n, method="wilson")
        assert CalledShare(k, n).interval == pytest.approx((low, high), abs=1e-9)
    assert CalledShare(0, 0).interval == (0, 1)
    assert CalledShare(0, 0).share == 0


def test_fishers_test_by_hand() -> None:
    # All of 3 against none of 3: 2 · 1 / C(6, 3) = 0.1.
    assert differ(CalledShare(3, 3), CalledShare(0, 3)) == pytest.approx(0.1)
    assert differ(CalledShare(0, 0), CalledShare(1, 3)) == 1


def test_a_shift_of_log_odds_is_in_standard_deviations_and_tested_by_welch() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(-1, 2, 300), rng.normal(-0.2, 1.5, 200)
    scores = [1 / (1 + np.exp(-x)) for x in (a, b)]
    found = mean_shift(*scores)
    assert found.sds == pytest.approx((b.mean() - a.mean()) / a.std(ddof=1), rel=1e-3)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert math.log10(found.p) == pytest.approx(math.log10(welch.pvalue), abs=0.05)
    assert mean_shift(np.full(60, 0.2), np.full(60, 0.9)).p == 1
