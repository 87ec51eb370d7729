"""The web server by TLS: handshakes that never come, answers nobody reads, renewed certificates."""

import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
import requests

from cadnode.node import web_server
from cadnode.node.heartbeat import Pulse
from cadnode.node.http_server import HttpLimits
from cadnode.tls import Reloaded, TlsFiles, server_context
from tests.certificates import Authority
from tests.faults.http_clients import FAST, HEALTH, LARGE, application, is_cut, served
from tests.integration.node import wait_until

TLS_RECORD = b"\x16\x03\x01\x02\x00"  # the head of a ClientHello of which nothing follows


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def of(authority: Authority, name: str) -> TlsFiles:
    signed = authority.sign(name)
    return TlsFiles(signed.certificate, signed.key)


def ask(client: socket.socket) -> None:
    """Have health answered, all of it read."""
    client.sendall(HEALTH)
    answer = b""
    while not answer.endswith(b"ok"):
        data = client.recv(4096)
        assert data, "it was closed"
        answer += data
    assert answer.startswith(b"HTTP/1.1 200")


def shown(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), 8) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        ask(client)
        return client.getpeercert(True) or b""


@pytest.mark.parametrize("said", [b"", TLS_RECORD])
def test_a_handshake_that_never_comes_is_cut(authority: Authority, said: bytes) -> None:
    context = server_context(of(authority, "node"))
    with served(HttpLimits(times=FAST), lambda: context) as node:
        client = node.open(said)
        trusted = ssl.create_default_context(cafile=str(authority.path))
        shown(node.port, trusted)
        began = time.monotonic()
        assert is_cut(client)
        assert time.monotonic() - began < 3
        wait_until(lambda: not node.held, "the places are free", 5)


def test_what_is_no_tls_is_cut_and_costs_nobody_else(authority: Authority) -> None:
    context = server_context(of(authority, "node"))
    with served(None, lambda: context) as node:
        assert is_cut(node.open(HEALTH))
        shown(node.port, ssl.create_default_context(cafile=str(authority.path)))


def test_by_tls_too_an_answer_that_nobody_reads_is_cut(authority: Authority) -> None:
    context = server_context(of(authority, "node"))
    trusted = ssl.create_default_context(cafile=str(authority.path))
    with served(HttpLimits(times=FAST), lambda: context) as node:
        client = trusted.wrap_socket(node.open(small=True), server_hostname="localhost")
        node.stack.callback(client.close)
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: not node.held, "it is cut", 6)


def test_a_large_answer_by_tls_arrives_whole(authority: Authority) -> None:
    context = server_context(of(authority, "node"))
    with served(HttpLimits(times=FAST), lambda: context) as node, requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"https://localhost:{node.port}/large", verify=str(authority.path), timeout=20
        )
        assert len(answer.content) == LARGE


def test_a_renewed_certificate_is_shown_without_a_cut(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadnode.tls._LOOK_EVERY_S", 0.05)
    files = of(authority, "node")
    follows = Reloaded(files, server_context)
    trusted = ssl.create_default_context(cafile=str(authority.path))
    with served(None, follows.current) as node:
        first = shown(node.port, trusted)
        kept = trusted.wrap_socket(node.open(), server_hostname="localhost")
        node.stack.callback(kept.close)
        ask(kept)
        renewed = of(authority, "renewed")
        for old, new in zip(files.paths, renewed.paths, strict=True):
            os.replace(new, old)
        wait_until(lambda: shown(node.port, trusted) != first, "the new one is shown", 5)
        ask(kept)  # who was in is still served


def test_a_renewed_certificate_that_cannot_be_used_is_said_and_the_old_one_is_shown(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadnode.tls._LOOK_EVERY_S", 0.05)
    files = of(authority, "node")
    follows, pulse, end = Reloaded(files, server_context), Pulse(), threading.Event()
    trusted = ssl.create_default_context(cafile=str(authority.path))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    role = threading.Thread(
        target=web_server._serve,
        args=(application(), follows, HttpLimits(), listening, end.is_set, pulse),
    )
    role.start()
    try:
        first = shown(port, trusted)
        assert not pulse.beat().waits_for
        files.paths[0].write_text("half a certificate")

        def is_said() -> bool:
            return shown(port, trusted) == first and "certificate" in pulse.beat().waits_for

        wait_until(is_said, "it is said", 5)
        renewed = of(authority, "renewed")
        for old, new in zip(files.paths, renewed.paths, strict=True):
            os.replace(new, old)
        wait_until(lambda: shown(port, trusted) != first, "the new one is shown", 5)
        wait_until(lambda: not pulse.beat().waits_for, "nothing is waited for", 5)
    finally:
        end.set()
        role.join(20)
    assert not role.is_alive()
