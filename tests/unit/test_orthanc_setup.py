"""`cadnode orthanc install`: what it changes in Orthanc's and in the node's configuration."""

import json
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode import cli, settings
from cadnode.app import orthanc_setup, orthanc_setup_json
from cadnode.app.orthanc_setup import Wanted
from cadnode.app.orthanc_setup_check import numbers
from cadnode.app.orthanc_setup_files import plugin_source
from cadnode.demo.ports import free_port
from cadnode.errors import SettingsError

MAIN = """\
{
  // the name, with // and "quotes" in the comment
  "Name" : "http://not-a-comment",
  "Plugins" : [ "/opt/orthanc/" ],  /* here */
  "DicomModalities" : {
    /**
     * nobody yet, not even { "this" : 1 }
     **/
  },
  "UserMetadata" : { "mine" : 1024 }
}
"""
PYTHON = """\
{
  "PythonScript" : "sample.py",
  "PythonVerbose" : false
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the Debian package leaves it."""
    place = tmp_path / "orthanc"
    place.mkdir()
    (place / "orthanc.json").write_text(MAIN)
    (place / "python.json").write_text(PYTHON)
    (place / "sample.py").write_text("import orthanc\northanc.LogWarning('Hello world')\n")
    return place


def install(wanted: Wanted) -> orthanc_setup.Plan:
    node = None
    if wanted.node_toml is not None and wanted.node_toml.exists():
        node = settings.load(wanted.node_toml)
    plan = orthanc_setup.plan(wanted, node)
    orthanc_setup.apply(plan.changes)
    return plan


def parsed(file: Path) -> dict[str, object]:
    return orthanc_setup_json.parse(file.read_text())


def test_blanked_comments_leave_every_other_character_in_its_place() -> None:
    blank = orthanc_setup_json.without_comments(MAIN)
    assert len(blank) == len(MAIN)
    assert blank.index('"UserMetadata"') == MAIN.index('"UserMetadata"')
    assert "http://not-a-comment" in blank
    assert "quotes" not in blank
    assert "nobody" not in blank


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("{}", ("a",), {"a": 7}),
        ('{ "b": 1 }', ("a",), {"a": 7, "b": 1}),
        ('{"a": [1, {"a": 2}], "b": "a"}', ("a",), {"a": 7, "b": "a"}),
        ('{"a": {"b": 1}} // {', ("a", "c"), {"a": {"b": 1, "c": 7}}),
        ('{"b": "}"}', ("a", "c"), {"a": {"c": 7}, "b": "}"}),
        ('{"a": {/* { */}}', ("a", "c"), {"a": {"c": 7}}),
    ],
)
def test_a_member_is_set_wherever_it_is(
    text: str, path: tuple[str, ...], wanted: dict[str, object]
) -> None:
    assert orthanc_setup_json.parse(orthanc_setup_json.with_value(text, path, 7)) == wanted


def test_sections_go_where_they_are_since_orthanc_refuses_them_in_two_files(folder: Path) -> None:
    install(Wanted(folder, "store"))
    main, python = parsed(folder / "orthanc.json"), parsed(folder / "python.json")
    own = parsed(folder / "cadnode.json")
    assert main["DicomModalities"] == {"cadnode": ["CADNODE", "127.0.0.1", 11112]}
    assert main["UserMetadata"] == {"cadnode": 5114, "mine": 1024}
    assert python["PythonScript"] == str(folder / "cadnode_plugin.py")
    section = own["Cadnode"]
    assert isinstance(section, dict)
    assert section["Mode"] == "store"
    assert not set(own) & (set(main) | set(python))
    text = (folder / "orthanc.json").read_text()
    assert '// the name, with // and "quotes" in the comment' in text
    assert "nobody yet" in text
    assert (folder / "cadnode_plugin.py").read_bytes() == plugin_source().read_bytes()
    assert (folder / "orthanc.json.before-cadnode").read_text() == MAIN


def test_a_second_time_there_is_nothing_to_do(folder: Path, tmp_path: Path) -> None:
    wanted = Wanted(folder, node_toml=tmp_path / "node.toml")
    assert install(wanted).changes
    assert install(wanted) == orthanc_setup.Plan((), "", install(wanted).notes)


def test_both_sides_get_the_same_token_and_only_their_owners_read_it(
    folder: Path, tmp_path: Path
) -> None:
    plan = install(Wanted(folder, node_toml=tmp_path / "node.toml"))
    ours, theirs = folder / "cadnode.token", tmp_path / "cadnode.token"
    assert ours.read_text() == theirs.read_text()
    assert len(ours.read_text().strip()) >= 32
    assert {stat.S_IMODE(f.stat().st_mode) for f in (ours, theirs)} == {0o600}
    assert ours.read_text().strip() not in "".join(change.diff() for change in plan.changes)
    node = settings.load(tmp_path / "node.toml")
    assert node.web.token_file == theirs
    assert [(s.name, s.kind) for s in node.sources] == [("orthanc", "orthanc")]
    assert [(d.name, d.kind) for d in node.destinations] == [("orthanc", "orthanc")]


def test_a_node_that_sends_back_already_keeps_its_destination_and_its_token(
    folder: Path, tmp_path: Path
) -> None:
    token = tmp_path / "mine"
    token.write_text("the-token-that-is-there\n")
    toml = tmp_path / "node.toml"
    toml.write_text(
        f'[web]\ntoken_file = "{token}"\n'
        '[[destinations]]\nname = "pacs"\nport = 4242\nae_title = "ORTHANC"\n'
    )
    install(Wanted(folder, node_toml=toml))
    written = tomllib.loads(toml.read_text())
    assert [d["name"] for d in written["destinations"]] == ["pacs"]
    assert [s["name"] for s in written["sources"]] == ["orthanc"]
    assert (folder / "cadnode.token").read_text() == "the-token-that-is-there\n"


def test_without_the_nodes_file_its_lines_are_told(folder: Path) -> None:
    wanted = Wanted(folder, username="cad", password_file=Path("/etc/cadnode/pw"))
    node = tomllib.loads(install(wanted).node_lines)
    assert node["sources"][0]["password_file"] == "/etc/cadnode/pw"
    assert node["destinations"][0]["username"] == "cad"
    assert node["web"]["token_file"]


def test_a_script_of_the_admins_own_is_not_thrown_out(folder: Path) -> None:
    (folder / "sample.py").write_text("import orthanc\n\ndef on(*a):\n    pass\n")
    with pytest.raises(SettingsError, match="import cadnode_plugin"):
        orthanc_setup.plan(Wanted(folder), None)


def test_what_somebody_changed_is_replaced_by_force_only_and_kept_beside(folder: Path) -> None:
    install(Wanted(folder))
    plugin = folder / "cadnode_plugin.py"
    plugin.write_text(plugin.read_text() + "# mine\n")
    with pytest.raises(SettingsError, match="--force"):
        orthanc_setup.plan(Wanted(folder), None)
    install(replace(Wanted(folder), force=True))
    assert "# mine" not in plugin.read_text()
    assert "# mine" in (folder / "cadnode_plugin.py.before-cadnode").read_text()
    with pytest.raises(SettingsError, match='"Mode"'):
        orthanc_setup.plan(Wanted(folder, "store"), None)


def test_one_file_is_edited_as_one_file(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{ "AuthenticationEnabled" : true }')
    plan = install(Wanted(file))
    assert not (tmp_path / "cadnode.json").exists()
    assert parsed(file)["Cadnode"]
    assert any("--username" in note for note in plan.notes)


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": }', ""])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(SettingsError, match=r"broken\.json"):
        orthanc_setup.plan(Wanted(tmp_path), None)


def test_versions_compare_as_numbers() -> None:
    assert numbers("1.12.4") > numbers("1.9.7") < numbers("1.10.0+dfsg") < (1, 10, 1)


def test_a_dry_run_shows_a_diff_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    command = ["orthanc", "install", "--folder", str(folder), "--dry-run"]
    shown = CliRunner().invoke(cli.app, command)
    assert shown.exit_code == 0, shown.output
    assert '-  "PythonScript" : "sample.py",' in shown.output
    assert 'kind = "orthanc"' in shown.output
    told = json.loads(CliRunner().invoke(cli.app, [*command, "--json"]).stdout)
    assert not told["written"]
    assert {Path(f["path"]).name for f in told["files"]} == {
        "cadnode_plugin.py", "cadnode.json", "cadnode.token", "orthanc.json", "python.json",
    }  # fmt: skip
    assert sorted(folder.iterdir()) == before


def test_an_orthanc_that_is_not_there_fails_the_check_with_advice() -> None:
    command = ["orthanc", "check", "--url", f"http://127.0.0.1:{free_port()}", "--json"]
    shown = CliRunner().invoke(cli.app, command)
    assert shown.exit_code == 2
    (failed,) = json.loads(shown.stdout)
    assert failed["verdict"] == "failed"
    assert failed["advice"]
