"""The way that a study took, gathered from a real spool, results on disk and what was noted."""

import json
from datetime import UTC, datetime

import pytest

from cadnode.node import delivery_record
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.readiness import Rules, rules_of
from cadnode.node.study_way import StudyWays, arrivals_of, rule_of
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.settings import Settings
from cadnode.web.way import Arrival, Way
from tests.unit.node.test_study_index import Place


@pytest.fixture
def place(tmp_path) -> Place:  # type: ignore[no-untyped-def]
    return Place(tmp_path)


def way_of(place: Place) -> Way:
    return StudyWays(place.settings, place.studies).of(place.studies.state_of(place.uid))


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_the_rule_by_which_a_study_is_read_is_said_in_words() -> None:
    rule = rule_of(rules_of(Settings()))
    assert rule.startswith(
        "A study is read 2 s after its views are here (L CC, L MLO, R CC, R MLO)"
    )
    assert "once nothing has come for 30 s" in rule
    assert rule_of(Rules(frozenset(), 5.0, 20.0)) == (
        "A study is read once nothing has come for 20 s."
    )


def test_who_brought_images_is_one_line_an_association() -> None:
    entries = [
        WayEntry(1.0, Passed.ARRIVING, "MODALITY"),
        WayEntry(2.0, Passed.ARRIVING, "PACS"),
        WayEntry(3.0, Passed.ARRIVED, "MODALITY", n=4),
        WayEntry(4.0, Passed.FETCH, "orthanc", "source_unreachable"),
        WayEntry(5.0, Passed.FETCH, "orthanc", n=2),
    ]
    assert arrivals_of(entries) == (
        Arrival("PACS", at(2.0), at(2.0)),
        Arrival("MODALITY", at(3.0), at(1.0), 4),
        Arrival("orthanc", at(5.0), n_images=2, is_fetched=True),
    )


def test_a_study_that_waits_says_for_what_and_what_comes_next(place: Place) -> None:
    WayLog(place.folder).record(place.key, WayEntry(1.0, Passed.ARRIVED, "MODALITY", n=1))
    way = way_of(place)
    assert (way.arrivals[0].who, way.n_images) == ("MODALITY", 1)
    assert way.waiting.startswith("waiting for LCC")
    assert way.coming[0].startswith("waiting for LCC")
    assert (way.readings, way.deliveries) == ((), ())
    (one,) = way.attempts
    assert (one.what, one.word, one.n) == ("receive", "done", 1)


def test_a_finished_study_tells_models_objects_and_each_try_with_its_cause(place: Place) -> None:
    place.finish()
    where = place.folder / "results" / place.key / place.content
    reading = {"models": [{"name": "kim2018", "version": "1.0"}], "read_s": 2.34}
    (where / "reading.json").write_text(json.dumps(reading))
    for name in ("sr.dcm", "heatmap-1.dcm", "heatmap-2.dcm", "fhir.json"):
        (where / name).touch()
    log = WayLog(place.folder)
    log.record(place.key, WayEntry(5.0, Passed.READ, how="MemoryError"))
    log.record(place.key, WayEntry(6.0, Passed.READ, n=1, seconds=2.3))
    refused = DeliveryTry("archive", DeliveryStatus.REFUSED, 8.0, "archive refuses our AE title")
    for one in (DeliveryTry("archive", DeliveryStatus.RETRY, 7.0, "archive is away"), refused):
        delivery_record.record(where, one)
    key = (place.key, place.content, "archive")
    UndeliveredIndex(place.folder).put(
        Undelivered(*key, DeliveryStatus.REFUSED, refused.reason, 7.0, 8.0, next_at=4e9)
    )

    way = way_of(place)

    (read,) = way.readings
    assert (read.models, read.seconds, read.n_images) == (("kim2018 1.0",), 2.3, 1)
    assert dict(read.objects) == {"heatmap": 2, "sr": 1, "fhir": 1}
    (sent,) = way.deliveries
    assert (sent.word, sent.n_tries, sent.reason) == ("refused", 2, refused.reason)
    assert sent.next_at == at(4e9)
    assert any("archive is tried again at 2096" in sentence for sentence in way.coming)
    assert [(a.what, a.word, a.cause) for a in way.attempts] == [
        ("deliver", "refused", "archive refuses our AE title"),
        ("deliver", "waiting", "archive is away"),
        ("read", "done", ""),
        ("read", "failed", "the memory did not suffice"),
    ]
    told = way.as_dict()
    assert told["read"][0]["objects"] == {"heatmap": 2, "sr": 1, "fhir": 1}
    assert told["tries"][0]["at"] == "1970-01-01T00:00:08+00:00"
    assert place.uid not in json.dumps(told)


def test_an_unforeseen_error_is_named_by_its_class_alone(place: Place) -> None:
    WayLog(place.folder).record(place.key, WayEntry(5.0, Passed.READ, how="ValueError"))
    assert way_of(place).attempts[0].cause == "ValueError; the node's log says more"
