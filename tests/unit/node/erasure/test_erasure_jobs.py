"""Jobs of an erased patient's studies: no row, and no byte of the file, names them any more."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from cadnode.node import workflow
from cadnode.node.erasure.jobs import PatientJobs
from cadnode.node.jobs import JobsUnavailable, deliver_id, process_id
from cadnode.node.workflow import Announcer, prepare
from tests.postgres import NEEDS_POSTGRES, PostgresServer, postgres_server

MINE, OTHER, CONTENT = "0123456789abcdef", "1123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jobs") / "jobs.sqlite"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(tmp_path: Path, empty: Path) -> Path:
    return Path(shutil.copy(empty, tmp_path / "jobs.sqlite"))


def add(url: str, identifiers: list[str], status: str = "SUCCESS") -> None:
    at = int(time.time() * 1000)
    engine = create_engine(url)
    table = "workflow_status" if url.startswith("sqlite") else "dbos.workflow_status"
    with engine.begin() as connection:
        for one in identifiers:
            connection.execute(
                text(
                    f"insert into {table} (workflow_uuid, name, status, created_at, updated_at,"
                    " priority, application_name, serialization)"
                    " values (:id, 'process', :status, :at, :at, 0, 'cadnode', 'cadnode_json')"
                ),
                {"id": one, "status": status, "at": at},
            )
    engine.dispose()


def left(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row for (row,) in connection.execute("select workflow_uuid from workflow_status")}


def test_rows_and_bytes_of_her_jobs_go_and_others_stay(database: Path) -> None:
    url = f"sqlite:///{database}"
    add(url, [process_id(MINE, CONTENT, n) for n in range(3)])
    add(url, [deliver_id(MINE, CONTENT, "a")], "ENQUEUED")
    others = [process_id(OTHER, CONTENT, 0), deliver_id(OTHER, CONTENT, "a")]
    add(url, others)
    announcer = Announcer(url)
    announcer.announce(MINE, 60.0)  # its identifier is only a number: the key is its argument
    announcer.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        # As rows that were deleted before: SQLite leaves their bytes.
        connection.execute("delete from workflow_status where workflow_uuid like '%-2'")
    jobs = PatientJobs(url)

    assert jobs.cancel([MINE]) >= 2
    assert jobs.has_any([MINE])
    assert jobs.delete([MINE]) >= 4
    jobs.compact()

    assert left(database) == set(others)
    assert not jobs.has_any([MINE])
    assert all(MINE.encode() not in path.read_bytes() for path in jobs.files())
    assert OTHER.encode() in database.read_bytes()


def test_a_damaged_database_that_was_kept_aside_goes_when_it_names_her(database: Path) -> None:
    mine, others = (Path(f"{database}.damaged-2026010{n}T000000Z") for n in (1, 2))
    mine.write_bytes(b"x" + MINE.encode())
    others.write_bytes(b"x" + OTHER.encode())
    jobs = PatientJobs(f"sqlite:///{database}")

    assert jobs.remove_damaged_copies([MINE]) == 1
    assert (mine.exists(), others.exists()) == (False, True)


def test_without_a_database_there_is_nothing_to_delete(tmp_path: Path) -> None:
    jobs = PatientJobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")

    assert (jobs.cancel([MINE]), jobs.delete([MINE]), jobs.has_any([MINE])) == (0, 0, False)
    jobs.compact()
    assert not (tmp_path / "jobs.sqlite").exists()


def test_a_locked_file_says_so(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cadnode.node.erasure.jobs._WITHIN_S", 0.1)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        with pytest.raises(JobsUnavailable):
            PatientJobs(f"sqlite:///{database}").compact()


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        running.start()
        yield running


@NEEDS_POSTGRES
def test_rows_on_a_server_go_too(server: PostgresServer) -> None:
    admin = create_engine(server.url.replace("/cadnode", "/postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("create database cadnode"))
    admin.dispose()
    workflow.prepare(server.url)
    add(server.url, [process_id(MINE, CONTENT, 0), process_id(OTHER, CONTENT, 0)])
    announcer = Announcer(server.url)
    announcer.announce(MINE, 60.0)
    announcer.close()
    jobs = PatientJobs(server.url)

    assert not jobs.is_file
    assert jobs.n_rows_with([MINE]) >= 2
    assert jobs.delete([MINE]) >= 2
    jobs.compact()

    assert jobs.n_rows_with([MINE]) == 0
    assert jobs.n_rows_with([OTHER]) == 1
    assert jobs.files() == []
