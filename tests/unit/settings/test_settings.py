import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from cadnode import settings
from cadnode.errors import SettingsError
from cadnode.settings import Destination, ListenerSection


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cadnode.toml"
    path.write_text(text)
    return path


def test_every_setting_has_a_default() -> None:
    assert settings.load().listener.port == 11112


def test_the_file_overrides_defaults_and_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "[listener]\nport = 104\nae_title = 'HERE'\n")
    monkeypatch.setenv("CADNODE_LISTENER__PORT", "105")
    values = settings.load(path)
    assert (values.listener.port, values.listener.ae_title) == (105, "HERE")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[listener]\nprot = 1\n", "listener.prot", "no such setting"),
        ("[listener]\nport = 70000\n", "listener.port", "70000"),
        ("[listener]\nae_title = 'A\\\\B'\n", "listener.ae_title", "16 printable"),
        ("[study]\nwanted_views = ['R XX']\n", "study.wanted_views.0", "R MLO"),
        ("[[destinations]]\nname = 'a'\n", "destinations.0", "needs host, port and ae_title"),
        ("[lisener]\nport = 1\n", "lisener", "no such setting"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wanted(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(write(tmp_path, text))
    assert where in str(caught.value)
    assert what in str(caught.value)


def test_a_file_that_is_not_toml_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not TOML"):
        settings.load(write(tmp_path, "port: 1"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[log]\nlevel = '\xe9'", "line 2 is not UTF-8"),
        (b"a = " + b"[" * 2000, "too deep"),
        (b'[storage]\nfolder = "a\\u0000b"', "U\\+0000"),
        (b"#" * (1 << 20) + b"\n", "more than 1 MB"),
    ],
)
def test_what_cannot_be_a_configuration_is_named(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "cadnode.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=reason):
        settings.load(file)


@pytest.mark.parametrize(
    "line",
    [
        "url = 'https://user:hush@host'",
        "host = ['http://user:hush@host/']",
        "port = 'postgresql://user:hu@sh@host'",
        f"port = '{'x' * 180}://user:hush@host'",
        "'http://user:hush@host' = 1",
    ],
)
def test_no_password_in_a_url_is_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[[destinations]]\nname = 'a'\nkind = 'stow'\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    said = "".join(traceback.format_exception(caught.value))
    assert "hush" not in said.split("test_settings.py")[-1]
    assert "sh@" not in said


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no configuration file"):
        settings.load(tmp_path / "none.toml")


def test_two_destinations_of_one_name_are_refused(tmp_path: Path) -> None:
    block = "[[destinations]]\nname='a'\nkind='folder'\nfolder='/x'\n"
    with pytest.raises(SettingsError, match="same name"):
        settings.load(write(tmp_path, 2 * block))


def test_the_example_is_a_file_that_loads_to_the_defaults(tmp_path: Path) -> None:
    lines = settings.example().splitlines()
    # Uncomment every `# name = value` line, keep comments that are sentences.
    known = {n for f in settings.Settings.model_fields.values() for n in _names(f.default)}
    text = "\n".join(
        line[2:] if line.startswith("# ") and line[2:].split(" = ")[0] in known else line
        for line in lines[: lines.index("# Where results go; repeat the block for more.")]
    )
    assert settings.load(write(tmp_path, text)).model_dump() == settings.load().model_dump()


def _names(section: object) -> list[str]:
    return list(getattr(type(section), "model_fields", {}))


def test_only_a_dicom_peer_is_asked_to_commit(tmp_path: Path) -> None:
    block = "[[destinations]]\nname='a'\nkind='folder'\nfolder='/x'\ncommit=true\n"
    with pytest.raises(SettingsError, match="commit is for destinations of kind 'dicom'"):
        settings.load(write(tmp_path, block))


def test_a_user_of_dicom_is_shown_by_tls_alone() -> None:
    archive = {
        "name": "pacs", "port": 104, "ae_title": "PACS", "username": "node",
        "password_file": "/passcode",
    }  # fmt: skip
    with pytest.raises(ValidationError, match="by TLS: set tls"):
        Destination(**archive)
    assert Destination(**archive, tls=True).username == "node"
    with pytest.raises(ValidationError, match="a token_file is for HTTP"):
        Destination(name="pacs", port=104, ae_title="PACS", token_file="/token")
    peer = {"address": "10.0.0.1", "username": "ward", "password_file": "/passcode"}
    with pytest.raises(ValidationError, match=r"needs listener\.certificate_file"):
        ListenerSection(peers=(peer,))
    with pytest.raises(ValidationError, match="come together"):
        ListenerSection(peers=({"address": "10.0.0.1", "username": "ward"},))
