"""One try to deliver, with destinations that hang, and a study that was read again meanwhile."""

import os
import threading
import time
from pathlib import Path

import pytest

from cadnode.node import commitments, retry
from cadnode.node import delivery_tries as room
from cadnode.node.commitments import Progress, Transactions
from cadnode.node.deliveries import TryEnd
from cadnode.node.delivery_record import DeliveryTry, record, tries
from cadnode.node.delivery_tries import DeliveryTries
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.results import Results
from cadnode.settings import Settings

STUDY, OLD, NEW = "0123456789abcdef", "a" * 16, "b" * 16
DESTINATIONS = [
    {"name": name, "kind": "folder", "folder": "/nowhere"} for name in ("archive", "other")
]


class Peer:
    """A destination that takes what it gets once it is let."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let = threading.Event()
        self.n_asked = 0
        self.got: list[str] = []

    def attempt(self, _settings: object, study: str, result: Path, name: str) -> TryEnd:
        self.n_asked += 1
        self.asked.set()
        if name == "archive":
            assert self.let.wait(10)
        self.got.append(f"{name} {result.name[0]}")
        return TryEnd(DeliveryStatus.DELIVERED)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Peer:
    peer = Peer()
    monkeypatch.setattr(room, "attempt", peer.attempt)
    monkeypatch.setattr(retry, "TRY_SILENCES", 0.005)  # of 30 s: 0.15 s
    return peer


@pytest.fixture
def place(tmp_path: Path) -> DeliveryTries:
    settings = Settings(storage={"folder": tmp_path}, destinations=DESTINATIONS)
    report(tmp_path, OLD, 100)
    return DeliveryTries(settings, Results.in_storage(tmp_path), clock=lambda: 7.0)


def report(storage: Path, content: str, at: float) -> Path:
    folder = storage / "results" / STUDY / content
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    os.utime(folder / "result.json", (at, at))
    return folder


def test_a_destination_that_hangs_is_left_and_the_next_one_gets_its_result(
    place: DeliveryTries, peer: Peer, tmp_path: Path
) -> None:
    began = time.monotonic()
    hung = place.deliver(STUDY, OLD, "archive")
    again = place.deliver(STUDY, OLD, "archive")
    other = place.deliver(STUDY, OLD, "other")

    assert time.monotonic() - began < 3
    assert (hung.status, other.status) == ("retry", "delivered")
    assert (again.status, "earlier try" in again.reason) == ("retry", True)
    record = tries(tmp_path / "results" / STUDY / OLD)
    assert [(one.destination, one.status, one.at) for one in record] == [
        ("archive", "retry", 7.0), ("archive", "retry", 7.0), ("other", "delivered", 7.0),
    ]  # fmt: skip
    peer.let.set()


def test_a_destination_holds_only_so_many_tries_that_never_end(
    place: DeliveryTries, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_ABANDONED", 2)
    for number in range(4):
        place.deliver(f"{number:016x}", OLD, "archive")
    hung = [t for t in threading.enumerate() if t.name == "deliver-archive"]
    assert len(hung) <= 2
    peer.let.set()


def test_an_older_result_is_not_sent_after_the_study_was_read_again(
    place: DeliveryTries, peer: Peer, tmp_path: Path
) -> None:
    peer.let.set()
    report(tmp_path, NEW, 200)

    assert place.deliver(STUDY, OLD, "archive").status is DeliveryStatus.SUPERSEDED
    assert place.deliver(STUDY, NEW, "archive").status is DeliveryStatus.DELIVERED
    assert peer.got == ["archive b"]


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (DeliveryStatus.RETRY, "dropped"),
        (DeliveryStatus.REFUSED, "dropped"),
        (DeliveryStatus.DELIVERED, "delivered"),
    ],
)
def test_what_is_dropped_while_it_is_tried_stays_dropped_unless_it_arrives(
    place: DeliveryTries,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: DeliveryStatus,
    kept: str,
) -> None:
    folder = tmp_path / "results" / STUDY / OLD

    def attempt(*_: object) -> TryEnd:
        record(folder, DeliveryTry("other", DeliveryStatus.DROPPED, 7.0, "dropped by ann: moved"))
        return TryEnd(end)

    monkeypatch.setattr(room, "attempt", attempt)

    assert place.deliver(STUDY, OLD, "other").status == kept

    assert tries(folder)[-1].status == kept


def test_a_delivery_that_was_dropped_before_is_tried_and_recorded_like_any(
    place: DeliveryTries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results" / STUDY / OLD
    record(folder, DeliveryTry("other", DeliveryStatus.DROPPED, 7.0, "dropped by ann: moved"))
    monkeypatch.setattr(room, "attempt", lambda *_: TryEnd(DeliveryStatus.RETRY))

    assert place.deliver(STUDY, OLD, "other").status is DeliveryStatus.RETRY

    assert [one.status for one in tries(folder)] == ["dropped", "retry"]


def test_a_newer_result_waits_for_an_older_one_that_is_on_its_way(
    place: DeliveryTries, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "TRY_SILENCES", 1)
    older = threading.Thread(target=place.deliver, args=(STUDY, OLD, "archive"))
    older.start()
    assert peer.asked.wait(10)
    report(tmp_path, NEW, 200)
    newer = threading.Thread(target=place.deliver, args=(STUDY, NEW, "archive"))
    newer.start()
    peer.let.set()
    older.join(10)
    newer.join(10)
    assert peer.got == ["archive a", "archive b"]


def test_a_newer_result_of_another_worker_waits_for_an_older_one_that_is_on_its_way(
    peer: Peer, tmp_path: Path
) -> None:
    report(tmp_path, OLD, 100)
    first, second = (
        DeliveryTries(
            Settings(
                storage={"folder": tmp_path}, destinations=DESTINATIONS,
                jobs={"database_url": "postgresql://nowhere/jobs"},
            ),
            Results.in_storage(tmp_path),
        )
        for _ in range(2)
    )  # fmt: skip

    assert first.deliver(STUDY, OLD, "archive").status is DeliveryStatus.RETRY  # it goes on
    assert peer.asked.wait(10)
    report(tmp_path, NEW, 200)
    assert second.deliver(STUDY, NEW, "archive").status is DeliveryStatus.RETRY
    assert peer.n_asked == 1

    peer.let.set()
    for thread in threading.enumerate():
        if thread.name == "deliver-archive":
            thread.join(10)
    assert peer.got == ["archive a", "archive b"]


def test_a_superseded_result_waits_for_no_commitment_and_is_not_stored_again(
    place: DeliveryTries, peer: Peer, tmp_path: Path
) -> None:
    transactions = Transactions(tmp_path)
    transactions.begin("1.2.3", (STUDY, OLD, "archive"))
    old = tmp_path / "results" / STUDY / OLD
    commitments.save(old, "archive", Progress(transactions=("1.2.3",), n_unanswered=1))
    report(tmp_path, NEW, 200)

    assert place.deliver(STUDY, OLD, "archive").status is DeliveryStatus.SUPERSEDED

    assert commitments.progress(old, "archive") == Progress()
    asked = transactions.find("1.2.3")
    assert asked is not None
    assert asked.settled_at is not None
    assert peer.got == []
