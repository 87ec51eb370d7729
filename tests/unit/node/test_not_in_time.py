"""What cannot be read by the promised time is reported as not read, once, until it is read."""

import os
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cadnode.node import results
from cadnode.node.workflow_steps import Start
from cadnode.settings import Settings
from tests.retention_cases import Place, made_once
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write
from tests.unit.node.test_written_once import NOON


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


@pytest.fixture
def place(tmp_path: Path, made: Path) -> Place:
    """A node that promised a reading, with one study that is not read."""
    place = Place(tmp_path, made)
    results.Results.in_storage(tmp_path).remove(place.study)
    place.worker._models.are_loaded = True
    values = place.settings.model_dump(exclude={"study"})
    place.settings = Settings(**values, study={"answer_within_s": 60.0})
    place.worker._settings = place.settings
    return place


class Started:
    """What a sweep started."""

    def __init__(self, place: Place) -> None:
        self.answers: list[tuple[str, str]] = []
        nothing: Any = lambda *_: None  # noqa: E731 - two starts that are not looked at
        place.sweep.answer_late(
            Start(
                consider=nothing,
                fetch=nothing,
                deliver=lambda *_: None,
                deliver_again=lambda *_: None,
                answer=lambda study, content: self.answers.append((study, content)),
            )
        )


def late(place: Place, seconds: float = 61) -> None:
    at = time.time() - seconds
    os.utime(place.spool.folder_of(place.study), (at, at))


def report_of(place: Place, content: str) -> pydicom.Dataset:
    return pydicom.dcmread(place.folder / "results" / place.study / content / "sr.dcm")


def predecessors(report: pydicom.Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_a_study_is_late_when_the_promised_time_is_over_and_only_once(place: Place) -> None:
    late(place, 30)
    assert Started(place).answers == []

    late(place, 61)
    assert Started(place).answers == [(place.study, place.content)]
    assert Started(place).answers == []


def test_a_study_that_was_read_is_not_late(place: Place) -> None:
    place.read()
    late(place)

    assert Started(place).answers == []


def test_nothing_is_promised_by_default(place: Place) -> None:
    place.settings = Settings(storage={"folder": place.folder})
    late(place, 9999)

    assert Started(place).answers == []


@pytest.mark.parametrize(
    ("has_failed", "are_loaded", "code"),
    [
        (False, True, "node_busy"),
        (True, True, "reading_failed"),
        (False, False, "models_missing"),
    ],
)
def test_the_report_says_of_every_view_why_it_was_not_read(
    place: Place, has_failed: bool, are_loaded: bool, code: str
) -> None:
    place.worker._models.are_loaded = are_loaded

    content = place.worker.answer(place.study, place.content, has_failed)

    folder = place.folder / "results" / place.study / content
    (document,) = results.documents(folder)
    assert document["outcome"] == "not_read"
    assert [one["reason"] for one in document["skipped"]] == [code] * 4
    assert [path.name for path in results.objects_in(folder)] == ["sr.dcm"]
    report = report_of(place, content)
    assert code in str(report)
    assert "promised time" in str(report)
    assert not place.worker.has_result(place.study, place.content)  # it is still to be read


def test_the_reading_that_follows_replaces_it(place: Place) -> None:
    content = place.worker.answer(place.study, place.content, False)

    place.read()

    uid = str(report_of(place, content).SOPInstanceUID)
    assert predecessors(report_of(place, place.content)) == {uid}
    assert predecessors(report_of(place, content)) == set()


def test_it_replaces_no_reading_and_the_next_one_replaces_both(place: Place) -> None:
    place.read()
    first = str(report_of(place, place.content).SOPInstanceUID)
    study_uid = pydicom.dcmread(place.paths[0]).StudyInstanceUID
    more = view_dataset("R", "ML", seed=9, StudyInstanceUID=study_uid)
    add_file(place.spool, write(more, place.folder / "more.dcm"))
    now = place.worker.fingerprint(place.study)

    content = place.worker.answer(place.study, now, False)
    assert predecessors(report_of(place, content)) == set()
    place.read()

    uid = str(report_of(place, content).SOPInstanceUID)
    assert predecessors(report_of(place, now)) == {first, uid}


def test_what_is_read_meanwhile_or_has_changed_is_not_reported_as_late(place: Place) -> None:
    assert place.worker.answer(place.study, "0" * 16, False) == ""
    place.read()
    assert place.worker.answer(place.study, place.content, False) == ""


def test_an_answer_that_is_tried_again_changes_no_byte(place: Place) -> None:
    content = place.worker.answer(place.study, place.content, False)
    folder = place.folder / "results" / place.study / content
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert place.worker.answer(place.study, place.content, True) == content

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert NOON not in before["made_at"].decode()


def test_a_study_that_was_only_answered_is_not_removed(place: Place) -> None:
    place.content = place.worker.answer(place.study, place.content, False)
    place.deliver()

    assert {due.kept.value for due in place.clean(9999) if due.kept} == {"unread"}
    assert place.spool.instances(place.study)
