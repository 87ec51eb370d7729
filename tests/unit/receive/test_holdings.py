"""What may be said of an object: only what is in the spool, under exactly that class and UID."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from cadnode.receive.commitment_data import FailureReason, Reference
from cadnode.receive.holdings import (
    LOOKS_AGAIN_AFTER_S,
    LOOKS_AT_OTHERS_AFTER_S,
    Holdings,
)
from cadnode.receive.scp import STORAGE_CLASSES
from cadnode.receive.spool import Spool
from tests.peers import wait_until
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def named(ds: Dataset) -> Reference:
    return Reference(str(ds.SOPClassUID), str(ds.SOPInstanceUID))


def reasons(holdings: Holdings, *wanted: Reference) -> list[int | None]:
    found = holdings.report("1.2", wanted)
    failed = dict(found.failed)
    assert {*found.committed, *failed} == set(wanted)
    return [failed.get(one) for one in wanted]


def test_each_object_is_held_or_has_its_reason(spool: Spool, tmp_path: Path) -> None:
    ds = view_dataset()
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    holdings = Holdings(spool, STORAGE_CLASSES)

    assert reasons(
        holdings,
        named(ds),
        Reference(str(SecondaryCaptureImageStorage), str(ds.SOPInstanceUID)),
        Reference(str(ds.SOPClassUID), "1.2.3.4"),
        Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3.5"),
    ) == [
        None,
        FailureReason.CLASS_INSTANCE_CONFLICT,
        FailureReason.NO_SUCH_OBJECT_INSTANCE,
        FailureReason.SOP_CLASS_NOT_SUPPORTED,
    ]


def test_what_comes_after_a_search_is_held_at_once_when_this_listener_received_it(
    spool: Spool, tmp_path: Path
) -> None:
    clock, ds, fetched = Clock(), view_dataset(), view_dataset(seed=1)
    holdings = Holdings(spool, STORAGE_CLASSES, clock)
    assert reasons(holdings, named(ds)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]

    holdings.note(add_file(spool, write(ds, tmp_path / "a.dcm")))
    assert reasons(holdings, named(ds)) == [None]
    add_file(spool, write(fetched, tmp_path / "b.dcm"))  # by another process
    clock.now += LOOKS_AGAIN_AFTER_S
    assert reasons(holdings, named(fetched), named(ds)) == [None, None]


def test_what_was_removed_or_cannot_be_read_is_not_held(spool: Spool, tmp_path: Path) -> None:
    ds, broken = view_dataset(), view_dataset(seed=1)
    kept = [add_file(spool, write(one, tmp_path / "a.dcm")) for one in (ds, broken)]
    holdings = Holdings(spool, STORAGE_CLASSES)
    for one in kept:
        holdings.note(one)
    kept[0].path.unlink()
    kept[1].path.write_bytes(b"")

    assert (
        reasons(holdings, named(ds), named(broken)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE] * 2
    )


def test_a_disk_that_fails_is_a_processing_failure(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = view_dataset()
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    holdings = Holdings(spool, STORAGE_CLASSES)

    def fails(_study: str) -> bool:
        raise OSError

    monkeypatch.setattr(spool, "sync", fails)
    assert reasons(holdings, named(ds)) == [FailureReason.PROCESSING_FAILURE]


def test_what_another_listener_received_just_now_is_held_too(spool: Spool, tmp_path: Path) -> None:
    clock = Clock()
    alone = Holdings(spool, STORAGE_CLASSES, clock)
    one_of_two = Holdings(spool, STORAGE_CLASSES, clock, shares=True)
    missing = Reference(str(SecondaryCaptureImageStorage), "1.2.3.4")
    for holdings in (alone, one_of_two):
        assert reasons(holdings, missing) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]

    ds = view_dataset()
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    clock.now += LOOKS_AT_OTHERS_AFTER_S
    assert reasons(alone, named(ds)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]
    assert reasons(one_of_two, named(ds)) == [None]


def test_who_asks_for_what_is_not_there_holds_up_nobody_else_and_all_share_one_search(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds, nobodys = view_dataset(), Reference(str(SecondaryCaptureImageStorage), "1.2.3.4")
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    holdings = Holdings(spool, STORAGE_CLASSES, shares=True)
    assert reasons(holdings, named(ds)) == [None]
    found, goes_on, began = spool.whereabouts, threading.Event(), list[float]()

    def takes_long(since: float = 0.0) -> tuple[dict[str, tuple[str, ...]], float]:
        began.append(since)
        assert goes_on.wait(20.0)
        return found(since)

    monkeypatch.setattr(spool, "whereabouts", takes_long)
    with ThreadPoolExecutor(6) as senders:
        asked = [senders.submit(reasons, holdings, nobodys)]
        wait_until(lambda: len(began) == 1)
        asked += [senders.submit(reasons, holdings, nobodys) for _ in range(4)]
        assert senders.submit(reasons, holdings, named(ds)).result(20.0) == [None]
        goes_on.set()
        answers = [one.result(20.0) for one in asked]
    assert answers == [[FailureReason.NO_SUCH_OBJECT_INSTANCE]] * 5
    assert len(began) <= 3  # of six who asked
