"""Outcomes as hospitals export them: which lines are taken, which not and why, what is kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.log import hashed
from cadnode.node.erasure import traces
from cadnode.node.outcome_import import NumberedStudy, outcomes_of, studies_known
from cadnode.quality.outcomes import KnownOutcome, OutcomeBasis, OutcomeBook

AT = datetime(2026, 11, 30, tzinfo=UTC)
LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
UID = "1.2.840.1"


def row(**cells: str) -> dict[str, str]:
    return {
        "study_instance_uid": UID, "accession_number": "", "patient_id": "", "laterality": "R",
        "outcome": "malignant", "outcome_date": "2026-05-04", "birads": "", **cells,
    }  # fmt: skip


def taken(
    *rows: dict[str, str], needs_patient: bool = False
) -> tuple[list[tuple[str, str, str, str]], list[tuple[int, str]]]:
    def studies_of(accession: str) -> list[NumberedStudy]:
        known = {
            "A1": [NumberedStudy("study of A1", "P1")],
            "A2": [NumberedStudy("one", "P1"), NumberedStudy("two", "P2")],
        }
        return known.get(accession, [])

    found, wrong = outcomes_of(rows, "pathology.csv", studies_of, AT, needs_patient=needs_patient)
    return (
        [(one.study, one.laterality, one.outcome, one.basis) for one in found],
        [(one.line, one.code) for one in wrong],
    )


def test_a_line_is_kept_under_the_studys_key_with_the_month_alone() -> None:
    (one,), wrong = outcomes_of([row(birads="4A")], "pathology.csv", lambda text: (), AT)
    assert wrong == []
    assert (one.study, one.laterality, one.outcome) == (hashed(UID), RIGHT, KnownOutcome.MALIGNANT)
    assert (one.known_in, one.birads, one.basis) == ("2026-05", "4A", OutcomeBasis.PATHOLOGY)


def test_nothing_is_kept_of_a_study_that_the_node_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "spool" / "studies" / hashed("1.2.3")).mkdir(parents=True)
    is_known = studies_known(tmp_path, {hashed("1.2.4")})
    rows = [row(study_instance_uid=uid) for uid in ("1.2.3", "1.2.4", "1.2.5")]
    found, wrong = outcomes_of(rows, "p.csv", lambda text: (), AT, is_known=is_known)
    assert [one.study for one in found] == [hashed("1.2.3"), hashed("1.2.4")]
    assert [(one.line, one.code) for one in wrong] == [(4, "study_not_known_here")]


def test_negative_is_normal_and_b_is_both_breasts() -> None:
    found, _ = taken(row(laterality="B", outcome="negative"))
    assert [(side, outcome) for _, side, outcome, _ in found] == [
        (LEFT, KnownOutcome.NORMAL), (RIGHT, KnownOutcome.NORMAL),
    ]  # fmt: skip


def test_an_accession_number_stands_for_the_one_study_that_has_it() -> None:
    found, wrong = taken(
        row(study_instance_uid="", accession_number="A1"),
        row(study_instance_uid="", accession_number="A2"),
        row(study_instance_uid="", accession_number="A3"),
    )
    assert [study for study, *_ in found] == ["study of A1"]
    assert wrong == [(3, "accession_number_of_several_studies"), (4, "accession_number_not_found")]


def test_an_accession_number_of_another_woman_gives_her_no_outcome() -> None:
    found, wrong = taken(
        row(study_instance_uid="", accession_number="A1", patient_id="P2"),
        row(study_instance_uid="", accession_number="A2", patient_id="P2"),
    )
    assert [study for study, *_ in found] == ["two"]
    assert wrong == [(2, "accession_number_of_another_patient")]


def test_a_message_names_no_exam_by_a_number_that_may_be_the_laboratorys() -> None:
    found, wrong = taken(
        row(study_instance_uid="", accession_number="A1"),
        row(study_instance_uid="", accession_number="A1", patient_id="P1"),
        needs_patient=True,
    )
    assert [study for study, *_ in found] == ["study of A1"]
    assert wrong == [(2, "accession_number_without_patient_id")]


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"study_instance_uid": "1.2.x"}, "study_uid_not_valid"),
        ({"study_instance_uid": "", "patient_id": "4711"}, "patient_id_alone"),
        ({"study_instance_uid": ""}, "no_identifier"),
        ({"outcome": "cancer"}, "outcome_not_understood"),
        ({"laterality": "X"}, "laterality_not_understood"),
        ({"outcome_date": "4.5.2026"}, "outcome_date_not_understood"),
        ({"birads": "7"}, "birads_not_understood"),
        ({"outcome": "", "birads": "BI-RADS 4a"}, "birads_is_no_outcome"),
    ],
)
def test_a_wrong_line_is_left_out_with_its_number_and_reason(
    cells: dict[str, str], code: str
) -> None:
    found, wrong = taken(row(), row(**cells))
    assert len(found) == 1
    assert wrong == [(3, code)]


@pytest.mark.parametrize(
    ("category", "outcome", "basis"),
    [
        ("1", KnownOutcome.NORMAL, OutcomeBasis.ASSESSMENT),
        ("BI-RADS 2", KnownOutcome.NORMAL, OutcomeBasis.ASSESSMENT),
        ("6", KnownOutcome.MALIGNANT, OutcomeBasis.PATHOLOGY),
    ],
)
def test_a_category_alone_is_an_outcome_where_it_states_one(
    category: str, outcome: KnownOutcome, basis: OutcomeBasis
) -> None:
    ((_, _, found, rests_on),), wrong = taken(row(outcome="", birads=category))
    assert (found, rests_on, wrong) == (outcome, basis, [])


def test_of_several_biopsies_of_a_breast_the_worst_counts() -> None:
    found, _ = taken(row(outcome="benign"), row(), row(outcome="benign"))
    assert [outcome for _, _, outcome, _ in found] == [KnownOutcome.MALIGNANT]


def test_a_table_without_a_column_that_names_exams_is_refused() -> None:
    with pytest.raises(DataError, match="needs one of the columns"):
        outcomes_of([{"laterality": "R", "outcome": "benign"}], "x.csv", lambda text: (), AT)


def test_a_later_import_corrects_and_the_same_one_changes_nothing(tmp_path: Path) -> None:
    book = OutcomeBook(tmp_path)
    first, _ = outcomes_of([row(), row(laterality="L", outcome="benign")], "x", lambda a: (), AT)
    second, _ = outcomes_of([row(outcome="benign")], "x", lambda a: (), AT)

    kept = book.add(first)
    assert (kept.new, kept.corrected, kept.unchanged) == (2, 0, 0)
    size = (book.folder / "outcomes.jsonl").stat().st_size
    kept = book.add(first)
    assert (kept.new, kept.corrected, kept.unchanged) == (0, 0, 2)
    assert (book.folder / "outcomes.jsonl").stat().st_size == size
    kept = book.add(second)
    assert (kept.new, kept.corrected, kept.unchanged) == (0, 1, 0)
    assert book.all()[hashed(UID), RIGHT].outcome is KnownOutcome.BENIGN


def test_a_line_that_a_crash_cut_is_passed_over_and_what_follows_is_kept(tmp_path: Path) -> None:
    book = OutcomeBook(tmp_path)
    found, _ = outcomes_of([row()], "x", lambda a: (), AT)
    other, _ = outcomes_of([row(study_instance_uid="1.2.3")], "x", lambda a: (), AT)
    book.add(found)
    path = book.folder / "outcomes.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    book.add(other)
    assert {study for study, _ in book.all()} == {hashed("1.2.3")}


def test_an_erased_study_takes_its_outcomes_with_it(tmp_path: Path) -> None:
    book = OutcomeBook(tmp_path)
    found, _ = outcomes_of([row(), row(study_instance_uid="1.2.3")], "x", lambda a: (), AT)
    book.add(found)
    assert traces.has_any(tmp_path, hashed(UID))
    traces.remove_of_study(tmp_path, hashed(UID))
    assert not traces.has_any(tmp_path, hashed(UID))
    assert {study for study, _ in book.all()} == {hashed("1.2.3")}
    assert UID not in (book.folder / "outcomes.jsonl").read_text()
