import io
import json
import socket
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cadnode import __version__
from cadnode.cli.app import app
from cadnode.cli.output import print_checks
from cadnode.cli.panels import PANELS
from cadnode.node.checks import Check, CheckVerdict
from cadnode.settings import load
from tests.synthetic import view_dataset, write

runner = CliRunner()


@pytest.mark.parametrize(
    "command",
    [[], ["serve"], ["read"], ["send"], ["check"], ["demo"], ["train", "kim2018"],
     ["models", "list"], ["phantom"], ["evaluate", "detection"],
     ["evaluate", "kim2018"]],
)  # fmt: skip
def test_help_of_every_command_says_what_it_does(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 300


def test_version_is_printed() -> None:
    assert runner.invoke(app, ["--version"]).output.strip() == f"cadnode {__version__}"


def test_the_printed_example_is_a_configuration_that_loads(tmp_path: Path) -> None:
    result = runner.invoke(app, ["check", "--example"])
    path = tmp_path / "cadnode.toml"
    path.write_text(result.output)
    assert load(path).listener.ae_title == "CADNODE"


def test_a_wrong_setting_ends_with_exit_code_2_and_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "cadnode.toml"
    path.write_text("[listener]\nprot = 1\n")
    result = runner.invoke(app, ["check", "--config", str(path)])
    assert result.exit_code == 2
    assert "listener.prot" in result.stderr
    assert "Traceback" not in result.output


def test_check_tells_what_is_wrong_as_json_and_by_its_exit_code(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: the peer refuses
        path = tmp_path / "cadnode.toml"
        path.write_text(
            f"[storage]\nfolder = '{tmp_path}'\nmin_free_gb = 0\n"
            f"[[destinations]]\nname = 'pacs'\nport = {nobody.getsockname()[1]}\n"
            "ae_title = 'PACS'\ntimeout_s = 2.0\n"
        )
        result = runner.invoke(app, ["check", "--config", str(path), "--json"])
    checks = {c["name"]: c for c in json.loads(result.stdout)}
    assert result.exit_code == 2
    assert checks["destination pacs"]["verdict"] == "failed"
    assert checks["storage"]["verdict"] == "ok"
    assert checks["device"]["verdict"] == "ok"
    assert checks["model"]["verdict"] == "ok"


@pytest.mark.parametrize("peer", ["PACS", "PACS@host", "PACS@host:0", "PACS@host:99999"])
def test_a_peer_written_wrongly_is_explained(tmp_path: Path, peer: str) -> None:
    (tmp_path / "a.dcm").write_bytes(b"x")
    result = runner.invoke(app, ["send", str(tmp_path), "--to", peer])
    assert result.exit_code == 2
    assert "AE@HOST:PORT" in result.stderr


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(tmp_path: Path) -> None:
    write(view_dataset(), tmp_path / "a.dcm")
    result = runner.invoke(app, ["send", str(tmp_path), "--to", "PACS@127.0.0.1:1", "--dry-run"])
    assert result.exit_code == 0
    assert "1 files would go to PACS" in result.output


def test_reading_what_is_not_there_is_an_error_of_the_arguments(tmp_path: Path) -> None:
    result = runner.invoke(app, ["read", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "there is no" in result.stderr


def test_what_a_check_advises_is_printed_with_its_brackets() -> None:
    console = Console(width=120, record=True, file=io.StringIO())

    print_checks(console, [Check("a", CheckVerdict.WARNING, "[x]", "add a [[destinations]] block")])

    assert "→ add a [[destinations]] block" in console.export_text()


def test_the_help_shows_every_command_under_a_heading() -> None:
    known = {name for names in PANELS.values() for name in names}
    assert known == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
