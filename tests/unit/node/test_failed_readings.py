"""A reading that failed for good, given up: it needs nobody any more, until something new comes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadnode.node.failed_readings import DroppedReadings
from cadnode.node.jobs import DeliveryStatus, process_ids
from cadnode.node.orders import DeliveryDesk
from cadnode.node.poison import Casualties
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.node.workflow import prepare
from cadnode.receive import removed
from cadnode.receive.removed import Removed
from cadnode.receive.way_log import Passed, WayLog
from cadnode.web.deliveries import OrderRefused
from cadnode.web.study import State
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write
from tests.unit.node.test_study_index import Place

WHY = "a phantom of the physicist"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A study whose three attempts to be read have failed."""
    place = Place(tmp_path)
    fail(place)
    return place


@pytest.fixture
def desk(place: Place) -> Iterator[DeliveryDesk]:
    prepare(place.settings.database_url)
    desk = DeliveryDesk(place.settings, place.jobs)  # type: ignore[arg-type]
    yield desk
    desk.close()


def fail(place: Place, at: float = 0.0) -> None:
    for one in process_ids(place.key, place.content):
        place.jobs.add(one, "ERROR", updated_at=at)


def test_a_failed_reading_is_given_up_with_its_reason_and_needs_nobody_any_more(
    place: Place, desk: DeliveryDesk
) -> None:
    before = place.studies.state_of(place.key)
    assert (before.state, before.needs_you) == (State.FAILED, True)

    assert desk.drop(place.key, "", "otto", WHY).deliveries == ()

    after = place.studies.state_of(place.key)
    assert (after.state, after.needs_you, after.state.is_final) == (State.DROPPED, False, True)
    assert after.why == f"Given up by otto: {WHY}"
    assert after.n_instances == 1
    (line,) = WayLog(place.folder).entries(place.key)[0]
    assert (line.what, line.who) == (Passed.DROPPED, "otto")


def test_the_list_hears_of_it_though_no_image_changes(place: Place, desk: DeliveryDesk) -> None:
    before = place.studies.changes()[place.key]
    desk.drop(place.key, "", "otto", WHY)
    assert place.studies.changes()[place.key] > before
    assert place.studies.changed_at(place.key) == place.studies.changes()[place.key]


def test_it_is_given_up_once_and_only_where_a_reading_has_failed(
    place: Place, desk: DeliveryDesk
) -> None:
    with pytest.raises(OrderRefused, match="not dropped without a reason"):
        desk.drop(place.key, "", "otto", " ")
    with pytest.raises(OrderRefused, match="nothing of this study is undelivered"):
        desk.drop(place.key, "archive", "otto", WHY)  # a reading is no matter of a destination
    desk.drop(place.key, "", "otto", WHY)
    with pytest.raises(OrderRefused, match="no reading of it has failed"):
        desk.drop(place.key, "", "vera", "again")
    place.jobs.add(process_ids(place.key, place.content)[-1], "PENDING")
    with pytest.raises(OrderRefused, match="no reading of it has failed"):
        desk.drop(place.key, "", "vera", "while it is read")
    for one in process_ids(place.key, place.content):
        place.jobs.jobs.pop(one)
    place.finish()
    with pytest.raises(OrderRefused, match="no reading of it has failed"):
        desk.drop(place.key, "", "vera", "it is read")


def test_what_failed_after_its_result_was_written_can_be_given_up(
    place: Place, desk: DeliveryDesk
) -> None:
    place.finish()
    fail(place)
    assert place.studies.state_of(place.key).state is State.FAILED
    desk.drop(place.key, "", "otto", WHY)
    assert place.studies.state_of(place.key).state is State.DROPPED


def test_what_was_removed_after_its_delivery_and_came_again_is_not_given_up(
    place: Place, desk: DeliveryDesk
) -> None:
    for one in process_ids(place.key, place.content):
        place.jobs.jobs.pop(one)
    place.jobs.add(process_ids(place.key, place.content)[0], "SUCCESS", "reported")
    paths = place.spool.instances(place.key)
    known = Removed().with_study(place.content, paths)
    removed.save(place.folder / "spool" / "removed" / f"{place.key}.json", known)
    assert place.studies.state_of(place.key).state is State.DONE
    with pytest.raises(OrderRefused, match="no reading of it has failed"):
        desk.drop(place.key, "", "otto", WHY)


def test_a_study_that_is_tried_again_and_fails_again_needs_somebody_again(
    place: Place, desk: DeliveryDesk
) -> None:
    desk.drop(place.key, "", "otto", WHY)
    fail(place, at=time.time() + 1)
    assert place.studies.state_of(place.key).state is State.FAILED


def test_other_images_are_read_as_those_of_every_other_study(
    place: Place, desk: DeliveryDesk
) -> None:
    desk.drop(place.key, "", "otto", WHY)
    later = view_dataset("L", "CC", seed=1)
    later.StudyInstanceUID = place.uid
    add_file(place.spool, write(later, place.folder / "later.dcm"))
    assert place.studies.state_of(place.key).state is State.RECEIVING


def test_what_was_set_aside_is_counted_no_more_once_it_is_given_up(
    place: Place, desk: DeliveryDesk
) -> None:
    note = place.folder / "set_aside" / f"{place.key}-{place.content}.json"
    note.parent.mkdir()
    note.write_text('{"code": "reading_kills_worker"}')
    desk.drop(place.key, "", "otto", WHY)
    assert Casualties(place.folder).all_set_aside() == []
    assert place.studies.state_of(place.key).state is State.DROPPED


def test_what_is_owed_of_a_result_that_was_removed_is_given_up_with_the_reading(
    place: Place, desk: DeliveryDesk
) -> None:
    index = UndeliveredIndex(place.folder)
    owed = Undelivered(
        place.key, place.content, "archive", DeliveryStatus.REFUSED, "no room", 1.0, 1.0
    )
    index.put(owed)
    (dropped,) = desk.drop(place.key, "", "otto", WHY).deliveries
    assert (dropped.destination, dropped.state) == ("archive", "dropped")
    assert index.all() == []
    assert place.studies.state_of(place.key).state is State.DROPPED


def test_of_many_those_alone_are_read_again_whose_reading_failed(
    place: Place, desk: DeliveryDesk
) -> None:
    retried = desk.orders().retry_several
    (failed,) = retried([place.key], "")
    place.jobs.jobs.clear()
    assert place.studies.state_of(place.key).state is State.RECEIVING
    (receiving,) = retried([place.key], "")
    place.finish()
    (done,) = retried([place.key], "")
    assert failed.refused is None
    for one in (receiving, done):
        assert one.refused is not None
        assert one.refused.error == "there is nothing to try again"
    assert desk.retry(place.key, "").is_read_again  # one by its name is read at once


def test_a_note_that_is_damaged_or_whose_images_are_gone_is_none(
    place: Place, desk: DeliveryDesk
) -> None:
    desk.drop(place.key, "", "otto", WHY)
    notes = DroppedReadings(place.folder)
    notes.keep_only([place.key])
    assert notes.of_study(place.key) is not None
    notes.keep_only([])
    assert notes.of_study(place.key) is None
    (place.folder / "dropped" / f"{place.key}.json").write_text('{"content": "x"}')
    assert notes.of_study(place.key) is None
