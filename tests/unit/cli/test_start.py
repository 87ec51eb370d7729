"""A node whose settings cannot work is not started: one sentence, exit code 2, no process."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.node import supervise


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_words: object) -> None:
        raise AssertionError("a role was started")

    monkeypatch.setattr(supervise.subprocess, "Popen", never)
    monkeypatch.setattr(
        supervise.trial_job, "ensure", lambda *_places: None
    )  # a process of its own


def start(folder: Path, *lines: str) -> tuple[int, str]:
    config = folder / "node.toml"
    config.write_text("\n".join([f"[storage]\nfolder = '{folder / 'data'}'", *lines]))
    result = CliRunner().invoke(app, ["serve", "--config", str(config)], env={"COLUMNS": "400"})
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [("short", "has 5 characters"), ("", "is empty"), ("\nsecond-line-is-not-read", "is empty")],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_web_token_that_is_too_short_stops_the_start(
    content: str, reason: str, host: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    token.chmod(0o600)

    code, text = start(tmp_path, f"[web]\nhost = '{host}'\ntoken_file = '{token}'")

    assert code == 2
    assert reason in text
    assert "openssl rand -hex 32" in text


def test_a_web_token_that_everybody_can_read_or_nobody_stops_the_start(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789")
    token.chmod(0o644)

    assert start(tmp_path, f"[web]\ntoken_file = '{token}'")[0] == 2
    code, text = start(tmp_path, f"[web]\ntoken_file = '{tmp_path / 'none'}'")
    assert (code, "cannot be read" in text) == (2, True)


def test_a_certificate_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    code, text = start(tmp_path, "[web]\ncertificate_file = '/no/c.pem'\nkey_file = '/no/k.pem'")

    assert (code, "there is no file /no/c.pem, which TLS needs" in text) == (2, True)


def test_a_storage_folder_that_is_a_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    code, text = start(tmp_path)

    assert (code, "storage.folder" in text) == (2, True)


def test_a_token_of_a_side_that_is_switched_off_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def prepared(url: str) -> None:
        started.append(url)
        raise KeyboardInterrupt

    monkeypatch.setattr(supervise, "prepare", prepared)
    config = tmp_path / "node.toml"
    config.write_text(
        f"[storage]\nfolder = '{tmp_path / 'data'}'\n[web]\nenabled = false\ntoken_file = '/no'\n"
    )

    result = CliRunner().invoke(app, ["serve", "--config", str(config)])

    assert len(started) == 1, result.output
