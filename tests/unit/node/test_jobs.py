"""What a real job database says of jobs."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cadnode.node.jobs import JobLookup, JobsUnavailable, process_ids
from cadnode.node.workflow import Announcer, prepare

STUDY, CONTENT = "0123456789abcdef", "fedcba9876543210"
AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    prepare(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def progress(database: Path) -> Iterator[JobLookup]:
    reader = JobLookup(f"sqlite:///{database}")
    yield reader
    reader.close()


def test_open_jobs_are_found_without_a_look_at_every_row(database: Path) -> None:
    prepare(f"sqlite:///{database}")  # once more, as at each start
    query = (
        "explain query plan select * from workflow_status where name in (?, ?) "
        "and status in (?, ?, ?) order by created_at"
    )
    wanted = ("process", "deliver", "ENQUEUED", "DELAYED", "PENDING")
    with closing(sqlite3.connect(database)) as connection:
        plan = " ".join(str(row[-1]) for row in connection.execute(query, wanted))
    assert "SEARCH workflow_status USING INDEX cadnode_by_state" in plan
    assert "SCAN" not in plan


def add(database: Path, identifier: str, name: str, status: str, output: str | None = None) -> None:
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "insert into workflow_status (workflow_uuid, name, status, output, created_at,"
            " updated_at, completed_at, priority, application_name, serialization)"
            " values (?, ?, ?, ?, ?, ?, ?, 0, 'cadnode', 'cadnode_json')",
            (identifier, name, status, output, now - 5000, now, now),
        )


def test_jobs_are_found_by_their_identifiers(database: Path, progress: JobLookup) -> None:
    wanted = process_ids(STUDY, CONTENT)
    add(database, wanted[0], "process", "SUCCESS", '"tried_again_later"')
    add(database, wanted[1], "process", "DELAYED")
    found = progress.find(wanted)
    assert list(found) == wanted[:2]
    assert found[wanted[0]].output == "tried_again_later"
    assert found[wanted[1]].is_open
    assert not found[wanted[1]].is_running
    assert found[wanted[0]].updated_at - found[wanted[0]].created_at == 5.0
    assert progress.find([]) == {}


def test_what_is_announced_is_an_open_job(database: Path, progress: JobLookup) -> None:
    announcer = Announcer(f"sqlite:///{database}")
    announcer.fetch(STUDY)
    announcer.close()
    assert [job.name for job in progress.open_jobs("fetch", "process")] == ["fetch"]
    assert progress.open_jobs("process") == []


def test_ended_jobs_come_with_what_they_said_and_failed_ones_apart(
    database: Path, progress: JobLookup
) -> None:
    add(database, "deliver-a-b-pacs", "deliver", "SUCCESS", '"refused"')
    add(database, "deliver-a-c-pacs", "deliver", "PENDING")
    add(database, "process-a-b-5", "process", "ERROR")
    assert [j.output for j in progress.ended_since(AN_HOUR_AGO, "deliver")] == ["refused"]
    (failed,) = progress.failed_since(AN_HOUR_AGO, "process")
    assert failed.has_failed
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    assert progress.ended_since(in_an_hour, "deliver") == []


@pytest.mark.parametrize("where", ["sqlite:///{}/nowhere/jobs.sqlite", "sqlite:///{}/empty.sqlite"])
def test_a_database_that_cannot_be_asked_is_unavailable(tmp_path: Path, where: str) -> None:
    reader = JobLookup(where.format(tmp_path))
    with pytest.raises(JobsUnavailable):
        reader.find(["x"])
    reader.close()
