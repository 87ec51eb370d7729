"""A listener that no peer can silence, fill or grow: each kind of harm, in short.

The listener is a process of its own, looked at from outside; the long form of the same is
`python -m tests.faults.soak_listener`.
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.faults.listener_peer import (
    ABORTED,
    ACCEPTED,
    COMMAND,
    DATA,
    ECHO,
    LAST,
    MG,
    REJECTED,
    VERIFICATION,
    Listening,
    associate,
    associate_rq,
    command,
    connect,
    data_set,
    echo_s,
    is_closed,
    listening,
    p_data,
    pdu,
    received,
    reset,
    status_of,
    store,
)
from tests.peers import is_cut_while_dripping, wait_until

ANSWERED_S = 1.0


PEERS = [("PACS", "127.0.0.2/32"), ("", "127.0.0.3/32")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """The listener with its defaults: one for all who harm it, as in a hospital."""
    with listening(tmp_path_factory.mktemp("node")) as listener:
        echo_s(listener.port)
        yield listener


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """A listener whose peers have a second for what they begin."""
    with listening(tmp_path_factory.mktemp("hasty"), network_timeout_s=1.0) as listener:
        yield listener


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """A listener that knows its peers."""
    with listening(tmp_path_factory.mktemp("guarded"), peers=PEERS) as listener:
        yield listener


def assert_answers(node: Listening, source: str = "127.0.0.1") -> None:
    """C-ECHO is answered in time; of three, for the machine may be busy with other tests."""
    assert min(echo_s(node.port, source) for _ in range(3)) < ANSWERED_S


def assert_as_before(node: Listening, before: dict[str, int], more_mb: int = 24) -> None:
    """Descriptors and threads are what they were, memory little more, nothing is half received."""

    def is_flat() -> bool:
        now = node.status()
        return now["descriptors"] <= before["descriptors"] and now["threads"] <= before["threads"]

    wait_until(is_flat, 10.0)
    assert node.status()["rss_mb"] - before["rss_mb"] < more_mb
    assert node.incoming() == []
    assert node.events("association_failed") == []


# Connections without an association


def test_open_connections_cost_no_thread_and_leave_an_echo_its_second(node: Listening) -> None:
    before = node.status()
    with ExitStack() as stack:
        for _ in range(240):
            stack.enter_context(connect(node.port))
        assert_answers(node)
        wait_until(lambda: node.status()["threads"] <= before["threads"])
    assert_as_before(node, before)


def test_past_the_limit_the_oldest_connection_makes_room_for_the_newest(tmp_path: Path) -> None:
    with listening(tmp_path, max_connections=40) as node, ExitStack() as stack:
        peers = [stack.enter_context(connect(node.port)) for _ in range(30)]
        assert is_closed(peers[0])
        others = [stack.enter_context(connect(node.port, f"127.0.0.{2 + n}")) for n in range(40)]
        assert is_closed(peers[15])
        assert_answers(node)
        assert node.descriptors() < 60
        assert not is_closed(others[-1], 0.1)


def test_dripped_requests_leave_an_echo_its_second(node: Listening) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(node.port)) for _ in range(200)]
        for byte in associate_rq()[:5]:
            for peer in peers:
                peer.sendall(bytes([byte]))
        assert_answers(node)


def test_requests_that_lack_a_byte_take_little_memory(node: Listening) -> None:
    before = node.status()
    with ExitStack() as stack:
        for _ in range(120):  # 30 MiB in all, were they all held
            peer = stack.enter_context(connect(node.port))
            with suppress(OSError):
                peer.sendall(struct.pack(">BxI", 1, 256 << 10) + bytes((256 << 10) - 1))
        assert_answers(node)
        assert node.status()["rss_mb"] - before["rss_mb"] < 32
    assert_as_before(node, before, 32)


def test_a_pdu_of_16_mib_is_not_read_before_an_association(node: Listening) -> None:
    before = node.status()
    for _ in range(20):
        with connect(node.port) as peer:
            peer.sendall(struct.pack(">BxI", 1, 16 << 20))
            with suppress(OSError):
                peer.sendall(bytes(1 << 20))
    assert_answers(node)
    assert_as_before(node, before)


@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"SSH-2.0-x\r\n",
        b"\xff" * 3000,
        pdu(0x01, b""),
        pdu(0x01, b"\x00\x01" + bytes(65) + b"\xff" * 300),
        pdu(0x02, bytes(100)),
        pdu(0x05, bytes(4)),
        struct.pack(">BxI", 1, 0xFFFFFFFF),
    ],
    ids=["http", "tls", "ssh", "ones", "empty", "malformed", "accept", "release", "huge"],
)
def test_what_asks_for_no_association_gets_an_abort(node: Listening, hello: bytes) -> None:
    with connect(node.port) as peer:
        peer.sendall(hello)
        assert received(peer)[0] == ABORTED
        assert is_closed(peer)


def test_random_bytes_and_scans_leave_nothing_behind(node: Listening) -> None:
    before = node.status()
    for n in range(300):
        with connect(node.port) as peer, suppress(OSError):
            peer.sendall(os.urandom(1 + n * 7) if n % 2 else b"")
    assert_answers(node)
    assert_as_before(node, before)


# Places


def test_idle_associations_keep_out_neither_their_own_address_nor_another(node: Listening) -> None:
    with ExitStack() as stack:
        for _ in range(25):
            peer, answer = associate(node.port)
            stack.enter_context(peer)
            assert answer == ACCEPTED
        for source in ("127.0.0.1", "127.0.0.2"):
            peer, answer = associate(node.port, source=source)
            stack.enter_context(peer)
            assert answer == ACCEPTED
            peer.sendall(store(1))
            assert received(peer)[0] == 0x04
            assert_answers(node, source)


def test_who_gives_way_gets_an_abort_and_the_log_one_line(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=2) as node, ExitStack() as stack:
        peers = [associate(node.port)[0] for _ in range(6)]
        for peer in peers:
            stack.enter_context(peer)
        assert [received(peer)[0] for peer in peers[:4]] == [ABORTED] * 4
        assert [e["reason"] for e in node.events("association_cut")] == ["gave_way"]


def test_an_association_at_work_gives_way_to_nobody_but_an_echo_needs_no_place(
    tmp_path: Path,
) -> None:
    whole = store(1, more_bytes=400_000)
    with listening(tmp_path, max_associations=1) as node, ExitStack() as stack:
        sender, _ = associate(node.port)
        stack.enter_context(sender)
        sender.sendall(whole[:100_000])
        wait_until(node.incoming)
        newcomer, answer = associate(node.port)
        stack.enter_context(newcomer)
        assert answer == REJECTED
        assert_answers(node)
        sender.sendall(whole[100_000:])
        assert status_of(received(sender)[1]) == 0


def test_no_address_fills_all_places(tmp_path: Path) -> None:
    begun = command(0x0001, MG, b"1.2.3.9.1") + p_data(DATA, data_set(b"1.2.3.9.1"))
    with listening(tmp_path, max_associations=4) as node, ExitStack() as stack:
        answers = []
        for _ in range(4):
            peer, answer = associate(node.port)
            stack.enter_context(peer)
            answers.append(answer)
            with suppress(OSError):
                peer.sendall(begun)
        assert answers == [ACCEPTED] * 3 + [REJECTED]
        other, answer = associate(node.port, source="127.0.0.2")
        stack.enter_context(other)
        assert answer == ACCEPTED


def test_many_associations_in_a_row_leave_nothing_behind(node: Listening) -> None:
    assert_answers(node)
    before = node.status()
    for _ in range(300):
        echo_s(node.port)
    assert_as_before(node, before, 8)


# Time


def test_a_connection_that_never_asks_is_closed(hasty: Listening) -> None:
    with connect(hasty.port) as peer:
        peer.settimeout(15.0)
        assert is_closed(peer)


def test_a_request_that_drips_in_is_cut_at_the_same_time(hasty: Listening) -> None:
    with connect(hasty.port) as peer:
        peer.sendall(struct.pack(">BxI", 1, 200))
        assert is_cut_while_dripping(peer, 15.0, every_s=0.1)


@pytest.mark.parametrize(
    "begun",
    [
        struct.pack(">BxI", 4, 200_000),
        command(0x0001, MG, b"1.2.3.9.1") + struct.pack(">BxIIBB", 4, 200_000, 199_996, 1, DATA),
        struct.pack(">BxI", 5, 4)[:2],
    ],
    ids=["a PDU", "a data set", "a release"],
)
def test_dripping_what_has_begun_is_cut(hasty: Listening, begun: bytes) -> None:
    peer, _ = associate(hasty.port)
    with peer:
        peer.sendall(begun)
        assert is_cut_while_dripping(peer, 10.0, every_s=0.05)
    wait_until(lambda: hasty.incoming() == [])


def test_whole_pdus_that_drip_in_are_cut_too(hasty: Listening) -> None:
    peer, _ = associate(hasty.port)
    with peer:
        peer.sendall(command(0x0001, MG, b"1.2.3.9.1"))
        deadline = time.monotonic() + 10.0
        with suppress(OSError):
            while time.monotonic() < deadline:
                peer.sendall(p_data(DATA, b"\0"))
                time.sleep(0.05)
        assert time.monotonic() < deadline
    assert [e["reason"] for e in hasty.events("association_cut")] == ["too_slow"]


def test_a_slow_but_steady_sender_is_not_cut(hasty: Listening) -> None:
    peer, _ = associate(hasty.port)
    with peer:
        for chunk in _chunks(store(1, more_bytes=500_000), 25_000):  # 2 Mbit/s
            peer.sendall(chunk)
            time.sleep(0.1)
        assert status_of(received(peer)[1]) == 0


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def test_a_peer_that_reads_no_answer_holds_nobody(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=1, network_timeout_s=2.0) as node:
        before = node.status()
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        peer.settimeout(5.0)
        with peer, suppress(OSError):
            peer.connect(("127.0.0.1", node.port))
            peer.sendall(associate_rq())
            received(peer)
            while True:  # C-ECHO upon C-ECHO, until the answers fill every buffer
                peer.sendall(ECHO * 500)
        assert_answers(node)
        other, answer = associate(node.port)
        other.close()
        assert answer == ACCEPTED
        assert_as_before(node, before)


# What is sent ahead


def test_pipelined_stores_are_served_in_turn_with_one_file_open(node: Listening) -> None:
    before, stored = node.status(), node.stored()
    peer, _ = associate(node.port)
    with peer:
        sender = threading.Thread(
            target=lambda: [peer.sendall(store(n)) for n in range(300)], daemon=True
        )
        sender.start()
        most = 0
        for _ in range(300):
            most = max(most, node.descriptors(), before["descriptors"] + len(node.incoming()))
            assert status_of(received(peer)[1]) == 0
        sender.join()
    assert most <= before["descriptors"] + 5
    assert node.stored() >= stored + 298  # others have sent some of the same
    assert_as_before(node, before)


def test_a_pdu_longer_than_offered_ends_its_association(node: Listening) -> None:
    peer, _ = associate(node.port)
    with peer:
        peer.sendall(struct.pack(">BxI", 4, (1 << 20) + 1))
        assert received(peer)[0] == ABORTED
    assert "pdu_too_long" in [e["reason"] for e in node.events("message_refused")]


# Connections that break


STATES = {
    "connected": b"",
    "a part of the request": associate_rq()[:50],
    "associated": None,
    "a part of a command": command(0x0001, MG, b"1.2.3.9.1")[:30],
    "a command": command(0x0001, MG, b"1.2.3.9.1"),
    "a part of a data set": store(1, 200_000)[:90_000],
    "a whole message": store(2, 50_000),
    "many messages": store(3) * 20,
    "a release": pdu(0x05, bytes(4)),
}


def test_resets_in_every_state_leave_nothing_behind(node: Listening) -> None:
    before = node.status()
    for _ in range(3):
        for state, sent in STATES.items():
            if state in ("connected", "a part of the request"):
                peer = connect(node.port)
            else:
                peer, _ = associate(node.port)
            peer.sendall(sent or b"")
            reset(peer)
    assert_answers(node)
    assert_as_before(node, before)


def test_a_peer_that_closes_its_half_is_still_answered(node: Listening) -> None:
    with connect(node.port) as peer:
        peer.sendall(associate_rq() + store(1))
        peer.shutdown(socket.SHUT_WR)
        assert received(peer)[0] == ACCEPTED
        assert status_of(received(peer)[1]) == 0
        assert is_closed(peer)


def test_a_listener_ends_in_time_whatever_its_peers_do(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with listening(tmp_path) as node:
            for sent in (b"", associate_rq()[:50]):
                stack.enter_context(connect(node.port)).sendall(sent)
            peer, _ = associate(node.port)
            stack.enter_context(peer)
            idle, _ = associate(node.port)
            stack.enter_context(idle)
            peer.sendall(store(1, 200_000)[:90_000])
            peer.sendall(store(1, 200_000)[90_000:])
            assert status_of(received(peer)[1]) == 0
        assert received(idle)[0] == ABORTED


# Who may come in


def test_an_unknown_address_is_closed_unheard_with_one_line_for_all_its_probes(
    guarded: Listening,
) -> None:
    for _ in range(50):
        with connect(guarded.port) as peer, suppress(OSError):
            peer.sendall(associate_rq(VERIFICATION))
            assert received(peer)[0] == 0
    assert_answers(guarded, "127.0.0.3")
    assert [e["peer"] for e in guarded.events("connection_refused")] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("source", "calling", "answer"),
    [
        ("127.0.0.2", b"PACS", ACCEPTED),
        ("127.0.0.2", b"OTHER", REJECTED),
        ("127.0.0.3", b"OTHER", ACCEPTED),
    ],
)
def test_an_ae_title_counts_at_its_own_address(
    guarded: Listening, source: str, calling: bytes, answer: int
) -> None:
    for _ in range(3):
        with connect(guarded.port, source) as peer:
            peer.sendall(associate_rq(calling=calling))
            kind, content = received(peer)
            assert kind == answer
            if kind == REJECTED:  # permanent, by the service user, calling AE title
                assert content == bytes([0, 1, 1, 3])
    refused = [e for e in guarded.events("association_refused") if e["peer"] == source]
    assert [e["reason"] for e in refused] == ["calling_ae_title"] * (answer == REJECTED)


def test_a_called_ae_title_is_checked_where_it_is_wanted(tmp_path: Path) -> None:
    with listening(tmp_path, check_called_ae_title=True) as node, connect(node.port) as peer:
        peer.sendall(associate_rq(called=b"OTHER"))
        assert received(peer) == (REJECTED, bytes([0, 1, 1, 7]))


def test_another_protocol_version_is_rejected_as_such(node: Listening) -> None:
    request = bytearray(associate_rq())
    request[6:8] = b"\0\2"
    with connect(node.port) as peer:
        peer.sendall(request)
        assert received(peer) == (REJECTED, bytes([0, 1, 2, 2]))


def test_a_data_set_before_its_command_ends_its_association(node: Listening) -> None:
    for sent in (p_data(DATA, b"x"), p_data(COMMAND | LAST, b"")):
        peer, _ = associate(node.port)
        with peer:
            peer.sendall(sent)
            assert received(peer)[0] == ABORTED


def test_a_log_that_cannot_be_written_silences_nobody(tmp_path: Path) -> None:
    """As on a full disk: every line fails, on the loop and in the threads of associations."""
    with listening(tmp_path, log_is_full=True, max_associations=2) as node:
        before = node.status()
        for n in range(4):
            for sent in (p_data(DATA, b"x"), pdu(0x01, bytes(30))):
                with connect(node.port) as peer:
                    peer.sendall(sent)
                    is_closed(peer)
            peer, answer = associate(node.port)
            with peer:
                assert answer == ACCEPTED
                peer.sendall(store(n))
                is_closed(peer, 0.5)
        assert_answers(node)
        assert node.stored() == 4
        wait_until(lambda: node.descriptors() <= before["descriptors"])
