"""The systemd unit is valid, closed, and starts a command that exists."""

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from cadnode.cli.app import app

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "cadnode.service"
_MOST_EXPOSURE = "20"  # tenths of systemd's 0 to 10

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def _unit(folder: Path) -> Path:
    """The unit with a command that is on every computer: verify asks whether the file exists."""
    copy = folder / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/cadnode/bin/cadnode", "/bin/true"))
    return copy


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", _unit(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_unit_leaves_little_exposed(tmp_path: Path) -> None:
    threshold = ["--offline=true", f"--threshold={_MOST_EXPOSURE}"]
    done = subprocess.run(
        ["systemd-analyze", "security", *threshold, _unit(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-400:]


def test_the_unit_starts_a_command_that_cadnode_has() -> None:
    start = next(x for x in UNIT.read_text().splitlines() if x.startswith("ExecStart="))
    command = get_command(app)
    assert start.split()[1] in command.list_commands(None)  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize(
    "line",
    ["UMask=0027", "NoNewPrivileges=true", "ProtectSystem=strict", "CapabilityBoundingSet=",
     "User=cadnode", "ReadWritePaths=/var/lib/cadnode"],
)  # fmt: skip
def test_the_unit_runs_as_its_own_user_with_nothing_to_gain(line: str) -> None:
    assert line in UNIT.read_text().splitlines()
