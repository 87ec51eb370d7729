"""A role whose supervisor is gone stops, also when that was before the role had begun."""

import subprocess
import sys

ROLE = """
import time
from cadnode.node.supervise import stopping_on_signal

with stopping_on_signal(supervised=True) as stopping:
    print("begun", flush=True)
    while not stopping():
        time.sleep(0.01)
print("stopped", flush=True)
"""


def role() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ROLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_role_stops_when_its_supervisor_goes() -> None:
    with role() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None

        process.stdin.close()

        assert process.stdout.readline() == "stopped\n"
        assert process.wait(30) == 0


def test_a_role_whose_supervisor_was_gone_before_it_began_stops() -> None:
    with role() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()

        assert process.stdout.read() == "begun\nstopped\n"


def test_a_role_that_is_run_by_hand_waits_for_its_signal() -> None:
    command = [sys.executable, "-c", ROLE]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None

        process.terminate()

        assert process.stdout.read().endswith("stopped\n")
