"""`cadnode log` and `cadnode settings show`: what they print, for people and for machines."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.log import hashed
from cadnode.log_files import LogWriter

UID = "1.2.840.99.7"


def config(tmp_path: Path) -> str:
    path = tmp_path / "node.toml"
    path.write_text(f'[storage]\nfolder = "{tmp_path / "data"}"\n[listener]\nport = 104\n')
    return str(path)


def logged(tmp_path: Path) -> None:
    write = LogWriter(tmp_path / "data" / "log", "worker", 10**6)
    for at, study, level in (("01", hashed(UID), "info"), ("02", "9" * 16, "error")):
        when = f"2026-03-04T15:06:{at}.000000Z"
        write(json.dumps({"event": "read", "level": level, "timestamp": when, "study": study}))


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*words])
    return done.exit_code, done.output


def test_a_studys_lines_are_found_by_its_uid_the_newest_last(tmp_path: Path) -> None:
    logged(tmp_path)
    asked = ("log", "--config", config(tmp_path), "--json")
    code, text = run(*asked, "--study", UID)
    assert code == 0
    (line,) = map(json.loads, text.splitlines())
    assert (line["study"], line["process"]) == (hashed(UID), "worker")
    levels = [json.loads(one)["level"] for one in run(*asked)[1].splitlines()]
    assert levels == ["info", "error"]
    assert [
        json.loads(one)["level"] for one in run(*asked, "--level", "error")[1].splitlines()
    ] == ["error"]
    assert run("log", "--config", config(tmp_path), "--event", "none")[1].strip() == "Nothing."


def test_without_a_kept_log_it_is_said_what_to_do(tmp_path: Path) -> None:
    code, text = run("log", "--config", config(tmp_path))
    assert code == 2
    assert "log.keep_mb" in text.replace("\n", "")


def test_settings_are_shown_with_their_origin(tmp_path: Path) -> None:
    code, text = run("settings", "show", "--stated", "--json", "--config", config(tmp_path))
    assert code == 0
    found = {row["key"]: row for row in json.loads(text)}
    assert set(found) == {"storage.folder", "listener.port"}
    assert found["listener.port"]["where"].endswith("node.toml line 4")
    everything = run("settings", "show", "--config", config(tmp_path))[1]
    assert "study.quiet_s" in everything
    assert "default" in everything
