"""No role outlives its node, and of one storage folder there is one node."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cadnode.demo.archive import free_port
from cadnode.errors import SettingsError
from cadnode.node import role_status, storage_lock

# A role of which the parent holds the other end of standard input, and that says its number.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
time.sleep(600)
"""
BUSY = {
    "while a library holds Python's lock": "ctypes.PyDLL(None).sleep(600)",
    "while a library computes": "ctypes.CDLL(None).sleep(600)",
    "while it sleeps": "time.sleep(600)",
    "while it ignores every signal that can be": (
        "[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]"
        "; time.sleep(600)"
    ),
}
CHILD = """
import ctypes, os, signal, sys, time
from cadnode.node.orphans import end_with_parent
assert end_with_parent()
print(os.getpid(), flush=True)
"""


def wait_until(holds: Callable[[], object], what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize("busy", BUSY)
def test_a_role_ends_with_its_killed_supervisor(busy: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD + BUSY[busy]], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        role = int(parent.stdout.readline())

        parent.kill()

        wait_until(lambda: is_gone(role), f"the role is gone {busy}", within_s=5.0)


def test_a_role_whose_supervisor_died_before_does_not_begin() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as role:
        assert role.stdin is not None
        assert role.stdout is not None
        role.stdin.close()

        assert role.stdout.read() == ""
        assert role.wait(20) == 70


def configured(folder: Path) -> Path:
    config = folder / "node.toml"
    config.write_text(
        f'[storage]\nfolder = "{folder / "data"}"\nmin_free_gb = 0.0\n'
        f'[listener]\nhost = "127.0.0.1"\nport = {free_port()}\n[web]\nport = {free_port()}\n'
    )
    return config


def role(name: str, config: Path) -> subprocess.Popen[str]:
    """A role that is run by hand."""
    return subprocess.Popen(
        [sys.executable, "-m", "cadnode", "serve", "--role", name, "--config", str(config)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_roles_of_different_names_are_run_by_hand_in_one_folder_but_not_two_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, storage = configured(tmp_path), tmp_path / "data"
    running = [role("listener", config), role("web", config)]
    try:
        wait_until(lambda: role_status.look(storage, "listener").works, "it listens", 60.0)
        wait_until(lambda: role_status.look(storage, "web").works, "it serves", 60.0)
        monkeypatch.setattr(role_status, "LOCK_WITHIN_S", 0.1)

        with (
            pytest.raises(role_status.RoleTaken, match=r"a listener works in .*data already"),
            role_status.present(storage, "listener"),
        ):
            pass
        with (
            pytest.raises(SettingsError, match="run by hand"),
            storage_lock.held(storage, within_s=0.1),
        ):
            pass
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.communicate(timeout=30)


HOLDER = """
import sys, time
from pathlib import Path
from cadnode.node.storage_lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_node_is_refused_with_the_folder_and_the_first_ones_number(tmp_path: Path) -> None:
    config, storage = configured(tmp_path), tmp_path / "data"
    storage.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(storage)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        second = subprocess.run(
            [sys.executable, "-m", "cadnode", "serve", "--config", str(config)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        assert second.returncode == 2
        assert f"another node works in {storage}" in second.stderr
        assert f"process id {first.pid} on " in second.stderr
        assert not (storage / "jobs.sqlite").exists()
        first.send_signal(signal.SIGKILL)
        first.wait()
        with storage_lock.held(storage) as lock:  # a killed node leaves the folder free
            assert lock.was_killed
        with storage_lock.held(storage) as lock:
            assert not lock.was_killed


def test_the_folder_is_not_free_before_the_last_role_has_ended(tmp_path: Path) -> None:
    holder = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from cadnode.node.storage_lock import held\n"
        "with held(Path(sys.argv[1])) as lock:\n"
        "    left = subprocess.Popen(['sleep', '600'], pass_fds=(lock.descriptor,))\n"
        "    print(left.pid, flush=True)\n"
        "    import time; time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        left = int(supervisor.stdout.readline())
        supervisor.kill()
        supervisor.wait()
        with pytest.raises(storage_lock.StorageTaken), storage_lock.held(tmp_path, within_s=0.2):
            pass
        os.kill(left, signal.SIGKILL)
        with storage_lock.held(tmp_path):
            pass


def test_a_note_that_cannot_be_read_keeps_no_node_from_starting(tmp_path: Path) -> None:
    (tmp_path / storage_lock.FILE).write_bytes(b"\0" * 300)
    with storage_lock.held(tmp_path) as lock:
        assert not lock.was_killed
        assert json.loads((tmp_path / storage_lock.FILE).read_text().strip("\0\n "))["pid"] == (
            os.getpid()
        )
