"""Many studies tried again, or given up, in one request; bounded, and told one by one."""

from dataclasses import replace
from datetime import date

import pytest

from cadnode.web import bulk
from cadnode.web.bulk import BulkOrder
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import jobs_away
from cadnode.web.queue import StudyFilter, StudyPage, StudyRow
from cadnode.web.study import State, StudyState
from tests.unit.web.test_needs_you import BEARER, FAILED, OTHER, REFUSED
from tests.web_cases import KEY, VIEWERS_TOKEN, Told, Trail, known, served

CURSOR = f"1772636767000000-{KEY}"


def node(**told: object) -> Told:
    return Told({KEY: REFUSED, OTHER: FAILED}, **told)  # type: ignore[arg-type]


def test_named_studies_are_tried_again_and_each_is_told() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        body = {"studies": [KEY, OTHER], "destination": "archive"}
        answer = client.post("/api/studies/retry", body, **BEARER)
    assert answer.status_code == 202
    assert answer.json() == {"dry_run": False, "count": 2, "done": 2, "refused": [], "after": None}
    assert told.orders == [("retry", KEY, "archive"), ("retry", OTHER, "archive")]
    assert ("delivery retried", "success", "doer", KEY) in trail.lines


def test_a_dry_run_counts_and_does_nothing() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        body = {"filter": {"state": "refused", "since": "2026-03-01"}, "dry_run": True}
        answer = client.post("/api/studies/retry", body, **BEARER)
    assert answer.json() == {"dry_run": True, "count": 2}
    assert told.orders == []
    (asked,) = told.filters
    assert asked == StudyFilter(
        State.REFUSED, needs_you=True, since=date(2026, 3, 1), limit=1, counted=True
    )
    (event,) = trail.events
    assert (event.detail, event.study) == ("dry run", None)


def test_all_that_fit_a_filter_are_given_up_with_a_reason() -> None:
    told = node()
    with served(told, known()) as client:
        body = {"filter": {"destination": "archive"}, "reason": "taken down"}
        answer = client.post("/api/studies/drop", body, **BEARER)
        assert client.post("/api/studies/drop", {"filter": {}}, **BEARER).status_code == 422
    assert (answer.status_code, answer.json()["done"]) == (200, 2)
    assert told.orders[0] == ("drop", KEY, "archive", "doer, HTTP from 127.0.0.1", "taken down")


def test_what_is_refused_is_said_of_each_study() -> None:
    refusal = OrderRefused("there is nothing to try again", "look")
    with served(node(refusal=refusal), known()) as client:
        answer = client.post("/api/studies/retry", {"studies": [KEY]}, **BEARER).json()
    assert answer["done"] == 0
    assert answer["refused"] == [{"study": KEY, "error": refusal.error, "hint": "look"}]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"studies": [], "filter": None}, {"studies": [KEY], "filter": {}},
        {"studies": ["1.2.3"]}, {"studies": [KEY] * 501}, {"filter": {"state": "lost"}},
        {"filter": {"text": "Roe"}}, {"filter": {}, "after": "1"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_whole(body: dict[str, object]) -> None:
    told = node()
    with served(told, known()) as client:
        answer = client.post("/api/studies/retry", body, **BEARER)
    assert answer.status_code == 422
    assert told.orders == []


def test_a_viewers_program_orders_nothing_in_bulk() -> None:
    told = node()
    with served(told, known()) as client:
        bearer = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
        for act in ("retry", "drop"):
            body = {"filter": {}, "reason": "x"} if act == "drop" else {"filter": {}}
            assert client.post(f"/api/studies/{act}", body, **bearer).status_code == 403
    assert told.orders == []


def test_a_job_database_that_is_away_is_503() -> None:
    with served(node(error=jobs_away()), known()) as client:
        assert client.post("/api/studies/retry", {"filter": {}}, **BEARER).status_code == 503


class Ten:
    """A list of so many studies, in parts."""

    def __init__(self, n: int) -> None:
        self.keys = [f"{at:016x}" for at in range(n)]

    def page(self, wanted: StudyFilter) -> StudyPage:
        first = self.keys.index(wanted.after.split("-")[1]) + 1 if wanted.after else 0
        keys = self.keys[first : first + wanted.limit]
        rows = tuple(StudyRow(StudyState(key, "", State.FAILED)) for key in keys)
        has_more = first + wanted.limit < len(self.keys)
        return StudyPage(rows, f"1-{keys[-1]}" if has_more else "", n_found=len(self.keys) - first)


def test_what_there_is_no_time_for_has_a_cursor_and_the_rest_is_done_with_it() -> None:
    told, many = Told(), Ten(450)
    node = replace(told.node(), listed=many.page)
    assert node.orders is not None
    times = iter([0.0, 1.0, 21.0, *[30.0] * 99])
    order = BulkOrder(wanted=StudyFilter(needs_you=True))
    done = bulk.carry_out(node, node.orders, order, lambda: next(times))
    assert (done.n_found, done.n_done) == (450, 200)
    rest = replace(order, wanted=StudyFilter(needs_you=True, after=done.after))
    last = bulk.carry_out(node, node.orders, rest)
    assert (last.n_found, last.n_done, last.after) == (250, 250, "")
    assert [words[1] for words in told.orders] == many.keys


def test_where_the_job_database_goes_away_the_rest_are_told_as_failed() -> None:
    told, many = Told(), Ten(30)
    node = replace(told.node(), listed=many.page)
    assert node.orders is not None
    orders = replace(
        node.orders, retry_several=lambda keys, d: told.node().orders.retry_several(keys[:7], d)  # type: ignore[union-attr]
    )  # fmt: skip
    done = bulk.carry_out(node, orders, BulkOrder(wanted=StudyFilter(needs_you=True)))
    assert (done.n_done, len(done.acts)) == (7, 30)
    assert [how.value for _, how in done.outcomes].count("failure") == 23


def test_studies_that_are_ticked_on_the_list_are_read_once_more_after_a_confirmation() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        page = client.get("/").text
        assert page.count('name="study"') == 2
        asked = client.get(f"/?do=reread&study={KEY}&study={OTHER}&state=done").text
        assert "Read 2 studies once more?" in asked
        assert "data-refresh-s" not in asked
        assert told.orders == []
        (studies,) = client.fields(asked, "studies")
        fields = {"csrf": client.csrf("/"), "studies": studies, "state": "done"}
        done = client.send("/list/reread", fields)
        assert done.headers["Location"] == "/?did=reread&n=2&state=done"
        assert "2 studies are read once more" in client.get(done.headers["Location"]).text
    by = "otto, HTTP from 127.0.0.1"
    assert told.orders == [("reread", KEY, by), ("reread", OTHER, by)]
    assert ("study reread", "success", "otto", KEY) in trail.lines


def test_results_of_all_that_fit_the_lists_filter_are_sent_again_where_somebody_says_to() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("otto")
        assert "All that fit the filter" in client.get("/?since=2026-03-01").text
        asked = client.get("/?all=1&do=redeliver&since=2026-03-01").text
        assert "Send the results of 2 studies again?" in asked
        fields = {"csrf": client.csrf("/"), "all": "1", "since": "2026-03-01"}
        without = client.send("/list/redeliver", fields)
        assert without.headers["Location"] == "/?do=redeliver&since=2026-03-01&all=1"
        rest = client.send("/list/redeliver", {**fields, "after": CURSOR})
        assert rest.headers["Location"].endswith(f"&all=1&after={CURSOR}")  # no more than before
        assert told.orders == []
        done = client.send("/list/redeliver", {**fields, "to": "archive"})
        after = client.get(done.headers["Location"]).text
    assert told.orders == [("redeliver", KEY, "archive"), ("redeliver", OTHER, "archive")]
    assert "The results of 2 studies are sent again." in after


def test_what_came_since_it_was_asked_is_not_given_up_unseen() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        client.log_in("otto")
        asked = client.get("/?all=1&do=drop&state=failed").text
        assert client.fields(asked, "asked") == ["2"]
        fields = {"csrf": client.csrf("/"), "all": "1", "state": "failed", "reason": "a test"}
        again = client.send("/list/drop", {**fields, "asked": "1"})
        assert again.headers["Location"] == "/?do=drop&state=failed&all=1"
        assert told.orders == []
        assert trail.events[-1].detail == "nothing done: not confirmed"
        client.send("/list/drop", {**fields, "asked": "2"})
    assert [(act, key) for act, key, *_ in told.orders] == [("drop", KEY), ("drop", OTHER)]


def test_nothing_is_ordered_for_the_whole_list_without_a_filter() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("otto")
        assert "All that fit the filter" not in client.get("/").text
        assert "No study was chosen" in client.get("/?all=1&do=reread").text
        for act in ("retry", "redeliver", "reread", "drop"):
            fields = {"csrf": client.csrf("/"), "all": "1", "reason": "a test", "to": "archive"}
            client.send(f"/list/{act}", fields)
            client.send(f"/list/{act}", {**fields, "state": "lost"})
    assert told.orders == []


def test_the_list_offers_a_viewer_no_act_and_takes_none_from_her() -> None:
    told = node()
    with served(told, known()) as client:
        client.log_in("vera")
        page = client.get(f"/?do=drop&study={KEY}&state=done").text
        for offered in ('name="study"', "Read once more", "All that fit", 'id="confirm"'):
            assert offered not in page
        for act in ("retry", "redeliver", "reread", "drop"):
            fields = {"csrf": client.csrf("/"), "studies": KEY, "reason": "x", "to": "archive"}
            assert client.send(f"/list/{act}", fields).status_code == 403
    assert told.orders == []


def test_results_of_many_are_sent_again_to_one_destination_whatever_their_state() -> None:
    told, trail = node(), Trail()
    with served(told, known(), trail) as client:
        body = {"filter": {"since": "2026-03-01"}, "destination": "archive"}
        answer = client.post("/api/studies/redeliver", body, **BEARER)
    assert (answer.status_code, answer.json()["done"]) == (202, 2)
    assert told.orders == [("redeliver", KEY, "archive"), ("redeliver", OTHER, "archive")]
    assert not any(one.needs_you or one.destination for one in told.filters)
    assert ("study redelivered", "success", "doer", KEY) in trail.lines


def test_many_are_read_once_more_and_it_is_recorded_who_asked() -> None:
    told = node()
    with served(told, known()) as client:
        body = {"filter": {"state": "done", "until": "2026-03-01"}}
        answer = client.post("/api/studies/reread", body, **BEARER)
    assert (answer.status_code, answer.json()["done"]) == (202, 2)
    assert told.orders[0] == ("reread", KEY, "doer, HTTP from 127.0.0.1")


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("redeliver", {"filter": {}, "destination": "archive"}),
        ("redeliver", {"filter": {"state": "done"}}),
        ("redeliver", {"studies": [KEY], "destination": ""}),
        ("reread", {"filter": {}}),
        ("reread", {"studies": [KEY], "destination": "archive"}),
    ],
)
def test_neither_is_done_for_every_study_or_without_saying_where_to(
    act: str, body: dict[str, object]
) -> None:
    told = node()
    with served(told, known()) as client:
        assert client.post(f"/api/studies/{act}", body, **BEARER).status_code == 422
    assert told.orders == []
