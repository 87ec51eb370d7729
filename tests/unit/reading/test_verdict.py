"""Exam, breasts and findings: one score, one operating point, never a contradiction."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from cadnode.domain import (
    Acquisition,
    FindingKind,
    Laterality,
    System,
    ViewPosition,
)
from cadnode.exam.exam import Exam
from cadnode.exam.read import exam_of as exam_of
from cadnode.models import store
from cadnode.models.breast import BreastScoring
from cadnode.models.card import CARDS, DibMgCard
from cadnode.models.loading import load_view_model
from cadnode.models.operating_point import Roc
from cadnode.models.scanners import ScannerCalibration, ScannerMatch
from cadnode.reading.exam import locally_scored
from cadnode.reading.verdict import ScoredView, Verdict, verdict
from tests.synthetic import write_exam
from tests.unit import model_cases
from tests.unit.reading.test_exam import Reader, constant, read

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
PACKAGED = [card for card in map(store.read_card, store.available()) if isinstance(card, DibMgCard)]
Logits = dict[Laterality, tuple[float, float]]


def roc(*points: tuple[float, float, float]) -> Roc:
    return Roc(points=points, measured_on="toys", n_pos=5, n_neg=5)


def older() -> DibMgCard:
    """As film cards were: breasts compared at full weight, no curve of exams."""
    compared = BreastScoring(
        contralateral_weight=1.0, contralateral_mean=0.1, slope=0.8, intercept=-0.1, fitted_on=""
    )
    pairs = roc((1.0, 0.0, 1.0), (0.43, 0.8, 0.7), (0.0, 1.0, 0.0))
    return model_cases.card().model_copy(update={"breast": compared, "roc": pairs})


def scored(card: DibMgCard, logits: Logits, threshold: float | None = None) -> list[ScoredView]:
    """The exam's CC and MLO views as a model with that card reads them."""
    card = card.served()
    point = card.curve.at().threshold if threshold is None else threshold
    model: Any = SimpleNamespace(card=card, operating_point=SimpleNamespace(threshold=point))
    return [
        ScoredView(
            SimpleNamespace(laterality=side, view=view),  # type: ignore[arg-type]
            SimpleNamespace(logit=value),  # type: ignore[arg-type]
            model,
        )
        for side, values in logits.items()
        for view, value in zip((ViewPosition.CC, ViewPosition.MLO), values, strict=True)
    ]


def of(card: DibMgCard, **logits: float) -> Verdict:
    return verdict(scored(card, {Laterality(s): (v, v) for s, v in logits.items()}))


CARDS_SERVED = [*PACKAGED, older(), model_cases.card()]
NAMES = [card.name for card in PACKAGED] + ["older", "toy"]


@pytest.mark.parametrize("card", PACKAGED, ids=NAMES[:2])
def test_packaged_cards_have_a_curve_of_exams_and_choose_on_it(card: DibMgCard) -> None:
    assert card.exam is not None
    assert card.exam.n_pos > 50
    assert card.exam.n_neg > 50
    assert card.curve == card.exam
    assert "exams with cancer" in card.exam.at().chosen


@pytest.mark.parametrize("card", CARDS_SERVED, ids=NAMES)
@pytest.mark.parametrize("logit", [-6.0, -3.0, -2.0])
def test_an_exam_whose_breasts_look_alike_and_quiet_is_negative(
    card: DibMgCard, logit: float
) -> None:
    said = of(card, L=logit, R=logit)

    assert said.exam_score is not None
    assert said.operating_point is not None
    assert said.exam_score < said.operating_point
    assert said.suspicious == frozenset()


@pytest.mark.parametrize("card", CARDS_SERVED, ids=NAMES)
def test_two_breasts_that_look_alike_and_suspicious_are_both_suspicious(card: DibMgCard) -> None:
    assert of(card, L=6.0, R=6.0).suspicious == {LEFT, RIGHT}


@pytest.mark.parametrize("card", CARDS_SERVED, ids=NAMES)
@pytest.mark.parametrize(("high", "low"), [(4.0, -1.0), (3.0, -2.0), (5.0, -4.0)])
def test_one_suspicious_breast_makes_the_exam_so_and_the_other_not(
    card: DibMgCard, high: float, low: float
) -> None:
    assert of(card, L=high, R=low).suspicious == {LEFT}
    assert of(card, L=low, R=high).suspicious == {RIGHT}


def test_a_card_of_before_could_not_say_no_and_is_served_so_that_it_can() -> None:
    """What an exam came to: max(s, 1 − s) of two scores that add up to one."""
    for logit in (-5.0, -1.0, 0.0, 2.0):
        before = older().breast.scores({LEFT: [logit], RIGHT: [logit]})
        assert max(before.values()) >= 0.43

    assert of(older(), L=-5.0, R=-5.0).suspicious == frozenset()
    assert older().served().breast.contralateral_weight == 0


def test_cards_with_a_curve_of_exams_and_cards_without_comparison_are_served_as_they_are() -> None:
    with_curve = older().model_copy(update={"exam": older().roc})

    assert with_curve.served() is with_curve
    assert model_cases.card().served() == model_cases.card()


LOGIT = st.floats(-30, 30)
EXAMS = st.fixed_dictionaries({}, optional={side: st.tuples(LOGIT, LOGIT) for side in Laterality})


@given(EXAMS, st.sampled_from(CARDS_SERVED), st.none() | st.floats(0, 1))
def test_exam_and_breasts_never_contradict_each_other(
    logits: Logits, card: DibMgCard, threshold: float | None
) -> None:
    said = verdict(scored(card, logits, threshold))

    if not logits:
        assert (said.exam_score, said.breasts) == (None, ())
        return
    assert said.operating_point is not None
    assert said.exam_score == max(b.score for b in said.breasts)
    assert (said.exam_score >= said.operating_point) == bool(said.suspicious)
    assert said.suspicious == {
        b.laterality for b in said.breasts if b.score >= said.operating_point
    }
    assert [b.laterality for b in said.breasts] == [s for s in (RIGHT, LEFT) if s in logits]


@given(st.tuples(LOGIT, LOGIT), st.tuples(LOGIT, LOGIT), st.sampled_from(CARDS_SERVED))
def test_left_and_right_are_treated_alike(
    one: tuple[float, float], other: tuple[float, float], card: DibMgCard
) -> None:
    here = verdict(scored(card, {LEFT: one, RIGHT: other}))
    there = verdict(scored(card, {LEFT: other, RIGHT: one}))

    assert {b.laterality.other: b.score for b in here.breasts} == {
        b.laterality: b.score for b in there.breasts
    }


def test_a_breast_that_two_models_read_is_suspicious_by_the_one_whose_score_is_reported() -> None:
    """Film and digital views of one breast: the score of the model with more views counts."""
    strict = scored(model_cases.card(), {LEFT: (0.5, 0.5)}, threshold=0.9)
    lenient = scored(model_cases.card(), {LEFT: (0.5, 0.5), RIGHT: (0.2, 0.2)}, threshold=0.1)

    said = verdict([*strict, lenient[0], *lenient[2:]])

    assert said.suspicious == {RIGHT}
    assert said.operating_point is None


def test_a_model_chooses_its_operating_point_on_the_curve_of_exams(tmp_path: Path) -> None:
    card = model_cases.saved(tmp_path)
    exams = roc((1.0, 0.0, 1.0), (0.7, 0.9, 0.9), (0.0, 1.0, 0.0))
    (tmp_path / store.CARD).write_text(card.model_copy(update={"exam": exams}).model_dump_json())

    model = load_view_model(tmp_path)

    assert card.roc.at().threshold == 0.5
    assert model.operating_point.threshold == 0.7
    assert load_view_model(tmp_path, operating_point="specificity=1").operating_point.threshold == 1


def test_a_card_without_a_curve_of_exams_loads_as_before() -> None:
    content = model_cases.card().model_dump(mode="json")
    del content["exam"], content["recalibrated"]

    assert CARDS.validate_python(content) == model_cases.card()
    assert CARDS.validate_python(content).curve == model_cases.card().roc


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return exam_of(write_exam(tmp_path, rows=64, columns=48))


def level(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("card", [c for c in PACKAGED if Acquisition.FILM in c.applies_to])
@pytest.mark.parametrize(
    ("right", "left", "expected"),
    [(-2.0, -2.0, set()), (-2.2, -1.8, set()), (4.0, -1.0, {"R"}), (5.0, 5.0, {"R", "L"})],
)
def test_findings_follow_the_exam(
    exam: Exam, card: DibMgCard, right: float, left: float, expected: set[str]
) -> None:
    """Through `read_exam`, with the packaged film card's scoring: peaks and DIB-MG's own word."""
    served = card.served()

    class Film(Reader):
        @property
        def card(self) -> Any:
            return SimpleNamespace(**{**vars(super().card), "breast": served.breast})

    levels = {"RCC": level(right), "RMLO": level(right), "LCC": level(left), "LMLO": level(left)}
    result = read(exam, Film(threshold=card.curve.at().threshold), load=constant(levels))

    sides = {v.sop_instance_uid: v.laterality.value for v in result.views}
    peaks = [f for f in result.findings if f.kind is FindingKind.SUSPICIOUS_REGION]
    own = [
        (sides[f.sop_instance_uid], a)
        for f in result.findings
        for a in f.assessments
        if a.system is System.KIM2018
    ]
    assert result.exam_score is not None
    assert result.operating_point is not None
    assert (result.exam_score >= result.operating_point) == bool(expected)
    assert {sides[f.sop_instance_uid] for f in peaks} == expected
    assert {side for side, a in own if a.suspicious} <= expected


def test_an_exam_of_a_calibrated_scanner_is_scored_by_its_calibration_and_named() -> None:
    def shifted(station: str) -> ScannerCalibration:
        return ScannerCalibration(
            match=ScannerMatch(station=station), method="call rate", slope=1.0, intercept=-2.0,
            data="readings", since="2026-01", until="2026-02", n_exams=300,
        )  # fmt: skip

    card = model_cases.card().model_copy(update={"scanners": (shifted("MG4"),)})
    logits = {LEFT: (1.0, 1.0), RIGHT: (0.0, 0.0)}
    found = {}
    for station in ("MG4", "MG1"):
        views = scored(card, logits)
        header = Dataset()
        header.StationName = station
        for view in views:
            view.mammogram.header = header  # type: ignore[misc]
            view.model.choice = "youden"
        found[station] = (verdict(views), locally_scored(views))

    local, general = found["MG4"], found["MG1"]
    assert local[0].exam_score == pytest.approx(1 / (1 + math.exp(1)))  # 1 − 2 in log-odds
    assert general[0].exam_score == pytest.approx(1 / (1 + math.exp(-1)))
    assert (local[0].suspicious, general[0].suspicious) == (frozenset(), {LEFT, RIGHT})
    (used,) = local[1].values()
    assert used.calibration == "any scanner, station MG4 (scores of 300 exams, 2026-01 to 2026-02)"
    assert general[1] == {}
