"""Every statistic of the pages against another implementation, or a published example."""

import numpy as np
import pytest
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score
from scipy.stats import bootstrap
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_curve

from cadnode.models.operating_point import Roc
from cadnode.models.operating_point import roc as card_roc
from cadnode.statistics.auc import auc, delong_test
from cadnode.statistics.binary import Measure, wilson
from cadnode_training.results import measures, probabilities
from cadnode_training.results.papers_tables import performance
from cadnode_training.results.scored import cutoffs
from cadnode_training.statistics import resample
from cadnode_training.statistics.calibration import reliability
from cadnode_training.statistics.froc import ImageMarks, band, froc, interval
from tests.training import score_cases


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilsons_interval_is_newcombes_worked_example(
    hits: int, n: int, low: float, high: float
) -> None:
    # Newcombe 1998 (Stat Med 17:857), Table I, method 3.
    found = wilson(hits, n).ci

    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_delongs_p_is_that_of_the_paired_jackknife() -> None:
    # Hanley and Hajian-Tilaki 1997 (Acad Radiol 4:49): DeLong's variance is the jackknife's of
    # the two samples, so leaving out case after case gives nearly the same p.
    cases = score_cases.drawn(240, noise=(0.4, 0.6))
    labels, one, other = cases.labels, cases.scores("a"), cases.scores("b")

    found = delong_test(labels, one, other)

    variance = 0.0
    for of_class in (True, False):
        left = [i for i in range(len(labels)) if labels[i] == of_class]
        differences = []
        for i in left:
            kept = np.arange(len(labels)) != i
            differences.append(auc(labels[kept], one[kept]) - auc(labels[kept], other[kept]))
        n = len(left)
        variance += (n - 1) / n * float(((np.array(differences) - np.mean(differences)) ** 2).sum())
    assert found.z == pytest.approx(found.value / np.sqrt(variance), rel=0.02)


def test_who_knows_only_the_share_has_no_skill_and_an_oracle_all() -> None:
    labels = np.array([True] * 3 + [False] * 7)

    assert probabilities.skill(labels, np.full(10, 0.3)) == pytest.approx(0)
    assert probabilities.skill(labels, labels.astype(float)) == 1


def test_the_calibration_error_is_that_of_scikit_learns_quantile_bins() -> None:
    rng = np.random.default_rng(0)
    values = rng.permutation(np.linspace(0.01, 0.99, 200))
    labels = rng.random(200) < values**2

    found = reliability(labels, values)

    share, mean = calibration_curve(labels, values, n_bins=10, strategy="quantile")
    assert [b.mean_probability for b in found.bins] == pytest.approx(mean.tolist())
    assert [b.share.value for b in found.bins] == pytest.approx(share.tolist())
    assert found.ece == pytest.approx(float(np.abs(share - mean).mean()))


def test_the_calibration_error_by_hand() -> None:
    # Two bins of two: predicted 0.2, true 0.5; predicted 0.8, true 1.
    found = reliability([False, True, True, True], [0.1, 0.3, 0.7, 0.9], bins=2)

    assert found.ece == pytest.approx((0.3 + 0.2) / 2)


def test_the_interval_of_the_average_precision_is_of_scikit_learns_replicates() -> None:
    cases = score_cases.drawn(80)
    labels, values = cases.labels, cases.scores("a")

    found = probabilities.with_interval(cases, "a", probabilities.average_precision, replicates=100)

    expected = []
    for weights in resample.drawn(cases.women, replicates=100):
        if 0 < (weights * labels).sum() < weights.sum():
            expected.append(average_precision_score(labels, values, sample_weight=weights))
    assert found.value == pytest.approx(average_precision_score(labels, values))
    assert found.ci == pytest.approx(tuple(np.percentile(expected, (2.5, 97.5))))


def marked(rng: np.random.Generator, n: int = 40) -> list[ImageMarks]:
    return [
        ImageMarks(str(i // 2), tuple(rng.random(2).tolist()), tuple(rng.random(3).tolist()), True)
        for i in range(n)
    ]


def test_the_free_response_curve_is_monais() -> None:
    images = marked(np.random.default_rng(5))
    found_at = [v for i in images for v in i.lesions if v is not None]
    false = [v for i in images for v in i.false_marks]

    found = froc(images)

    fps, sensitivity = compute_froc_curve_data(
        np.array(false), np.array(found_at), len(found_at), len(images)
    )
    # MONAI leaves the lowest threshold out and adds one that nothing reaches.
    assert found.fp_per_image[:-1].tolist() == pytest.approx(fps[-2::-1].tolist())
    assert found.sensitivity[:-1].tolist() == pytest.approx(sensitivity[-2::-1].tolist())
    score = compute_froc_score(fps, sensitivity, (0.25, 0.5, 1, 2))
    ours = np.mean([found.sensitivity_at(rate) for rate in (0.25, 0.5, 1, 2)])
    # MONAI interpolates between thresholds, we take the lower one: less than one lesion apart.
    assert score - 1 / len(found_at) < ours <= score + 1e-9


def test_the_interval_of_the_sensitivity_is_scipys_where_nothing_is_marked_falsely() -> None:
    hits = np.array([1.0] * 45 + [0.0] * 15)
    images = [ImageMarks(str(i), (0.9 if h else None,), (), True) for i, h in enumerate(hits)]

    found = interval(images, 1.0, replicates=4000)

    peer = bootstrap((hits,), np.mean, n_resamples=4000, method="percentile", rng=1)
    ends = (peer.confidence_interval.low, peer.confidence_interval.high)
    assert found == pytest.approx(ends, abs=0.02)


def test_a_band_is_made_of_the_intervals_at_its_places() -> None:
    images = marked(np.random.default_rng(6), 20)

    low, high = band(images, (0.5, 1.0), replicates=200)

    for k, rate in enumerate((0.5, 1.0)):
        assert (low[k], high[k]) == interval(images, rate, replicates=200)


def test_cut_offs_are_those_that_a_search_over_all_thresholds_finds() -> None:
    cases = score_cases.drawn(150)
    labels, values = cases.labels, cases.scores("a")

    found = {
        c.choice: c.threshold
        for c in cutoffs(card_roc(labels.tolist(), values.tolist(), "validation"))
    }

    fpr, tpr, thresholds = roc_curve(labels, values, drop_intermediate=False)
    best = np.flatnonzero(np.isclose(tpr - fpr, (tpr - fpr).max()))[-1]
    assert found["youden"] == pytest.approx(thresholds[best])
    enough = tpr >= 0.9
    assert found["sensitivity=0.9"] == pytest.approx(thresholds[enough][fpr[enough].argmin()])
    strict = 1 - fpr >= 0.9
    assert found["specificity=0.9"] == pytest.approx(
        thresholds[strict][tpr[strict] == tpr[strict].max()].max()
    )


def test_a_cut_off_of_validation_is_applied_to_other_cases_unchanged() -> None:
    # Given a validation part where 0.9 of the positives lie at 0.7 or above, and worse test cases
    validation = Roc(
        points=((1.0, 0.0, 1.0), (0.7, 0.9, 0.8), (0.1, 1.0, 0.0)),
        measured_on="validation part", n_pos=10, n_neg=10,
    )  # fmt: skip
    cases = score_cases.made([True, True, False, False], {"a": [0.9, 0.6, 0.8, 0.2]})
    scorer = cases.scorers[0]
    chosen = type(scorer)(scorer.name, "1.0.0", cutoffs=cutoffs(validation))

    row = performance(type(cases)(cases.data, cases.contrast, cases.unit, (chosen,), cases.cases),
                      None, "sensitivity=0.9").rows[0]  # fmt: skip

    assert row.cutoff == "≥ 0.7"
    assert row.cells["sensitivity"].value == 0.5  # not the 0.9 of validation
    assert "validation part" in chosen.cutoffs[0].chosen


def test_one_case_a_woman_has_wilsons_and_several_the_robust_interval() -> None:
    rng = np.random.default_rng(2)
    labels, called = np.ones(60, bool), rng.random(60) < 0.7
    each = [str(i) for i in range(60)]

    alone = measures.shares(labels, called, each)[Measure.SENSITIVITY]
    robust = measures.by_woman(called, each)

    assert alone.ci == wilson(int(called.sum()), 60).ci
    # Of independent cases both are nearly the same.
    assert robust.ci == pytest.approx(alone.ci, abs=0.02)


def test_one_woman_alone_gives_a_share_and_no_interval() -> None:
    found = measures.by_woman(np.array([True, False]), ["a", "a"])

    assert (found.value, found.ci) == (0.5, None)
