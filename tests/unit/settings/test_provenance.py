"""Where settings come from, line by line; and that no secret is shown."""

from pathlib import Path

import pytest

from cadnode import settings
from cadnode.settings.provenance import KnownSettings, SettingShown, ValueOrigin, explain, lines_of

FILE = """\
# a comment with port = 1
[listener]
port = 104
host = '''
127.0.0.1'''

[[listener.peers]]
address = "10.0.0.1"
[[listener.peers]]
address = "10.0.0.2"
ae_title = "B"

[web.openid_roles]
[study]
wanted_views = [
  "R CC",  # quiet_s = 3
]
[[destinations]]
name = "archive"
kind = "folder"
folder = "/somewhere"
[[destinations]]
name = "other"
kind = "folder"
folder = "/elsewhere"
profile = "cad-sr"
"""


def written(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def rows(path: Path | None, environment: dict[str, str]) -> dict[str, SettingShown]:
    return {row.key: row for row in explain(settings.load(path), path, environment)}


def test_each_key_has_the_line_that_it_stands_on() -> None:
    lines = lines_of(FILE)
    assert lines["listener", "port"] == 3
    assert lines["listener", "host"] == 4
    assert lines["listener", "peers", 0, "address"] == 8
    assert lines["listener", "peers", 1, "ae_title"] == 11
    assert lines["study", "wanted_views"] == 15
    assert ("study", "quiet_s") not in lines
    assert lines["destinations", 1, "profile"] == 26


def test_other_ways_to_write_a_key_have_their_line_too() -> None:
    blocks = 'destinations = [{name = "a"},\n {name = "b"}]\n'
    text = 'log.level = "INFO"\nretention = {enabled = true}\n' + blocks
    lines = lines_of(text)
    assert lines["log", "level"] == 1
    assert lines["retention", "enabled"] == 2
    assert lines["destinations", 1, "name"] == 3


def test_a_value_comes_from_a_default_a_line_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "[listener]\nport = 104\nae_title = 'HERE'\n")
    variables = {
        "CADNODE_LISTENER__PORT": "105",
        "cadnode_web__port": "8115",
        "CADNODE_STUDY": '{"quiet_s": 12.0}',
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = rows(path, variables)
    port, title = found["listener.port"], found["listener.ae_title"]
    assert (port.value, port.origin, port.where) == (
        "105", ValueOrigin.ENVIRONMENT, "CADNODE_LISTENER__PORT",
    )  # fmt: skip
    assert (title.value, title.origin, title.where) == (
        '"HERE"',
        ValueOrigin.FILE,
        f"{path} line 3",
    )
    assert found["web.port"].where == "cadnode_web__port"
    assert (found["study.quiet_s"].value, found["study.quiet_s"].where) == ("12.0", "CADNODE_STUDY")
    assert found["study.settle_s"].origin is ValueOrigin.DEFAULT
    assert (found["listener.host"].origin, found["listener.host"].where) == (
        ValueOrigin.DEFAULT,
        "",
    )


def test_blocks_are_named_and_each_key_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    found = rows(path, {})
    assert found["destinations.archive.folder"].where == f"{path} line 21"
    assert found["destinations.other.profile"].where == f"{path} line 26"
    assert found["destinations.archive.profile"].origin is ValueOrigin.DEFAULT
    assert found["listener.peers.2.ae_title"].where == f"{path} line 11"


def test_a_list_of_the_environment_is_stated_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = '[{"name": "a", "kind": "folder", "folder": "/somewhere"}]'
    monkeypatch.setenv("CADNODE_DESTINATIONS", block)
    found = rows(written(tmp_path), {"CADNODE_DESTINATIONS": block})
    assert found["destinations.a.folder"].where == "CADNODE_DESTINATIONS"
    assert "destinations.archive.folder" not in found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db/jobs",
        "postgresql://db/jobs?user=me&password=hunter2&x=1",
        "postgresql://db/jobs?sslpassword=hunter2",
    ],
)
def test_no_password_within_a_url_is_shown(tmp_path: Path, url: str) -> None:
    found = rows(written(tmp_path, f'[jobs]\ndatabase_url = "{url}"\n'), {})
    assert "hunter2" not in str(found)
    assert "db/jobs" in found["jobs.database_url"].value


def test_every_key_of_the_reference_is_explained() -> None:
    found = rows(None, {})
    assert len(found) > 80
    assert all(row.meaning for row in found.values())
    assert all(row.value == row.default for row in found.values())


def test_what_has_changed_in_the_file_since_the_start_is_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    known = KnownSettings(settings.load(path), path)
    assert known().changed == ()
    written(tmp_path, FILE.replace("104", "105"))
    assert known().changed == ("listener.port",)
    assert {row.key: row.value for row in known().rows}["listener.port"] == "104"  # as it runs
    written(tmp_path, "[lisener]\n")
    assert "no such setting" in known().problem
    path.unlink()
    assert "there is no configuration file" in known().problem
