"""A job database on PostgreSQL that is down at the start, and goes down while the worker works."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from cadnode.demo.archive import free_port
from cadnode.node import heartbeat, job_database, job_watch, retry, workflow
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_watch import JobWatch
from cadnode.node.jobs import JobLookup
from cadnode.node.retry import RetryStrategy
from tests.faults.test_job_database import STEPS, wait_until

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
pytestmark = [
    pytest.mark.skipif(not _BINARIES, reason="PostgreSQL is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="root runs the server as another user"),
]


class Server:
    """A PostgreSQL server of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.bin = _BINARIES[-1].parent
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/cadnode"
        shutil.chown(folder, "postgres")
        self._run("initdb", "-D", str(self.folder), "-A", "trust", "--no-sync")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "-w", "stop")

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", str(self.bin / name), *arguments],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    def never(*_: object) -> None:
        raise AssertionError("the worker began again")

    monkeypatch.setattr(job_watch.os, "execv", never)
    monkeypatch.setattr(job_watch, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(retry, "JOBS", RetryStrategy(0.2))
    folder = Path(tempfile.mkdtemp(prefix="cadnode-pg-"))  # where another user may go
    server = Server(folder)
    try:
        yield server
    finally:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", str(server.bin / "pg_ctl"), "-D",
             str(server.folder), "-m", "immediate", "stop"],
            check=False, capture_output=True, cwd="/",
        )  # fmt: skip
        shutil.rmtree(folder)


def test_a_worker_waits_for_its_server_at_the_start_and_while_it_works(server: Server) -> None:
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
