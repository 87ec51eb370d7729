"""A listener that connections without an association cannot silence (DICOM PS3.8 9.1.4, ARTIM)."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cadnode.receive import scp
from cadnode.receive.spool import Spool
from tests.peers import is_cut_while_dripping

MOST_ASSOCIATIONS = 3
WITHIN_S = 1.5


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    config = scp.ScpConfig(
        port=0, max_associations=MOST_ASSOCIATIONS, association_within_s=WITHIN_S
    )
    with scp.serve(config, Spool(tmp_path / "spool"), lambda stored: None) as listener:
        yield listener.port


def answers(port: int) -> bool:
    """Whether C-ECHO is answered, by DCMTK."""
    echo = ["echoscu", "-to", "5", "-aec", "CADNODE", "127.0.0.1", str(port)]
    return subprocess.run(echo, capture_output=True, check=False).returncode == 0


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def is_closed(peer: socket.socket) -> bool:
    """Whether the listener ends the connection, with an A-ABORT before it or without."""
    try:
        while data := peer.recv(64):
            assert data[0] == 0x07
    except ConnectionResetError:
        pass
    return True


def test_a_load_balancers_checks_take_no_place_of_an_association(port: int) -> None:
    for _ in range(5 * MOST_ASSOCIATIONS):
        connect(port).close()

    assert answers(port)


def test_open_connections_that_ask_for_nothing_take_no_place(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(5 * MOST_ASSOCIATIONS):
            stack.enter_context(connect(port))

        assert answers(port)


def test_a_connection_that_never_asks_is_closed(port: int) -> None:
    with connect(port) as peer:
        assert is_closed(peer)


def test_a_request_that_drips_in_is_cut_at_the_same_time(port: int) -> None:
    with connect(port) as peer:
        peer.sendall(struct.pack(">BxI", 1, 200))
        assert is_cut_while_dripping(peer, 15.0, every_s=0.1)


def test_nothing_long_is_read_before_an_association(port: int) -> None:
    with connect(port) as peer:
        peer.sendall(struct.pack(">BxI", 1, 1 << 20))
        assert is_closed(peer)
    assert answers(port)
