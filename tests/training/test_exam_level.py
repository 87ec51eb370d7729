"""What is fitted and measured of exams: the weight, the calibration, the curves, the shares."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from cadnode.domain import Acquisition, Laterality
from cadnode.errors import DataError
from cadnode.models.operating_point import roc
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018.breasts import (
    BreastScored,
    ExamScored,
    auc_within,
    by_breast,
    by_exam,
    exam_contrast_of,
    exams_compared,
)
from cadnode_training.papers.kim2018.exams import level, specificity_at
from cadnode_training.papers.kim2018.validation import WEIGHTS, fit

FILM, DIGITAL = Acquisition.FILM, Acquisition.DIGITAL
LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT


def view(woman: int, side: Laterality, *, cancer: bool, stratum: str = "A") -> ViewRecord:
    return ViewRecord(
        "set", str(woman), side, "CC", Path(f"{woman}{side}.png"), cancer,
        "cancer" if cancer else "normal", stratum,
    )  # fmt: skip


def cohort(
    seed: int, women: int = 120, *, shared: float = 1.0, lesion: float = 2.0
) -> tuple[list[ViewRecord], np.ndarray]:
    """Film exams of two breasts; every third woman has a cancer on one side.

    `shared` is how much of a woman's log-odds both of her breasts have in common, `lesion` what a
    cancer adds.
    """
    rng = np.random.default_rng(seed)
    records, logits = [], []
    for woman in range(women):
        both, ill = shared * rng.normal(), woman % 3 == 0
        where = (LEFT, RIGHT)[woman % 2]
        for side in (LEFT, RIGHT):
            cancer = ill and side is where
            records.append(view(woman, side, cancer=cancer, stratum="AB"[woman % 4 // 2]))
            logits.append(both + rng.normal() * 0.7 + lesion * cancer)
    return records, np.array(logits, np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shared", [0.0, 1.0, 4.0])
def test_a_fitted_card_calls_some_exams_without_cancer_negative(seed: int, shared: float) -> None:
    records, logits = cohort(seed, shared=shared)

    fitted = fit(records, logits, logits, acquisition=FILM)

    assert fitted.exam is not None
    exams = by_exam(by_breast(records, logits.tolist(), fitted.breast))
    point = fitted.exam.at()
    called = [e.score >= point.threshold for e in exams]
    spared = [not c for c, e in zip(called, exams, strict=True) if not e.cancer]
    assert np.mean(spared) == pytest.approx(point.specificity, abs=1e-6)
    assert 0.2 < np.mean(spared) <= 1
    assert point.sensitivity + point.specificity > 1


@pytest.mark.parametrize("seed", range(3))
def test_the_weight_leaves_more_of_a_breast_than_it_takes_off(seed: int) -> None:
    """Even where the difference tells everything and the level nothing."""
    records, logits = cohort(seed, shared=10.0, lesion=3.0)

    fitted = fit(records, logits, logits, acquisition=FILM)

    assert fitted.breast.contralateral_weight == max(WEIGHTS) == 0.5


def test_where_the_other_breast_tells_nothing_it_is_left_out() -> None:
    weights = [
        fit(*cohort(seed, 300, shared=0.0), cohort(seed, 300, shared=0.0)[1], acquisition=FILM)
        .breast.contralateral_weight
        for seed in range(5)
    ]  # fmt: skip

    assert np.median(weights) <= 0.25


def test_the_curve_of_exams_is_that_of_the_higher_breasts() -> None:
    records, logits = cohort(0)
    fitted = fit(records, logits, logits, acquisition=FILM)
    scores = {
        (b.woman, b.laterality): b.score for b in by_breast(records, logits.tolist(), fitted.breast)
    }
    ill = {r.woman for r in records if r.cancer}
    women = sorted({r.woman for r in records})
    higher = [max(scores[w, LEFT], scores[w, RIGHT]) for w in women]
    false, hits, cuts = roc_curve([w in ill for w in women], higher, drop_intermediate=False)
    best = int(np.argmax(np.round(hits - false, 5)))

    assert fitted.exam is not None
    assert (fitted.exam.n_pos, fitted.exam.n_neg) == (len(ill), len(women) - len(ill))
    point = fitted.exam.at()
    assert (point.sensitivity, point.specificity) == pytest.approx(
        (hits[best], 1 - false[best]), abs=1e-6
    )
    assert point.threshold == pytest.approx(cuts[best])


def test_film_scores_are_calibrated_on_exams() -> None:
    records, logits = cohort(1, 600)

    fitted = fit(records, logits, logits, acquisition=FILM)

    exams = by_exam(by_breast(records, logits.tolist(), fitted.breast))
    assert np.mean([e.score for e in exams]) == pytest.approx(1 / 3, abs=0.01)
    assert fitted.breast.fitted_on.endswith("by exam")
    assert fitted.calibration.prevalence == pytest.approx(1 / 6)


def test_pairs_alone_have_no_curve_of_exams() -> None:
    records, logits = cohort(2)
    ill = {r.woman for r in records if r.cancer}
    rows = [i for i, r in enumerate(records) if r.woman in ill]

    fitted = fit([records[i] for i in rows], logits[rows], logits[rows], acquisition=FILM)

    assert fitted.exam is None
    assert fitted.breast.contralateral_weight == 0
    assert fitted.roc.n_pos == fitted.roc.n_neg == len(ill)


@pytest.mark.parametrize("cancer", [True, False])
def test_one_class_alone_is_refused(cancer: bool) -> None:
    records = [view(w, s, cancer=cancer) for w in range(4) for s in (LEFT, RIGHT)]

    with pytest.raises(DataError, match="no contrast"):
        fit(records, np.zeros(8, np.float32), np.zeros(8, np.float32), acquisition=FILM)


def test_digital_exams_that_show_the_cancer_breast_alone_say_that_sensitivity_is_a_bound() -> None:
    records = [
        view(0, LEFT, cancer=True),
        view(1, LEFT, cancer=False),
        view(1, RIGHT, cancer=False),
    ]
    both = [*records, view(0, RIGHT, cancer=False)]

    assert "1 of 1 with cancer show that breast only" in exam_contrast_of(records, DIGITAL)
    assert "lower bound" in exam_contrast_of(records, DIGITAL)
    assert "lower bound" not in exam_contrast_of(both, DIGITAL)


def test_film_exams_of_one_breast_are_not_compared() -> None:
    records = [
        view(0, LEFT, cancer=True),
        view(1, LEFT, cancer=False),
        view(1, RIGHT, cancer=False),
    ]

    assert exams_compared(records, FILM) == [1, 2]


def test_an_exam_is_its_higher_breast() -> None:
    first = view(7, LEFT, cancer=False, stratum="C")
    breasts = [
        BreastScored("7", LEFT, False, 0.2, first),
        BreastScored("7", RIGHT, True, 0.6, view(7, RIGHT, cancer=True)),
        BreastScored("8", LEFT, False, 0.1, view(8, LEFT, cancer=False)),
    ]

    assert by_exam(breasts) == [
        ExamScored("7", True, 0.6, "C", "normal", 2),
        ExamScored("8", False, 0.1, "A", "normal", 1),
    ]


def test_the_area_within_strata_counts_pairs_of_one_stratum_only() -> None:
    # Within A: 0.9 > 0.1 and 0.9 > 0.95 is wrong: 1 of 2. Within B: 0.3 > 0.2: 1 of 1. C has none.
    labels = [True, False, False, True, False, True]
    scores = [0.9, 0.1, 0.95, 0.3, 0.2, 0.0]

    assert auc_within(labels, scores, list("AAABBC")) == pytest.approx(2 / 3)
    assert auc_within(labels, scores, list("ABCDEF")) is None


@pytest.mark.parametrize("seed", range(4))
def test_the_area_within_one_stratum_is_the_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.random(50) < 0.4, rng.random(50).round(1)

    found = auc_within(labels.tolist(), scores.tolist(), ["A"] * 50)

    assert found == pytest.approx(roc_auc_score(labels, scores))


def test_a_stratum_that_tells_the_class_adds_nothing_to_the_area_within() -> None:
    rng = np.random.default_rng(0)
    strata = rng.random(400) < 0.5
    labels = rng.random(400) < np.where(strata, 0.8, 0.2)
    scores = strata + rng.normal(0, 0.1, 400)

    assert roc_auc_score(labels, scores) > 0.75
    found = auc_within(labels.tolist(), scores.tolist(), [str(s) for s in strata])
    assert found == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("wanted", [0.5, 0.8, 1.0])
def test_the_specificity_at_a_sensitivity_agrees_with_another_curve(
    seed: int, wanted: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(60) < 0.4
    scores = (rng.normal(0, 1, 60) + labels).round(1)
    false, hits, _ = roc_curve(labels, scores, drop_intermediate=False)

    found = specificity_at(labels, scores, np.ones(60, np.int64), wanted)

    assert found == pytest.approx(max(1 - false[hits >= wanted - 1e-12]))


def test_a_case_that_is_drawn_twice_counts_twice() -> None:
    labels, scores = np.array([True, True, False, False]), np.array([0.9, 0.3, 0.5, 0.1])
    twice = np.array([1, 1, 2, 1])
    repeated = np.array([0, 1, 2, 2, 3])

    assert specificity_at(labels, scores, twice, 1.0) == pytest.approx(1 / 3)
    assert specificity_at(labels, scores, twice, 1.0) == specificity_at(
        labels[repeated], scores[repeated], np.ones(5, np.int64), 1.0
    )


def exams(labels: Sequence[int], scores: Sequence[float], strata: str = "A") -> list[ExamScored]:
    return [
        ExamScored(str(i), bool(y), s, strata[i % len(strata)], "cancer" if y else "normal", 2)
        for i, (y, s) in enumerate(zip(labels, scores, strict=True))
    ]


def test_the_level_of_exams_is_measured_at_the_cards_point() -> None:
    labels, scores = [1, 1, 1, 0, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.3, 0.1]
    curve = roc([True, False], [0.5, 0.4], "elsewhere")

    found = level(exams(labels, scores), curve, "ill against well")["exam_level"]

    assert found["auc"] == pytest.approx(6 / 9, abs=1e-4)
    point = found["operating_point"]
    assert point["threshold"] == 0.5
    assert point["sensitivity"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert point["specificity"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert "elsewhere" in point["chosen"]
    assert found["specificity_at_80_sensitivity"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["by_class"] == [{"class": "normal", "n": 3, "specificity": 0.6667}]
    for share in (point["sensitivity"], point["specificity"]):
        assert share["ci"][0] <= share["value"] <= share["ci"][1]


def test_intervals_of_exams_narrow_with_their_number() -> None:
    rng = np.random.default_rng(3)
    curve = roc([True, False], [0.5, 0.4], "elsewhere")

    def width(n: int) -> float:
        labels = [int(i % 3 == 0) for i in range(n)]
        scores = np.clip(rng.normal(0.45, 0.2, n) + 0.1 * np.array(labels), 0, 1).tolist()
        found = level(exams(labels, scores, "AB"), curve, "")["exam_level"]
        low, high = found["operating_point"]["specificity"]["ci"]
        return float(high - low)

    assert width(900) < 0.6 * width(100)


def test_exams_of_one_class_have_no_level() -> None:
    curve = roc([True, False], [0.5, 0.4], "elsewhere")

    assert level(exams([1, 1], [0.2, 0.3]), curve, "") == {}
