"""Whose turn it is of exams that wait, and what a change of models does to what is offered."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cadnode.exam.exam import Exam
from cadnode.node.remote.elsewhere import Elsewhere, OfferedStudy
from cadnode.node.remote.machines import SeenWorker
from cadnode.node.remote.offers import Offers
from cadnode.node.remote.parcel import packed
from cadnode.node.remote.reading_offer import ReadingOffer
from cadnode.node.remote.waiting_line import WaitingLine
from cadnode.node.turns import Turns
from cadnode.reading import Readers
from cadnode.settings import Settings
from tests.integration.node import wait_until
from tests.remote_cases import DIGEST, ended
from tests.report_cases import digital_exam, result_of

NEW = "ee" * 32


class NewReaders(Readers):
    """Models that were activated later."""

    def digest(self, _choices: object) -> str:
        return NEW


class ChangingModels:
    """Active models, as a worker sees them."""

    def __init__(self) -> None:
        self.loaded: Readers | None = Readers()
        self.activated: Readers = self.loaded

    @property
    def is_changed(self) -> bool:
        return self.activated is not self.loaded

    def current(self) -> Readers:
        self.loaded = self.activated
        return self.loaded


class Case:
    """A worker's threads that have exams to read, none of which is computed."""

    def __init__(self, folder: Path) -> None:
        values = {"storage": {"folder": str(folder)}, "remote": {"workers": 4, "head_start_s": 0.0}}
        self.turns, self.stopping, self.models = Turns(), threading.Event(), ChangingModels()
        self.settings = Settings.model_validate(values)
        models: Any = self.models
        self.elsewhere = Elsewhere(self.settings, self.turns, self.stopping, models)
        self.offers = Offers(folder)
        self.exam: Exam = digital_exam()
        self.read: list[tuple[str, str]] = []

    def begin(self, number: int, rank: int = 0) -> threading.Thread:
        study = f"{number:016x}"

        def offer(readers: Readers) -> ReadingOffer:
            return self.elsewhere.offer(study, "c" * 16, [], [], readers, rank)

        def read() -> None:
            with self.elsewhere.turn(OfferedStudy(offer, lambda: (self.exam,))) as brought:
                self.read.append((study, brought.machine if brought else "here"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        wait_until(lambda: self.offer(study) is not None, "it is offered", within_s=10)
        return thread

    def offer(self, study: str) -> ReadingOffer | None:
        return next((one for one in self.offers._all() if one.study == study), None)

    def parcel(self) -> bytes:
        result = result_of(self.exam, "findings")
        object.__setattr__(result, "read_with", DIGEST)
        return packed([(result, 1.0)])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_an_urgent_exam_goes_first_of_those_that_wait_for_this_worker(case: Case) -> None:
    ranks = (5, 9, 5, 1, 9, 0)
    with case.turns.exam():  # another one is read just now
        threads = [case.begin(number, rank) for number, rank in enumerate(ranks)]
        lined = case.elsewhere._line._places
        wait_until(lambda: len(lined) == len(ranks), "all wait", within_s=10)
    ended(threads)
    order = [int(study, 16) for study, _ in case.read]
    assert order == [5, 3, 0, 2, 1, 4]
    assert not lined


def test_who_leaves_the_line_lets_the_next_go() -> None:
    line, first, second = WaitingLine(), (0, 1.0, "a"), (1, 0.0, "b")
    assert line.is_first("a", first, within_s=0.0)
    assert not line.is_first("b", second, within_s=0.0)
    threading.Timer(0.05, lambda: line.leave("a")).start()
    assert line.is_first("b", second, within_s=10.0)


def test_a_change_of_models_offers_open_exams_again_for_the_new_ones(case: Case) -> None:
    with case.turns.exam():
        thread = case.begin(7)
        key = f"{7:016x}-{'c' * 16}"
        assert [one.key for one in case.offers.open_for("box", DIGEST)] == [key]
        case.models.activated = NewReaders()
        wait_until(lambda: not case.offers.open_for("box", DIGEST), "withdrawn", within_s=10)
        assert case.offers.claim(key, "box", DIGEST, "t") is None
    ended([thread])
    assert case.read == [(f"{7:016x}", "here")]
    assert case.offers.digest() == NEW


@pytest.mark.parametrize("is_brought", [False, True], ids=["still out", "brought"])
def test_no_reading_with_the_old_models_is_taken_after_a_change(
    case: Case, is_brought: bool
) -> None:
    key = f"{7:016x}-{'c' * 16}"
    with case.turns.exam():
        thread = case.begin(7)
        found = case.offers.claim(key, "box", DIGEST, "t")
        assert found is not None
        if is_brought:
            assert case.offers.end(found[1].claim, "t", case.parcel()) is not None
        case.models.activated = NewReaders()
        wait_until(lambda: case.offers.held(found[1].claim, "t") is None, "it is over", within_s=10)
        assert is_brought or case.offers.end(found[1].claim, "t", case.parcel()) is None
    ended([thread])
    assert case.read == [(f"{7:016x}", "here")]
    assert case.offers.machines.n_failed("box") == 0


def test_a_reading_that_is_whole_ends_what_a_machine_failed_with_before(case: Case) -> None:
    case.offers.machines.note_failed("box")
    with case.turns.exam():
        thread = case.begin(7)
        found = case.offers.claim(f"{7:016x}-{'c' * 16}", "box", DIGEST, "t")
        assert found is not None
        assert case.offers.end(found[1].claim, "t", case.parcel()) is not None
    ended([thread])
    assert case.read == [(f"{7:016x}", "box")]
    assert case.offers.machines.n_failed("box") == 0


def test_the_node_waits_for_no_machine_that_pauses(case: Case) -> None:
    case.settings.remote.__dict__["head_start_s"] = 600.0
    case.offers.machines.note_seen(SeenWorker(machine="box", version="1", digest=DIGEST))
    began = time.monotonic()
    with case.turns.exam():
        threads = [case.begin(1)]
    case.offers.machines.note_failed("box")
    ended(threads)
    assert case.read == [(f"{1:016x}", "here")]
    assert time.monotonic() - began < 60.0
