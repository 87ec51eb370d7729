"""What the node says of its own health: to whoever is called out at night."""

import fcntl
import os
import shutil
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from cadnode.errors import ModelError
from cadnode.node import health as room
from cadnode.node import heartbeat, role_status, storage_overview, worker_state
from cadnode.node.health import (
    Committing,
    HealthCheck,
    QueueHealth,
    Waiting,
    committing,
    queue_problems,
)
from cadnode.node.heartbeat import Beat
from cadnode.node.jobs import DeliveryStatus, Job, JobsUnavailable
from cadnode.node.retention_rules import KeptBecause
from cadnode.node.storage_overview import Amount, StorageOverview
from cadnode.node.supervise import ROLES
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.node.worker_state import ModelProblem, NodeState
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import Ended, FetchCode, Request
from cadnode.settings import Settings


class Jobs:
    def __init__(self, *jobs: Job) -> None:
        self.jobs = jobs
        self.is_away = False

    def _of(self, names: tuple[str, ...]) -> list[Job]:
        if self.is_away:
            raise JobsUnavailable
        return [job for job in self.jobs if job.name in names]

    def open_jobs(self, *names: str) -> list[Job]:
        return [job for job in self._of(names) if job.is_open]

    def failed_since(self, since: datetime, *names: str) -> list[Job]:
        return [job for job in self._of(names) if job.has_failed]

    def ended_since(self, since: datetime, *names: str) -> list[Job]:
        return [job for job in self._of(names) if job.status == "SUCCESS"]


def job(
    name: str, status: str, *, identifier: str = "i", output: str | None = None, age_s: float = 0
) -> Job:
    return Job(identifier, name, status, output, time.time() - age_s, 0.0)


def values(folder: Path, min_free_gb: float = 0.0) -> Settings:
    destination = {"name": "far-away", "kind": "folder", "folder": "/nowhere"}
    return Settings(
        storage={"folder": folder, "min_free_gb": min_free_gb}, destinations=[destination]
    )


def check(folder: Path, jobs: Jobs, *, min_free_gb: float = 0.0) -> HealthCheck:
    settings = values(folder, min_free_gb)
    (folder / "spool").mkdir(parents=True, exist_ok=True)
    return HealthCheck(settings, jobs)  # type: ignore[arg-type]


def codes(health: room.Health) -> list[str]:
    return [problem.code for problem in health.problems]


@pytest.fixture
def all_up(tmp_path: Path) -> Path:
    """A storage folder whose node has all roles up, for as long as the test runs."""
    contexts = [role_status.present(tmp_path, role) for role in ROLES]
    for context in contexts:
        context.__enter__()
    worker_state.write(tmp_path, NodeState(pid=os.getpid(), models=()))
    yield tmp_path
    for context in contexts:
        context.__exit__(None, None, None)


def test_a_node_with_all_roles_up_and_nothing_to_do_is_well(all_up: Path) -> None:
    found = check(all_up, Jobs())()
    assert found.is_ok
    assert found.roles == {"worker": "up", "listener": "up", "web": "up"}
    assert found.problems == ()
    assert found.queue == {
        "fetching": {"waiting": 0, "oldest_s": 0},
        "reading": {"waiting": 0, "oldest_s": 0},
        "delivering": {"far-away": {"waiting": 0, "oldest_s": 0}},
        "undelivered": {},
    }


def test_a_role_that_is_not_there_is_named(tmp_path: Path) -> None:
    with role_status.present(tmp_path, "web"), role_status.present(tmp_path, "listener"):
        found = check(tmp_path, Jobs())()
    assert not found.is_ok
    assert found.roles == {"worker": "down", "listener": "up", "web": "up"}
    assert [p.meaning for p in found.problems] == ["The worker is down"]


def test_a_role_is_up_only_while_its_process_holds_its_lock(tmp_path: Path) -> None:
    assert not role_status.look(tmp_path, "worker").is_up
    with role_status.present(tmp_path, "worker"):
        assert role_status.look(tmp_path, "worker").is_up
        assert role_status.look(tmp_path, "worker").pid == os.getpid()
    assert not role_status.look(tmp_path, "worker").is_up
    assert role_status.look(tmp_path, "worker").pid == 0


def test_looking_at_a_role_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    with role_status.present(tmp_path, "worker"):
        role_status.look(tmp_path, "worker")
    with (tmp_path / "roles" / "worker.lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_worker_that_loads_its_models_is_starting_which_is_no_fault(all_up: Path) -> None:
    (all_up / worker_state.FILE).unlink()
    found = check(all_up, Jobs())()
    assert found.is_ok
    assert found.roles["worker"] == "starting"
    assert codes(found) == ["role_starting"]


def test_a_role_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelError),
        role_status.present(tmp_path, "worker"),
    ):
        raise ModelError("no active model reads whole views")
    role_status.note_death(tmp_path, "worker", 4)
    found = check(tmp_path, Jobs())()
    assert not found.is_ok
    assert found.roles["worker"] == "restarting"
    assert "no active model reads whole views" in found.problems[0].meaning


def test_what_a_role_said_long_ago_is_not_taken_for_the_reason_of_another_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError), role_status.present(tmp_path, "worker"):
        raise ModelError("no active model reads whole views")
    later = time.time() + 3600
    monkeypatch.setattr(role_status.time, "time", lambda: later)
    role_status.note_death(tmp_path, "worker", -9)
    assert role_status.look(tmp_path, "worker").error == ""
    assert role_status.look(tmp_path, "worker").exit_code == -9


def test_a_role_that_got_over_its_death_is_well_again(
    all_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_status.note_death(all_up, "listener", -9)
    assert check(all_up, Jobs())().roles["listener"] == "restarting"
    later = time.time() + role_status.SETTLED_S + 1
    monkeypatch.setattr(role_status.time, "time", lambda: later)
    assert check(all_up, Jobs())().is_ok


def test_a_worker_that_runs_again_after_a_death_is_up_and_the_death_is_told(all_up: Path) -> None:
    role_status.note_death(all_up, "worker", -9)
    found = check(all_up, Jobs())()
    assert found.is_ok
    assert found.roles["worker"] == "up"
    assert codes(found) == ["role_died"]


def test_models_that_cannot_be_loaded_are_named(all_up: Path) -> None:
    problem = ModelProblem(code="model", message="m 1.0.0: the weights are damaged")
    worker_state.write(all_up, NodeState(pid=os.getpid(), models=(), problem=problem))
    found = check(all_up, Jobs())()
    assert not found.is_ok
    assert "m 1.0.0: the weights are damaged" in found.problems[0].meaning


def test_a_full_disk_is_told(all_up: Path) -> None:
    found = check(all_up, Jobs(), min_free_gb=1e9)()
    assert codes(found) == ["disk_low"]
    assert not found.is_ok


def test_a_job_database_that_is_away_is_told(all_up: Path) -> None:
    jobs = Jobs()
    jobs.is_away = True
    found = check(all_up, jobs)()
    assert codes(found) == ["jobs_away"]
    assert not found.is_ok


def test_what_waits_is_counted_with_the_age_of_the_oldest(all_up: Path) -> None:
    deliver = "deliver-0123456789abcdef-fedcba9876543210-far-away"
    jobs = Jobs(
        job("process", "PENDING", age_s=100),
        job("process", "ENQUEUED", age_s=50),
        job("consider", "DELAYED", age_s=500),  # not quiet yet: waits for the study, not for us
        job("consider", "ENQUEUED", age_s=10),
        job("deliver", "PENDING", identifier=deliver, age_s=40),
    )
    requests.save(all_up / "spool", Request("1.2.3", "orthanc"))
    queue = check(all_up, jobs)().queue
    assert queue["reading"] == {"waiting": 3, "oldest_s": 100}
    assert queue["delivering"] == {"far-away": {"waiting": 1, "oldest_s": 40}}
    assert queue["fetching"]["waiting"] == 1


def missing(destination: str, status: str, n: int, **more: object) -> Undelivered:
    values = {"reason": "answered 0124, not authorized", "since": 1.0, "at": 2.0, **more}
    return Undelivered(f"{n:016x}", "c" * 16, destination, DeliveryStatus(status), **values)  # type: ignore[arg-type]


def test_what_a_destination_refused_is_counted_until_it_is_dealt_with(all_up: Path) -> None:
    index = UndeliveredIndex(all_up)
    index.put(missing("far-away", "given_up", 1, reason=""))
    index.put(missing("pacs", "refused", 2, next_at=3.0))
    index.put(missing("pacs", "refused", 3, next_at=3.0))
    index.put(missing("pacs", "retry", 4))
    health = check(all_up, Jobs(job("process", "ERROR")))

    found = health()

    assert not found.is_ok, "also after more than a day"
    assert found.is_able, "the node does its work: a monitor that asks for 200 wakes nobody"
    assert [(p.code, p.meaning, p.severity) for p in found.problems] == [
        ("delivery_given_up", "far-away was away for too long for 1 result", "degraded"),
        (
            "delivery_refused",
            "pacs refused 2 results (answered 0124, not authorized)",
            "degraded",
        ),
        ("reading_failed", "Studies of the last day that could not be read: 1", "warning"),
    ]
    assert found.queue["undelivered"] == {"far-away": 1, "pacs": 2}
    for entry in index.all():
        index.settle(*entry.key)
    assert check(all_up, Jobs())().is_ok


def test_what_waits_for_a_commitment_is_counted_apart_and_named_once_overdue() -> None:
    peer = {"name": "pacs", "port": 104, "ae_title": "PACS", "commit": True}
    settings = Settings(destinations=[peer, {**peer, "name": "other", "commit": False}])
    waits = replace(missing("pacs", "awaiting_commitment", 1, since=0.0), overdue_at=100.0)
    other = replace(missing("pacs", "refused", 2), overdue_at=None)

    early, late = (committing(settings, [waits, other], now) for now in (99.0, 100.0))

    assert early == {"pacs": Committing(Waiting(1, 99.0), 0)}
    assert late == {"pacs": Committing(Waiting(1, 100.0), 1)}
    assert list(queue_problems(QueueHealth(committing=early))) == []
    (problem,) = queue_problems(QueueHealth(committing=late))
    assert (problem.code, problem.severity) == ("commitment_overdue", "degraded")
    assert QueueHealth(committing=late).as_dict()["committing"] == {
        "pacs": {"waiting": 1, "oldest_s": 100, "overdue": 1}
    }


def test_a_result_that_waits_since_its_first_try_is_late(all_up: Path) -> None:
    waits = missing("far-away", "retry", 1, since=time.time() - 700)
    UndeliveredIndex(all_up).put(waits)
    refused = missing("far-away", "refused", 2)
    UndeliveredIndex(all_up).put(refused)
    ids = ["again0-" + "-".join(entry.key) for entry in (waits, refused)]
    jobs = Jobs(*(job("deliver", "DELAYED", identifier=i, age_s=5) for i in ids))

    found = check(all_up, jobs)()

    assert found.queue["delivering"] == {"far-away": {"waiting": 1, "oldest_s": 700}}
    assert codes(found) == ["destination_away", "delivery_refused"]


@pytest.mark.parametrize(
    ("queue", "code", "is_failing"),
    [
        (QueueHealth(delivering={"a": Waiting(2, 601)}), "destination_away", True),
        (QueueHealth(reading=Waiting(2, 1801)), "reading_late", False),
        (QueueHealth(fetching=Waiting(2, 601)), "source_away", False),
    ],
)
def test_what_waits_for_too_long_is_a_problem(
    queue: QueueHealth, code: str, is_failing: bool
) -> None:
    (problem,) = queue_problems(queue)
    assert (problem.code, problem.failing) == (code, is_failing)


def test_what_waits_for_a_while_is_none() -> None:
    a_while = QueueHealth(Waiting(9, 600), Waiting(9, 1800), {"a": Waiting(9, 600)})
    assert list(queue_problems(a_while)) == []


def test_asking_often_does_not_ask_the_database_often(all_up: Path) -> None:
    jobs = Jobs()
    health = check(all_up, jobs)
    first = health()
    jobs.is_away = True
    assert health() is first


def test_a_source_that_is_tried_again_and_again_is_away_since_it_was_asked_first(
    all_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, now = all_up / "spool", time.time()
    monkeypatch.setattr(requests.time, "time", lambda: now - 700)
    key = requests.save(spool, Request("1.2.3", "orthanc"))
    monkeypatch.undo()
    taken = requests.take(spool, key)
    assert taken is not None
    taken.postpone(Ended(FetchCode.SOURCE_UNREACHABLE, is_final=False))
    assert codes(check(all_up, Jobs())()) == ["source_away"]


def test_fetches_that_came_to_nothing_for_good_are_counted_by_reason(all_up: Path) -> None:
    ways = [
        ("1.2.1", FetchCode.FETCHED), ("1.2.2", FetchCode.NO_MAMMOGRAMS),
        ("1.2.3", FetchCode.GIVEN_UP), ("1.2.4", FetchCode.GIVEN_UP),
    ]  # fmt: skip
    for study, code in ways:
        taken = requests.take(
            all_up / "spool", requests.save(all_up / "spool", Request(study, "a"))
        )
        assert taken is not None
        taken.finish(Ended(code, is_final=True))
    found = check(all_up, Jobs())()
    assert found.is_ok
    assert [(p.code, p.meaning) for p in found.problems] == [
        ("fetch_failed", "Studies of the last day that could not be fetched: 2")
    ]


def test_a_new_worker_is_not_taken_for_one_of_the_same_number_before_it(tmp_path: Path) -> None:
    worker_state.write(tmp_path, NodeState(pid=os.getpid(), models=()))
    with role_status.present(tmp_path, "worker"):
        found = check(tmp_path, Jobs())()
    assert found.roles["worker"] == "starting"


def beats(folder: Path, role: str, state: str, *, stuck: str = "", ago_s: float = 0.0) -> None:
    beat = Beat(os.getpid(), time.monotonic() - ago_s, state, stuck)
    heartbeat.file_of(folder, role).write(heartbeat.encoded(beat))


def test_a_role_that_hangs_is_named_and_fails(all_up: Path) -> None:
    beats(all_up, "worker", heartbeat.WORKING, stuck="reading")
    beats(all_up, "listener", heartbeat.WORKING, ago_s=heartbeat.SHOWN_SILENT_S + 1)
    beats(all_up, "web", heartbeat.WORKING)

    found = check(all_up, Jobs())()

    assert not found.is_ok
    assert found.roles == {"worker": "hanging", "listener": "hanging", "web": "up"}
    assert [p.meaning for p in found.problems] == [
        "The worker hangs: reading", "The listener hangs: no heartbeat",
    ]  # fmt: skip


def test_a_role_that_waits_says_for_what_and_fails(all_up: Path) -> None:
    beats(all_up, "worker", f"{heartbeat.WAITING}: the job database is damaged")

    found = check(all_up, Jobs())()

    assert (found.is_ok, found.roles["worker"]) == (False, "waiting")
    assert codes(found) == ["role_waiting"]
    assert found.problems[0].meaning == "The worker waits: the job database is damaged"


def test_a_role_that_was_killed_because_it_hung_says_so(all_up: Path) -> None:
    role_status.note_death(all_up, "worker", -9, "no heartbeat")
    found = check(all_up, Jobs())()
    assert (codes(found), found.is_ok) == (["role_died"], True)
    assert "(it hung: no heartbeat)" in found.problems[0].meaning


def test_a_worker_without_room_for_its_state_works_all_the_same(all_up: Path) -> None:
    (all_up / worker_state.FILE).unlink()
    beats(all_up, "worker", heartbeat.WORKING)
    assert check(all_up, Jobs())().roles["worker"] == "up"


def test_what_a_lost_database_left_and_which_studies_are_set_aside_is_told(all_up: Path) -> None:
    (all_up / "set_aside").mkdir()
    (all_up / "set_aside" / f"{'0' * 16}-{'1' * 16}.json").write_text(
        '{"code": "reading_hangs_worker"}'
    )
    (all_up / "jobs.sqlite.damaged-20261129T002200Z").write_bytes(b"")
    worker_state.note_taken_up(all_up, 3)
    worker_state.note_taken_up(all_up, 0)  # a later launch that found nothing

    found = check(all_up, Jobs())()

    assert not found.is_ok
    assert codes(found) == [
        "study_set_aside_reading_hangs_worker", "jobs_damaged", "deliveries_taken_up",
    ]  # fmt: skip
    assert "jobs.sqlite.damaged-20261129T002200Z" in found.problems[1].meaning
    assert found.problems[2].meaning.endswith(": 3")


def near_the_mark(folder: Path, kept: dict[KeptBecause, Amount]) -> None:
    """The last look found as many bytes as make the disk fuller than its high mark."""
    free = shutil.disk_usage(folder).free
    storage_overview.write(folder, StorageOverview(time.time(), Amount(9, 99 * free), kept=kept))


def test_a_disk_near_its_mark_makes_the_node_degraded_and_says_why_nothing_goes(
    all_up: Path,
) -> None:
    near_the_mark(all_up, {KeptBecause.UNDELIVERED: Amount(7, 3_000_000_000)})

    found = check(all_up, Jobs())()

    assert codes(found) == ["disk_near_full"]
    assert not found.is_ok
    assert "7 (3.0 GB) not delivered to every destination" in found.problems[0].hint


def test_a_full_disk_of_which_nothing_may_go_says_so(all_up: Path) -> None:
    near_the_mark(all_up, {KeptBecause.UNREAD: Amount(2, 1_000_000_000)})

    (problem,) = check(all_up, Jobs(), min_free_gb=1e9)().problems

    assert problem.code == "disk_low"
    assert "A700" in problem.hint
    assert "not read, or its reading failed" in problem.hint


def test_a_housekeeping_that_does_not_come_round_is_a_warning(all_up: Path) -> None:
    storage_overview.write(all_up, StorageOverview(time.time() - 7200))

    found = check(all_up, Jobs())()

    assert codes(found) == ["retention_late"]
    assert found.is_ok
