"""A job database that is locked, full, damaged, away or gone: the worker waits, and goes on."""

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dbos._dbos import _get_dbos_instance

from cadnode.node import heartbeat, job_database, job_watch, retry, workflow
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_database import AWAY, DAMAGED, FULL, LOCKED, READ_ONLY, problem_of
from cadnode.node.job_watch import JobWatch
from cadnode.node.jobs import JobLookup, JobsUnavailable, deliver_id, process_id
from cadnode.node.retry import RetryStrategy
from cadnode.node.workflow_steps import FetchAnswer, Start, Steps

STEPS = Steps(
    fetch=lambda *_: FetchAnswer("nothing_asked"),
    fingerprint=lambda *_: "",
    read=lambda *_: True,
    predecessor=lambda *_: "",
    report=lambda *_: 1,
    deliver=lambda *_: "delivered",
    answer=lambda *_: "",
    shadow=lambda *_: "off",
    has_result=lambda *_: False,
    now=lambda: datetime.now(UTC),
    destinations=(),
)


class BeginsAgain(Exception):
    """Instead of running the program again."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(_program: str, _arguments: list[str]) -> None:
        raise BeginsAgain

    monkeypatch.setattr(job_watch.os, "execv", again)
    monkeypatch.setattr(job_watch, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(job_database, "_WITHIN_S", 0.2)
    monkeypatch.setattr(retry, "JOBS", RetryStrategy(0.2))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A job database that has its tables."""
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    workflow.prepare(url)
    return url


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within the block another process's transaction lets nobody in."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def launched(url: str, pulse: Pulse) -> Iterator[tuple[JobWatch, Start]]:
    watch = JobWatch(url, pulse, lambda: False)
    start = watch.launched(STEPS)
    assert start is not None
    try:
        yield watch, start
    finally:
        workflow.stop(within_s=0.0)


def wait_until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_wrong_with_the_file_is_told(url: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    assert problem_of(url, thorough=True) is None
    with locked(path):
        assert problem_of(url) is LOCKED
    assert problem_of(f"sqlite:///{tmp_path / 'nowhere' / 'jobs.sqlite'}") is AWAY
    assert problem_of(f"sqlite:///{tmp_path / 'not-made-yet.sqlite'}") is None
    path.write_bytes(b"this is no database " * 500)
    assert problem_of(url) is DAMAGED
    path.write_bytes(b"")
    assert problem_of(url) is None


def test_a_page_that_is_torn_is_found_when_the_file_is_read_as_a_whole(
    url: str, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:12288] = os.urandom(8192)
    path.write_bytes(content)
    assert problem_of(url, thorough=True) is DAMAGED


def test_a_server_that_is_down_is_away() -> None:
    assert problem_of("postgresql+psycopg://nobody@127.0.0.1:9/jobs") is AWAY


@pytest.mark.skipif(os.geteuid() != 0, reason="root mounts a small disk")
def test_a_disk_without_room_is_full_and_one_that_is_read_only_is_said_so(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        url = f"sqlite:///{disk / 'jobs.sqlite'}"
        workflow.prepare(url)
        (disk / "ballast").write_bytes(b"0" * (shutil.disk_usage(disk).free - 100_000))
        assert problem_of(url) is FULL
        (disk / "ballast").unlink()
        assert problem_of(url) is None
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert problem_of(url) is READ_ONLY
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_worker_waits_for_a_locked_database_says_so_and_goes_on(url: str, tmp_path: Path) -> None:
    pulse, said = Pulse(), []
    with locked(tmp_path / "jobs.sqlite"):
        watch = JobWatch(url, pulse, lambda: len(said) > 2)
        thread = threading.Thread(target=watch.launched, args=(STEPS,))
        thread.start()
        wait_until(lambda: pulse.beat().waits_for)
        said.append(pulse.beat())
        assert said[0].waits_for == "the job database is locked by another process"
        assert said[0].stuck == ""
    try:
        wait_until(lambda: pulse.beat().state == heartbeat.WORKING)
        thread.join()
        with locked(tmp_path / "jobs.sqlite"):  # once more, while it works
            assert not watch.look()
            assert pulse.beat().waits_for
        assert watch.look()
        assert pulse.beat().state == heartbeat.WORKING
    finally:
        workflow.stop(within_s=0.0)


def test_a_damaged_database_is_kept_aside_and_a_new_one_is_made(url: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"this is no database " * 500)

    with launched(url, Pulse()) as (watch, _):
        assert watch.look()

    (kept,) = job_database.damaged_copies(url)
    assert kept.name.startswith("jobs.sqlite.damaged-20")
    assert kept.read_bytes().startswith(b"this is no database")
    assert problem_of(url, thorough=True) is None


@pytest.mark.parametrize("how", ["removed", "replaced", "damaged"])
def test_a_worker_begins_again_when_its_database_is_not_the_one_it_opened(
    how: str, url: str, tmp_path: Path
) -> None:
    path, other = tmp_path / "jobs.sqlite", tmp_path / "backup.sqlite"
    shutil.copy(path, other)
    with launched(url, Pulse()) as (watch, _):
        assert watch.look()
        if how == "removed":
            path.unlink()
        elif how == "replaced":
            other.replace(path)
        else:
            path.write_bytes(b"this is no database " * 500)
        with pytest.raises(BeginsAgain):
            watch.look()


def test_without_models_what_is_to_be_read_stays_queued_where_others_have_read(url: str) -> None:
    with launched(url, Pulse()):
        pass  # its queues stand in the database from now on
    study, content = "0123456789abcdef", "fedcba9876543210"
    lookup, client = JobLookup(url), job_database.client_of(url)
    for name, queue, identifier in (
        ("process", workflow.STUDIES, process_id(study, content, 0)),
        ("answer", workflow.ANSWERS, "answered"),
    ):
        options: Any = {"workflow_name": name, "queue_name": queue, "workflow_id": identifier}
        client.enqueue(options, study, content, 0)

    workflow.launch(STEPS, url, reads=False)
    try:
        wait_until(lambda: not lookup.find(["answered"])["answered"].is_open)
        (job,) = lookup.open_jobs("process")
        assert not job.is_running
    finally:
        workflow.stop(within_s=0.0)
        lookup.close()
        client.destroy()


def test_a_try_that_arrived_since_its_job_was_made_is_not_made_again(url: str) -> None:
    """As by a worker that took over from one which died before it could say so."""
    asked, began = list[float](), time.time()

    def arrived_since(_study: str, _content: str, destination: str, since: float) -> str:
        asked.append(since)
        return "delivered" if destination == "taken" else ""

    steps = replace(
        STEPS,
        deliver=lambda *_: "unverified",  # what a try answers here
        arrived_since=arrived_since,
        destinations=(("taken", 60.0), ("new", 60.0)),
    )
    start, lookup = workflow.launch(steps, url), JobLookup(url)
    try:
        start.deliver("0123456789abcdef", "fedcba9876543210", ["taken", "new"])
        ids = [deliver_id("0123456789abcdef", "fedcba9876543210", n) for n in ("taken", "new")]
        wait_until(lambda: sum(bool(job.output) for job in lookup.find(ids).values()) == 2)
        found = lookup.find(ids)
        assert [found[i].output for i in ids] == ["delivered", "unverified"]
        assert all(began - 1.0 < since <= time.time() for since in asked)
    finally:
        workflow.stop(within_s=0.0)
        lookup.close()


def test_a_worker_begins_again_after_a_write_that_failed(url: str, tmp_path: Path) -> None:
    with launched(url, Pulse()) as (watch, start):
        pages = tmp_path / "jobs.sqlite"
        with closing(sqlite3.connect(pages)) as connection:
            (page_count,) = connection.execute("PRAGMA page_count").fetchone()

        def no_growth(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count={page_count}")

        job_database.event.listen(job_database.Engine, "connect", no_growth)
        try:
            _get_dbos_instance()._sys_db.engine.dispose()
            for n in range(400):
                try:
                    start.consider(f"{n:016x}")
                except Exception:
                    break
        finally:
            job_database.event.remove(job_database.Engine, "connect", no_growth)
        with pytest.raises(BeginsAgain):
            watch.look()


def test_who_asks_for_jobs_has_an_answer_in_time_while_the_database_is_locked(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadnode.node.jobs.ANSWER_WITHIN_S", 0.3)
    lookup = JobLookup(url)
    assert lookup.open_jobs("process") == []
    with locked(tmp_path / "jobs.sqlite"):
        began = time.monotonic()
        for _ in range(12):  # more than may wait at once
            with pytest.raises(JobsUnavailable):
                lookup.open_jobs("process")
        assert time.monotonic() - began < 10.0
    wait_until(lambda: answers(lookup))
    lookup.close()


def answers(lookup: JobLookup) -> bool:
    try:
        lookup.open_jobs("process")
    except JobsUnavailable:
        return False
    return True


def test_a_lookup_follows_a_database_that_was_replaced(url: str, tmp_path: Path) -> None:
    lookup = JobLookup(url)
    announcer = workflow.Announcer(url)
    announcer.fetch("0123456789abcdef")
    assert len(lookup.open_jobs("fetch")) == 1
    (tmp_path / "jobs.sqlite").unlink()
    workflow.prepare(url)

    assert lookup.open_jobs("fetch") == []
    announcer.fetch("0123456789abcdef")
    assert len(lookup.open_jobs("fetch")) == 1
    announcer.close()
    lookup.close()
