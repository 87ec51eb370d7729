"""Roles that stand in several slots: who is asked how the role is, and what a death leaves."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.node import heartbeat, role_status
from cadnode.node.checks import _listeners
from cadnode.node.health import role_problems
from cadnode.node.heartbeat import Beat
from tests.peers import wait_until

_FORK = multiprocessing.get_context("fork")


def _stand(storage: Path, is_waiting: bool) -> None:
    with (
        role_status.present(storage, "listener", beside=True) as slot,
        heartbeat.beating(storage, slot) as pulse,
    ):
        pulse.say("waiting: for room" if is_waiting else heartbeat.WORKING)
        signal.sigwait({signal.SIGUSR1})


@contextmanager
def standing(storage: Path, *, waits: bool = False) -> Iterator[BaseProcess]:
    """A process in the next slot; at the end of the block it is asked to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    process = _FORK.Process(target=_stand, args=(storage, waits))
    process.start()
    wait_until(lambda: process.pid in _at_work(storage))
    try:
        yield process
    finally:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGUSR1)
        process.join()


def _at_work(storage: Path) -> list[int]:
    """Numbers of the processes that say so themselves, and have left their number."""
    roles = storage / "roles"
    beats = [heartbeat.decoded(p.read_bytes()) for p in roles.glob("*.beat")]
    left = [p.read_text() for p in roles.glob("*.pid")]
    return [b.pid for b in beats if b is not None and not b.is_starting and str(b.pid) in left]


def _up(storage: Path) -> list[str]:
    found = role_status.look_around(storage, "listener")
    return [slot for slot, one in found.items() if one.works or one.waits_for]


def test_a_role_is_as_the_slot_that_does_its_work_best(tmp_path: Path) -> None:
    with standing(tmp_path, waits=True), standing(tmp_path):
        assert role_status.look_at(tmp_path, "listener").waits_for == "for room"
        assert role_status.look(tmp_path, "listener").works


def test_a_slot_whose_process_died_is_shown_and_one_that_was_asked_to_end_is_not(
    tmp_path: Path,
) -> None:
    with standing(tmp_path):
        with standing(tmp_path):
            assert _up(tmp_path) == ["listener", "listener-2"]
        assert [*role_status.look_around(tmp_path, "listener")] == ["listener"]
        with standing(tmp_path) as killed:
            killed.kill()
            killed.join()
            found = role_status.look_around(tmp_path, "listener")
            assert [(slot, one.is_up) for slot, one in found.items()] == [
                ("listener", True), ("listener-2", False)
            ]  # fmt: skip
            (problem,) = role_problems(found, None)
            assert (problem.code, problem.severity) == ("role_down", "warning")
            assert [check.verdict.value for check in _listeners(found)] == ["ok", "warning"]
    beat = heartbeat.decoded(heartbeat.file_of(tmp_path, "listener-2").read())
    assert isinstance(beat, Beat)
    assert not role_status.look(tmp_path, "listener").is_up


def test_a_listener_that_could_not_start_is_named_with_the_reason(tmp_path: Path) -> None:
    def fails() -> None:
        with (
            role_status.present(tmp_path, "listener", beside=True) as slot,
            heartbeat.beating(tmp_path, slot),
        ):
            wait_until(heartbeat.file_of(tmp_path, slot).path.exists)
            raise SettingsError("listener.port: it is taken")

    with standing(tmp_path):
        with pytest.raises(SettingsError):
            fails()
        found = role_status.look_around(tmp_path, "listener")
        (problem,) = role_problems(found, None)
        assert (problem.code, problem.severity) == ("role_down", "warning")
        assert problem.meaning == "The listener-2 is down: listener.port: it is taken"
        said = [check.found for check in _listeners(found)]
        assert "listener-2 ended: listener.port: it is taken; the others go on" in said
        with standing(tmp_path) as killed:  # what it ended with is not what an earlier one did
            (tmp_path / "roles/listener-2.error").write_text('{"at": 1.0, "error": "old"}')
            killed.kill()
            killed.join()
            assert role_status.look_at(tmp_path, "listener-2").error == ""


@pytest.mark.parametrize(
    ("slot", "role"),
    [
        ("listener", "listener"), ("listener-2", "listener"), ("worker-12", "worker"),
        ("remote-worker", "remote-worker"), ("remote-worker-2", "remote-worker"),
    ],
)  # fmt: skip
def test_a_slot_is_of_the_role_that_it_is_named_by(slot: str, role: str) -> None:
    assert role_status.role_of(slot) == role
