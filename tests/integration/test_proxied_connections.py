"""Who is taken for whom behind a balancer that speaks the PROXY protocol, by its very bytes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from cadnode.receive import scp
from cadnode.receive.admission import AllowedPeer
from cadnode.receive.scp import ScpConfig
from cadnode.receive.spool import Spool
from cadnode.receive.witness import Unwatched
from tests.faults.listener_peer import (
    ACCEPTED,
    ECHO,
    VERIFICATION,
    associate_rq,
    connect,
    is_closed,
    received,
    status_of,
)
from tests.peers import wait_until
from tests.unit.receive.test_proxied import IPV4, v2

ADDRESS = "10.1.2.3"  # that `IPV4` states


class Heard(Unwatched):
    """Who was refused."""

    def __init__(self) -> None:
        self.refusals = list[tuple[str, str]]()

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        self.refusals.append((reason, address))


@contextmanager
def listening(
    folder: Path, *peers: AllowedPeer, beats: list[float] | None = None
) -> Iterator[tuple[int, Heard]]:
    """The port of a listener to which this machine is a balancer, and who was refused there."""
    heard = Heard()
    config = ScpConfig(port=0, peers=peers, proxies=(ip_network("127.0.0.1"),))

    def beat() -> None:
        if beats is not None:
            beats.append(time.monotonic())

    spool = Spool(folder / "spool")
    with scp.serve(config, spool, lambda stored: None, beat, witness=heard) as listener:
        yield listener.port, heard


@pytest.mark.parametrize("first_bytes", [1, 13, 20, 28, 40])
def test_a_header_may_come_in_parts_and_keeps_nobody_busy(tmp_path: Path, first_bytes: int) -> None:
    beats: list[float] = []
    allowed = AllowedPeer("PEER", ip_network(ADDRESS))
    whole = v2(0x21, 0x11, IPV4) + associate_rq(VERIFICATION)
    with listening(tmp_path, allowed, beats=beats) as (port, _), connect(port) as peer:
        peer.sendall(whole[:first_bytes])
        before, since = len(beats), time.monotonic()
        wait_until(lambda: len(beats) > before + 1)
        time.sleep(0.1)
        turns_per_s = (len(beats) - before) / (time.monotonic() - since)
        assert turns_per_s < 400  # ten where nothing comes, thousands of one that spins
        peer.sendall(whole[first_bytes:])
        assert received(peer)[0] == ACCEPTED
        peer.sendall(ECHO)
        kind, content = received(peer)
        assert (kind, status_of(content)) == (0x04, 0x0000)


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(0x20, 0x00, b"")])
def test_nobody_is_let_in_as_the_balancer_itself(tmp_path: Path, header: bytes) -> None:
    """Also where everybody may send, and the balancer cannot tell who it is that connects."""
    with listening(tmp_path) as (port, heard):
        with connect(port) as check:  # a health check: it looks, and goes
            check.sendall(header)
        with connect(port) as peer:
            peer.sendall(header)
            peer.sendall(associate_rq())
            assert is_closed(peer)
        assert heard.refusals == [("no_proxy_header", "127.0.0.1")]
        with connect(port) as peer:
            peer.sendall(v2(0x21, 0x11, IPV4) + associate_rq())
            assert received(peer)[0] == ACCEPTED
