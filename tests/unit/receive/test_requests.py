"""Requests for studies: one waits, one is served, and nobody's is lost."""

import json
import os
import time
from pathlib import Path

import pytest

from cadnode.log import hashed
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import Ended, FetchCode, Request, Taken

STUDY = "1.2.826.0.1.77777.1"
FETCHED = Ended(FetchCode.FETCHED, is_final=True, n_instances=4, n_new=4)


def taken(folder: Path, key: str) -> Taken:
    one = requests.take(folder, key)
    assert one is not None
    return one


def test_a_request_is_found_again_under_the_spools_key_and_no_name_holds_an_identifier(
    tmp_path: Path,
) -> None:
    asked = Request(STUDY, "orthanc", "0a-1b", at_once=True)
    key = requests.save(tmp_path, asked)
    assert key == hashed(STUDY)
    assert requests.load(tmp_path, key) == asked
    assert requests.waiting(tmp_path) == [key]
    assert not any("77777" in str(path) for path in tmp_path.rglob("*"))


def test_a_served_request_is_gone_and_how_it_ended_stays(tmp_path: Path) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    one = taken(tmp_path, key)
    assert requests.take(tmp_path, key) is None
    assert one.finish(FETCHED)
    assert requests.load(tmp_path, key) is None
    assert requests.ended(tmp_path, key) == FETCHED
    assert requests.take(tmp_path, key) is None
    requests.remove(tmp_path, key)
    assert requests.ended(tmp_path, key) is None


def test_who_asks_while_a_study_is_fetched_is_served_by_another_look(tmp_path: Path) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    one = taken(tmp_path, key)
    first = one.ticket
    requests.save(tmp_path, Request(STUDY, "other", at_once=True))
    assert requests.take(tmp_path, key) is None  # it is being fetched
    assert not one.finish(FETCHED)
    assert one.request == Request(STUDY, "other", at_once=True)
    assert one.ticket != first
    assert one.finish(FETCHED)
    assert requests.waiting(tmp_path) == []


def test_a_request_left_for_later_can_be_taken_again(tmp_path: Path) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    one = taken(tmp_path, key)
    one.release()
    one.release()  # harmless
    again = taken(tmp_path, key)
    assert again.ticket == one.ticket
    again.release()


def test_a_postponed_request_has_one_next_try_also_when_somebody_asked_meanwhile(
    tmp_path: Path,
) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    one = taken(tmp_path, key)
    requests.save(tmp_path, Request(STUDY, "other"))
    asked_meanwhile = requests.ticket(tmp_path, key)
    away = Ended(FetchCode.SOURCE_UNREACHABLE, is_final=False)
    next_try = one.postpone(away)
    one.release()  # harmless
    assert requests.ended(tmp_path, key) == away
    assert next_try not in (one.ticket, asked_meanwhile)
    again = taken(tmp_path, key)
    assert (again.ticket, again.request) == (next_try, Request(STUDY, "other"))
    again.release()


def test_every_request_has_a_ticket_of_its_own_and_wanting_it_at_once_is_remembered(
    tmp_path: Path,
) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc", at_once=True))
    first = requests.ticket(tmp_path, key)
    assert requests.save(tmp_path, Request(STUDY, "orthanc")) == key
    assert requests.ticket(tmp_path, key) not in ("", first)
    assert requests.load(tmp_path, key) == Request(STUDY, "orthanc", at_once=True)


def test_what_a_killed_process_was_fetching_can_be_taken(tmp_path: Path) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    (tmp_path / "requests" / f"{key}.fetching").touch()  # it is there, but nobody holds its lock
    taken(tmp_path, key).release()


@pytest.mark.parametrize("wrong", ["", "1.2.", "1.2/../3", "1" * 65])
def test_what_is_no_uid_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="no valid Study Instance UID"):
        requests.save(tmp_path, Request(wrong, "orthanc"))


def test_every_code_says_what_it_means() -> None:
    assert all(code.meaning for code in FetchCode)


def test_a_study_was_asked_for_when_it_was_asked_for_first(tmp_path: Path) -> None:
    before = time.time()
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    asked_at = requests.asked_at(tmp_path, key)
    assert asked_at is not None
    assert before <= asked_at <= time.time()
    taken(tmp_path, key).postpone(Ended(FetchCode.SOURCE_UNREACHABLE, is_final=False))
    requests.save(tmp_path, Request(STUDY, "orthanc"))
    assert requests.asked_at(tmp_path, key) == asked_at
    assert requests.asked_at(tmp_path, "0" * 16) is None


@pytest.mark.parametrize(
    "odd",
    [
        b"", b"\xff", b"[1]", b"{}", b'{"ticket": "1"}', b'{"ticket": "1", "surprise": 2}',
        b'{"ticket": "1", "study_instance_uid": 7, "source": "orthanc"}',
        b'{"ticket": "1", "study_instance_uid": "1.2.3", "source": "orthanc"}',
        b'{"ticket": "1", "study_instance_uid": "' + STUDY.encode() + b'", "source": 1}',
    ],
)  # fmt: skip
def test_a_file_that_is_no_request_is_moved_aside_and_costs_nobody_else_anything(
    tmp_path: Path, odd: bytes
) -> None:
    key = hashed(STUDY)
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / f"{key}.json").write_bytes(odd)
    (folder / f"{key}.ended").write_bytes(b'{"code": "of a later version", "is_final": true}')
    other = requests.save(tmp_path, Request("1.2.3", "orthanc"))
    assert requests.load(tmp_path, key) is None
    assert requests.ended(tmp_path, key) is None
    assert requests.take(tmp_path, key) is None
    assert requests.waiting(tmp_path) == [other]
    assert (folder / f"unreadable-{key}.json.kept").read_bytes() == odd
    assert requests.save(tmp_path, Request(STUDY, "orthanc")) == key  # and may be asked for


def test_a_request_of_an_earlier_version_is_as_old_as_its_file(tmp_path: Path) -> None:
    key = requests.save(tmp_path, Request(STUDY, "orthanc"))
    path = tmp_path / "requests" / f"{key}.json"
    document = json.loads(path.read_bytes())
    del document["asked_at"]
    path.write_text(json.dumps(document))
    os.utime(path, (1000.0, 1000.0))
    assert requests.asked_at(tmp_path, key) == 1000.0


def test_what_ended_lately_is_found(tmp_path: Path) -> None:
    for study in (STUDY, "1.2.3"):
        taken(tmp_path, requests.save(tmp_path, Request(study, "orthanc"))).finish(FETCHED)
    os.utime(tmp_path / "requests" / f"{hashed('1.2.3')}.ended", (1000.0, 1000.0))
    assert requests.ended_since(tmp_path, time.time() - 60) == [FETCHED]
