"""Clients that hold on to the web server: they are cut or give way, and health is answered."""

import errno
import os
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest

from cadnode.node.http_phase import HttpTimes
from cadnode.node.http_server import LOCAL, REMOTE, HttpLimits
from cadnode.receive.admission import PlaceLimits
from tests.faults.http_clients import BEGUN, FAST, HEALTH, LARGE, is_cut, served
from tests.integration.node import wait_until


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """How many bytes Python has taken since."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def drip(client: socket.socket, said: bytes, every_s: float, most: int) -> int:
    """How many bytes could be sent one by one before the server closed."""
    client.settimeout(every_s)
    for count in range(most):
        try:
            client.sendall(said[count % len(said) :][:1])
            if not client.recv(4096):
                return count
        except TimeoutError:
            continue
        except OSError:
            return count
    return most


def test_a_header_that_drips_is_answered_408_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with served(HttpLimits(times=FAST)) as node:
        client = node.open(BEGUN)
        answer = b""
        began = time.monotonic()
        while time.monotonic() - began < 5 and not answer:
            client.settimeout(0.1)
            with suppress(TimeoutError):
                client.sendall(b"a")
                answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert 0.5 < time.monotonic() - began < 3
        assert drip(client, b"a", 0.05, 60) < 60
        wait_until(lambda: not node.held, "the place is free", 5)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "web_conn" in line]
    assert "web_connection_cut" in line
    assert "reason=header" in line
    assert "peer=127.0.0.1" in line


@pytest.mark.parametrize("said", [b"", b"G", HEALTH, HEALTH + BEGUN])
def test_a_connection_that_says_no_more_is_closed(said: bytes) -> None:
    with served(HttpLimits(times=FAST)) as node:
        client = node.open(said)
        began = time.monotonic()
        assert is_cut(client)
        assert 0.5 < time.monotonic() - began < 3
        wait_until(lambda: not node.held, "the place is free", 5)


def test_a_second_request_has_a_deadline_of_its_own() -> None:
    with served(HttpLimits(times=replace(FAST, idle_s=30))) as node:
        client = node.open(HEALTH)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        client.sendall(BEGUN)
        began = time.monotonic()
        assert is_cut(client)
        assert time.monotonic() - began < 3


def test_a_body_that_drips_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cadnode.web.request_log.REQUEST_S", 0.6)
    with served(HttpLimits(times=FAST)) as node:
        client = node.open(b"POST /told HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n")
        assert drip(client, b"b", 0.05, 100) < 60
        wait_until(lambda: not node.held, "the place is free", 5)


def test_a_body_that_goes_on_after_its_answer_is_cut() -> None:
    with served(HttpLimits(times=FAST)) as node:
        client = node.open(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
        client.sendall(b"b" * 40_000)  # more than is taken
        assert client.recv(4096).startswith(b"HTTP/1.1 413")
        assert drip(client, b"b", 0.05, 60) < 40
        wait_until(lambda: not node.held, "the place is free", 5)


@pytest.mark.parametrize("closes", [False, True])
def test_an_answer_that_nobody_reads_is_cut_and_its_memory_is_free(closes: bool) -> None:
    with served(HttpLimits(times=FAST)) as node, traced() as held_bytes:
        wanted = b"GET /large HTTP/1.1\r\nHost: a\r\n" + b"Connection: close\r\n" * closes + b"\r\n"
        for _ in range(4):
            node.open(wanted, small=True)
        wait_until(lambda: len(node.held) == 4, "they are in", 5)
        wait_until(lambda: not node.held, "they are cut", 6)
        wait_until(lambda: held_bytes() < LARGE / 2, "the answers are freed", 5)


def test_an_answer_that_is_read_slowly_arrives_whole() -> None:
    with served(HttpLimits(times=replace(FAST, unread_s=1.0))) as node:
        client = node.open(
            b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", small=True
        )
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        began, total = time.monotonic(), 0
        while data := client.recv(1 << 18):
            total += len(data)
            time.sleep(max(0.0, began + 2.0 * total / LARGE - time.monotonic()))
        assert total > LARGE
        assert time.monotonic() - began > 1.5, "it took longer than every clock"


def test_pipelined_requests_are_answered_in_order_and_each_once() -> None:
    with served(HttpLimits(times=FAST)) as node:
        post = b"POST /told HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
        asked = b"".join(post % (n, b"c" * n) for n in range(1, 60))
        client = node.open(asked + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answered = b""
        while data := client.recv(1 << 16):
            answered += data
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answered.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [*(str(n).encode() for n in range(1, 60)), b"ok"]


def test_a_header_of_more_than_64_kib_is_refused() -> None:
    large = b"GET /health HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n"
    with served() as node:
        for size, status in ((60_000, b" 200"), (70_000, b" 4"), (200_000, b" 4")):
            client = node.open()
            with suppress(OSError):
                client.sendall(large % (b"x" * size))
            assert client.recv(12)[8:].startswith(status)


# Who gets a place

OF_OTHERS = HttpLimits(
    remote=PlaceLimits(40, 12, idle_s=0.0), is_local=lambda address: address == "127.0.0.1"
)


def test_health_of_this_machine_is_answered_beside_two_hundred_slow_connections() -> None:
    with served() as node:
        for n in range(200):
            node.open(BEGUN if n % 2 else b"")
        unread = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(4):
            node.open(unread, small=True)
        longest = max(node.health_s() for _ in range(20))
        assert longest < 1
        assert len(node.held) <= LOCAL.in_all
        node.stack.close()


def test_one_address_has_its_share_and_no_more() -> None:
    with served(OF_OTHERS) as node:
        process = psutil.Process()
        before = process.num_fds()
        node.work.clear()
        slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        busy = [node.open(slow, "127.0.0.2") for _ in range(12)]
        wait_until(lambda: len(node.held) == 12, "they are in", 5)
        late = [node.open(slow, "127.0.0.2") for _ in range(288)]
        assert late[-1].recv(4096).startswith(b"HTTP/1.1 503")
        assert len(node.held) == 12
        ours = process.num_fds() - before - len(busy) - len(late)  # the clients are here, too
        assert ours <= 30
        assert node.health_s("127.0.0.3") < 1
        assert node.health_s("127.0.0.1") < 1
        node.work.set()
        for client in busy:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_who_only_holds_on_gives_way_to_a_newcomer(capsys: pytest.CaptureFixture[str]) -> None:
    with served(OF_OTHERS) as node:
        held = [node.open(BEGUN, f"127.0.0.{2 + n % 4}") for n in range(40)]
        wait_until(lambda: len(node.held) == 40, "all places are taken", 5)
        assert node.health_s("127.0.0.9") < 1
        assert node.health_s("127.0.0.2") < 1, "also to one of its own address"
        for client in held:
            client.settimeout(0.01)
        assert 1 <= sum(is_cut(client) for client in held) <= 4
    assert "reason=gave_way" in capsys.readouterr().out


def test_three_hundred_connections_of_one_address_leave_the_others_their_places() -> None:
    limits = replace(OF_OTHERS, remote=REMOTE)
    with served(limits) as node:
        waits = [node.open(BEGUN, "127.0.0.3") for _ in range(20)]
        wait_until(lambda: len(node.held) == 20, "they are in", 5)
        for _ in range(300):
            node.open(BEGUN, "127.0.0.2")
        assert node.health_s("127.0.0.1") < 1
        assert node.health_s("127.0.0.4") < 1
        assert len(node.held) <= 20 + REMOTE.per_address + 2
        for client in waits:
            client.sendall(b"alhost\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_without_its_limit_the_server_would_hold_them_all() -> None:
    """The seeded fault: places without an end, clocks without an end."""
    endless = HttpLimits(
        remote=PlaceLimits(10_000, 10_000), is_local=lambda address: False,
        times=HttpTimes(*[1e6] * 5),
    )  # fmt: skip
    with served(endless) as node:
        clients = [node.open(BEGUN, "127.0.0.2") for _ in range(100)]
        wait_until(lambda: len(node.held) == 100, "they are all in", 5)
        clients[0].settimeout(1.0)
        assert not is_cut(clients[0])


def test_an_answer_that_was_abandoned_keeps_its_place_until_it_is_done() -> None:
    with served(OF_OTHERS) as node:
        node.work.clear()
        for _ in range(12):
            node.open(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", "127.0.0.2")
        wait_until(lambda: len(node.held) == 12, "they are in", 5)
        wait_until(lambda: node.server.server_state.tasks, "they are at work", 5)
        node.stack.close()  # all clients leave
        wait_until(lambda: not node.server.server_state.connections, "they have left", 5)
        assert node.open(HEALTH, "127.0.0.2").recv(4096).startswith(b"HTTP/1.1 503")
        node.work.set()
        wait_until(lambda: not node.held, "the places are free", 5)
        assert node.health_s("127.0.0.2") < 1


def test_descriptors_stay_flat_under_clients_that_come_and_go() -> None:
    with served(HttpLimits(times=FAST)) as node:
        node.health_s()
        wait_until(lambda: not node.held, "it is closed", 5)
        before = len(os.listdir("/proc/self/fd"))
        for n in range(300):
            client = node.open((b"", BEGUN, HEALTH, b"\0\1\2\r\n\r\n")[n % 4])
            client.close()
        wait_until(lambda: not node.held, "all are gone", 5)
        assert len(os.listdir("/proc/self/fd")) <= before + 2


class Full(socket.socket):
    """A listening socket of a process that has no descriptor left, for a while."""

    refusals = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            type(self).refusals -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


def test_without_descriptors_the_longest_idle_is_closed_and_a_newcomer_waits() -> None:
    with served(kind=Full) as node:
        first = node.open(BEGUN)
        wait_until(lambda: len(node.held) == 1, "it is in", 5)
        node.open(BEGUN)
        wait_until(lambda: len(node.held) == 2, "both are in", 5)
        used_s = time.process_time()
        Full.refusals = 2
        assert node.health_s() < 2
        assert Full.refusals == 0
        assert is_cut(first)
        assert time.process_time() - used_s < 0.5, "nothing spins meanwhile"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_request_with_two_lengths_is_refused_and_what_follows_it_is_not_read(
    version: bytes,
) -> None:
    """A proxy before the node may take the rest for its body, and it is another's request."""
    with served(HttpLimits(times=FAST)) as node:
        client = node.open(
            b"POST /told HTTP/" + version + b"\r\nHost: a\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH
        )
        said = b""
        with suppress(OSError):
            while more := client.recv(4096):
                said += more
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1
