"""The clocks of a connection: only the time in which the peer is waited for counts."""

import socket
import time
from collections.abc import Iterator

import pytest

from cadnode.receive.wire import Patience, PeerGone, Silent, TooSlow, Wire

PATIENCE = Patience(silence_s=0.3, begun_s=0.2, bytes_per_s=1000.0, answer_s=0.2)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the peer's end, ours)."""
    peer, ours = socket.socketpair()
    with peer, ours:
        yield peer, ours


def test_silence_is_not_slowness(ends: tuple[socket.socket, socket.socket]) -> None:
    wire = Wire(ends[1], PATIENCE)
    with pytest.raises(Silent):
        wire.await_bytes()
    wire.begin()
    with pytest.raises(TooSlow):
        wire.take(1)


def test_what_arrives_buys_time(ends: tuple[socket.socket, socket.socket]) -> None:
    peer, ours = ends
    wire = Wire(ours, PATIENCE)
    peer.sendall(bytes(500))  # half a second more
    wire.begin()
    assert wire.take(500) == bytes(500)
    began = time.monotonic()
    with pytest.raises(Silent):  # now it is the silence that ends it
        wire.take(1)
    assert time.monotonic() - began >= 0.29


def test_our_own_slowness_is_not_the_peers(ends: tuple[socket.socket, socket.socket]) -> None:
    peer, ours = ends
    wire = Wire(ours, PATIENCE)
    wire.begin()
    for _ in range(3):
        peer.sendall(b"x")
        assert wire.take(1) == b"x"
        time.sleep(0.15)


def test_a_peer_that_reads_nothing_is_too_slow(ends: tuple[socket.socket, socket.socket]) -> None:
    wire = Wire(ends[1], PATIENCE)
    with pytest.raises(TooSlow):
        wire.send(bytes(8 << 20))


def test_a_peer_that_closed_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    wire = Wire(ends[1], PATIENCE)
    ends[0].sendall(b"ab")
    ends[0].close()
    assert wire.take(2) == b"ab"
    with pytest.raises(PeerGone):
        wire.take(1)
