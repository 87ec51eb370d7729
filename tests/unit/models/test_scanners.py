"""Calibrations of single scanners: which one an exam is read with, and what it changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cadnode.domain import Laterality
from cadnode.exam.scanner import Scanner
from cadnode.models.breast import BreastScoring
from cadnode.models.card import CARDS
from cadnode.models.operating_point import Roc
from cadnode.models.scanners import (
    ScannerCalibration,
    ScannerMatch,
    calibration_for,
    scoring_of,
)
from tests.unit import model_cases

MG1 = Scanner("hologic", "HOLOGIC, INC.", "SELENIA DIMENSIONS", "MG1", "1", "1.9")
MG2 = Scanner("hologic", "HOLOGIC, INC.", "SELENIA DIMENSIONS", "MG2", "2", "1.9")
GE = Scanner("ge", "GE MEDICAL SYSTEMS", "SENOGRAPHE", "MG3", "3", "2")


def local(slope: float = 1.0, intercept: float = -1.0, **match: str) -> ScannerCalibration:
    return ScannerCalibration(
        match=ScannerMatch(**(match or {"station": "mg1"})),
        method="call rate",
        slope=slope,
        intercept=intercept,
        data="readings",
        since="2026-01",
        until="2026-06",
        n_exams=300,
    )


def test_a_card_without_calibrations_is_written_as_it_was_before_there_were_any() -> None:
    card = model_cases.card()
    assert "scanners" not in json.loads(card.model_dump_json())
    assert "scanners" not in card.model_dump(mode="json")


def test_a_card_with_calibrations_is_read_back_equal() -> None:
    card = model_cases.card().model_copy(update={"scanners": (local(),)})
    assert CARDS.validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    ("match", "scanner", "fits"),
    [
        ({"station": "mg1"}, MG1, True),
        ({"station": "mg1"}, MG2, False),
        ({"manufacturer": "hologic"}, MG2, True),
        ({"manufacturer": "Hologic,  Inc."}, MG2, True),  # as headers have it
        ({"manufacturer": "hologic", "software": "2.0"}, MG2, False),
        ({"manufacturer": "hologic"}, GE, False),
    ],
)
def test_a_calibration_is_for_scanners_that_agree_in_all_it_states(
    match: dict[str, str], scanner: Scanner, fits: bool
) -> None:
    assert ScannerMatch(**match).fits(scanner) is fits


def test_the_most_specific_calibration_is_used() -> None:
    vendor, station = local(manufacturer="hologic"), local(station="MG1")
    both = local(manufacturer="hologic", station="MG1")
    assert calibration_for((vendor, station), MG1) is station  # as much: the station counts first
    assert calibration_for((vendor, both, station), MG1) is both
    assert calibration_for((both, vendor), MG2) is vendor
    assert calibration_for((both, vendor), GE) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"match": {}}, "states nothing"),
        ({"slope": 0.0}, "greater than 0"),
        ({"slope": float("inf")}, "finite"),
        ({"method": "outcomes"}, "exam"),
        ({"since": "2026"}, "pattern"),
    ],
)
def test_a_calibration_that_cannot_be_meant_is_refused(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        ScannerCalibration.model_validate(local().model_dump() | changes)


def test_two_calibrations_for_one_scanner_are_refused() -> None:
    card = model_cases.card().model_dump() | {
        "scanners": [local(station="MG1").model_dump(), local(station="mg1").model_dump()]
    }
    with pytest.raises(ValidationError, match="same scanner"):
        CARDS.validate_python(card)


@given(
    logit=st.floats(-6, 6), slope=st.floats(0.2, 4), intercept=st.floats(-3, 3),
    own_slope=st.floats(0.3, 2), own_intercept=st.floats(-2, 2),
)  # fmt: skip
def test_breasts_scored_by_it_have_the_score_that_it_makes_of_the_cards_own(
    logit: float, slope: float, intercept: float, own_slope: float, own_intercept: float
) -> None:
    breast = BreastScoring(
        contralateral_weight=0.3, contralateral_mean=0.1,
        slope=own_slope, intercept=own_intercept, fitted_on="toys",
    )  # fmt: skip
    calibration = local(slope, intercept)
    logits = {Laterality.LEFT: [logit], Laterality.RIGHT: [0.5]}
    general = breast.scores(logits)
    locally = calibration.of_breasts(breast).scores(logits)
    for side, score in general.items():
        assert locally[side] == pytest.approx(calibration.score(score), abs=1e-6)
        assert calibration.general(calibration.score(score)) == pytest.approx(score, abs=1e-5)


def test_an_exam_of_scanners_with_different_calibrations_is_scored_by_the_cards_own() -> None:
    card = model_cases.card().model_copy(update={"scanners": (local(station="MG1"),)})
    general = card.curve.at()

    def scoring(*scanners: Scanner) -> ScannerCalibration | None:
        return scoring_of(card, general, lambda: ("youden", scanners)).local

    assert scoring(MG1, MG1) == card.scanners[0]
    assert scoring(MG1, MG2) is None
    assert scoring(MG2) is None
    assert scoring() is None


def test_a_scanner_with_a_curve_has_its_own_operating_point() -> None:
    curve = Roc(
        points=((1.0, 0.0, 1.0), (0.3, 0.9, 0.9), (0.0, 1.0, 0.0)), measured_on="MG1",
        n_pos=50, n_neg=50,
    )  # fmt: skip
    fields = local(station="MG1").model_dump() | {"method": "outcomes", "exam": curve}
    card = model_cases.card().model_copy(
        update={"scanners": (ScannerCalibration.model_validate(fields),)}
    )
    general = card.curve.at()
    assert scoring_of(card, general, lambda: ("youden", [MG1])).operating_point.threshold == 0.3
    assert scoring_of(card, general, lambda: ("youden", [MG2])).operating_point is general
