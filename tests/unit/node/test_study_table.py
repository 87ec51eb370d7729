"""The list of studies on the disk: filters, pages, what is overwritten, and a damaged file."""

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cadnode.exam.patient import Patient
from cadnode.log import hashed
from cadnode.node import study_table
from cadnode.node.study_table import Look, StudyTable
from cadnode.web.operating_points import RecentScore
from cadnode.web.queue import StudyFilter, StudyRow
from cadnode.web.study import Reason, State, StudyState

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
JANE = Patient(("Roe, Jane", "ロウ"), "P-1", accession_number="A77", study_date=date(2026, 3, 3))


def look(
    n: int, state: State = State.DONE, patient: Patient | None = None, **words: object
) -> Look:
    study = StudyState(
        hashed(f"1.2.{n}"), "", state, updated_at=NOON - timedelta(hours=n), **words,  # type: ignore[arg-type]
    )  # fmt: skip
    return Look(StudyRow(study, patient or Patient((f"Doe, {n}",), f"D{n}")), 1.0, float(n))


def keys(table: StudyTable, **wanted: object) -> list[str]:
    page = table.page(StudyFilter(**wanted))  # type: ignore[arg-type]
    return [row.study.key for row in page.rows]


def names(*numbers: int) -> list[str]:
    return [hashed(f"1.2.{n}") for n in numbers]


@pytest.fixture
def table(tmp_path: Path) -> StudyTable:
    found = StudyTable(tmp_path)
    owed = (("archive", "refused"),)
    looks = [
        look(1, patient=JANE),
        look(2, State.REFUSED, deliveries=owed),
        look(3, State.READING),
        look(4, State.FAILED, reasons=(Reason("reading_failed", "It failed"),)),
        look(30),
    ]
    found.put(looks, lambda key: 1.0)
    return found


def test_a_line_comes_back_as_it_was_entered_but_for_the_uid(table: StudyTable) -> None:
    rows = table.page(StudyFilter()).rows
    assert rows[0] == look(1, patient=JANE).row
    assert rows[3].study.reasons == (Reason("reading_failed", "It failed"),)
    assert rows[1].study.deliveries == (("archive", "refused"),)


def test_the_newest_are_first_and_each_filter_narrows(table: StudyTable) -> None:
    assert keys(table) == names(1, 2, 3, 4, 30)
    assert keys(table, state=State.READING) == names(3)
    assert keys(table, needs_you=True) == names(2, 4)
    assert keys(table, needs_you=True, state=State.FAILED) == names(4)
    yesterday = (NOON - timedelta(hours=30)).astimezone().date()
    today = NOON.astimezone().date()
    assert keys(table, until=yesterday) == names(30)
    assert hashed("1.2.30") not in keys(table, since=today)


def test_what_a_destination_lacks_is_found_and_counted_from_there_on(table: StudyTable) -> None:
    other = (("archive", "delivered"), ("vna ß", "given_up"))
    table.put([look(5, State.REFUSED, deliveries=other)], lambda key: 1.0)
    assert keys(table, destination="archive") == names(2)
    assert keys(table, destination="vna ß", needs_you=True) == names(5)
    assert keys(table, destination="arch") == []
    first = table.page(StudyFilter(needs_you=True, counted=True, limit=1))
    assert first.n_found == 3
    assert table.page(StudyFilter(needs_you=True, counted=True, after=first.after)).n_found == 2
    assert table.page(StudyFilter()).n_found is None


@pytest.mark.parametrize(
    "text", ["jane roe", "ROE", "p-1", "A77", "ロウ", "1.2.1", hashed("1.2.1"), "roe a77"]
)
def test_a_study_is_found_by_name_numbers_key_and_uid(table: StudyTable, text: str) -> None:
    assert keys(table, text=text) == names(1)


def test_words_that_are_no_pattern_find_nothing(table: StudyTable) -> None:
    for text in ("%", "_oe", "jane doe", "' OR 1=1 --"):
        assert keys(table, text=text) == []


def test_a_text_without_a_word_narrows_nothing(table: StudyTable) -> None:
    assert keys(table, text="  ") == keys(table)


def test_pages_follow_each_other_without_a_gap_though_studies_come_meanwhile(
    table: StudyTable,
) -> None:
    first = table.page(StudyFilter(limit=2))
    table.put([look(0)], lambda key: 1.0)
    second = table.page(StudyFilter(limit=2, after=first.after))
    last = table.page(StudyFilter(limit=2, after=second.after))
    found = [row.study.key for page in (first, second, last) for row in page.rows]
    assert found == names(1, 2, 3, 4, 30)
    assert last.after == ""


def test_studies_of_one_moment_are_listed_once_each(tmp_path: Path) -> None:
    table, n = StudyTable(tmp_path), 7
    same = [look(0).row.study.__class__(hashed(f"1.3.{i}"), "", State.DONE, updated_at=NOON)
            for i in range(n)]  # fmt: skip
    table.put([Look(StudyRow(study), 1.0, 1.0) for study in same], lambda key: 1.0)
    found, after = [], ""
    for _ in range(n):
        page = table.page(StudyFilter(limit=2, after=after))
        found += [row.study.key for row in page.rows]
        if not (after := page.after):
            break
    assert sorted(found) == sorted(study.key for study in same)


def test_counts_are_of_all_studies(table: StudyTable) -> None:
    page = table.page(StudyFilter(state=State.READING))
    assert (page.counts[State.DONE], page.counts[State.REFUSED]) == (2, 1)
    assert (page.n_studies, page.n_needing_you) == (5, 2)


def test_what_changed_since_it_was_read_is_not_entered(table: StudyTable) -> None:
    table.put([look(5)], lambda key: 2.0)
    assert hashed("1.2.5") not in keys(table)
    assert table.seen() == dict.fromkeys(names(1, 2, 3, 4, 30), 1.0)


def test_who_was_looked_at_the_longest_ago_is_first(table: StudyTable) -> None:
    assert table.longest_ago(settled=True, limit=5) == names(1, 30)
    assert table.longest_ago(settled=False, limit=2) == names(2, 3)


def test_nothing_of_a_removed_line_is_left_in_the_file(table: StudyTable, tmp_path: Path) -> None:
    file = tmp_path / study_table.FILE
    assert b"Roe" in file.read_bytes()
    corrected = Patient(("Poe, Jane",), "P-2")
    table.put([look(1, patient=corrected)], lambda key: 1.0)
    assert b"Roe" not in file.read_bytes()
    assert study_table.has_any(tmp_path, hashed("1.2.1"))
    assert study_table.forget(tmp_path, names(1)) == 1
    data = file.read_bytes()
    for word in (b"Poe", b"poe", b"P-2", hashed("1.2.1").encode()):
        assert word not in data
    assert not study_table.has_any(tmp_path, hashed("1.2.1"))
    assert [path.name for path in tmp_path.iterdir()] == [study_table.FILE]


def test_the_file_is_not_for_everybody(table: StudyTable, tmp_path: Path) -> None:
    assert (tmp_path / study_table.FILE).stat().st_mode & 0o777 & ~0o640 == 0


def test_a_file_that_is_none_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / study_table.FILE).write_bytes(b"this is no database, and long enough to be one" * 9)
    table = StudyTable(tmp_path)
    assert keys(table) == []
    table.put([look(1)], lambda key: 1.0)
    assert keys(table) == names(1)


def test_a_file_that_is_damaged_inside_is_made_anew(table: StudyTable, tmp_path: Path) -> None:
    file = tmp_path / study_table.FILE
    table.put([look(n) for n in range(100, 400)], lambda key: 1.0)
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(sqlite3.OperationalError):
        table.page(StudyFilter())
    assert keys(table) == []


def test_a_file_of_another_version_is_made_anew(table: StudyTable, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / study_table.FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert keys(table) == []


def test_without_a_list_there_is_nothing_to_forget(tmp_path: Path) -> None:
    assert study_table.forget(tmp_path, names(1)) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_scores_of_the_last_exams_are_read_from_the_list_alone(tmp_path: Path) -> None:
    found = StudyTable(tmp_path)
    looks = [
        look(1, exam_score=0.7, scored_by=("dib-mg-film",)),
        look(2),
        look(3, exam_score=0.2, scored_by=("dib-mg-digital", "dib-mg-film")),
        look(4, exam_score=0.9, scored_by=("dib-mg-film",)),
    ]
    found.put(looks, lambda key: 1.0)
    assert found.recent_scores(3) == [
        RecentScore(0.7, ("dib-mg-film",)),
        RecentScore(0.2, ("dib-mg-digital", "dib-mg-film")),
    ]
