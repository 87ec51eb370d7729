"""`cadnode serve --role web` in a process of its own, and how a test asks it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from cadnode.demo.archive import free_port
from cadnode.node import supervise

TOKEN = "0123456789abcdef0123456789abcdef"


def get(url: str, **how: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment has no business on loopback
        return session.get(url, timeout=10, **how)


def post(url: str, body: Any, **how: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, json=body, timeout=10, **how)


def answers(url: str, **how: Any) -> bool:
    try:
        get(url, **how)
    except (requests.ConnectionError, requests.Timeout):
        return False
    return True


@dataclass
class WebRole:
    """`cadnode serve --role web` alone."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "web.log").read_text()

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@contextmanager
def web_role(
    folder: Path,
    more: str = "",
    port: int = 0,
    environment: dict[str, str] | None = None,
    *,
    supervised: bool = True,
) -> Iterator[WebRole]:
    """The role as its supervisor starts it, or as somebody does by hand."""
    port = port or free_port()
    config = folder / "web.toml"
    config.write_text(f'[storage]\nfolder = "{folder / "data"}"\n[web]\nport = {port}\n{more}')
    with (folder / "web.log").open("wb") as output:
        process = subprocess.Popen(
            [w for w in supervise.command("web", config) if supervised or w != "--supervised"],
            stdout=output, stderr=output, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        yield WebRole(folder, port, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def token_file(folder: Path) -> Path:
    path = folder / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2",
         "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
