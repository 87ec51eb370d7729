"""Figures from outcomes: which exams count, what is too little to show."""

from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.domain import Laterality, Outcome
from cadnode.node.outcome_desk import OutcomeDesk
from cadnode.quality.entry import JournalEntry
from cadnode.quality.journal import Journal
from cadnode.quality.outcomes import BreastOutcome, OutcomeBook
from cadnode.quality.performance import (
    FEWEST,
    Grouping,
    grouped,
    performance,
    performances,
    read_exams,
)
from tests import quality_cases
from tests.quality_cases import DrawnExam, drawn
from tests.unit import model_cases

Outcomes = dict[tuple[str, Laterality], BreastOutcome]


def entries_of(exams: list[DrawnExam]) -> list[JournalEntry]:
    return quality_cases.read(model_cases.card(), exams)


def test_the_figures_are_those_of_a_table_counted_by_hand() -> None:
    exams = [
        replace(exam, log_odds=(3.0 if number < called else -3.0, -4.0), has_cancer=cancer)
        for cancer, n, called in ((True, 20, 16), (False, 80, 8))
        for number, exam in enumerate(drawn("MG1", n, seed=n))
    ]
    found = performance(read_exams(entries_of(exams), quality_cases.outcomes(exams), "kim2018"))
    assert (found.n_read, found.n_pos, found.n_neg) == (100, 20, 80)
    shares = (found.recall, found.sensitivity, found.specificity, found.ppv)
    assert [(s.hits, s.n) for s in shares if s] == [(24, 100), (16, 20), (72, 80), (16, 24)]
    assert found.sensitivity is not None
    assert found.sensitivity.ci == pytest.approx((0.584, 0.919), abs=1e-3)  # Wilson, 16 of 20
    # Two scores alone: P(above) = 0.8 · 0.9, ties count half: 0.8 · 0.1 / 2 + 0.2 · 0.9 / 2.
    assert found.auc is not None
    assert found.auc.value == pytest.approx(0.72 + 0.04 + 0.09)
    assert found.suppressed == ()


def test_an_exam_whose_outcomes_do_not_cover_its_breasts_counts_for_recall_alone() -> None:
    exams = drawn("MG1", 12, cancers=0.0)
    whole = quality_cases.outcomes(exams)
    half: Outcomes = {key: one for key, one in whole.items() if key[1] is Laterality.LEFT}
    found = performance(read_exams(entries_of(exams), half, "kim2018"))
    assert (found.n_read, found.n_pos, found.n_neg) == (12, 0, 0)
    assert found.recall is not None


def test_what_fewer_than_ten_cases_say_is_not_shown_and_named() -> None:
    exams = drawn("MG1", 200, cancers=0.0) + drawn("MG1", FEWEST - 1, cancers=1.0, seed=1)
    found = performance(read_exams(entries_of(exams), quality_cases.outcomes(exams), "kim2018"))
    assert found.n_pos == FEWEST - 1
    assert {"auc", "sensitivity"} <= set(found.suppressed)
    assert found.as_dict()["auc"] is None
    assert found.specificity is not None


def test_a_study_counts_once_by_its_last_reading_and_not_with_several_patients() -> None:
    exams = drawn("MG1", 2)
    first, second = entries_of(exams)
    again = replace(first, content="another")
    other = replace(second, patient=2)
    read = read_exams([first, second, again, other], {}, "kim2018")
    assert [exam.study for exam in read] == [first.study]


def test_a_system_that_found_nothing_called_nothing_and_its_exam_counts() -> None:
    exams = drawn("MG1", 40, cancers=0.5)
    entries = [replace(one, active=("kim2018", "wang2016")) for one in entries_of(exams)]
    found = performance(read_exams(entries, quality_cases.outcomes(exams), "wang2016"))
    n_pos = sum(exam.has_cancer for exam in exams)
    assert (found.n_read, found.n_pos, found.n_neg) == (40, n_pos, 40 - n_pos)
    assert found.recall is not None
    assert found.recall.hits == 0
    assert found.specificity is not None
    assert found.specificity.value == 1
    unread = [replace(one, outcome=Outcome.NOT_READ, systems=()) for one in entries]
    assert read_exams(unread, {}, "wang2016") == []


def test_follow_up_begins_with_the_first_reading_however_often_it_was_read_again() -> None:
    exams = drawn("MG1", 1, cancers=0.0)  # read in January 2026, known in June 2027
    (first,) = entries_of(exams)
    again = replace(first, content="new model", read_at=first.read_at.replace(year=2027, month=9))
    (exam,) = read_exams([first, again], quality_cases.outcomes(exams), "kim2018")
    assert (exam.month, exam.months_followed) == ("2027-09", 17)


def test_new_readings_are_counted_every_quarter_of_an_hour_and_new_outcomes_at_once(
    tmp_path: Path,
) -> None:
    now = [0.0]
    desk, journal = OutcomeDesk(tmp_path, lambda: now[0]), Journal(tmp_path)
    exams = drawn("MG1", 3)
    first, second, third = entries_of(exams)

    def n_read() -> list[int]:
        return [one.whole.n_read for one in desk.figures()]

    assert n_read() == []
    journal.add(first)
    assert n_read() == [1]
    journal.add(second)
    assert n_read() == [1]
    now[0] = 900.0
    assert n_read() == [2]
    journal.add(third)
    OutcomeBook(tmp_path).add(list(quality_cases.outcomes(exams).values()))
    assert n_read() == [3]


def test_figures_are_stratified_by_scanner_vendor_and_month() -> None:
    exams = [*drawn("MG1", 800), *drawn("MG2", 10)]
    (found,) = performances(entries_of(exams), {})
    assert [one.group[-8:] for one in found.by[Grouping.SCANNER]] == ["MG1, 1.9", "MG2, 1.9"]
    assert [one.group for one in found.by[Grouping.VENDOR]] == ["hologic"]
    months = found.by[Grouping.MONTH]
    assert [one.group for one in months] == ["2026-01", "2026-02"]
    assert sum(one.n_read for one in months) == 810
    assert grouped([], Grouping.MONTH) == []
