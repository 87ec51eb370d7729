"""Which workers are silent, which slot a worker takes, and how another machine's beat is shown."""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy.exc import OperationalError

from cadnode.node import heartbeat, role_status, worker_lease
from cadnode.node.heartbeat import Beat, Pulse
from cadnode.node.lease_table import Lease, LeaseTable
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


def test_while_the_database_is_away_nothing_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_lease, "CONFIRM_WITHIN_S", 0.0)
    away = OperationalError("", None, Exception())
    with pytest.raises(LeaseUnconfirmed):
        lease_on(Table(away), tmp_path, Pulse()).confirm()


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
    monkeypatch.setattr(worker_lease, "CONFIRM_WITHIN_S", 0.0)
    with pytest.raises(LeaseUnconfirmed):
        lease.confirm()
    assert table.lives == [True, False]


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
