"""Which workers are silent, which slot a worker takes, and how another machine's beat is shown."""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy.exc import OperationalError

from cadnode.node import heartbeat, role_status, worker_lease
from cadnode.node.heartbeat import Beat, Pulse
from cadnode.node.lease_table import Lease, LeaseHolder, LeaseTable
from cadnode.node.poison import Casualties
from cadnode.node.worker_lease import (
    LeaseUnconfirmed,
    Neighbours,
    NoLease,
    WorkerLease,
    lease_of,
)
from cadnode.settings import Settings


def leases(**beats: int) -> list[Lease]:
    return [Lease(name, name, number, n) for number, (name, n) in enumerate(beats.items())]


def silent(neighbours: Neighbours, now: float, **beats: int) -> list[str]:
    return [lease.executor for lease in neighbours.look(leases(**beats), now)]


def test_a_worker_is_silent_whose_lease_stands_still_for_longer_than_the_limit() -> None:
    neighbours = Neighbours(30.0, 15.0)
    for now in (0.0, 10.0, 20.0, 30.0):
        assert silent(neighbours, now, a=7, b=int(now)) == []
    assert silent(neighbours, 30.5, a=7, b=31) == ["a"]
    assert silent(neighbours, 31.0, a=8, b=31) == []  # it lives after all


def test_after_a_gap_nobody_is_silent_until_the_time_has_passed_once_more() -> None:
    neighbours = Neighbours(30.0, 15.0)
    for now in (0.0, 10.0, 20.0):
        silent(neighbours, now, a=7)
    assert silent(neighbours, 300.0, a=7) == []  # the database was away for all
    for now in (310.0, 320.0, 330.0):
        assert silent(neighbours, now, a=7) == []
    assert silent(neighbours, 331.0, a=7) == ["a"]


def test_a_lease_that_came_later_is_not_silent_at_once() -> None:
    neighbours = Neighbours(30.0, 15.0)
    for now in (0.0, 10.0, 20.0, 30.0):
        silent(neighbours, now, a=int(now))
    assert silent(neighbours, 40.0, a=40, b=0) == []


def test_workers_beside_each_other_take_the_first_free_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = role_status.present(tmp_path, "worker", beside=True)
    assert first.__enter__() == "worker"
    with role_status.present(tmp_path, "worker", beside=True) as name:
        assert name == "worker-2"
        first.__exit__(None, None, None)
        assert role_status.look(tmp_path, "worker").is_up  # by its second slot
        with role_status.present(tmp_path, "worker", beside=True) as again:
            assert again == "worker"
    assert not role_status.look(tmp_path, "worker").is_up
    monkeypatch.setattr(role_status, "MOST_SLOTS", 1)
    with (
        role_status.present(tmp_path, "worker", beside=True),
        pytest.raises(role_status.RoleTaken),
        role_status.present(tmp_path, "worker", beside=True),
    ):
        pass


@pytest.mark.parametrize(("age_s", "hangs"), [(1.0, ""), (100.0, "no heartbeat")])
def test_another_machines_beat_is_as_old_as_its_file(
    age_s: float, hangs: str, tmp_path: Path
) -> None:
    with role_status.present(tmp_path, "worker"):
        (tmp_path / "roles" / "worker.pid").write_text("77")
        beat = Beat(77, 1e12, heartbeat.WORKING, boot="another")  # by a clock that means nothing
        path = heartbeat.file_of(tmp_path, "worker").path
        path.write_text(json.dumps(asdict(beat)))
        os.utime(path, (time.time() - age_s, time.time() - age_s))
        assert role_status.look(tmp_path, "worker").hangs == hangs


class Table:
    """A table of leases that answers as a test wants, and what it was asked."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.lives: list[bool] = []

    def beat(self, _executor: str, *, lives: bool = True) -> bool:
        self.lives.append(lives)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def lease_on(table: Table, storage: Path, pulse: Pulse) -> WorkerLease:
    def casualties(slot: str) -> Casualties:
        return Casualties(storage, slot)

    return WorkerLease(cast(LeaseTable, table), "worker-2", "1", pulse, casualties)


def test_a_worker_that_lost_its_lease_lets_go_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_lease.os, "_exit", sys.exit)
    lease = lease_on(Table(False), tmp_path, Pulse())
    with Casualties(tmp_path, "worker-2").in_hand("study", "content"):
        with pytest.raises(SystemExit, match=str(worker_lease.EXIT_CODE)):
            lease.confirm()
        Casualties(tmp_path, "worker-2").note_leftover()
    assert Casualties(tmp_path).deaths() == []  # who ended the lease has noted it


def test_a_lease_is_asked_for_once_in_a_while_and_a_stuck_worker_does_not_prolong_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, pulse = Table(True), Pulse()
    lease = lease_on(table, tmp_path, pulse)
    lease.confirm()
    lease.confirm()
    assert table.lives == [True]
    monkeypatch.setattr(worker_lease, "CONFIRMED_S", -1.0)
    pulse.tick("reading", within_s=-1.0)
    monkeypatch.setattr(table, "answer", OperationalError("", None, Exception()))
    with pytest.raises(LeaseUnconfirmed):
        lease.confirm(0.0)
    assert table.lives == [True, False]


class LostAndFound(LeaseTable):
    """A table in a database that is away for a while: for the first so many beats."""

    def __init__(self, n_away: int, has_job: bool = False) -> None:
        self.n_away, self._has_job = n_away, has_job
        self.n_beats = 0

    def make(self) -> None: ...

    def take(self, holder: LeaseHolder) -> None: ...

    def all(self) -> list[Lease]:
        return leases(a=0)

    def beat(self, executor: str, *, lives: bool = True) -> bool:
        self.n_beats += 1
        if self.n_beats <= self.n_away:
            raise OperationalError("", None, OSError("away"))
        return True

    def release(self, executor: str) -> bool:
        return not self._has_job

    def close(self) -> None: ...


def lease_in(table: LeaseTable, monkeypatch: pytest.MonkeyPatch) -> WorkerLease:
    """A lease that nothing but `confirm` prolongs."""
    monkeypatch.setattr(worker_lease.time, "sleep", lambda _: None)
    monkeypatch.setattr(worker_lease, "EVERY_S", 3600.0)
    return WorkerLease(
        table, "worker", "1", Pulse(), lambda slot: Casualties(Path("/nowhere"), slot)
    )


def test_a_step_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    table = LostAndFound(n_away=100)
    lease = lease_in(table, monkeypatch)
    with pytest.raises(LeaseUnconfirmed):
        lease.confirm(0.0)  # as a reading, which may not wait for long
    lease.confirm()  # the start of a step: it fails for no outage, however long
    assert table.n_beats == 101


def test_a_stopping_worker_waits_for_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = lease_in(LostAndFound(n_away=10**9), monkeypatch)
    lease.release()
    with pytest.raises(LeaseUnconfirmed):
        lease.confirm()


@pytest.mark.parametrize("has_job", [False, True])
def test_a_lease_lasts_as_long_as_a_job_runs(
    has_job: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(WorkerLease, "_hold", lambda self: held.set())
    table = LostAndFound(0, has_job)
    lease = lease_in(table, monkeypatch)
    lease.take()
    lease.release()
    assert held.wait(5.0 if has_job else 0.0) is has_job
    if has_job:
        lease.confirm()  # its steps may go on
    else:
        ended = list[int]()
        monkeypatch.setattr(worker_lease.os, "_exit", ended.append)
        lease.confirm()  # a step of a job that another worker may have by now
        assert ended == [worker_lease.EXIT_CODE]


def test_with_sqlite_there_is_no_lease_and_the_executor_is_as_before(tmp_path: Path) -> None:
    settings = Settings.model_validate({"storage": {"folder": str(tmp_path)}})
    lease = lease_of(settings, "worker", Pulse())
    assert isinstance(lease, NoLease)
    assert lease.executor == worker_lease.WITHOUT_LEASE == "worker"
    assert lease.is_first


def test_a_postgresql_url_names_the_driver_that_is_installed(tmp_path: Path) -> None:
    for given in ("postgresql://u:p@there/jobs", "postgresql+psycopg://u:p@there/jobs"):
        settings = Settings.model_validate({"jobs": {"database_url": given}})
        assert settings.database_url == "postgresql+psycopg://u:p@there/jobs"
