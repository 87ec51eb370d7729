"""A role that lives but does not do its work is noticed, killed and started again."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cadnode.node import heartbeat, role_status
from cadnode.node.heartbeat import Beat, Listened, Pulse
from cadnode.node.poison import Casualties, Cause
from cadnode.node.storage_lock import held
from cadnode.node.supervise import _Role

ROLE = """
import sys, time
from pathlib import Path
from cadnode.node import heartbeat, role_status
from cadnode.node.poison import Casualties
heartbeat.EVERY_S = 0.05
storage = Path(sys.argv[1])
with role_status.present(storage, "worker"), heartbeat.beating(storage, "worker") as pulse:
    pulse.say(heartbeat.WORKING)
    hang = storage / "hang"
    while not hang.exists():
        pulse.tick("loop", 0.5)
        time.sleep(0.02)
    hang.unlink()
    with Casualties(storage).in_hand("0123456789abcdef", "fedcba9876543210"):
        with pulse.step("reading", 0.2):
            while True:
                pulse.tick("loop", 0.5)
                time.sleep(0.02)
"""


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Role]:
    monkeypatch.setattr(heartbeat, "SILENT_S", 1.0)
    with held(tmp_path) as lock:
        role = _Role("worker", [sys.executable, "-c", ROLE, str(tmp_path)], tmp_path, lock)
        role.start()
        try:
            watch(role, lambda: role.line.last.state == heartbeat.WORKING)
            yield role
        finally:
            if role.process is not None:
                role.process.kill()
                role.process.wait()
            role.line.close()


def watch(role: _Role, until: Callable[[], bool]) -> None:
    """Supervise until something holds."""
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        role.look()
        time.sleep(0.05)


def pid_of(role: _Role) -> int:
    return role.process.pid if role.process else 0


def test_a_stopped_role_is_killed_and_started_again(role: _Role, tmp_path: Path) -> None:
    first = pid_of(role)
    os.kill(first, signal.SIGSTOP)

    watch(role, lambda: pid_of(role) not in (first, 0))

    assert role_status.look(tmp_path, "worker").hung == "no heartbeat"
    assert [death.cause for death in Casualties(tmp_path).deaths()] == [Cause.HUNG]
    watch(role, lambda: role.line.last.state == heartbeat.WORKING)
    assert role_status.look(tmp_path, "worker").pid == pid_of(role)


def test_a_role_whose_step_does_not_end_is_killed_and_the_study_in_hand_is_noted(
    role: _Role, tmp_path: Path
) -> None:
    first = pid_of(role)
    (tmp_path / "hang").touch()

    watch(role, lambda: pid_of(role) not in (first, 0))

    (death,) = Casualties(tmp_path).deaths()
    assert (death.cause, death.hand) == (Cause.HUNG, "0123456789abcdef-fedcba9876543210")
    assert role_status.look(tmp_path, "worker").hung == "reading"


def test_a_role_that_works_is_left_alone_also_after_the_supervisor_did_not_run(
    role: _Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pid_of(role)
    watch(role, lambda: True)
    os.kill(first, signal.SIGSTOP)  # the machine slept: neither of them ran
    now = time.monotonic
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now() + 3600)
    role.look()
    os.kill(first, signal.SIGCONT)

    for _ in range(10):
        role.look()
        time.sleep(0.05)

    assert pid_of(role) == first


def test_a_beat_names_the_part_that_does_not_go_on() -> None:
    pulse = Pulse()
    pulse.say(heartbeat.WORKING)
    pulse.tick("loop", 60.0)
    assert pulse.beat().stuck == ""
    pulse.tick("event loop", -1.0)
    assert pulse.beat().stuck == "event loop"
    pulse.ended("event loop")
    with pulse.step("reading", -1.0):
        assert pulse.beat().stuck == "reading"
    assert pulse.beat().stuck == ""


def test_what_a_role_waits_for_is_seen_and_no_hang(tmp_path: Path) -> None:
    with role_status.present(tmp_path, "worker"), heartbeat.beating(tmp_path, "worker") as pulse:
        pulse.say(heartbeat.WAITING, "the job database is locked by another process")
        deadline = time.monotonic() + 10
        while not (seen := role_status.look(tmp_path, "worker")).waits_for:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert seen.waits_for == "the job database is locked by another process"
    assert (seen.is_up, seen.hangs, seen.works) == (True, "", True)


def test_a_line_of_another_version_is_no_beat_but_a_sign_of_life() -> None:
    listened = Listened()
    listened.role_end.send(b'{"pid": 1, "of_the_future": true}\nnothing\n')
    assert listened.stuck() == ""
    assert listened.last == Beat(0, listened.last.at)
    listened.close()
