"""The page of what needs somebody: why, what to do, and several tried again at once."""

from dataclasses import replace

import pytest

from cadnode.exam.patient import Patient
from cadnode.node.poison import SetAsideCode
from cadnode.node.study_state import READING_FAILED, RESULT_GONE
from cadnode.receive.fetch.requests import GOOD, FetchCode
from cadnode.web.deliveries import OrderRefused
from cadnode.web.needs_you import ADVICE, DELIVERY_ADVICE, OTHERWISE, advice_of
from cadnode.web.node import jobs_away
from cadnode.web.queue import StudyFilter
from cadnode.web.study import Reason, State, StudyState
from tests.web_cases import DONE, KEY, OPERATORS_TOKEN, VIEWERS_TOKEN, Told, Trail, known, served

OTHER = "1111222233334444"
REFUSED = replace(
    DONE, study_instance_uid="", state=State.REFUSED, deliveries=(("archive", "refused"),),
    reasons=(Reason("undelivered", "archive does not have the result: no <i>title</i>"),),
)  # fmt: skip
FAILED = StudyState(OTHER, "", State.FAILED, reasons=(READING_FAILED,), n_instances=4)
BEARER = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}


def node(**told: object) -> Told:
    return Told({KEY: REFUSED, OTHER: FAILED}, **told)  # type: ignore[arg-type]


def test_the_page_says_what_is_wrong_and_what_to_do() -> None:
    told = node()
    with served(told) as client:
        page = client.get("/needs-you").text
    assert told.filters[0] == StudyFilter(needs_you=True, limit=100, counted=True)
    assert "Roe, Jane" in page
    assert "Archive does not have the result: no &lt;i&gt;title" in page
    assert "<code>cadnode check</code>" in page
    assert "Reading failed each time" in page
    assert f'href="/studies/{KEY}"' in page


def test_an_empty_page_says_that_nothing_is_wrong() -> None:
    with served(Told({})) as client:
        assert "Nothing: no study is refused" in client.get("/needs-you").text
    with served(Told({}, is_complete=False)) as client:
        assert "being looked through" in client.get("/needs-you").text


def test_every_code_that_a_study_fails_with_has_its_advice() -> None:
    for code in (*SetAsideCode, READING_FAILED.code, RESULT_GONE.code):
        assert advice_of(replace(FAILED, reasons=(Reason(str(code), "x"),))) == ADVICE[code]
    for fetch in set(FetchCode) - GOOD:
        gone = StudyState(KEY, "", State.FAILED, reasons=(Reason(fetch.value, fetch.meaning),))
        assert "then try again" in advice_of(gone)
    given_up = replace(REFUSED, deliveries=(("archive", "given_up"),))
    assert advice_of(given_up) == DELIVERY_ADVICE["given_up"]
    assert advice_of(replace(FAILED, reasons=())) == OTHERWISE


def test_several_are_tried_again_after_a_confirmation_and_each_is_told() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        asked = client.get(f"/needs-you?study={KEY}&study={OTHER}&study=nonsense")
        assert "Try 2 studies again?" in asked.text
        assert told.orders == []
        (studies,), csrf = client.fields(asked.text, "studies"), client.csrf("/needs-you")
        done = client.send("/needs-you/retry", {"csrf": csrf, "studies": studies})
        after = client.get(done.headers["Location"])
    assert done.status_code == 303
    assert told.orders == [("retry", KEY, ""), ("retry", OTHER, "")]
    assert "2 studies are tried again now" in after.text
    assert "data-refresh-s" in after.text
    tried = [line for line in trail.lines if line[0] == "delivery retried"]
    assert tried == [
        ("delivery retried", "success", "otto", KEY),
        ("delivery retried", "success", "otto", OTHER),
    ]


def test_all_that_fit_the_filter_are_tried_again_not_only_those_of_the_page() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("otto")
        asked = client.get("/needs-you?all=1&do=retry&destination=archive&since=2026-03-01").text
        assert "Try 2 studies again?" in asked
        assert "These are all that fit the filter" in asked
        assert '<input type="hidden" name="all" value="1">' in asked
        fields = {
            "csrf": client.csrf("/needs-you"), "all": "1", "destination": "archive",
            "since": "2026-03-01",
        }  # fmt: skip
        done = client.send("/needs-you/retry", fields)
        assert done.status_code == 303
        after = client.get(done.headers["Location"]).text
    assert told.orders == [("retry", KEY, "archive"), ("retry", OTHER, "archive")]
    assert told.filters[-2].destination == "archive"
    assert "2 studies are tried again now" in after
    assert 'value="archive"' in after


def test_what_there_was_no_time_for_is_gone_on_with() -> None:
    cursor = f"1772636767000000-{KEY}"
    with served(node(), known()) as client:
        client.log_in("otto")
        page = client.get(f"/needs-you?did=retry&n=5&more={cursor}").text
        assert "Go on with the rest" in page
        rest = client.get(f"/needs-you?all=1&do=retry&after={cursor}").text
    assert f'name="after" value="{cursor}"' in page
    assert f'name="after" value="{cursor}"' in rest
    assert "after those that were done already" in rest


def test_several_are_given_up_with_a_reason_and_not_without() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        asked = client.get(f"/needs-you?do=drop&study={KEY}&study={OTHER}").text
        assert "Give up 2 studies?" in asked
        fields = {"csrf": client.csrf("/needs-you"), "studies": f"{KEY},{OTHER}"}
        without = client.send("/needs-you/drop", fields)
        assert f"study={KEY}" in without.headers["Location"]
        assert told.orders == []
        done = client.send("/needs-you/drop", {**fields, "reason": " a  test "})
        assert "2 studies are given up" in client.get(done.headers["Location"]).text
    by = "otto, HTTP from 127.0.0.1"
    assert told.orders == [("drop", KEY, "", by, "a test"), ("drop", OTHER, "", by, "a test")]
    assert ("study dropped", "success", "otto", OTHER) in trail.lines


def test_an_act_for_a_filter_that_makes_no_sense_is_an_act_for_nobody() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("otto")
        fields = {"csrf": client.csrf("/needs-you"), "all": "1", "since": "soon", "reason": "x"}
        for act in ("retry", "drop"):
            assert client.send(f"/needs-you/{act}", fields).status_code == 422
    assert told.orders == []


def test_a_filter_that_makes_no_sense_is_said_and_lists_nothing() -> None:
    with served(node()) as client:
        page = client.get("/needs-you?since=soon")
    assert page.status_code == 422
    assert "Since is no day" in page.text
    assert "Roe, Jane" not in page.text


def test_what_cannot_be_tried_is_counted_and_told_as_failed() -> None:
    refusal = OrderRefused("the node has never received anything of this study", "look")
    told, trail = node(refusal=refusal), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        fields = {"csrf": client.csrf("/needs-you"), "studies": KEY}
        done = client.send("/needs-you/retry", fields)
        assert done.headers["Location"] == "/needs-you?did=retry&left=1"
        assert "For 1 there was nothing to try" in client.get(done.headers["Location"]).text
    assert ("delivery retried", "failure", "otto", KEY) in trail.lines


def test_the_page_offers_a_viewer_nothing_and_takes_nothing_from_her() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("vera")
        page = client.get("/needs-you?all=1").text
        assert "What to do" in page
        for offered in ('type="checkbox"', "Try all again", "Yes, try again", "Give all up"):
            assert offered not in page
        fields = {"csrf": client.csrf("/needs-you"), "all": "1"}
        assert client.send("/needs-you/retry", fields).status_code == 403
        bearer = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
        assert client.send("/needs-you/retry", {"all": "1"}, **bearer).status_code == 403
    assert told.orders == []


def test_a_bulk_order_needs_the_pages_secret() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("otto")
        assert client.send("/needs-you/retry", {"all": "1"}).status_code == 403
    assert told.orders == []


@pytest.mark.parametrize("path", ["/needs-you", "/needs-you?all=1"])
def test_a_list_that_cannot_be_read_is_said_to_be(path: str) -> None:
    with served(node(error=jobs_away())) as client:
        assert client.get(path).status_code == 503


def test_names_are_escaped_and_numbers_in_the_address_are_numbers() -> None:
    told = Told({KEY: REFUSED}, Patient(("<img src=x>",), "<b>"))
    with served(told) as client:
        page = client.get("/needs-you?n=<b>&left=1e9&more=x&did=<b>").text
    assert "<img" not in page
    assert 'role="status"' not in page


@pytest.mark.parametrize("wrong", [{"since": "soon"}, {"state": "lost"}, {"until": "2026-02-30"}])
@pytest.mark.parametrize("act", ["retry", "drop"])
def test_a_filter_that_makes_no_sense_is_not_taken_for_all_studies(
    act: str, wrong: dict[str, str]
) -> None:
    told = Told({KEY: REFUSED, OTHER: FAILED})
    with served(told, known()) as client:
        client.log_in("otto")
        fields = {"csrf": client.csrf("/needs-you"), "all": "1", "reason": "a test", **wrong}
        done = client.send(f"/needs-you/{act}", fields)
    assert told.orders == []
    assert done.status_code == 422


def test_what_is_ticked_in_a_list_of_one_destination_is_done_for_that_one_alone() -> None:
    told = Told({KEY: REFUSED, OTHER: FAILED})
    with served(told, known()) as client:
        client.log_in("otto")
        asked = client.get(f"/needs-you?study={KEY}&do=drop&destination=archive")
        confirm = asked.text.split('id="confirm"')[1].split("</section>")[0]
        (destination,) = client.fields(confirm, "destination")
        fields = {"csrf": client.csrf("/needs-you"), "studies": KEY, "reason": "a test"}
        client.send("/needs-you/drop", {**fields, "destination": destination})
    assert "For archive alone" in confirm
    ((_, key, where, *_),) = told.orders
    assert (key, where) == (KEY, "archive")
