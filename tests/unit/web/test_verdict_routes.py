"""Readers accept and reject findings: what is kept, who may, and what is refused."""

import pytest

from cadnode.domain import ExamResult
from cadnode.log import hashed
from cadnode.web.node import StudyReading
from cadnode.web.reader_verdicts import VerdictWord, counting, judged
from tests.report_cases import digital_exam, result_of
from tests.web_cases import (
    UID,
    VIEWERS_TOKEN,
    Client,
    Told,
    Trail,
    known,
    served,
)

API = f"/api/studies/{UID}/verdicts"
TOKEN = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}


@pytest.fixture
def result() -> ExamResult:
    return result_of(digital_exam(), "systems")


@pytest.fixture
def told(result: ExamResult) -> Told:
    return Told(readings=(StudyReading("abc", 1, result),))


def send(client: Client, **fields: str) -> tuple[int, str]:
    """The form of the first finding, with changes."""
    csrf = client.csrf(f"/studies/{UID}/assessment")
    form = {"csrf": csrf, "content": "abc", "patient": "1", "finding": "1", "verdict": "accepted"}
    answer = client.send(f"/studies/{UID}/verdicts", {**form, **fields}, Accept="text/html")
    return answer.status_code, answer.text


def test_a_viewer_accepts_a_finding_and_the_page_says_who(told: Told, result: ExamResult) -> None:
    with served(told, known()) as client:
        client.log_in("vera")
        assert send(client)[0] == 303
        page = client.get(f"/studies/{UID}/assessment").text
    (said,) = told.said
    assert (said.word, said.by, said.number, said.content) == ("accepted", "vera", 1, "abc")
    assert said.is_person
    assert said.image == hashed(result.findings[0].sop_instance_uid)
    assert said.box == result.findings[0].box
    assert "by vera" in page
    assert 'class="badge accepted"' in page


def test_the_last_word_counts_and_taking_back_leaves_none(told: Told, result: ExamResult) -> None:
    with served(told, known()) as client:
        client.log_in("vera")
        for word in ("accepted", "rejected"):
            send(client, verdict=word)
        found = judged(told.said, result.findings[0])
        assert found.last is not None
        assert (found.last.word, found.n_before) == (VerdictWord.REJECTED, 1)
        assert counting(told.said) == [False, True]
        send(client, verdict="withdrawn")
        page = client.get(f"/studies/{UID}/assessment").text
    assert judged(told.said, result.findings[0]).last is None
    assert counting(told.said) == [False, False, False]
    assert "2 verdicts before this one are kept" in page
    assert judged(told.said, result.findings[1]).n_before == 0


@pytest.mark.parametrize(
    "wrong",
    [{"finding": "99"}, {"finding": "0"}, {"finding": "x"}, {"content": "other"}, {"patient": "2"},
     {"verdict": "maybe"}, {"verdict": ""}, {"more": "1"}],
)  # fmt: skip
def test_a_form_that_does_not_fit_the_result_keeps_nothing(
    told: Told, wrong: dict[str, str]
) -> None:
    with served(told) as client:
        status, page = send(client, **wrong)
    assert status == 404
    assert 'role="alert"' in page
    assert told.said == []


def test_without_the_secret_nothing_is_kept(told: Told) -> None:
    with served(told, known()) as client:
        client.log_in("vera")
        assert send(client, csrf="0" * 64)[0] == 403
    assert told.said == []


def test_programs_read_and_give_verdicts(told: Told) -> None:
    body = {"finding": 1, "verdict": "rejected", "content": "abc"}
    with served(told, known()) as client:
        assert client.post(API, body).status_code == 401
        made = client.post(API, body, **TOKEN)
        found = client.get(API, **TOKEN).json()
        wrong = client.post(API, {**body, "verdict": "yes"}, **TOKEN)
        stale = client.post(API, {**body, "content": "older"}, **TOKEN)
    assert made.status_code == 201
    assert (found["content"], found["verdicts"][0]["by"]) == ("abc", "looker")
    assert found["verdicts"][0]["counts"] is True
    assert (wrong.status_code, stale.status_code) == (422, 404)
    assert "read again" in stale.json()["error"]
    assert [one.is_person for one in told.said] == [False], "a program's token"


def test_a_study_that_nobody_knows_has_no_verdicts() -> None:
    with served(Told()) as client:
        assert client.get("/api/studies/1.9.9/verdicts").status_code == 404
        assert client.get(API).json()["verdicts"] == []
        body = {"finding": 1, "verdict": "rejected", "content": "abc"}
        assert client.post(API, body).status_code == 404


def test_the_trail_says_who_said_what_of_which_study(told: Told) -> None:
    trail = Trail()
    with served(told, known(), trail) as client:
        body = {"finding": 1, "verdict": "accepted", "content": "abc"}
        client.post(API, body, **TOKEN)
        client.post(API, {**body, "finding": 77}, **TOKEN)
    last = [(e.action, e.outcome, e.actor.name, e.study, e.detail) for e in trail.events]
    key = hashed(UID)
    assert last == [
        ("finding judged", "success", "looker", key, "accepted"),
        ("finding judged", "failure", "looker", key, "accepted"),
    ]


def test_a_second_patients_finding_is_judged_in_her_own_reading(result: ExamResult) -> None:
    told = Told(readings=(StudyReading("abc", 1, result), StudyReading("abc", 2, result)))
    with served(told) as client:
        assert send(client, patient="2")[0] == 303
    assert told.said[0].patient == 2
