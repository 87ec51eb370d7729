"""Two listeners on one folder and PostgreSQL, behind HAProxy: what holds over both, one killed."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from cadnode.log import hashed
from cadnode.node import role_status
from cadnode.node.erasure.places import files_below, place_of
from cadnode.node.refused_peers import refused_peers
from tests.commitment_peers import Asking
from tests.faults.listener_peer import (
    ACCEPTED,
    DATA,
    MG,
    associate,
    associate_rq,
    command,
    connect,
    data_set,
    is_closed,
    p_data,
    received,
)
from tests.integration.node import wait_until
from tests.peers import free_port
from tests.postgres import NEEDS_POSTGRES, postgres_server
from tests.several_listeners import BALANCER, NEEDS_HAPROXY, Cluster, cluster, slept_until
from tests.synthetic import write_exam

pytestmark = [NEEDS_POSTGRES, NEEDS_HAPROXY]
REPORTS = free_port()
PEERS = f"""
[[listener.peers]]
address = "127.0.0.1"
ae_title = "MG1"
port = {REPORTS}

[[listener.peers]]
address = "127.0.0.2"
ae_title = "MG2"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with postgres_server() as server:
        server.start()
        folder = tmp_path_factory.mktemp("listeners")
        with cluster(folder, server, peers=PEERS) as running:
            yield running


def exam(folder: Path, seed: int) -> tuple[list[Path], str]:
    """Files of four views, and the study's key."""
    files = write_exam(folder, seed=seed, rows=64, columns=64)
    return files, hashed(str(pydicom.dcmread(files[0]).StudyInstanceUID))


def test_a_study_that_comes_half_by_each_is_one_study_and_read_once(
    node: Cluster, tmp_path: Path
) -> None:
    files, study = exam(tmp_path, 1)
    before = [node.received(0), node.received(1)]
    for file in files:  # one association each: the balancer gives them in turn
        assert node.send(file)
    assert node.send(files[0])
    assert node.send(files[0])  # each has had it now
    arrived = time.monotonic()
    assert [node.received(n) - before[n] for n in (0, 1)] == [3, 3]
    assert [path.suffix for path in node.stored(study)] == [".dcm"] * 4
    wait_until(lambda: node.counts("deliver")[study], "it is read and delivered")
    slept_until(arrived + 4.0)  # another announcement would have had its quiet time
    assert node.counts("begin")[study] == node.counts("deliver")[study] == 1


def test_both_say_who_connects_and_are_shown(node: Cluster, tmp_path: Path) -> None:
    files, _ = exam(tmp_path, 4)
    with socket.create_connection(("127.0.0.1", node.port), 5, ("127.0.0.3", 0)) as stranger:
        assert stranger.recv(1) == b""  # its address is no peer's, whatever the balancer's is
    assert not node.send(files[0], calling="MG2")  # bound to 127.0.0.2
    with connect(node.ports[0], BALANCER) as silent:  # past HAProxy, which would say who it is
        silent.sendall(associate_rq())
        assert received(silent)[0] == 0
    wait_until(lambda: len(refused_peers(node.storage)) == 3, "all refusals are shown")
    assert {(one.code, one.address) for one in refused_peers(node.storage)} == {
        ("unknown_address", "127.0.0.3"), ("calling_ae_title", "127.0.0.1"),
        ("no_proxy_header", BALANCER),
    }  # fmt: skip
    found = role_status.look_around(node.storage, "listener")
    assert [(slot, one.works) for slot, one in found.items()] == [
        ("listener", True), ("listener-2", True)
    ]  # fmt: skip
    written = (path.relative_to(node.storage) for path in files_below(node.storage))
    unknown = [path for path in written if place_of(path) is None]
    assert [str(path) for path in unknown] == ["steps"]  # of the worker's double


def test_one_commits_what_the_other_has_just_received(node: Cluster, tmp_path: Path) -> None:
    files, _ = exam(tmp_path, 2)
    objects = [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in map(pydicom.dcmread, files)]
    sender = Asking(node.port)
    for number, file in enumerate(files):
        assert node.send(file)
        assert sender.ask(objects[: number + 1]) == 0  # by the other listener
    assert [len(one.committed) for one in sender.reports] == [1, 2, 3, 4]
    assert all(not one.failed for one in sender.reports)


def test_what_a_killed_listener_had_is_gone_on_with_by_the_other(
    node: Cluster, tmp_path: Path
) -> None:
    files, study = exam(tmp_path, 3)
    objects = [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in map(pydicom.dcmread, files)]
    before = [node.received(0), node.received(1)]
    assert node.send(files[0])
    holder = 0 if node.received(0) > before[0] else 1
    sender = Asking(node.port)
    assert node.send(files[1])  # the turn is the holder's again
    assert sender.ask(objects[:2], wait_for=0) == 0
    assert node.send(files[1])
    peer, answer = associate(node.port, calling=b"MG1")
    assert answer == ACCEPTED
    with peer:
        whole = data_set(b"1.2.3.9.1", more_bytes=100_000)
        peer.sendall(command(0x0001, MG, b"1.2.3.9.1") + p_data(DATA, whole[:16_000]))
        wait_until(lambda: any((node.storage / "spool/incoming").iterdir()), "half has come")
        node.kill(holder)
        assert is_closed(peer, 60.0)
    with sender.listening(REPORTS):
        assert node.send(*files)  # the PACS sends again what it had no answer for, and the rest
        wait_until(lambda: sender.reports, "the other reports what was asked of the dead one")
    wait_until(lambda: node.counts("deliver")[study], "it is read and delivered")
    found = role_status.look_around(node.storage, "listener")
    assert [one.is_up for one in found.values()].count(False) == 1
    assert {*sender.reports[0].committed} == {uid for _, uid in objects[:2]}
    assert len(sender.reports) == 1
    assert [path.suffix for path in node.stored(study)] == [".dcm"] * 4
    assert node.counts("begin")[study] == node.counts("deliver")[study] == 1
