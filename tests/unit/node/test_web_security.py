"""Token and certificate: what `cadnode check` says of them before the node is started."""

import subprocess
from pathlib import Path

import pytest

from cadnode.demo.archive import free_port
from cadnode.errors import SettingsError
from cadnode.identity.tokens import shared_token
from cadnode.node.checks import CheckVerdict, _web
from cadnode.node.web_security import check_security
from cadnode.settings import Settings, WebSection

TOKEN = "0123456789abcdef"


def file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def pair(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    """A certificate and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(key), "-out",
         str(certificate), "-days", "2", "-subj", "/CN=node", *(options or ("-nodes",))],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_the_token_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    assert shared_token(WebSection(token_file=file(tmp_path, f"{TOKEN}\nsecond line\n"))) == TOKEN
    assert shared_token(WebSection()) == ""


@pytest.mark.parametrize(
    ("content", "mode", "wrong"),
    [
        ("", 0o600, "is empty"),
        (" \n", 0o600, "is empty"),
        ("0123456789abcde\n", 0o600, "has 15 characters"),
        (TOKEN, 0o604, "can be read by everybody"),
    ],
)
def test_a_token_that_protects_nobody_is_refused_with_what_to_do(
    tmp_path: Path, content: str, mode: int, wrong: str
) -> None:
    with pytest.raises(SettingsError, match=wrong) as raised:
        shared_token(WebSection(token_file=file(tmp_path, content, mode)))
    assert "`" in str(raised.value), "it names the command that mends it"
    assert TOKEN not in str(raised.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        shared_token(WebSection(token_file=tmp_path / "nothing"))


def test_a_certificate_is_used_with_its_own_open_key_only(tmp_path: Path) -> None:
    one, other = pair(tmp_path, "one"), pair(tmp_path, "other")
    locked = pair(tmp_path, "locked", "-passout", "pass:secret")
    check_security(WebSection(certificate_file=one[0], key_file=one[1]))
    check_security(WebSection())
    for certificate, key in ((one[0], other[1]), locked, (one[1], one[1])):
        with pytest.raises(SettingsError, match="cannot be used"):
            check_security(WebSection(certificate_file=certificate, key_file=key))
    with pytest.raises(SettingsError, match="there is no"):
        check_security(WebSection(certificate_file=one[0], key_file=tmp_path / "nothing"))


def test_check_says_who_may_ask_and_what_is_wrong(tmp_path: Path) -> None:
    port = free_port()

    def found(**web: object) -> list[tuple[CheckVerdict, str]]:
        return [(c.verdict, c.found) for c in _web(Settings(web={"port": port, **web}))]

    assert found() == [(CheckVerdict.OK, f"http for anybody on this machine on {port}")]
    assert found(enabled=False) == [(CheckVerdict.WARNING, "switched off")]
    ((verdict, told),) = found(token_file=file(tmp_path, ""))
    assert verdict is CheckVerdict.FAILED
    assert "is empty" in told
    good = file(tmp_path, TOKEN)
    assert found(token_file=good) == [
        (CheckVerdict.OK, f"http for clients with the token on {port}")
    ]
    in_clear = found(token_file=good, host="0.0.0.0")
    assert in_clear[1] == (
        CheckVerdict.WARNING,
        "the token crosses the network in clear on 0.0.0.0",
    )
