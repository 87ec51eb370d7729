"""Several workers on one PostgreSQL database: killed, paused, and of two versions of the jobs."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from cadnode.node import workflow
from cadnode.node.check import CheckVerdict
from cadnode.node.job_database import client_of
from cadnode.node.jobs import JobLookup
from cadnode.node.lease_table import LeaseHolder, LeaseTable
from cadnode.node.poison import Casualties, Cause
from cadnode.node.worker_checks import worker_checks
from cadnode.node.worker_lease import EXIT_CODE, SILENT_S
from cadnode.settings import Settings
from tests.postgres import NEEDS_POSTGRES, PostgresServer, postgres_server

pytestmark = NEEDS_POSTGRES
Worker = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        server.start()
        yield server


class Crew:
    """Workers with doubles for steps, on one database and one folder, and what they noted."""

    def __init__(self, storage: Path, url: str) -> None:
        self.storage, self.url = storage, url
        self.workers: list[Worker] = []
        workflow.prepare(url)
        self._client, self._table = client_of(url), LeaseTable(url)

    def start(self, read_s: float, *more: str) -> Worker:
        command = [sys.executable, "-m", "tests.worker_double", str(self.storage), self.url]
        worker = subprocess.Popen([*command, str(read_s), "--quick", *more])
        self.workers.append(worker)
        return worker

    def announce(self, studies: list[str]) -> None:
        for study in studies:
            self._client.enqueue(
                {"workflow_name": "consider", "queue_name": workflow.ARRIVALS}, study
            )

    def lines(self, step: str) -> list[tuple[str, str]]:
        """(slot, study) of each line of a step, in order."""
        path = self.storage / "steps"
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(slot, of) for _, slot, what, of in found if what == step]

    def counts(self, step: str) -> Counter[str]:
        return Counter(study for _, study in self.lines(step))

    def in_hand(self) -> dict[str, str]:
        """The study that each slot reads just now."""
        done = self.counts("read")
        return {slot: study for slot, study in self.lines("begin") if not done[study]}

    def leases(self) -> list[str]:
        """The slots of the workers that hold a lease."""
        return [lease.slot for lease in self._table.all()]

    def close(self) -> None:
        self._table.close()
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._client.destroy()


@pytest.fixture
def crew(server: PostgresServer, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path, server.url.replace("/cadnode", f"/{tmp_path.name.replace('-', '_')}"))
    yield crew
    crew.close()


def reached(holds: Callable[[], object], what: str, within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def studies(n: int, first: int = 0) -> list[str]:
    return [f"{number:016x}" for number in range(first, first + n)]


def test_what_a_killed_and_a_paused_worker_had_in_hand_is_done_once_by_a_third(crew: Crew) -> None:
    for _ in range(3):
        crew.start(0.5)
    reached(lambda: len(crew.lines("working")) == 3, "three workers run")
    slots = {slot for slot, _ in crew.lines("working")}
    assert slots == {"worker", "worker-2", "worker-3"}
    by_slot = {_slot_of(crew, worker): worker for worker in crew.workers}

    crew.announce(studies(30))
    reached(lambda: crew.in_hand().keys() == slots, "each reads")
    killed, paused = "worker", "worker-2"  # the first is the one that looks after the folder
    by_slot[killed].kill()
    by_slot[paused].send_signal(signal.SIGSTOP)
    left = {study for slot, study in crew.in_hand().items() if slot != "worker-3"}
    reached(lambda: len(crew.counts("deliver")) == 30, "all is delivered")
    by_slot[paused].send_signal(signal.SIGCONT)

    assert by_slot[paused].wait(30.0) == EXIT_CODE  # its lease was ended: it wrote nothing more
    assert {*crew.counts("deliver").values()} == {1}
    assert {*crew.counts("read").values()} == {1}
    assert {study for study, n in crew.counts("begin").items() if n == 2} == left
    causes = [death.cause for death in Casualties(crew.storage).deaths()]
    assert causes == [Cause.KILLED, Cause.KILLED]  # what was in hand is weighed by who takes over
    assert crew.leases() == ["worker-3"]
    assert SILENT_S < 60.0 / 1.5  # the node's own: taken over within a minute


def test_a_lease_is_not_given_back_while_a_job_of_its_worker_runs(crew: Crew) -> None:
    table = LeaseTable(crew.url)
    table.make()
    table.take(LeaseHolder("worker.1", "worker", "here", 1, "1"))
    crew.announce(studies(1))
    engine = create_engine(crew.url)
    change = text("UPDATE dbos.workflow_status SET status = :to, executor_id = 'worker.1'")
    with engine.begin() as connection:
        connection.execute(change, {"to": "PENDING"})
    assert not table.release("worker.1")
    with engine.begin() as connection:
        connection.execute(change, {"to": "SUCCESS"})
    assert table.release("worker.1")
    assert crew.leases() == []
    engine.dispose()
    table.close()


def test_workers_of_two_versions_of_the_jobs_each_finish_their_own(crew: Crew) -> None:
    before, since = studies(2), studies(2, first=8)
    old = crew.start(600.0)
    reached(lambda: crew.lines("working"), "the old one works")
    crew.announce(before)
    lookup = JobLookup(crew.url)
    reached(lambda: crew.lines("begin"), "it reads")
    reached(lambda: len(lookup.open_jobs("process")) == 2, "both are considered")
    lookup.close()
    crew.start(0.1, "--jobs-version", "2")
    reached(lambda: len(crew.lines("working")) == 2, "the new one works")
    crew.announce(since)
    reached(lambda: {*crew.counts("deliver")} == {*since}, "what came since is the new one's")

    old.kill()
    reached(lambda: crew.leases() == ["worker-2"], "the new one ends its lease")
    checks = [*worker_checks(Settings.model_validate({"jobs": {"database_url": crew.url}}))]
    assert [check.verdict for check in checks] == [CheckVerdict.OK]
    assert checks[0].found.startswith("1 share the job database: worker-2 on ")
    crew.announce(studies(1, first=10))
    reached(lambda: len(crew.counts("deliver")) == 3, "and goes on with its own")
    assert not {*before} & {*crew.counts("read")}  # never read on code of another version
    crew.start(0.1)
    reached(lambda: len(crew.counts("deliver")) == 5, "another old one finishes them")
    assert {slot for slot, of in crew.lines("read") if of in before} == {"worker"}
    assert {*crew.counts("deliver").values()} == {1}


def _slot_of(crew: Crew, worker: Worker) -> str:
    for slot in ("worker", "worker-2", "worker-3"):
        if (crew.storage / "roles" / f"{slot}.pid").read_text() == str(worker.pid):
            return slot
    raise AssertionError
