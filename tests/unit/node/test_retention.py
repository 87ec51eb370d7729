"""What is removed when its time is over or the disk is full, and what never is."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cadnode.node import delivery_record, pins, tombstones
from cadnode.node.fetching import Fetcher
from cadnode.node.jobs import DeliveryStatus, JobsUnavailable, deliver_id, process_id
from cadnode.node.pins import Pin
from cadnode.node.retention_rules import Because, KeptBecause, Part
from cadnode.node.study_index import Studies
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import Request
from cadnode.receive.removed import Removed
from cadnode.receive.spool import Received
from cadnode.settings import Settings
from cadnode.web.study import State
from tests.retention_cases import DAY, Place, made_once
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write, write_exam
from tests.unit.node.test_written_once import NOON


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


@pytest.fixture
def place(tmp_path: Path, made: Path) -> Place:
    return Place(tmp_path, made)


def test_images_go_when_they_are_read_and_delivered_and_their_time_is_over(place: Place) -> None:
    place.deliver()

    assert place.clean(13.9) == []
    (gone,) = place.clean(14.1)

    assert (gone.part, gone.because, gone.kept) == (Part.IMAGES, Because.AGE, None)
    assert place.spool.instances(place.study) == []
    assert not place.spool.folder_of(place.study).exists()
    assert (place.result / "result.json").exists()
    assert list((place.folder / "spool" / "trash").iterdir()) == []


def test_results_go_later_and_leave_a_note_of_a_few_kilobytes(place: Place) -> None:
    place.deliver()
    made = {str(pydicom.dcmread(p).SOPInstanceUID) for p in place.result.glob("*.dcm")}

    parts = [due.part for due in place.clean(91)]

    assert parts == [Part.IMAGES, Part.RESULTS]
    assert not (place.folder / "results" / place.study).exists()
    assert not place.spool.folder_of(place.study).exists()
    note = place.folder / "removed" / f"{place.study}.json"
    assert note.stat().st_size < 8192
    (content,) = tombstones.of_study(place.folder, place.study).contents
    assert content.content == place.content
    assert set(content.exams[0].objects) == made
    assert content.exams[0].made_at == NOON
    assert process_id(place.study, place.content, 0) in place.rows.deleted
    assert deliver_id(place.study, place.content, "out") in place.rows.deleted


@pytest.mark.parametrize(
    "status",
    [
        None,
        DeliveryStatus.REFUSED,
        DeliveryStatus.GIVEN_UP,
        DeliveryStatus.RETRY,
        DeliveryStatus.AWAITING_COMMITMENT,
    ],
)
def test_nothing_undelivered_is_ever_removed(place: Place, status: DeliveryStatus | None) -> None:
    if status is not None:
        place.deliver(status)

    assert {due.kept for due in place.clean(9999)} == {KeptBecause.UNDELIVERED}
    assert len(place.spool.instances(place.study)) == len(place.paths)
    assert (place.result / "result.json").exists()


def test_a_delivery_that_only_the_job_database_knows_counts_and_is_recorded(place: Place) -> None:
    place.jobs.add(deliver_id(place.study, place.content, "out"), "SUCCESS", "delivered")

    assert [due.kept for due in place.clean(15)] == [None]

    assert delivery_record.last_tries(place.result)["out"].status is DeliveryStatus.DELIVERED


def test_a_destination_that_came_later_holds_back_nothing_that_was_reported_before(
    place: Place,
) -> None:
    place.deliver()
    place.verdicts(0)  # notes the destinations of today
    new = {"name": "new", "kind": "folder", "folder": place.folder / "new"}
    old = place.settings.destinations[0].model_dump()
    place.settings = place.settings.model_copy(
        update={"destinations": Settings(destinations=[old, new]).destinations}
    )

    assert place.verdicts(15) == [(Part.IMAGES, None)]


def test_an_unread_study_stays(place: Place) -> None:
    place.deliver()
    late = view_dataset("R", "ML", seed=9, StudyInstanceUID=_study_uid(place))
    add_file(place.spool, write(late, place.folder / "late.dcm"))

    assert {due.kept for due in place.clean(9999)} == {KeptBecause.UNREAD}


def test_a_pinned_study_stays_until_its_pin_ends(place: Place) -> None:
    place.deliver()
    pins.pin(place.folder, Pin(place.study, until=time.time() + 50 * DAY))

    assert place.verdicts(49) == [(Part.IMAGES, KeptBecause.PINNED)]
    assert place.verdicts(51) == [(Part.IMAGES, None)]
    assert pins.unpin(place.folder, place.study)
    assert place.verdicts(49) == [(Part.IMAGES, None)]


def test_a_pin_that_is_set_in_the_last_moment_holds(place: Place) -> None:
    place.deliver()
    retention = place.retention()
    (due,) = retention.due(time.time() + 15 * DAY)
    pins.pin(place.folder, Pin(place.study))

    assert not retention.remove(due)
    assert len(place.spool.instances(place.study)) == len(place.paths)


def test_a_requested_study_stays(place: Place) -> None:
    place.deliver()
    requests.save(place.folder / "spool", Request(_study_uid(place), "pacs"))

    assert place.verdicts(15) == [(Part.IMAGES, KeptBecause.REQUESTED)]


def test_a_study_of_which_a_job_is_open_stays(place: Place) -> None:
    place.deliver()
    place.jobs.add(f"shadow-{place.study}-{place.content}-0", "ENQUEUED")

    assert place.verdicts(15) == [(Part.IMAGES, KeptBecause.UNDER_WAY)]


def test_without_the_job_database_nothing_is_removed(place: Place) -> None:
    place.deliver()
    place.jobs.is_away = True

    with pytest.raises(JobsUnavailable):
        place.clean(15)

    assert len(place.spool.instances(place.study)) == len(place.paths)


def test_an_image_that_arrives_in_the_last_moment_stops_the_removal(place: Place) -> None:
    place.deliver()
    retention = place.retention()
    (due,) = retention.due(time.time() + 15 * DAY)
    late = view_dataset("R", "ML", seed=9, StudyInstanceUID=_study_uid(place))
    add_file(place.spool, write(late, place.folder / "late.dcm"))

    assert not retention.remove(due)
    assert len(place.spool.instances(place.study)) == len(place.paths) + 1


def test_without_destinations_images_go_and_results_stay(place: Place) -> None:
    place.settings = place.settings.model_copy(update={"destinations": ()})

    verdicts = place.verdicts(9999)

    assert verdicts == [(Part.IMAGES, None), (Part.RESULTS, KeptBecause.NO_DESTINATION)]


def test_more_images_than_the_limit_lose_the_oldest(tmp_path: Path, made: Path) -> None:
    place = Place(tmp_path, made, images_days=0, results_days=0, images_gb=1e-9)
    place.deliver()

    assert place.verdicts(0.9) == [(Part.IMAGES, KeptBecause.YOUNG)]
    (gone,) = place.clean(1.1)
    assert (gone.part, gone.because, gone.kept) == (Part.IMAGES, Because.SIZE, None)


def test_a_full_disk_loses_no_more_than_it_must(tmp_path: Path, made: Path) -> None:
    place = Place(tmp_path, made, high_mark_percent=1e-9, low_mark_percent=0)
    place.deliver()

    assert {d.kept for d in place.clean(0.9)} == {
        KeptBecause.YOUNG
    }  # results wait for their images
    assert [(d.part, d.because) for d in place.clean(1.1)] == [
        (Part.IMAGES, Because.DISK),
        (Part.RESULTS, Because.DISK),
    ]


def test_a_removed_study_that_comes_again_is_not_read_reported_or_sent_again(
    place: Place,
) -> None:
    place.deliver()
    place.clean(15)

    (received,) = place.receive(place.paths[:1])

    assert received.received is Received.RETURNED
    assert place.worker.fingerprint(place.study) == place.content  # half of it says nothing new
    place.receive(place.paths[1:])
    assert place.worker.fingerprint(place.study) == place.content
    assert place.worker.has_result(place.study, place.content)
    assert place.verdicts(30) == [(Part.IMAGES, None)]


def test_it_is_not_read_again_either_when_its_result_is_gone_too(place: Place) -> None:
    place.deliver()
    place.clean(91)

    place.receive(place.paths)

    assert place.worker.fingerprint(place.study) == ""
    assert [due.kept for due in place.clean(200)] == [None]  # and its images go again
    assert place.spool.instances(place.study) == []


def test_a_changed_image_of_a_removed_study_is_read_and_names_its_predecessor(
    place: Place,
) -> None:
    old = {str(pydicom.dcmread(p).SOPInstanceUID) for p in place.result.glob("sr.dcm")}
    place.deliver()
    place.clean(91)
    corrected = write_exam(place.folder / "corrected", PatientName="Corrected^Name")
    place.receive(corrected)

    content = place.read()

    report = pydicom.dcmread(place.folder / "results" / place.study / content / "sr.dcm")
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert {str(i.ReferencedSOPInstanceUID) for i in series.ReferencedSOPSequence} == old


def test_read_once_more_on_request_it_makes_objects_of_new_uids(place: Place) -> None:
    before = _uids(place.result)
    place.deliver()
    place.clean(91)
    place.receive(place.paths)

    place.spool.forget_removed(place.study)  # as a request to read it at once does
    content = place.read()

    again = _uids(place.folder / "results" / place.study / content)
    assert len(again) == len(before)
    assert not again & before


def test_what_is_remembered_of_a_removed_study_survives_a_second_removal(place: Place) -> None:
    place.deliver()
    place.clean(15)
    add_file(place.spool, place.paths[0])
    place.clean(30)

    removed = place.spool.removed(place.study)

    assert isinstance(removed, Removed)
    assert removed.content == place.content
    assert len(removed.files) == len(place.paths)


def test_a_crash_between_note_and_removal_changes_nothing(place: Place) -> None:
    place.deliver()
    folder = place.spool.folder_of(place.study)
    shutil.copytree(folder, place.folder / "kept", copy_function=shutil.copy2)
    place.clean(15)
    (place.folder / "kept").rename(folder)  # the note is there, and so is the study

    assert place.worker.fingerprint(place.study) == place.content


def test_a_study_in_the_trash_is_nobodys_and_is_deleted_by_the_next_round(place: Place) -> None:
    for folder in (place.folder / "spool" / "trash", place.folder / "results" / ".trash"):
        (folder / "dead" / "1").mkdir(parents=True)
        (folder / "dead" / "1" / "result.json").write_bytes(b"{}")

    place.retention().tidy(time.time())

    assert not list(place.folder.glob("**/dead"))
    assert (place.result / "result.json").exists()


def test_what_crashed_writers_left_is_deleted_and_what_is_being_written_is_not(
    place: Place,
) -> None:
    old = [
        place.result / ".a.part",
        place.folder / ".b.part",
        place.folder / "spool/removed/.c.part",
    ]
    (place.folder / "spool" / "removed").mkdir()
    for path in old:
        path.write_bytes(b"half")
        os.utime(path, (1.0, 1.0))
    (place.result / ".new.part").write_bytes(b"half")

    place.retention().tidy(time.time())

    assert not [path for path in old if path.exists()]
    assert (place.result / ".new.part").exists()


def test_a_study_without_anything_to_read_goes_by_age(tmp_path: Path, made: Path) -> None:
    place = Place(tmp_path, made)
    place.deliver()
    other = view_dataset("R", "CC", seed=3, Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    stored = add_file(place.spool, write(other, tmp_path / "ct.dcm"))

    gone = {due.study for due in place.clean(15) if due.kept is None}

    assert stored.study_key in gone


def test_the_account_of_sizes_looks_into_settled_folders_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = [path for path in place.result.rglob("*") if path.is_dir()]
    for folder in (place.spool.folder_of(place.study), place.result.parent, place.result, *within):
        os.utime(folder, (1e9, 1e9))
    retention = place.retention()
    before = dict(retention.account.images), dict(retention.account.results)
    walked: list[object] = []
    walk = os.walk

    def watched(folder: Path) -> Iterator[Any]:
        walked.append(folder)
        return walk(folder)

    monkeypatch.setattr("cadnode.node.storage_account.os.walk", watched)
    retention.account.refresh()

    assert walked == []
    assert (retention.account.images, retention.account.results) == before
    assert retention.account.images_bytes >= sum(p.stat().st_size for p in place.paths)


def test_the_notes_hold_no_name_number_or_date_of_a_patient(place: Place) -> None:
    place.deliver()
    place.clean(91)
    header = pydicom.dcmread(place.paths[0])
    notes = [*place.folder.glob("removed/*"), *place.folder.glob("spool/removed/*")]

    text = "".join(json.dumps(json.loads(path.read_bytes())) for path in notes)

    assert len(notes) == 2
    for name in ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate"):
        value = str(header.get(name, ""))
        assert not value or value not in text
    assert datetime.now(UTC).isoformat()[:10] not in text


def test_the_state_of_a_removed_study_says_so(place: Place) -> None:
    jobs: Any = place.jobs
    place.deliver()
    place.jobs.add(process_id(place.study, place.content, 0), "SUCCESS", "reported")
    place.jobs.add(deliver_id(place.study, place.content, "out"), "SUCCESS", "delivered")

    place.clean(15)
    without_images = Studies(place.settings, place.spool, jobs).state_of(place.study)
    place.clean(91)
    without_results = Studies(place.settings, place.spool, jobs).state_of(place.study)
    place.receive(place.paths)
    again = Studies(place.settings, place.spool, jobs).state_of(place.study)

    assert (without_images.state, without_images.outcome) == (State.DONE, "findings")
    assert [reason.code for reason in without_images.reasons] == ["images_removed"]
    assert (without_results.state, again.state) == (State.DONE, State.DONE)
    assert [reason.code for reason in without_results.reasons] == ["removed"]
    assert [reason.code for reason in again.reasons] == ["removed"]


def test_a_request_to_read_a_removed_study_at_once_takes_its_images_as_new(place: Place) -> None:
    place.deliver()
    place.clean(91)
    place.receive(place.paths)
    assert place.worker.fingerprint(place.study) == ""

    Fetcher(place.settings, lambda: False)._take_as_new(place.study)

    content = place.worker.fingerprint(place.study)
    assert content not in ("", place.content)


def _uids(folder: Path) -> set[str]:
    return {str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.glob("*.dcm")}


def _study_uid(place: Place) -> str:
    return str(pydicom.dcmread(place.paths[0]).StudyInstanceUID)
