"""`cadnode tls`: what it makes is spoken with at once, and what is configured is looked at."""

import shutil
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.tls import TlsFiles, client_context, server_context

HOST = "cad.hospital.example"


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["tls", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def made(folder: Path, name: str = HOST, *more: str) -> TlsFiles:
    run("make", "--name", name, "--name", "10.1.2.3", "--out", folder, *more)
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


def spoken(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """The version of TLS that the two agree on. Raises `ssl.SSLError`."""
    here, there = socket.socketpair()
    here.settimeout(10)
    there.settimeout(10)
    failures: list[Exception] = []

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as secure:
                secure.recv(1)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as secure:
            secure.send(b"x")
            thread.join(10)
            assert not failures
            return str(secure.version())
    finally:
        here.close()
        thread.join(10)
        there.close()


@pytest.mark.parametrize("more", [(), ("--rsa",)])
def test_two_machines_speak_mutual_tls_with_what_is_made(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    node, pacs = made(tmp_path, HOST, *more), made(tmp_path, "pacs.hospital.example", *more)

    assert spoken(server_context(node), client_context(pacs), HOST) == "TLSv1.3"
    assert spoken(server_context(node), client_context(pacs), "10.1.2.3") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        spoken(server_context(node), client_context(pacs), "other.example")


def test_openssl_takes_the_chain_strictly(tmp_path: Path) -> None:
    files = made(tmp_path)
    openssl = shutil.which("openssl")
    assert openssl is not None
    done = subprocess.run(
        [openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile",
         str(tmp_path / "ca.pem"), str(files.certificate)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_keys_are_not_for_everybody_and_the_authority_is_kept(tmp_path: Path) -> None:
    made(tmp_path)
    authority = (tmp_path / "ca.pem").read_bytes()
    made(tmp_path, "pacs.hospital.example")

    modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in tmp_path.iterdir()}
    assert modes["ca.key"] == "0o600"
    assert modes[f"{HOST}.key"] == "0o640"
    assert (tmp_path / "ca.pem").read_bytes() == authority


def test_a_key_that_is_there_is_replaced_only_on_request(tmp_path: Path) -> None:
    before = made(tmp_path).key
    assert before is not None
    content = before.read_bytes()
    said = run("make", "--name", HOST, "--out", tmp_path, code=2)
    assert "--force" in said
    assert before.read_bytes() == content
    run("make", "--name", HOST, "--out", tmp_path, "--force")
    assert before.read_bytes() != content


@pytest.mark.parametrize("name", ["a b", "-x.example", "", "x..y", "ümlaut.example"])
def test_what_is_no_name_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    assert "no host name" in run("make", "--name", name, "--out", tmp_path / "new", code=2)
    assert not (tmp_path / "new").exists()


def test_a_request_is_for_the_hospitals_authority(tmp_path: Path) -> None:
    run("make", "--name", HOST, "--out", tmp_path, "--csr", "--rsa")
    openssl = shutil.which("openssl")
    assert openssl is not None
    shown = subprocess.run(
        [openssl, "req", "-in", tmp_path / f"{HOST}.csr", "-noout", "-text", "-verify"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"DNS:{HOST}" in shown
    assert not (tmp_path / "ca.pem").exists()


def test_what_is_configured_is_shown_with_names_and_days(tmp_path: Path) -> None:
    files = made(tmp_path / "tls")
    config = tmp_path / "node.toml"
    section = f'[listener]\ncertificate_file = "{files.certificate}"\nkey_file = '
    config.write_text(f'{section}"{files.key}"\n')
    assert "valid for 82" in " ".join(run("check", "--config", config, "--json").split())

    other = made(tmp_path / "other")
    config.write_text(f'{section}"{other.key}"\n')
    assert "cannot be used" in " ".join(run("check", "--config", config, code=2).split())


def test_a_chain_out_of_order_is_a_warning(tmp_path: Path) -> None:
    files, other = made(tmp_path / "a"), made(tmp_path / "b")
    assert files.certificate is not None
    assert other.authorities is not None
    files.certificate.write_bytes(files.certificate.read_bytes() + other.authorities.read_bytes())
    config = tmp_path / "node.toml"
    config.write_text(
        f'[web]\ncertificate_file = "{files.certificate}"\nkey_file = "{files.key}"\n'
    )
    assert "no chain in order" in run("check", "--config", config, "--json")
