"""How the plugin speaks HTTP: token, TLS, and servers that do not behave."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.orthanc_double import FakeOrthanc, load_plugin


class _Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked; `/moved/…` points to another server."""

    def do_GET(self) -> None:
        elsewhere = getattr(self.server, "elsewhere", "")
        self.send_response(302 if elsewhere else 200)
        if elsewhere:
            self.send_header("Location", elsewhere)
        self.end_headers()
        self.server.seen.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        self.wfile.write(json.dumps({"status": "ok", "path": self.path}).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(certificate: Path | None = None, elsewhere: str = "") -> Iterator[Any]:
    running: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.seen, running.elsewhere = [], elsewhere
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        running.socket = context.wrap_socket(running.socket, server_side=True)
        running.handle_error = lambda *_: None  # a client that does not trust it goes away
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Any]:
    module = load_plugin(FakeOrthanc({"path": str(tmp_path), "Cadnode": {}}))
    yield module
    module.PLUGIN.worker.queue.close()


def node_at(plugin: Any, url: str, **section: Any) -> Any:
    settings = plugin.Settings.read({"Url": url, "TimeoutSeconds": 0.5, **section})
    return plugin.Node(settings)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1",
               "-days", "2", "-keyout", str(key), "-out", str(file)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + file.read_bytes())
    return both


def test_the_token_goes_over_tls_to_a_server_whose_certificate_is_trusted(
    plugin: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # not used
    with server(certificate) as running:
        url = f"https://127.0.0.1:{running.server_port}"
        ca = str(certificate.parent / "certificate.pem")
        assert node_at(plugin, url, CaFile=ca, Token="t").health()["status"] == "ok"
        assert running.seen == ["Bearer t"]
        with pytest.raises(plugin.NodeProblem) as caught:
            node_at(plugin, url, Token="t").health()
        assert running.seen == ["Bearer t"]
    assert "CaFile" in caught.value.hint
    assert caught.value.away


def test_a_redirect_is_not_followed_and_takes_no_token_along(plugin: Any) -> None:
    with server() as other, server(elsewhere=f"http://127.0.0.1:{other.server_port}/") as running:
        node = node_at(plugin, f"http://127.0.0.1:{running.server_port}", Token="t")
        with pytest.raises(plugin.NodeProblem, match="302"):
            node.health()
        assert other.seen == []


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"])
def test_a_server_that_is_no_node_is_a_problem_with_a_hint(plugin: Any, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        node = node_at(plugin, f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(plugin.NodeProblem) as caught:
            node.health()
        thread.join()
    assert caught.value.hint


def test_a_silent_server_is_away_after_the_time_out(plugin: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        node = node_at(plugin, f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(plugin.NodeProblem, match="timed out") as caught:
            node.state("1.2.3")
    assert caught.value.away


def test_a_token_file_that_is_not_there_is_named(plugin: Any, tmp_path: Path) -> None:
    node = node_at(plugin, "http://127.0.0.1:9", TokenFile=str(tmp_path / "none"))
    with pytest.raises(plugin.NodeProblem, match="No such file") as caught:
        node.health()
    assert "TokenFile" in caught.value.hint
