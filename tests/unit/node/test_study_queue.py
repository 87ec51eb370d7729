"""The list of studies follows the disk and the jobs, and is read without them."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from cadnode.log import hashed
from cadnode.node import study_queue as room
from cadnode.node.jobs import deliver_id, process_ids
from cadnode.node.study_queue import StudyQueue
from cadnode.node.study_table import FILE
from cadnode.web.node import Unavailable
from cadnode.web.queue import StudyFilter, StudyRow
from cadnode.web.study import State
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write
from tests.unit.node.test_study_index import Place


class Listed:
    """A node's list, and a clock that a test turns on."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.now = 1000.0
        self.queue = self.opened()

    def opened(self) -> StudyQueue:
        jobs: Any = self.place.jobs
        return StudyQueue(self.place.settings, self.place.studies, jobs, lambda: self.now)

    def rows(self, **wanted: Any) -> tuple[StudyRow, ...]:
        self.now += 10.0
        return self.queue.listed(StudyFilter(**wanted)).rows

    def states(self) -> list[State]:
        return [row.study.state for row in self.rows()]

    def add(self, uid: str, age_s: float = 0.0) -> str:
        dataset = view_dataset("R", "CC", seed=3)
        dataset.StudyInstanceUID = uid
        stored = add_file(self.place.spool, write(dataset, self.place.folder / f"{uid}.dcm"))
        if age_s:
            os.utime(stored.path.parent, (2e9 - age_s, 2e9 - age_s))
        return hashed(uid)


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    return Listed(tmp_path)


def test_the_list_follows_a_study_from_arriving_to_done(listed: Listed) -> None:
    place = listed.place
    states = listed.states()
    for status in ("ENQUEUED", "PENDING"):
        place.jobs.add(process_ids(place.key, place.content)[0], status)
        states += listed.states()
    place.finish()
    states += listed.states()
    assert [s.value for s in states] == ["receiving", "queued", "reading", "done"]


def test_a_delivery_that_is_refused_later_is_seen_by_its_job(listed: Listed) -> None:
    listed.place.finish()
    assert listed.states() == [State.DONE]
    delivery = deliver_id(listed.place.key, listed.place.content, "archive")
    listed.place.jobs.add(delivery, "SUCCESS", "refused")
    (row,) = listed.rows(needs_you=True)
    assert (row.study.state, row.study.needs_you) == (State.REFUSED, True)


def test_whose_study_it_is_follows_a_correction_and_outlives_the_images(listed: Listed) -> None:
    place = listed.place
    place.finish()
    (row,) = listed.rows()
    before = row.patient
    assert before.names
    assert row.study.study_instance_uid == ""  # the list holds no UIDs
    dataset = view_dataset("R", "CC", seed=1)
    dataset.PatientName, dataset.StudyInstanceUID = "Corrected^Name", place.uid
    add_file(place.spool, write(dataset, place.folder / "again.dcm"))
    (row,) = listed.rows()
    assert row.patient.names == ("Corrected, Name",)
    place.spool.remove(place.key, place.content, as_of=place.spool.changed_at(place.key))
    (row,) = listed.rows()
    assert (row.patient.names, row.study.n_instances) == (("Corrected, Name",), 0)


def test_a_study_that_is_gone_is_listed_no_more(listed: Listed) -> None:
    place = listed.place
    place.finish()
    assert len(listed.rows()) == 1
    place.spool.discard(place.key)
    shutil.rmtree(place.folder / "results" / place.key)
    assert listed.rows() == ()
    assert place.key.encode() not in (place.folder / FILE).read_bytes()


def test_files_are_opened_again_only_after_a_change(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.place.finish()
    listed.rows()
    monkeypatch.setattr(type(listed.place.studies), "patient_of", lambda *_: pytest.fail("opened"))
    assert len(listed.rows()) == 1


def test_the_list_is_shown_while_the_job_database_is_away(listed: Listed) -> None:
    listed.place.finish()
    listed.rows()
    listed.place.jobs.is_away = True
    listed.add("1.2.9")
    assert listed.states() == [State.DONE]
    listed.place.jobs.is_away = False
    assert len(listed.rows()) == 2


def test_a_study_whose_result_makes_no_sense_keeps_no_other_out(listed: Listed) -> None:
    listed.place.finish()
    (result,) = (listed.place.folder / "results").glob("*/*/result.json")
    result.write_text("{}")
    other = listed.add("1.2.9")
    assert [row.study.key for row in listed.rows()] == [other]


def test_a_list_that_was_lost_is_made_again(listed: Listed) -> None:
    listed.place.finish()
    before = listed.rows()
    (listed.place.folder / FILE).unlink()
    assert listed.rows() == before
    listed.queue = listed.opened()  # as after a restart
    assert listed.rows() == before


def test_a_list_that_cannot_be_read_is_said_to_be(listed: Listed) -> None:
    (listed.place.folder / FILE).mkdir()
    with pytest.raises(Unavailable, match="list of studies"):
        listed.rows()


def test_a_large_list_is_begun_with_the_newest_and_says_that_it_is_not_complete(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_BATCH", 2)
    keys = [listed.add(f"1.2.{n}", age_s=n + 1.0) for n in range(5)]
    assert not listed.queue.refresh(within_s=0.0)
    page = listed.queue.page(StudyFilter())
    assert not page.is_complete
    assert [row.study.key for row in page.rows] == keys[:2]
    assert listed.queue.refresh()
    assert listed.queue.page(StudyFilter()).n_studies == 6


def test_a_pass_looks_at_some_of_the_rest_and_each_has_its_turn(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [listed.add(f"1.2.{n}") for n in range(4)]
    listed.queue.refresh()
    monkeypatch.setattr(room, "_UNSETTLED", 2)
    looked: list[str] = []
    states_of = listed.place.studies.states_of

    def noted(wanted: list[str]) -> Any:
        looked.extend(wanted)
        return states_of(wanted)

    monkeypatch.setattr(listed.place.studies, "states_of", noted)
    for _ in range(3):
        listed.now += 10.0
        listed.queue.refresh()
    assert len(looked) == 6
    assert {*looked} == {listed.place.key, *keys}


def test_the_list_is_kept_up_until_told_to_stop(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()
    passes: list[float] = []

    def one(within_s: float, _stopping: object) -> bool:
        passes.append(within_s)
        if len(passes) == 2:
            stopping.set()
        return True

    monkeypatch.setattr(room, "_PAUSE_S", 0.0)
    monkeypatch.setattr(listed.queue, "_pass", one)
    listed.queue.keep(stopping)
    assert len(passes) == 2
