"""Requests of senders on the disk: there before they are accepted, bounded, and not lost."""

import errno
import threading
from pathlib import Path

import pytest

from cadnode import limits
from cadnode.receive import commitment_requests
from cadnode.receive.commitment_data import CommitmentRequest, Reference
from cadnode.receive.commitment_requests import (
    ACKNOWLEDGED_WITHIN_S,
    CommitmentRequests,
    Full,
    Sender,
)

MG1, MG2 = Sender("10.0.0.1", "MG1"), Sender("10.0.0.2", "MG2")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def request(n: int, transaction: str = "") -> CommitmentRequest:
    return CommitmentRequest(transaction or f"1.2.{n}", (Reference("1.2.840", f"1.3.{n}"),))


def test_a_request_is_there_after_a_crash_until_its_report_is_acknowledged(tmp_path: Path) -> None:
    key = CommitmentRequests(tmp_path).add(MG1, request(1))

    again = CommitmentRequests(tmp_path)
    found = again.load(key)
    assert found is not None
    assert (found.sender, found.request, found.is_duplicate) == (MG1, request(1), False)
    assert again.to_report() == {MG1: [key]}
    again.settle(key)
    assert CommitmentRequests(tmp_path).to_report() == {}


def test_an_association_has_its_time_to_report_before_another_way_is_taken(tmp_path: Path) -> None:
    clock = Clock()
    requests = CommitmentRequests(tmp_path, clock)
    key, other = requests.add(MG1, request(1)), requests.add(MG2, request(2))

    assert requests.to_report() == {}
    requests.release(key)
    assert requests.to_report() == {MG1: [key]}
    clock.now += ACKNOWLEDGED_WITHIN_S
    assert requests.to_report() == {MG1: [key], MG2: [other]}
    clock.now -= 86_400.0  # the clock is set back: nothing waits for that
    assert set(requests.to_report()) == {MG1, MG2}


def test_the_same_request_has_the_same_key_and_another_under_its_uid_is_a_duplicate(
    tmp_path: Path,
) -> None:
    requests = CommitmentRequests(tmp_path)
    first = requests.add(MG1, request(1, "1.2"))

    assert requests.add(MG1, request(1, "1.2")) == first
    other = requests.load(requests.add(MG1, request(2, "1.2")))
    assert other is not None
    assert other.is_duplicate
    elsewhere = requests.load(requests.add(MG2, request(2, "1.2")))
    assert elsewhere is not None
    assert not elsewhere.is_duplicate


def test_one_address_fills_a_quarter_and_all_together_no_more_than_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_requests, "COMMITMENTS", 8)
    requests = CommitmentRequests(tmp_path)
    requests.add(MG1, request(1))
    requests.add(Sender("10.0.0.1", "OTHER"), request(2))

    with pytest.raises(Full):
        requests.add(MG1, request(3))
    for n in range(2, 8):
        requests.add(Sender(f"10.0.0.{n}", "MG"), request(n))
    with pytest.raises(Full):
        requests.add(Sender("10.0.0.99", "MG"), request(99))
    with pytest.raises(Full):  # a new process knows what the last one held
        CommitmentRequests(tmp_path).add(Sender("10.0.0.99", "MG"), request(99))


def test_bytes_on_the_disk_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_requests, "COMMITMENTS_BYTES", 4000)
    requests = CommitmentRequests(tmp_path)
    many = CommitmentRequest("1.2", tuple(Reference("1.2", f"1.2.{n}") for n in range(100)))

    with pytest.raises(Full):
        requests.add(MG1, many)
    assert list(tmp_path.iterdir()) == []
    assert limits.COMMITMENTS_BYTES > limits.COMMITMENT_BYTES * 4


def test_a_file_that_cannot_be_read_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_bytes(b'{"address": "10.0')

    assert CommitmentRequests(tmp_path).to_report() == {}
    assert list(tmp_path.iterdir()) == []


def test_of_several_listeners_each_reports_its_own_and_one_those_of_the_dead(
    tmp_path: Path,
) -> None:
    gone: set[str] = set()
    one, two, three = (
        CommitmentRequests(tmp_path, owner=owner, is_gone=gone.__contains__)
        for owner in ("listener.1", "listener-2.1", "listener-3.1")
    )
    key = one.add(MG1, request(1))
    two.add(MG2, request(2))
    one.release(key)
    assert one.to_report() == {MG1: [key]}
    assert two.to_report() == three.to_report() == {}  # its own is on its association

    gone.add("listener.1")
    assert two.to_report() == {MG1: [key]}
    assert three.to_report() == {}
    two.settle(key)
    assert [entry.to_report() for entry in (two, three)] == [{}, {}]


def test_several_listeners_share_transactions_and_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment_requests, "COMMITMENTS", 8)
    one, two = (
        CommitmentRequests(tmp_path, owner=owner, is_gone=lambda _: False)
        for owner in ("listener.1", "listener-2.1")
    )
    one.add(MG1, request(1, "1.2.9"))
    again = two.load(two.add(MG1, request(2, "1.2.9")))
    assert again is not None
    assert again.is_duplicate
    with pytest.raises(Full):  # a quarter of the places is an address's, whichever it asks
        two.add(MG1, request(3))


def test_a_file_that_cannot_be_read_just_now_is_kept_and_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many connections, a disk or a server of files that fails: what was accepted is owed."""
    one = CommitmentRequests(tmp_path, owner="listener.1", is_gone=lambda _: False)
    key = one.add(MG1, request(1))
    two = CommitmentRequests(tmp_path, owner="listener-2.1", is_gone=lambda _: True)
    read = Path.read_bytes

    def fails(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        assert two.to_report() == {}
        with pytest.raises(OSError, match="too many"):
            one.owed(key)
    assert Path.read_bytes is read
    assert two.to_report() == {MG1: [key]}


def test_what_is_settled_while_another_takes_it_over_stays_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (
        CommitmentRequests(tmp_path, owner=owner, is_gone=lambda _: True)
        for owner in ("listener.1", "listener-2.1")
    )
    key = one.add(MG1, request(1))
    settling = threading.Thread(target=one.settle, args=(key,))
    write_whole = commitment_requests.write_whole

    def writes_late(path: Path, data: bytes) -> None:
        settling.start()
        settling.join(0.3)
        write_whole(path, data)

    monkeypatch.setattr(commitment_requests, "write_whole", writes_late)
    two.to_report()
    settling.join()
    assert list(tmp_path.glob("*.json")) == []
    assert two.to_report() == {}


def test_a_request_that_comes_once_more_to_another_listener_is_reported_by_that_one(
    tmp_path: Path,
) -> None:
    gone: set[str] = set()
    one, two = (
        CommitmentRequests(tmp_path, owner=owner, is_gone=gone.__contains__)
        for owner in ("listener.1", "listener-2.1")
    )
    key = one.add(MG1, request(1))
    assert two.add(MG1, request(1)) == key
    assert one.owed(key) is None
    found = two.owed(key)
    assert found is not None
    assert (found.request, found.is_duplicate) == (request(1), False)
    for requests in (one, two):
        requests.release(key)
    assert (one.to_report(), two.to_report()) == ({}, {MG1: [key]})

    gone.add("listener-2.1")
    assert one.to_report() == {MG1: [key]}
    one.settle(key)
    assert two.owed(key) is None


def test_nobody_else_reports_what_a_report_was_made_of_just_now(tmp_path: Path) -> None:
    requests = CommitmentRequests(tmp_path)
    key = requests.add(MG1, request(1))
    requests.release(key)
    assert requests.owed(key) is not None
    assert requests.to_report() == {}
    requests.release(key)
    assert requests.to_report() == {MG1: [key]}
