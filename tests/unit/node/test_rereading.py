"""Orders of one study through a real job database: read once more, fetched again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.log import hashed
from cadnode.node import tombstones
from cadnode.node.jobs import JobLookup
from cadnode.node.orders import DeliveryDesk
from cadnode.node.workflow import prepare
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import Ended, FetchCode, Request
from cadnode.receive.way_log import WayLog
from cadnode.web.deliveries import OrderRefused
from tests.unit.node.test_study_index import Place

UID = "1.2.840.99.7"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Place, DeliveryDesk, JobLookup]]:
    place = Place(tmp_path)
    prepare(place.settings.database_url)
    jobs = JobLookup(place.settings.database_url)
    desk = DeliveryDesk(place.settings, jobs)
    yield place, desk, jobs
    desk.close()
    jobs.close()


def test_a_study_is_read_once_more_as_another_content_with_new_objects(
    desk: tuple[Place, DeliveryDesk, JobLookup],
) -> None:
    place, orders, jobs = desk
    place.finish()
    before = place.content
    done = orders.reread(place.uid, "otto")
    assert done.is_read_again
    assert place.content != before
    assert len(jobs.open_jobs("consider")) == 1
    assert tombstones.of_study(place.folder, place.key).times_removed == 1
    assert not tombstones.of_study(place.folder, place.key).has(place.content)
    (entry,) = WayLog(place.folder).entries(place.key)[0]
    assert (entry.what, entry.who) == ("reread", "otto")
    assert place.studies.state_of(place.uid).state.value == "receiving"


def test_what_has_no_images_or_no_mammograms_is_not_read_once_more(
    desk: tuple[Place, DeliveryDesk, JobLookup],
) -> None:
    place, orders, jobs = desk
    place.finish()
    place.spool.discard(place.key)
    with pytest.raises(OrderRefused, match="not on this node any more"):
        orders.reread(place.uid, "otto")
    with pytest.raises(OrderRefused, match="never received"):
        orders.reread("1.2.3", "otto")
    assert jobs.open_jobs("consider") == []


def fail(folder: Path, code: FetchCode = FetchCode.UNKNOWN_STUDY) -> str:
    """A fetch that was asked for, and failed."""
    key = requests.save(folder, Request(UID, "orthanc", "abc", at_once=True))
    taken = requests.take(folder, key)
    assert taken is not None
    taken.finish(Ended(code, is_final=True))
    return key


def test_a_fetch_that_failed_is_asked_for_again_by_a_retry(
    desk: tuple[Place, DeliveryDesk, JobLookup],
) -> None:
    place, orders, jobs = desk
    spool = place.folder / "spool"
    key = fail(spool)
    assert requests.ended(spool, key) == Ended(FetchCode.UNKNOWN_STUDY, is_final=True)
    done = orders.retry(key)
    assert (done.is_fetched_again, done.is_read_again) == (True, False)
    assert requests.load(spool, key) == Request(UID, "orthanc", "abc", at_once=True)
    assert len(jobs.open_jobs("fetch")) == 1
    assert not orders.retry(key).is_fetched_again  # it is on its way


def test_a_fetch_that_went_well_or_was_noted_by_an_older_version_is_not(
    desk: tuple[Place, DeliveryDesk, JobLookup],
) -> None:
    place, orders, _ = desk
    spool = place.folder / "spool"
    assert requests.failed(spool, fail(spool, FetchCode.NO_MAMMOGRAMS)) is None
    note = spool / "requests" / f"{hashed(UID)}.ended"
    note.write_text(json.dumps({"code": "unknown_study", "is_final": True}))
    assert requests.failed(spool, hashed(UID)) is None
    assert replace(requests.ended(spool, hashed(UID)) or Ended(FetchCode.FETCHED, True)).code == (
        FetchCode.UNKNOWN_STUDY
    )
    with pytest.raises(OrderRefused):
        orders.retry(hashed(UID))
