"""The systemd unit is valid, closed, starts a command that exists, and is installed whole."""

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.errors import SettingsError
from cadnode.service_setup import installation
from cadnode.service_setup.installation import ServiceWish
from cadnode.service_setup.unit import UnitFacts, packaged, unit_text
from cadnode.settings import load

_PROGRAM = Path("/opt/cadnode/bin/cadnode")
_CONFIG = Path("/etc/cadnode/cadnode.toml")
_MOST_EXPOSURE = "20"  # tenths of systemd's 0 to 10

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def _unit(folder: Path, text: str) -> Path:
    """The unit with a command that is on every computer: verify asks whether the file exists."""
    copy = folder / "cadnode.service"
    copy.write_text(text.replace(str(_PROGRAM), "/bin/true"))
    return copy


def _installed(root: Path, *, user: str = "cadnode", gpu: bool = False) -> Path:
    installation.run(installation.install_steps(ServiceWish(_PROGRAM, _CONFIG, user, root, gpu)))
    return root / "etc/systemd/system/cadnode.service"


@needs_systemd
@pytest.mark.parametrize("gpu", [False, True])
def test_systemd_accepts_the_unit(tmp_path: Path, gpu: bool) -> None:
    unit = _installed(tmp_path, gpu=gpu)
    unit.write_text(unit.read_text().replace(str(_PROGRAM), "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_unit_leaves_little_exposed(tmp_path: Path) -> None:
    threshold = ["--offline=true", f"--threshold={_MOST_EXPOSURE}"]
    done = subprocess.run(
        ["systemd-analyze", "security", *threshold, _unit(tmp_path, packaged())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-400:]


def test_the_unit_starts_a_command_that_cadnode_has() -> None:
    start = next(x for x in packaged().splitlines() if x.startswith("ExecStart="))
    command = get_command(app)
    assert start.split()[1] in command.list_commands(None)  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize(
    "line",
    ["UMask=0027", "NoNewPrivileges=true", "ProtectSystem=strict", "CapabilityBoundingSet=",
     "User=cadnode", "ReadWritePaths=/var/lib/cadnode"],
)  # fmt: skip
def test_the_unit_runs_as_its_own_user_with_nothing_to_gain(line: str) -> None:
    assert line in packaged().splitlines()


def test_the_packaged_unit_is_that_of_the_documented_places() -> None:
    assert unit_text(UnitFacts(_PROGRAM, _CONFIG)) == packaged()


def test_an_installation_has_settings_to_start_from_and_closed_modes(tmp_path: Path) -> None:
    unit = _installed(tmp_path, user="mammo")

    config = tmp_path / "etc/cadnode/cadnode.toml"
    assert load(config).storage.folder == Path("/var/lib/cadnode")
    modes = {
        str(path.relative_to(tmp_path)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (unit, config, config.parent, config.parent / "environment",
                     tmp_path / "var/lib/cadnode")
    }  # fmt: skip
    assert modes == {
        "etc/systemd/system/cadnode.service": "0o644",
        "etc/cadnode/cadnode.toml": "0o640",
        "etc/cadnode": "0o750",
        "etc/cadnode/environment": "0o640",
        "var/lib/cadnode": "0o750",
    }
    assert "User=mammo" in unit.read_text().splitlines()


def test_a_second_installation_changes_nothing_and_keeps_an_edited_unit_beside(
    tmp_path: Path,
) -> None:
    unit = _installed(tmp_path)
    assert installation.install_steps(ServiceWish(_PROGRAM, _CONFIG, root=tmp_path)) == []

    unit.write_text("[Unit]\nDescription=mine\n")
    _installed(tmp_path)

    assert unit.read_text() == packaged()
    assert "mine" in unit.with_name("cadnode.service.before-cadnode").read_text()


def test_folders_elsewhere_that_the_settings_name_are_opened(tmp_path: Path) -> None:
    config = tmp_path / "etc/cadnode/cadnode.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        '[storage]\nfolder = "/srv/mammo"\n[[destinations]]\nname = "share"\nkind = "folder"\n'
        'folder = "/mnt/results"\n'
    )
    unit = _installed(tmp_path)

    assert "ReadWritePaths=/var/lib/cadnode /srv/mammo /mnt/results" in unit.read_text()
    assert (tmp_path / "srv/mammo").is_dir()
    assert "storage" in config.read_text()  # it is as it was


@pytest.mark.parametrize(
    ("program", "config", "user", "says"),
    [
        ("/home/jane/venv/bin/cadnode", "/etc/cadnode/c.toml", "cadnode", "/home is closed to it"),
        ("/opt/c/bin/cadnode", "node.toml", "cadnode", "needs an absolute path"),
        ("/opt/c/bin/cadnode", "/etc/my node/c.toml", "cadnode", "without spaces"),
        ("/opt/c/bin/cadnode", "/etc/cadnode/c.toml", "x; rm -r", "no name for a system user"),
    ],
)
def test_what_no_service_could_start_with_is_refused(
    program: str, config: str, user: str, says: str, tmp_path: Path
) -> None:
    wish = ServiceWish(Path(program), Path(config), user, tmp_path)
    with pytest.raises(SettingsError, match=says):
        installation.install_steps(wish)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image/var").mkdir(parents=True)
    (tmp_path / "image/var/lib").symlink_to(tmp_path / "of-this-machine")
    with pytest.raises(SettingsError, match="leads out of"):
        _installed(tmp_path / "image")
    assert not (tmp_path / "of-this-machine").exists()


def test_the_folder_of_a_job_database_elsewhere_is_opened(tmp_path: Path) -> None:
    config = tmp_path / "etc/cadnode/cadnode.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[jobs]\ndatabase_url = "sqlite:////srv/jobs/cadnode.sqlite"\n')
    assert "ReadWritePaths=/var/lib/cadnode /srv/jobs\n" in _installed(tmp_path).read_text()


def test_a_dry_run_shows_steps_and_the_unit_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", "/opt/cadnode")
    arguments = ["service", "install", "--dry-run", "--root", str(tmp_path)]
    shown = CliRunner().invoke(app, arguments)
    as_json = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)

    assert shown.exit_code == 0
    assert "NoNewPrivileges=true" in shown.stdout
    assert not as_json["done"]
    assert any("cadnode.service" in step for step in as_json["steps"])
    assert list(tmp_path.iterdir()) == []


def test_without_systemd_or_rights_an_installation_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_RUNNING", tmp_path / "none")
    with pytest.raises(SettingsError, match="--root DIR"):
        installation.refuse_unable(is_elsewhere=False)
    monkeypatch.setattr(installation, "_RUNNING", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match="sudo"):
        installation.refuse_unable(is_elsewhere=False)


def test_removal_takes_the_unit_and_leaves_settings_and_data(tmp_path: Path) -> None:
    unit = _installed(tmp_path)
    installation.run(installation.remove_steps(tmp_path))
    assert not unit.exists()
    assert (tmp_path / "etc/cadnode/cadnode.toml").exists()
    assert installation.remove_steps(tmp_path) == []
