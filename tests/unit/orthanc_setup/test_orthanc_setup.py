"""`cadnode orthanc install`: what it changes in Orthanc's and in the node's configuration."""

import base64
import json
import stat
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from cadnode import settings
from cadnode.audit.event import Event
from cadnode.audit.files import entries
from cadnode.cli import app
from cadnode.demo.archive import free_port
from cadnode.errors import SettingsError
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.tokens import Tokens
from cadnode.node.checks import Check, CheckVerdict
from cadnode.orthanc_setup import apply, jsonc
from cadnode.orthanc_setup import check as orthanc_setup_check
from cadnode.orthanc_setup.check import OrthancAddress, numbers
from cadnode.orthanc_setup.configuration import plugin_source
from cadnode.orthanc_setup.plan import Reached, SetupPlan, Wanted
from cadnode.settings import Destination, Settings

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


def install(wanted: Wanted) -> SetupPlan:
    node = None
    if wanted.node_toml is not None and wanted.node_toml.exists():
        node = settings.load(wanted.node_toml)
    plan = apply.plan(wanted, node)
    apply.apply(plan.changes)
    return plan


def parsed(file: Path) -> dict[str, object]:
    return jsonc.parse(file.read_text())


def test_blanked_comments_leave_every_other_character_in_its_place() -> None:
    blank = jsonc.without_comments(MAIN)
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
    assert jsonc.parse(jsonc.with_value(text, path, 7)) == wanted


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
    assert install(wanted) == SetupPlan((), "", install(wanted).notes)


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


@pytest.mark.parametrize(
    ("there", "name"), [(None, "orthanc"), ("", "orthanc"), ("orthanc", "orthanc-2")]
)
def test_a_node_with_programs_by_name_gets_orthanc_as_one_and_no_shared_token(
    folder: Path, tmp_path: Path, there: str | None, name: str
) -> None:
    programs, toml = tmp_path / "tokens", tmp_path / "node.toml"
    if there is not None:
        programs.write_text(f"{there}:viewer:{'a' * 64}\n" if there else "# ours\n")
        programs.chmod(0o640)
    toml.write_text(f'[web]\ntokens_file = "{programs}"\n')
    wanted = Wanted(folder, node_toml=toml)
    made = install(wanted)
    assert "token_file" not in made.node_lines
    (shown,) = [change.diff() for change in made.changes if change.path == programs]
    assert shown == f"+++ {programs}  (the program {name}, operator, with the hash of that token)\n"

    token = (folder / "cadnode.token").read_text().strip()
    identity = Tokens(settings.load(toml).web).of(token)
    assert identity == Identity(name, Role.OPERATOR, Via.TOKEN)
    assert len(programs.read_text().splitlines()) == 1 + (there is not None)
    assert stat.S_IMODE(programs.stat().st_mode) == 0o640
    assert not (tmp_path / "cadnode.token").exists()
    assert install(wanted).changes == ()


def test_a_program_that_is_made_by_the_command_is_in_the_audit_trail(
    folder: Path, tmp_path: Path
) -> None:
    toml, storage = tmp_path / "node.toml", tmp_path / "storage"
    toml.write_text(
        f'[storage]\nfolder = "{storage}"\n[web]\ntokens_file = "{tmp_path / "tokens"}"\n'
    )
    words = ["orthanc", "install", "--folder", str(folder), "--config", str(toml)]
    for more in (["--dry-run"], [], []):
        shown = CliRunner().invoke(app.app, [*words, *more])
        assert shown.exit_code == 0, shown.output
    (told,) = [entry.said for entry, _ in entries(storage / "audit")]
    assert isinstance(told, Event)
    assert (told.action, told.detail) == ("users changed", "the program orthanc, operator")


def test_a_node_that_sends_back_already_keeps_its_destination_and_its_token(
    folder: Path, tmp_path: Path
) -> None:
    token = tmp_path / "mine"
    token.write_text("the-token-that-is-there\n")
    (folder / "dicom.json").write_text('{ "DicomAet" : "ARCHIVE", "DicomPort" : 4243 }')
    toml = tmp_path / "node.toml"
    toml.write_text(
        f'[web]\ntoken_file = "{token}"\n'
        '[[destinations]]\nname = "pacs"\nport = 4243\nae_title = "ARCHIVE"\n'
    )
    install(Wanted(folder, node_toml=toml))
    written = tomllib.loads(toml.read_text())
    assert [d["name"] for d in written["destinations"]] == ["pacs"]
    assert [s["name"] for s in written["sources"]] == ["orthanc"]
    assert (folder / "cadnode.token").read_text() == "the-token-that-is-there\n"


def test_a_node_that_sends_to_another_archive_gets_this_orthanc_as_well(
    folder: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text('[[destinations]]\nname = "pacs"\nport = 104\nae_title = "PACS"\n')
    install(Wanted(folder, node_toml=toml))
    written = settings.load(toml).destinations
    assert [(d.name, d.kind) for d in written] == [("pacs", "dicom"), ("orthanc", "orthanc")]


def test_another_orthanc_of_that_name_is_told_and_left_alone(folder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text(
        '[[destinations]]\nname = "orthanc"\nkind = "orthanc"\nurl = "http://10.0.0.9:8042"\n'
    )
    notes = install(Wanted(folder, node_toml=toml)).notes
    assert [d.url for d in settings.load(toml).destinations] == ["http://10.0.0.9:8042"]
    assert any("10.0.0.9" in note and "[[destinations]]" in note for note in notes)


@pytest.mark.parametrize(
    ("values", "is_here"),
    [
        ({"kind": "orthanc", "url": "http://localhost:8042"}, True),
        ({"kind": "orthanc", "url": "http://127.0.0.1:8043"}, False),
        ({"kind": "orthanc", "url": "http://10.0.0.9:8042"}, False),
        ({"kind": "stow", "url": "http://127.0.0.1:8042/dicom-web"}, True),
        ({"kind": "fhir", "url": "http://127.0.0.1:8042/fhir"}, False),
        ({"kind": "folder", "folder": "/srv/results"}, False),
        ({"kind": "dicom", "port": 4242, "ae_title": "ORTHANC"}, True),
        ({"kind": "dicom", "port": 4242, "ae_title": "PACS"}, False),
        ({"kind": "dicom", "port": 104, "ae_title": "ORTHANC"}, False),
        ({"kind": "dicom", "host": "10.0.0.9", "port": 4242, "ae_title": "ORTHANC"}, False),
    ],
)
def test_a_destination_is_this_orthanc_by_its_address(
    values: dict[str, object], is_here: bool
) -> None:
    destination = Destination.model_validate({"name": "any", **values})
    assert Reached("http://127.0.0.1:8042").gets(destination) is is_here


@pytest.mark.parametrize(
    ("web", "url"),
    [
        ("", "http://127.0.0.1:8114"),
        ("port = 9000", "http://127.0.0.1:9000"),
        ("host = '127.0.0.9'", "http://127.0.0.9:8114"),
        ("host = '0.0.0.0'\ntoken_file = 't'", "http://127.0.0.1:8114"),
        ("host = '::'\nport = 81\ntoken_file = 't'", "http://[::1]:81"),
        ("host = '::1'", "http://[::1]:8114"),
        ("host = 'node.example'\ntoken_file = 't'", "http://node.example:8114"),
        ("certificate_file = 'c'\nkey_file = 'k'\nport = 444", "https://127.0.0.1:444"),
    ],
)
def test_orthanc_asks_the_node_at_the_host_and_port_of_its_own_settings(
    web: str, url: str, folder: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text(f"[web]\n{web}\n")
    (tmp_path / "t").write_text("0123456789abcdef")

    install(Wanted(folder, node_toml=toml))

    written = parsed(folder / "cadnode.json")["Cadnode"]
    assert isinstance(written, dict)
    assert written["Url"] == url


def test_a_url_that_the_admin_names_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text("[web]\nport = 9000\n")

    install(Wanted(folder, node_toml=toml, node_url="http://node:1"))

    assert '"http://node:1"' in (folder / "cadnode.json").read_text()


def test_the_command_takes_the_nodes_port_from_its_configuration(
    folder: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text("[web]\nport = 9321\n")

    words = ["orthanc", "install", "--folder", str(folder), "--config", str(toml)]
    result = CliRunner().invoke(app.app, words)

    assert result.exit_code == 0, result.output
    assert '"http://127.0.0.1:9321"' in (folder / "cadnode.json").read_text()


@pytest.mark.parametrize(
    ("listener", "address"),
    [
        ("port = 104", ["CADNODE", "127.0.0.1", 104]),
        ("host = '10.1.2.3'", ["CADNODE", "10.1.2.3", 11112]),
        ("host = '::'", ["CADNODE", "127.0.0.1", 11112]),
    ],
)
def test_orthanc_sends_to_where_the_node_listens(
    listener: str, address: list[object], folder: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text(f"[listener]\n{listener}\n")

    install(Wanted(folder, "store", node_toml=toml))

    modalities = parsed(folder / "orthanc.json")["DicomModalities"]
    assert isinstance(modalities, dict)
    assert modalities["cadnode"] == address


@pytest.mark.parametrize(
    ("web", "words"),
    [("enabled = false", "switched off"), ("certificate_file = 'c'\nkey_file = 'k'", "https")],
)
def test_what_the_nodes_settings_ask_of_orthanc_is_told(
    web: str, words: str, folder: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "node.toml"
    toml.write_text(f"[web]\n{web}\n")

    assert any(words in note for note in install(Wanted(folder, node_toml=toml)).notes)


def test_without_the_nodes_file_its_lines_are_told(folder: Path) -> None:
    wanted = Wanted(folder, username="cad", password_file=Path("/etc/cadnode/pw"))
    node = tomllib.loads(install(wanted).node_lines)
    assert node["sources"][0]["password_file"] == "/etc/cadnode/pw"
    assert node["destinations"][0]["username"] == "cad"
    assert node["web"]["token_file"]


def test_without_the_nodes_file_the_copy_of_the_token_is_told(folder: Path) -> None:
    notes = install(Wanted(folder)).notes
    theirs = "/etc/cadnode/cadnode.token"
    assert any(f"{folder / 'cadnode.token'} {theirs}" in note for note in notes)


def test_names_with_backslashes_and_quotes_stay_what_they_are(folder: Path) -> None:
    password = Path('/etc/cadnode/the "first" \\ pw ü 𝔁')
    wanted = Wanted(folder, username="DOM\\new", password_file=password)
    source = tomllib.loads(install(wanted).node_lines)["sources"][0]
    assert source["username"] == "DOM\\new"
    assert source["password_file"] == str(password)


def test_a_script_of_the_admins_own_is_not_thrown_out(folder: Path) -> None:
    (folder / "sample.py").write_text("import orthanc\n\ndef on(*a):\n    pass\n")
    with pytest.raises(SettingsError, match="import cadnode_plugin"):
        apply.plan(Wanted(folder), None)


def test_what_somebody_changed_is_replaced_by_force_only_and_kept_beside(folder: Path) -> None:
    install(Wanted(folder))
    plugin = folder / "cadnode_plugin.py"
    plugin.write_text(plugin.read_text() + "# mine\n")
    with pytest.raises(SettingsError, match="--force"):
        apply.plan(Wanted(folder), None)
    install(replace(Wanted(folder), force=True))
    assert "# mine" not in plugin.read_text()
    assert "# mine" in (folder / "cadnode_plugin.py.before-cadnode").read_text()
    with pytest.raises(SettingsError, match='"Mode"'):
        apply.plan(Wanted(folder, "store"), None)


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
        apply.plan(Wanted(tmp_path), None)


def test_versions_compare_as_numbers() -> None:
    assert numbers("1.12.4") > numbers("1.9.7") < numbers("1.10.0+dfsg") < (1, 10, 1)


def test_a_dry_run_shows_a_diff_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    command = ["orthanc", "install", "--folder", str(folder), "--dry-run"]
    shown = CliRunner().invoke(app.app, command)
    assert shown.exit_code == 0, shown.output
    assert '-  "PythonScript" : "sample.py",' in shown.output
    assert 'kind = "orthanc"' in shown.output
    told = json.loads(CliRunner().invoke(app.app, [*command, "--json"]).stdout)
    assert not told["written"]
    assert {Path(f["path"]).name for f in told["files"]} == {
        "cadnode_plugin.py", "cadnode.json", "cadnode.token", "orthanc.json", "python.json",
    }  # fmt: skip
    assert sorted(folder.iterdir()) == before


def test_an_orthanc_that_is_not_there_fails_the_check_with_advice() -> None:
    command = ["orthanc", "check", "--url", f"http://127.0.0.1:{free_port()}", "--json"]
    shown = CliRunner().invoke(app.app, command)
    assert shown.exit_code == 2
    (failed,) = json.loads(shown.stdout)
    assert failed["verdict"] == "failed"
    assert failed["advice"]


def answering(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Orthanc(BaseHTTPRequestHandler):
    """An Orthanc with users and a plugin that is well."""

    password = "pässwörd"
    answers: ClassVar = {
        "/system": '{"ApiVersion": 17, "Version": "1.12.4", "Name": "x", "DicomAet": "HERE", '
        '"DicomPort": 4242}',
        "/plugins": '["python"]',
        "/plugins/python": '{"Version": "4.0"}',
        "/cadnode/health": '{"mode": "pull", "node": {"status": "ok", "version": "1"}}',
    }

    def do_GET(self) -> None:
        told = base64.b64encode(f"cad:{self.password}".encode()).decode()
        is_known = self.headers["Authorization"] == f"Basic {told}"
        body = self.answers.get(self.path, "{}").encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def orthanc() -> Iterator[str]:
    server = answering(Orthanc)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def checks(url: str, folder: Path, *destinations: dict[str, object]) -> dict[str, Check]:
    password = folder / "pw"
    password.write_text(Orthanc.password + "\n")
    peer = {"url": url, "username": "cad", "password_file": password, "kind": "orthanc"}
    node = Settings(
        sources=[{"name": "orthanc", **peer}],
        destinations=[{**peer, "name": "back"}, *destinations][len(destinations) > 0 :],
    )
    found = orthanc_setup_check.run(OrthancAddress(url, "cad", password), node)
    return {check.name: check for check in found}


def test_a_check_passes_with_a_password_that_is_not_latin_1(orthanc: str, tmp_path: Path) -> None:
    found = checks(orthanc, tmp_path)
    assert found["source orthanc"].found == f"{orthanc}: Orthanc 1.12.4"
    assert found["destination back"].verdict is CheckVerdict.OK
    assert found["rights"].verdict is CheckVerdict.OK
    assert "results" not in found


def test_a_check_warns_when_results_go_elsewhere(orthanc: str, tmp_path: Path) -> None:
    folder = {"name": "share", "kind": "folder", "folder": str(tmp_path), "url": None}
    found = checks(orthanc, tmp_path, folder)
    assert found["results"].verdict is CheckVerdict.WARNING
    assert "HERE on port 4242" in found["results"].found
    assert found["destination share"].verdict is CheckVerdict.OK


def test_a_password_file_that_is_not_there_fails_the_check(tmp_path: Path) -> None:
    address = OrthancAddress("http://127.0.0.1:1", "cad", tmp_path / "none")
    (failed,) = orthanc_setup_check.run(address, None)
    assert (failed.verdict, "password_file" in failed.found) == (CheckVerdict.FAILED, True)
