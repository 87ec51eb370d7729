"""The list of studies: filters, its parts, and a search that leaves no name in any address."""

from dataclasses import replace
from datetime import date

import pytest

from cadnode.web.queue import FilterWrong, StudyFilter, filter_of
from cadnode.web.study import Reason, State, StudyState
from tests.web_cases import (
    DONE,
    KEY,
    UID,
    VIEWERS_TOKEN,
    Told,
    Trail,
    known,
    nobody_known,
    served,
)

CURSOR = "1772636767000000-0123456789abcdef"


def test_a_form_is_a_filter_and_empty_fields_state_nothing() -> None:
    assert filter_of({"state": "", "since": "", "after": ""}) == StudyFilter()
    fields = {"state": "refused", "needs_you": "1", "since": "2026-03-01", "until": "2026-03-02"}
    wanted = filter_of({**fields, "text": "  Roe   Jane ", "after": CURSOR}, 7)
    assert wanted == StudyFilter(
        State.REFUSED, True, date(2026, 3, 1), date(2026, 3, 2), "Roe Jane", CURSOR, 7
    )
    first, end = wanted.between
    assert end - first == pytest.approx(2 * 86400, abs=3601)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "lost"}, {"since": "yesterday"}, {"until": "0001-01-01"}, {"text": "x" * 129},
        {"after": "1"}, {"after": f"{CURSOR}' OR 1"},
    ],
)  # fmt: skip
def test_what_no_filter_can_be_is_said(fields: dict[str, str]) -> None:
    with pytest.raises(FilterWrong) as caught:
        filter_of(fields)
    assert caught.value.hint


def test_days_that_all_studies_came_after_narrow_nothing() -> None:
    assert not StudyFilter(since=date(1970, 1, 1)).is_narrowed
    assert StudyFilter(since=date(1970, 1, 2)).is_narrowed
    assert StudyFilter(until=date(1970, 1, 1)).is_narrowed


def test_the_list_is_narrowed_by_its_address_and_keeps_what_was_chosen() -> None:
    told = Told(after=CURSOR)
    with served(told) as client:
        page = client.get("/?state=done&needs_you=1&since=2026-03-01")
    assert told.filters == [StudyFilter(State.DONE, True, date(2026, 3, 1))]
    assert '<option value="done" selected>done (1)</option>' in page.text
    assert 'value="2026-03-01"' in page.text
    older = f"/?state=done&amp;needs_you=1&amp;since=2026-03-01&amp;after={CURSOR}"
    assert f'href="{older}" rel="next"' in page.text
    with served(told) as client:
        client.get(older.replace("&amp;", "&"))
    assert told.filters[-1].after == CURSOR


def test_an_address_that_makes_no_sense_says_so_and_lists_nothing() -> None:
    with served(Told()) as client:
        page = client.get("/?state=lost")
    assert page.status_code == 422
    assert "There is no such state" in page.text
    assert "Roe, Jane" not in page.text


def test_a_line_says_in_words_why_a_study_waits() -> None:
    reason = Reason("undelivered", "archive does not have the result: no <b>room</b>")
    refused = replace(DONE, state=State.REFUSED, reasons=(reason,))
    with served(Told({UID: refused})) as client:
        page = client.get("/").text
    assert "Archive does not have the result: no &lt;b&gt;room" in page
    assert DONE.why == ""  # of an image that was not scored, which is in the result


def test_a_search_is_sent_in_the_body_and_stays_out_of_addresses(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    told, trail = Told(after=CURSOR), Trail()
    with served(told, nobody_known(), trail) as client:
        page = client.send("/search", {"csrf": client.csrf(), "text": "Zzyx Jane"})
        again = client.send(
            "/search", {"csrf": client.csrf(), "text": "Zzyx Jane", "after": CURSOR}
        )
    assert page.status_code == again.status_code == 200
    assert [w.text for w in told.filters] == ["", "Zzyx Jane", "", "Zzyx Jane"]
    assert told.filters[-1].after == CURSOR
    assert "data-refresh-s" not in page.text
    addresses = [part.split('"')[0] for part in page.text.split('href="')[1:]]
    assert not any("Zzyx" in address for address in addresses)
    assert "Zzyx" not in caplog.text + "".join(capfd.readouterr()) + repr(trail.events)
    assert {event.action.value for event in trail.events} == {"studies listed"}


def test_a_search_needs_the_pages_secret() -> None:
    told = Told()
    with served(told, known()) as client:
        client.log_in("vera")
        assert client.send("/search", {"text": "Roe"}).status_code == 403
        csrf = client.csrf()
        assert client.send("/search", {"text": "Roe", "csrf": csrf}).status_code == 200


def test_a_viewers_program_lists_and_searches_without_names_in_the_answer() -> None:
    told = Told(after=CURSOR)
    bearer = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
    with served(told, known()) as client:
        listed = client.get(f"/api/studies?state=done&needs_you=true&after={CURSOR}", **bearer)
        found = client.post("/api/studies/search", {"text": "Roe", "limit": 5}, **bearer)
        assert client.post("/api/studies/search", {"text": "Roe"}).status_code == 401
        for wrong in ("state=lost", "since=soon", "after=1", "limit=501"):
            assert client.get(f"/api/studies?{wrong}", **bearer).status_code == 422
        described = client.get("/api/openapi.json", **bearer).json()["paths"]
    assert told.filters[0] == StudyFilter(State.DONE, needs_you=True, after=CURSOR)
    assert told.filters[1] == StudyFilter(text="Roe", limit=5)
    assert listed.json()["after"] == CURSOR
    assert [row["key"] for row in found.json()["studies"]] == [KEY]
    assert "Roe" not in listed.text + found.text
    assert {p["name"] for p in described["/api/studies"]["get"]["parameters"]} >= {"state", "after"}
    assert "post" in described["/api/studies/search"]


@pytest.mark.parametrize("text", ["\\ud800", "\\u0000", " ", "x" * 129])
def test_a_search_for_what_is_no_text_ends_well(text: str) -> None:
    with served(Told()) as client:
        answer = client.session.post(
            f"{client.url}/api/studies/search", data=f'{{"text": "{text}"}}',
            headers={"Content-Type": "application/json"}, timeout=10,
        )  # fmt: skip
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize(
    ("study", "needs"),
    [
        (replace(DONE, state=State.REFUSED), True),
        (StudyState(KEY, "", State.FAILED), True),
        (replace(DONE, state=State.FETCHING, deliveries=(("a", "given_up"),)), True),
        (replace(DONE, deliveries=(("a", "dropped"), ("b", "waiting"))), False),
        (StudyState(KEY, "", State.RECEIVING), False),
    ],
)
def test_who_goes_on_by_itself_needs_nobody(study: StudyState, needs: bool) -> None:
    assert study.needs_you is needs
