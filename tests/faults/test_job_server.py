"""A job database on PostgreSQL that is down at the start, and goes down while the worker works."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from cadnode.node import heartbeat, job_database, job_watch, retry, workflow
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_watch import JobWatch
from cadnode.node.jobs import JobLookup
from cadnode.node.retry import RetryStrategy
from tests.faults.test_job_database import STEPS, wait_until
from tests.postgres import NEEDS_POSTGRES, PostgresServer, postgres_server

pytestmark = NEEDS_POSTGRES


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    def never(*_: object) -> None:
        raise AssertionError("the worker began again")

    monkeypatch.setattr(job_watch.os, "execv", never)
    monkeypatch.setattr(job_watch, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(retry, "JOBS", RetryStrategy(0.2))
    with postgres_server() as server:
        yield server


def test_a_worker_waits_for_its_server_at_the_start_and_while_it_works(
    server: PostgresServer,
) -> None:
    pulse, considered = Pulse(), threading.Event()
    started: list[object] = []
    watch = JobWatch(server.url, pulse, lambda: False)
    steps = replace(STEPS, fingerprint=_noting(considered))
    thread = threading.Thread(target=lambda: started.append(watch.launched(steps)))
    thread.start()
    wait_until(lambda: pulse.beat().waits_for)
    assert pulse.beat().waits_for == "the job database does not answer"

    server.start()  # without the database: it is made
    wait_until(lambda: pulse.beat().state == heartbeat.WORKING, 30.0)
    thread.join()
    try:
        server.stop()
        wait_until(lambda: not watch.look())
        assert job_database.problem_of(server.url) is job_database.AWAY
        server.start()
        wait_until(watch.look)
        announcer, lookup = workflow.Announcer(server.url), JobLookup(server.url)
        assert _has_index(server.url)
        announcer.announce("0123456789abcdef", 0.1)
        wait_until(considered.is_set, 60.0)  # jobs run again by themselves
        announcer.close()
        lookup.close()
    finally:
        workflow.stop(within_s=0.0)


def _has_index(url: str) -> bool:
    """Whether open jobs are found by an index of ours."""
    query = "SELECT 1 FROM pg_indexes WHERE schemaname = 'dbos' AND indexname = 'cadnode_by_state'"
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.execute(text(query)).first() is not None


def _noting(event: threading.Event) -> Callable[..., str]:
    def fingerprint(*_: object) -> str:
        event.set()
        return ""

    return fingerprint
