"""Lines of outcomes: what is a case, and the coded reason where a line is none."""

from datetime import date

import pytest

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.node.cohort.cases import KnownOutcome, NotCollected, read_cases
from tests.synthetic import MARK

ROW = {
    "patient_id": f"{MARK}-1", "laterality": "L", "outcome": "malignant",
    "outcome_date": "2020-05-01",
}  # fmt: skip


def test_the_most_specific_identifier_is_what_the_archive_is_asked_for() -> None:
    rows = [ROW, {**ROW, "accession_number": "A7"}, {**ROW, "study_instance_uid": "1.2"}]

    cases, wrong = read_cases(rows, "cases.csv")

    assert wrong == []
    asked = [(case.keyword, case.value) for case in cases]
    assert asked == [
        ("PatientID", f"{MARK}-1"),
        ("AccessionNumber", "A7"),
        ("StudyInstanceUID", "1.2"),
    ]
    assert {case.patient_id for case in cases} == {f"{MARK}-1"}
    assert [case.line for case in cases] == [2, 3, 4]
    assert MARK not in repr(cases)


def test_outcomes_sides_and_dates_are_read_as_people_write_them() -> None:
    rows = [
        {**ROW, "outcome": "NORMAL", "laterality": "", "outcome_date": "20200501"},
        {**ROW, "outcome": "benign", "laterality": "b", "window_days": "730"},
    ]

    (normal, benign), wrong = read_cases(rows, "cases.csv")

    assert wrong == []
    assert normal.outcome is KnownOutcome.NORMAL
    assert normal.known_on == date(2020, 5, 1)
    assert normal.sides == benign.sides == (Laterality.LEFT, Laterality.RIGHT)
    assert (normal.window_days, benign.window_days) == (None, 730)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"patient_id": ""}, NotCollected.NO_KEY),
        ({"patient_id": "12*"}, NotCollected.WILDCARD),
        ({"outcome": ""}, NotCollected.NO_OUTCOME),
        ({"outcome": "suspicious"}, NotCollected.OUTCOME_UNKNOWN),
        ({"laterality": ""}, NotCollected.NO_LATERALITY),
        ({"laterality": "left breast"}, NotCollected.LATERALITY_UNKNOWN),
        ({"outcome_date": ""}, NotCollected.NO_DATE),
        ({"outcome_date": "31.12.2020"}, NotCollected.DATE_UNKNOWN),
        ({"window_days": "a year"}, NotCollected.WINDOW_UNKNOWN),
    ],
)
def test_a_line_that_is_no_case_is_left_out_with_its_reason(
    change: dict[str, str], reason: NotCollected
) -> None:
    cases, wrong = read_cases([ROW, {**ROW, **change}], "cases.csv")

    assert [case.line for case in cases] == [2]
    assert wrong == [(3, reason)]


def test_a_table_without_an_identifying_column_is_refused() -> None:
    row = {name: text for name, text in ROW.items() if name != "patient_id"}

    with pytest.raises(DataError, match="study_instance_uid, accession_number, patient_id"):
        read_cases([row], "cases.csv")
