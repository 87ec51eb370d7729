"""Who may have which exam: files alone, without HTTP, images and models."""

import os
import time
from pathlib import Path

import pytest

from cadnode.node.remote.machines import LONGEST_PAUSE_S, PAUSE_S, RemoteMachines, SeenWorker
from cadnode.node.remote.offers import SILENT_S, Offers
from cadnode.node.remote.reading_offer import OfferState, ReadingOffer

KEY = "0" * 16 + "-" + "1" * 16


def offer(study: str = "0" * 16, **what: object) -> ReadingOffer:
    values = {"study": study, "content": "1" * 16, "files": ("a.dcm",), "digest": "d", **what}
    return ReadingOffer.model_validate(values)


@pytest.fixture
def offers(tmp_path: Path) -> Offers:
    found = Offers(tmp_path)
    found.make(offer())
    return found


class Clock:
    """What `time.monotonic` says."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("cadnode.node.remote.offers.monotonic", lambda: clock.now)
    return clock


def claimed(offers: Offers, machine: str = "box", token: str = "t") -> str:
    found = offers.claim(KEY, machine, "d", token)
    assert found is not None
    return found[1].claim


def test_no_machine_gets_an_exam_again_that_it_failed_with(offers: Offers) -> None:
    offers.give_up(claimed(offers), "t", has_failed=True)

    assert offers.open_for("box", "d") == []
    assert offers.claim(KEY, "box", "d", "t") is None
    assert [one.key for one in offers.open_for("other", "d")] == [KEY]
    assert offers.state(KEY) is OfferState.OPEN

    offers.give_up(claimed(offers, "other"), "t", has_failed=True)
    assert offers.state(KEY) is OfferState.OURS
    assert offers.failed_with(KEY) == ["box", "other"]


def test_a_machine_that_stops_has_not_failed(offers: Offers) -> None:
    offers.give_up(claimed(offers), "t", has_failed=False)
    assert [one.key for one in offers.open_for("box", "d")] == [KEY]
    assert offers.machines.pause_s("box") == 0.0


def test_a_machine_that_failed_pauses_for_longer_each_time_until_it_reads(tmp_path: Path) -> None:
    machines = RemoteMachines(tmp_path)
    machines.note_seen(SeenWorker(machine="box", version="1", digest="d"))
    assert machines.around("d") == {"box"}
    pauses = []
    for _ in range(7):
        machines.note_failed("box")
        pauses.append(machines.pause_s("box"))
    longest = [min(LONGEST_PAUSE_S, PAUSE_S * 2**n) for n in range(7)]
    assert pauses == pytest.approx(longest, abs=5.0)
    assert machines.around("d") == set()  # nobody waits for it

    machines.note_read("box")
    assert machines.pause_s("box") == 0.0
    assert machines.around("d") == {"box"}


def test_an_exam_is_kept_for_nobody_where_all_that_ask_failed_with_it(offers: Offers) -> None:
    offers.machines.note_seen(SeenWorker(machine="box", version="1", digest="d"))
    assert offers.is_wanted(offer())
    offers.fail(KEY)
    assert offers.is_wanted(offer())  # nobody had it
    claimed(offers)
    offers.fail(KEY)
    offers.machines.note_read("box")
    assert not offers.is_wanted(offer())


def test_a_claim_is_that_of_the_token_that_it_was_given_to(offers: Offers) -> None:
    claim = claimed(offers)
    assert offers.held(claim, "other") is None
    assert offers.end(claim, "other", b"made up") is None
    assert offers.give_up(claim, "other", has_failed=True) is None
    assert offers.held(claim, "t") is not None
    assert offers.end(claim, "t", b"read") is not None
    assert offers.ended(KEY) == ("box", b"read")


def test_a_reading_whose_answer_was_lost_may_be_brought_again(offers: Offers) -> None:
    claim = claimed(offers)
    assert offers.end(claim, "t", b"read") is not None
    assert offers.end(claim, "t", b"read") is not None
    assert offers.end(claim, "other", b"made up") is None
    offers.withdraw(KEY)
    assert offers.end(claim, "t", b"read") is None


def test_silence_is_measured_by_a_clock_that_nobody_sets(offers: Offers, clock: Clock) -> None:
    claim = claimed(offers)
    assert offers.state(KEY) is OfferState.TAKEN
    long_ago = time.time() - 10 * SILENT_S  # the clock was set forward by so much
    os.utime(next(offers._folder.glob("*.claim")), (long_ago, long_ago))
    assert offers.state(KEY) is OfferState.TAKEN
    clock.now += SILENT_S - 1
    assert offers.held(claim, "t") is not None  # a sign of life
    assert offers.state(KEY) is OfferState.TAKEN  # which is seen here; a worker looks all the time
    clock.now += SILENT_S - 1
    assert offers.state(KEY) is OfferState.TAKEN
    clock.now += 2
    assert offers.state(KEY) is OfferState.OPEN
    assert offers.failed_with(KEY) == ["box"]


def test_a_machine_that_takes_too_long_has_lost_the_exam(offers: Offers, clock: Clock) -> None:
    offers.make(offer(within_s=100.0))
    claim = claimed(offers)
    for _ in range(5):
        assert offers.held(claim, "t") is not None
        clock.now += 20.5
    assert offers.held(claim, "t") is None


def test_the_most_urgent_comes_first(offers: Offers) -> None:
    offers.make(offer("2" * 16, rank=3, at=1.0))
    offers.make(offer("3" * 16, rank=1, at=3.0))
    offers.make(offer("4" * 16, rank=1, at=2.0))
    ranked = [one.study[0] for one in offers.open_for("box", "d") if one.rank]
    assert ranked == ["4", "3", "2"]


def test_what_is_offered_for_other_models_is_another_offer(offers: Offers) -> None:
    claim = claimed(offers)
    offers.make(offer(digest="e"))
    assert offers.end(claim, "t", b"read with the old ones") is None
    assert offers.open_for("box", "d") == []
    assert [one.digest for one in offers.open_for("box", "e")] == ["e"]


def test_who_asks_each_second_is_noted_each_five(tmp_path: Path) -> None:
    machines = RemoteMachines(tmp_path)
    box = SeenWorker(machine="box", version="1", digest="d")
    machines.note_seen(box)
    (file,) = (tmp_path / "remote" / "seen").iterdir()
    for age_s, is_noted in ((3.0, False), (6.0, True)):
        before = time.time() - age_s
        os.utime(file, (before, before))
        machines.note_seen(box)
        assert (file.stat().st_mtime > before + 1.0) is is_noted
    machines.note_seen(box.model_copy(update={"digest": "e"}))
    assert [one.digest for one in machines.seen()] == ["e"]
