"""A scanner that scores higher than the others is brought back, by outcomes and without any."""

from dataclasses import replace

import pytest

from cadnode.domain import Laterality
from cadnode.models.card import DibMgCard
from cadnode.models.operating_point import Roc
from cadnode.models.scanners import ScannerCalibration
from cadnode.quality import local_readings
from cadnode.quality.calibrating import FEWEST_READ, CalibrationTarget
from cadnode.quality.local_readings import ScannerFit, fits_by_call_rate, fits_by_outcomes
from cadnode.statistics import binary
from tests import quality_cases
from tests.quality_cases import DrawnExam, drawn
from tests.unit import model_cases
from tests.unit.models import test_scanners

POINTS = ((1.0, 0.0, 1.0), (0.4, 0.7, 0.9), (0.001, 1.0, 0.0))


def card(*calibrations: ScannerCalibration, version: str = "1.0.0") -> DibMgCard:
    exam = Roc(points=POINTS, measured_on="women of the training", n_pos=100, n_neg=100)
    return model_cases.card().model_copy(
        update={"exam": exam, "scanners": calibrations, "version": version}
    )


def target(choice: str = "youden") -> CalibrationTarget:
    own = card()
    return CalibrationTarget(
        "toy@1.0.0", own.curve.at(choice), choice, own.curve, own.calibration.prevalence, "digital"
    )


def readings(exams: list[DrawnExam], of: DibMgCard, *, known: bool = False) -> list:  # type: ignore[type-arg]
    def calibrations_of(spec: str) -> tuple[ScannerCalibration, ...] | None:
        return of.scanners if spec == f"{of.name}@{of.version}" else None

    there = quality_cases.outcomes(exams) if known else {}
    entries = quality_cases.read(of, exams)
    return local_readings.general_readings(entries, there, "kim2018", calibrations_of)


def call_rate(exams: list[DrawnExam], of: DibMgCard) -> binary.Share:
    called = [entry.systems[0].is_called for entry in quality_cases.read(of, exams)]
    return binary.wilson(sum(called), len(called))


def fit_of(found: list[ScannerFit], station: str) -> ScannerCalibration:
    (one,) = [fit for fit in found if f"station {station}" in fit.scanner]
    assert one.fit is not None, one.reason
    return one.fit.calibration


def test_matching_the_call_rate_brings_a_drifting_scanner_back_when_its_exams_are_read() -> None:
    steady = [exam for name in ("MG1", "MG2", "MG3") for exam in drawn(name, 300)]
    drifting = drawn("MG4", 300, shift=1.5)
    expected, before = call_rate(steady, card()), call_rate(drifting, card())
    assert expected.ci is not None
    assert before.ci is not None
    assert before.ci[0] > expected.ci[1]  # it calls more women than the others

    found = fits_by_call_rate(readings([*steady, *drifting], card()), target(), only=["MG4"])
    local = card(fit_of(found, "MG4"), version="1.0.1")

    later = drawn("MG4", 300, shift=1.5, seed=1)  # women it was not fitted on
    after = call_rate(later, local)
    assert after.ci is not None
    assert expected.value is not None
    assert after.ci[0] <= expected.value <= after.ci[1]
    untouched = call_rate(steady, local)
    assert untouched == expected


def test_a_scanner_is_compared_with_itself_before_a_month() -> None:
    exams = drawn("MG1", 1500)
    changed = [
        DrawnExam(e.uid, e.header, (e.log_odds[0] - 1, e.log_odds[1] - 1), e.has_cancer, e.read_at)
        if e.read_at.month >= 2
        else e
        for e in exams
    ]
    (one,) = fits_by_call_rate(readings(changed, card()), target(), changed_in="2026-02")
    assert one.fit is not None
    assert one.fit.calibration.since == "2026-02"
    assert one.fit.calibration.intercept > 0.5  # what was taken off comes back
    assert one.fit.reference is not None
    assert one.fit.reference.value == pytest.approx(one.fit.after.value, abs=0.005)


def test_outcomes_give_the_scanner_back_its_scores_and_an_operating_point_of_its_own() -> None:
    exams = drawn("MG4", 1200, shift=1.5, cancers=0.4)
    found = fits_by_outcomes(readings(exams, card(), known=True), target("sensitivity=0.9"))
    (one,) = found
    fit = one.fit
    assert fit is not None
    assert (fit.calibration.n_pos, fit.calibration.n_neg) == (
        sum(e.has_cancer for e in exams), sum(not e.has_cancer for e in exams),
    )  # fmt: skip
    assert fit.sensitivity is not None
    assert fit.sensitivity.value == pytest.approx(0.9, abs=0.01)
    assert fit.of_outcomes is not None
    assert fit.of_outcomes.slope_ci is not None
    # N(-2, 1.2²) against N(0.5, 1.2²): the log of the densities' ratio rises by 2.5 / 1.2² = 1.74.
    assert fit.of_outcomes.slope_ci[0] < 2.5 / 1.44 < fit.of_outcomes.slope_ci[1]
    # It is 0 halfway between both, at −0.75 + 1.5, with the odds of the card's prevalence (1).
    assert fit.calibration.score(1 / (1 + 2.718281828**-0.75)) == pytest.approx(0.5, abs=0.05)

    local = card(fit.calibration, version="1.0.1")
    later = [e for e in drawn("MG4", 1200, shift=1.5, cancers=0.4, seed=1) if e.has_cancer]
    entries = quality_cases.read(local, later, "sensitivity=0.9")
    caught = binary.wilson(sum(e.systems[0].is_called for e in entries), len(entries))
    assert caught.ci is not None
    assert caught.ci[0] <= 0.9 <= caught.ci[1]
    assert all("MG4" in entry.calibration for entry in entries)


def test_few_outcomes_move_the_intercept_alone_and_say_so() -> None:
    exams = drawn("MG4", 200, shift=1.5, cancers=0.3)
    (one,) = fits_by_outcomes(readings(exams, card(), known=True), target())
    assert one.fit is not None
    assert one.fit.calibration.slope == 1
    assert any("slope is held at 1" in text for text in one.fit.calibration.warnings)


def test_outcomes_of_recalled_women_alone_are_warned_about() -> None:
    exams = drawn("MG4", 1000, cancers=0.1)
    recalled = [exam for exam in exams if exam.has_cancer or max(exam.log_odds) > -1]
    there = quality_cases.outcomes(recalled)
    found = local_readings.general_readings(
        quality_cases.read(card(), exams), there, "kim2018", lambda spec: ()
    )
    (some,) = fits_by_outcomes(found, target())
    (whole,) = fits_by_outcomes(readings(exams, card(), known=True), target())
    assert some.fit is not None
    assert whole.fit is not None
    assert any("verification bias" in text for text in some.fit.calibration.warnings)
    assert not any("verification bias" in text for text in whole.fit.calibration.warnings)


@pytest.mark.parametrize("n_cancers", [0, 19])
def test_too_few_outcomes_are_refused_with_their_numbers(n_cancers: int) -> None:
    exams = drawn("MG4", 400 - n_cancers, cancers=0.0)
    exams += drawn("MG4", n_cancers, cancers=1.0, seed=2)
    (one,) = fits_by_outcomes(readings(exams, card(), known=True), target())
    assert one.fit is None
    assert one.reason.startswith(f"{n_cancers} exams with cancer and {400 - n_cancers} without")


def test_too_few_exams_are_refused_where_a_call_rate_is_matched() -> None:
    exams = [*drawn("MG1", 400), *drawn("MG4", FEWEST_READ - 1)]
    of_1, of_4 = fits_by_call_rate(readings(exams, card()), target())
    assert (of_1.fit, of_4.fit) == (None, None)
    assert f"{FEWEST_READ - 1} exams of the reference" in of_1.reason
    assert f"{FEWEST_READ - 1} exams of the scanner" in of_4.reason


def test_a_scanner_whose_headers_do_not_tell_it_from_others_gets_no_calibration() -> None:
    exams = [*drawn("MG1", 300), *drawn("", 300, shift=1.5)]
    found = readings(exams, card())
    fits = fits_by_call_rate(found, target())
    assert ["station MG1" in fit.scanner for fit in fits] == [True]
    (left_out,) = local_readings.not_named(found)
    assert (left_out.n_read, left_out.fit) == (300, None)
    assert "its headers lack station" in left_out.reason


def test_a_score_of_a_calibrated_scanner_is_fitted_from_the_cards_own_again() -> None:
    steady = drawn("MG1", 300)
    drifting = drawn("MG4", 300, shift=1.5)
    first = fit_of(
        fits_by_call_rate(readings([*steady, *drifting], card()), target(), only=["MG4"]), "MG4"
    )
    local = card(first, version="1.0.1")
    second = fit_of(
        fits_by_call_rate(readings([*steady, *drifting], local), target(), only=["MG4"]), "MG4"
    )
    assert second.slope == pytest.approx(first.slope, abs=1e-3)
    assert second.intercept == pytest.approx(first.intercept, abs=1e-3)


def test_a_new_calibration_takes_the_place_of_those_for_a_part_of_its_scanners() -> None:
    old = test_scanners.local(manufacturer="hologic", station="MG1", software="1.9")
    other = test_scanners.local(manufacturer="hologic", station="MG2", software="1.9")
    new = test_scanners.local(slope=2.0, manufacturer="Hologic", station="mg1")
    assert set(local_readings.merged((old, other), (new,))) == {new, other}
    assert set(local_readings.merged((new,), (old,))) == {new, old}


def test_readings_of_versions_that_are_gone_and_of_several_patients_are_left_out() -> None:
    exams = drawn("MG1", 3)
    entries = quality_cases.read(card(), exams)
    assert local_readings.general_readings(entries, {}, "kim2018", lambda spec: None) == []
    second = replace(entries[0], patient=2)
    left = local_readings.general_readings([*entries, second], {}, "kim2018", lambda spec: ())
    assert [reading.study for _, reading in left] == [exams[1].study, exams[2].study]


def test_a_breast_without_outcome_makes_an_exam_unknown_unless_the_other_has_cancer() -> None:
    exams = drawn("MG1", 1)
    left = {
        key: one for key, one in quality_cases.outcomes(exams).items() if key[1] is Laterality.LEFT
    }
    entries = quality_cases.read(card(), exams)
    ((_, reading),) = local_readings.general_readings(entries, left, "kim2018", lambda spec: ())
    assert reading.has_cancer is None
