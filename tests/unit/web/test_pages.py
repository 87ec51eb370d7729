"""The pages: what people see, and what a hostile header cannot do to them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cadnode.exam.patient import Patient
from cadnode.web.node import HealthProblem, jobs_away
from cadnode.web.pages import steps
from cadnode.web.study import STATE_MEANINGS, State, StudyState
from cadnode.web.way import Arrival, Arrived, Attempt, ReadOnce, Way
from tests.web_cases import DONE, ILL, KEY, UID, Told, known, served

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_a_report_that_was_erased_in_this_moment_is_no_report(tmp_path: Path) -> None:
    with served(Told(page=tmp_path / "gone.html")) as client:
        answer = client.get(f"/studies/{UID}/report")
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (404, "text/html")


def test_a_study_page_says_state_result_deliveries_and_reasons_in_words() -> None:
    with served(Told()) as client:
        page = client.get(f"/studies/{UID}")
    assert page.status_code == 200
    for words in (
        "Roe, Jane", STATE_MEANINGS[State.DONE], "Findings: 2", "0.75", "archive",
        "the destination has the result", "The breast has an implant that was not displaced", UID,
    ):  # fmt: skip
        assert words in page.text


def test_what_headers_hold_is_escaped() -> None:
    patient = Patient((HOSTILE, HOSTILE), HOSTILE, accession_number=HOSTILE)
    patient = replace(patient, study_description=HOSTILE)
    hostile = replace(DONE, study_instance_uid=HOSTILE, deliveries=((HOSTILE, "waiting"),))
    with served(Told({UID: hostile}, patient)) as client:
        pages = client.get(f"/studies/{UID}").text + client.get("/").text
    assert "<script>alert" not in pages
    assert "<img" not in pages
    assert "&lt;script&gt;alert(1)" in pages


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_page_that_refreshes_itself_until_it_is_final(state: State) -> None:
    study = StudyState(KEY, UID, state, deliveries=(("archive", "waiting"),))
    with served(Told({UID: study}, Patient())) as client:
        page = client.get(f"/studies/{UID}")
    assert STATE_MEANINGS[state] in page.text
    assert ("data-refresh-s" in page.text) == (not state.is_final)
    assert page.status_code == (404 if state is State.UNKNOWN else 200)


def test_a_page_promises_no_delivery_where_there_is_none_and_no_reading_where_it_failed() -> None:
    alone = replace(DONE, deliveries=())
    assert alone.meaning == "The study is read"
    assert "could be read" in replace(DONE, outcome="not_read").meaning
    assert DONE.meaning == STATE_MEANINGS[State.DONE]


def test_nothing_found_in_an_incomplete_exam_does_not_look_like_a_negative_exam() -> None:
    whole = replace(DONE, outcome="no_findings", n_findings=0)
    partial = replace(whole, is_complete=False)
    assert (whole.result, whole.needs_a_look) == ("No findings", False)
    assert partial.result == "No findings, but the exam is not complete"
    with served(Told({UID: partial})) as client:
        for path in ("/", f"/studies/{UID}"):
            assert 'class="warn">No findings, but the exam' in client.get(path).text


def test_commands_in_a_hint_look_like_commands_and_nothing_else_gets_through() -> None:
    problem = HealthProblem("code", "<b>It</b> is down", "look at `cadnode check <b>`")
    health = replace(ILL, problems=(problem,))
    with served(Told(health=health)) as client:
        page = client.get("/").text
    assert "&lt;b&gt;It&lt;/b&gt; is down." in page
    assert "Look at <code>cadnode check &lt;b&gt;</code>." in page


def test_the_way_of_a_study_shows_what_is_past_and_what_is_to_come() -> None:
    way = [(step.word, step.looks) for step in steps(State.READING)]
    assert way == [
        ("arriving", "past"), ("queued", "past"), ("reading", "now"), ("delivering", "to_come"),
        ("done", "to_come"),
    ]  # fmt: skip
    assert steps(State.DONE) == []


def test_the_list_has_patients_states_and_the_nodes_problems() -> None:
    with served(Told(health=ILL)) as client:
        page = client.get("/").text
    assert "Roe, Jane" in page
    assert f'href="/studies/{UID}"' in page
    assert "It is down." in page


def test_an_empty_list_says_how_to_begin() -> None:
    with served(Told({})) as client:
        page = client.get("/").text
    assert "Nothing yet" in page
    assert "<b>Read with cadnode</b>" in page  # the words on the plugin's button


def test_a_list_that_is_being_made_does_not_say_that_nothing_was_received() -> None:
    with served(Told({}, is_complete=False)) as client:
        page = client.get("/").text
    assert "Nothing yet" not in page
    assert "being looked through" in page


def test_the_report_of_an_earlier_reading_is_shown_as_such(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>before")
    for is_current in (True, False):
        with served(Told(page=report, is_page_current=is_current)) as client:
            page = client.get(f"/studies/{UID}").text
        assert ("Report of an earlier reading" in page) is not is_current
        assert "Report as sent" in page


def test_pages_allow_no_script_from_elsewhere_and_are_kept_nowhere() -> None:
    with served(Told()) as client:
        headers = client.get(f"/studies/{UID}").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    # Not no-referrer: with that browsers say `Origin: null`, and no form could be sent.
    assert headers["Referrer-Policy"] == "same-origin"


def test_the_report_is_a_page_of_its_own_that_can_ask_the_node_for_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<!DOCTYPE html><title>its report</title><script>1</script>")
    with served(Told(page=report)) as client:
        page = client.get(f"/studies/{UID}")
        shown = client.get(f"/studies/{UID}/report", accept_language="de")
    assert shown.headers["Content-Language"] == "en"
    assert f'href="/studies/{UID}/report"' in page.text
    assert "<iframe" not in page.text
    assert "its report" in shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "frame-ancestors 'self'" in policy
    assert "allow-same-origin" not in policy
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_study_without_a_report_has_no_link_to_it() -> None:
    with served(Told()) as client:
        assert "Report as sent" not in client.get(f"/studies/{UID}").text
        assert client.get(f"/studies/{UID}/report").status_code == 404


def test_pages_say_when_the_job_database_is_away() -> None:
    with served(Told(error=jobs_away())) as client:
        for path in ("/", f"/studies/{UID}"):
            page = client.get(path)
            assert page.status_code == 503
            assert "job database does not answer" in page.text


def test_the_page_shows_the_way_it_took_and_offers_to_read_it_once_more() -> None:
    at = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
    way = Way(
        (Arrival("MODALITY <1>", at, at, 4),), 4, "A study is read when it is whole.", "",
        (ReadOnce(at, ("kim2018 1.0",), 4, 12.34, (("sr", 1), ("heatmap", 4))),),
        (Arrived("archive", "refused", at, 3, "archive refuses our AE title"),),
        (Attempt(at, "deliver", "refused", "archive", "archive refuses our AE title"),), 7,
        ("archive is not tried again by itself: try again, or give it up.",),
    )  # fmt: skip
    told = Told(way=way)
    with served(told, known()) as client:
        client.log_in("otto")
        page = client.get(f"/studies/{UID}").text
        for words in (
            "MODALITY &lt;1&gt;", "4 images", "A study is read when it is whole.", "kim2018 1.0",
            "read in 12.3 s", "4 × heat map", "3 tries", "Archive refuses our AE title",
            "try again, or give it up", "(8 lines)", "7 earlier lines", "Read once more",
        ):  # fmt: skip
            assert words in page
        fields = {"csrf": client.csrf(f"/studies/{UID}")}
        done = client.send(f"/studies/{UID}/reread", fields)
        assert "It is read once more." in client.get(done.headers["Location"]).text
        client.log_in("vera")
        assert "Read once more" not in client.get(f"/studies/{UID}").text
        assert client.send(f"/studies/{UID}/reread", fields).status_code == 403
    assert told.orders == [("reread", UID, "otto, HTTP from 127.0.0.1")]


def test_an_address_that_leads_nowhere_is_a_page_for_people_and_json_for_programs() -> None:
    with served(Told()) as client:
        page = client.get("/nowhere", Accept="text/html")
        answer = client.get("/nowhere", Accept="application/json")
        of_api = client.get("/api/nowhere", Accept="text/html")
    assert page.status_code == answer.status_code == of_api.status_code == 404
    assert "There is no such page" in page.text
    assert 'href="/"' in page.text
    assert answer.json()["error"] == of_api.json()["error"] == "not found"
