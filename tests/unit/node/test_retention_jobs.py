"""Rows of finished jobs: which are deleted from a real job database, and its file is reused."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cadnode.node.job_rows import JobRows, rows_of, study_of
from cadnode.node.jobs import JobsUnavailable, deliver_id, process_id
from cadnode.node.workflow import prepare

STUDY, OTHER, CONTENT = "0123456789abcdef", "1123456789abcdef", "fedcba9876543210"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jobs") / "jobs.sqlite"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, empty: Path) -> Path:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(empty.read_bytes())
    return path


@pytest.fixture
def rows(database: Path) -> Iterator[JobRows]:
    found = JobRows(f"sqlite:///{database}")
    yield found
    found.close()


def add(database: Path, name: str, identifiers: list[str], *, days: float, status: str) -> None:
    at = int(time.time() * 1000 - days * DAY_MS)
    ended = None if status == "ENQUEUED" else at
    values = [(one, name, status, at + n, at, ended) for n, one in enumerate(identifiers)]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "insert into workflow_status (workflow_uuid, name, status, created_at, updated_at,"
            " completed_at, priority, application_name, serialization)"
            " values (?, ?, ?, ?, ?, ?, 0, 'cadnode', 'cadnode_json')",
            values,
        )


def left(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row for (row,) in connection.execute("select workflow_uuid from workflow_status")}


def test_old_rows_that_no_study_needs_are_deleted(database: Path, rows: JobRows) -> None:
    add(database, "consider", ["old"], days=40, status="SUCCESS")
    add(database, "consider", ["failed"], days=40, status="ERROR")
    add(database, "consider", ["young"], days=20, status="SUCCESS")
    add(database, "consider", ["open"], days=40, status="ENQUEUED")
    mine = [process_id(STUDY, CONTENT, 0), deliver_id(STUDY, CONTENT, "a")]
    orphans = [process_id(OTHER, CONTENT, 0), deliver_id(OTHER, CONTENT, "a")]
    for row in (*mine, *orphans):
        add(database, row.split("-")[0], [row], days=40, status="SUCCESS")

    n = rows.delete_ended(time.time() - 30 * 86400, lambda study: study == STUDY)

    assert n == 4
    assert left(database) == {"young", "open", *mine}


def test_rows_of_kept_studies_never_hide_those_behind_them(database: Path, rows: JobRows) -> None:
    kept = [f"process-{STUDY}-{n:016x}-0" for n in range(1200)]
    add(database, "process", kept, days=50, status="SUCCESS")
    add(database, "process", [process_id(OTHER, CONTENT, 0)], days=40, status="SUCCESS")

    for _ in range(4):
        rows.delete_ended(time.time() - 30 * 86400, lambda study: study == STUDY)

    assert left(database) == set(kept)


def test_many_rows_are_deleted_at_once_and_the_file_does_not_grow(
    database: Path, rows: JobRows
) -> None:
    sizes = []
    for turn in range(4):
        names = [f"{turn}-{n}" for n in range(3000)]
        add(database, "consider", names, days=40, status="SUCCESS")
        while rows.delete_ended(time.time() - 30 * 86400, lambda study: True):
            pass
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        sizes.append(database.stat().st_size)

    assert left(database) == set()
    assert sizes[-1] <= sizes[0] * 1.1


def test_the_oldest_rows_are_found_by_an_index(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        plan = connection.execute(
            "explain query plan select workflow_uuid from workflow_status"
            " where name in ('consider', 'fetch') and status in ('SUCCESS', 'ERROR')"
            " and completed_at < 5 order by created_at limit 500"
        ).fetchall()
    assert "USING INDEX" in plan[0][3]


def test_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    rows = JobRows(f"sqlite:///{tmp_path / 'no' / 'jobs.sqlite'}")
    with pytest.raises(JobsUnavailable):
        rows.delete_ended(time.time(), lambda study: True)
    rows.close()


def test_the_rows_of_a_content_are_named_by_its_study() -> None:
    names = rows_of(STUDY, CONTENT, ["an-archive"])

    assert deliver_id(STUDY, CONTENT, "an-archive") in names
    assert {study_of(name) for name in names} == {STUDY}
    assert study_of("fetch-x") == ""
