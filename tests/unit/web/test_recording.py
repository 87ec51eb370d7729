"""What is recorded of the HTTP side: each act, by whom, from where, and how it ended."""

from pathlib import Path

import pytest

from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import UnknownSource, jobs_away
from cadnode.web.recording import MOST_STRANGERS, SAME_S, Folding
from cadnode.web.study import key_of
from tests.web_cases import OPERATORS_TOKEN, TOKEN, UID, Told, Trail, known, served

KEY = key_of(UID)
NOTICE = {"study_instance_uid": UID, "source": "orthanc"}
BEARER = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}


def test_a_persons_visit_is_told_from_log_in_to_log_out(tmp_path: Path) -> None:
    trail = Trail()
    (tmp_path / "report.html").write_text("<p>report")
    with served(Told(page=tmp_path / "report.html"), known(), trail) as client:
        client.log_in("otto")
        client.get("/")
        client.get(f"/studies/{UID}")
        client.get(f"/studies/{UID}/report")
        client.send(f"/studies/{UID}/drop", {"csrf": client.csrf(), "reason": "a test"})
        client.send("/logout", {"csrf": client.csrf()})
    assert trail.lines == [
        ("log-in", "success", "otto", None),
        ("studies listed", "success", "otto", None),
        ("study viewed", "success", "otto", KEY),
        ("study exported", "success", "otto", KEY),
        ("study dropped", "success", "otto", KEY),
        ("log-out", "success", "otto", None),
    ]
    assert {event.actor for event in trail.events} == {
        Actor(ActorKind.PERSON, "otto", "operator", "127.0.0.1")
    }


def test_a_report_in_the_studys_page_is_viewed_and_not_exported(tmp_path: Path) -> None:
    trail = Trail()
    (tmp_path / "report.html").write_text("<p>report")
    with served(Told(page=tmp_path / "report.html"), known(), trail) as client:
        client.get(f"/studies/{UID}", **BEARER)
        client.get(f"/studies/{UID}/report", Sec_Fetch_Dest="iframe", **BEARER)
    assert [event.action for event in trail.events] == [Action.VIEWED]


@pytest.mark.parametrize(
    ("name", "told"),
    [("vera", "vera"), (" Vera", "vera"), ("walnut tide 41 lanterns", "unknown"), ("", "unknown")],
)
def test_a_log_in_that_failed_is_told_with_the_name_of_a_user_and_no_other_word(
    name: str, told: str
) -> None:
    trail = Trail()
    with served(Told(), known(), trail) as client:
        client.log_in(name, "something else 41")
    (event,) = trail.events
    assert (event.action, event.outcome, event.detail) == ("log-in refused", "failure", "wrong")
    assert event.actor == Actor(ActorKind.PERSON, told, None, "127.0.0.1")


def test_a_lock_out_is_told() -> None:
    trail, now = Trail(), [1000.0]
    with served(Told(), known(clock=lambda: now[0]), trail) as client:
        for n in range(10):
            client.log_in("vera", "something else 41")
            now[0] += 2.0**n
        for _ in range(3):
            client.log_in("vera")
    assert [event.detail for event in trail.events] == [*["wrong"] * 10, "locked"]


def test_what_does_not_pass_is_told_with_the_reason() -> None:
    trail = Trail()
    with served(Told(), known(), trail) as client:
        client.get(f"/studies/{UID}")
        client.get("/api/studies", Authorization="Bearer " + "x" * 40)
        client.get("/api/studies", Cookie="cadnode_session=gone")
        client.log_in("vera")
        client.post(f"/api/studies/{UID}/retry", {}, Origin=client.url)
        client.send("/logout", {}, Sec_Fetch_Site="cross-site")
        client.send("/logout", {})
    told = [(e.actor.name, e.detail) for e in trail.events if e.action is Action.REFUSED]
    assert told == [
        ("unknown", "nobody"), ("unknown", "token"), ("unknown", "session"),
        ("vera", "role"), ("vera", "origin"), ("vera", "csrf"),
    ]  # fmt: skip
    assert all(
        e.outcome is EventOutcome.FAILURE for e in trail.events if e.action is Action.REFUSED
    )


def test_an_order_is_told_with_how_it_ended() -> None:
    trail = Trail()
    for told in (
        Told(), Told(refusal=UnknownSource(())), Told(error=jobs_away()), Told(error=OSError("x")),
    ):  # fmt: skip
        with served(told, known(), trail) as client:
            client.post("/api/studies", NOTICE, **BEARER)
    assert trail.lines == [
        ("study ordered", outcome, "doer", KEY)
        for outcome in ("success", "failure", "serious failure", "serious failure")
    ]
    assert trail.events[0].actor.kind is ActorKind.MACHINE


def test_an_order_that_makes_no_sense_is_a_failure_on_pages_too() -> None:
    trail = Trail()
    told = Told(refusal=OrderRefused("nothing of this study is undelivered", "look"))
    with served(told, known(), trail) as client:
        client.log_in("otto")
        page = client.send(f"/studies/{UID}/retry", {"csrf": client.csrf()})
    assert (page.status_code, "Nothing of this study is undelivered" in page.text) == (404, True)
    assert trail.lines[-1] == ("delivery retried", "failure", "otto", KEY)


def test_nothing_of_health_styles_and_the_log_in_page_is_told() -> None:
    trail = Trail()
    with served(Told(), known(), trail) as client:
        for path in ("/health", "/static/base.css", "/login"):
            client.get(path)
    assert trail.events == []


def test_nothing_told_holds_a_name_or_uid_of_a_patient() -> None:
    trail = Trail()
    with served(Told(), known(), trail) as client:
        for path in (f"/studies/{UID}", f"/api/studies/{UID}", "/studies/Roe^Jane", "/Roe?a=Roe"):
            client.get(path, **BEARER)
        client.post("/api/studies", {**NOTICE, "source": "Roe"}, **BEARER)
    assert len(trail.events) == 3  # the study once, what is unknown, and the order
    for secret in (UID, "Roe", "Jane", TOKEN, OPERATORS_TOKEN):
        assert secret not in str(trail.events)


def test_no_answer_begins_before_it_is_recorded() -> None:
    class Failing:
        def record(self, event: Event) -> None:
            raise OSError("x")

    with served(Told(), known(), Failing()) as client:
        answer = client.get(f"/studies/{UID}", **BEARER)
    assert (answer.status_code, "Jane" in answer.text) == (500, False)


def test_the_same_reading_is_told_once_and_then_with_how_many_were_like_it() -> None:
    now = [0.0]
    folding = Folding(lambda: now[0])
    actor = Actor(ActorKind.PERSON, "otto", "operator", "10.0.0.1")
    view = Event(Action.VIEWED, EventOutcome.SUCCESS, actor, KEY)
    order = Event(Action.RETRIED, EventOutcome.SUCCESS, actor, KEY)
    assert folding.folded(view) == view
    for _ in range(57):
        now[0] += 1
        assert folding.folded(view) is None
        assert folding.folded(order) == order
    other = Event(Action.VIEWED, EventOutcome.SUCCESS, actor, "0123456789abcdef")
    assert folding.folded(other) == other
    now[0] = SAME_S
    later = folding.folded(view)
    assert later is not None
    assert later.detail == "and 57 like it"
    now[0] += SAME_S
    assert folding.folded(view) == view


def test_what_is_remembered_of_readings_is_bounded() -> None:
    folding = Folding(lambda: 0.0)
    actor = Actor(ActorKind.MACHINE, "looker", "viewer", "10.0.0.1")
    for n in range(30_000):
        event = Event(Action.VIEWED, EventOutcome.FAILURE, actor, f"{n:016x}")
        assert folding.folded(event) == event
    assert len(folding._known) <= 10_000


def test_a_stranger_cannot_fill_the_trail() -> None:
    trail = Trail()
    with served(Told(), known(), trail) as client:
        for n in range(6):
            client.get("/login/openid")
            client.get(f"/login/openid?state={n}")
            client.send("/login", {"name": "x" * 20_000})
            client.get(f"/studies/{n}")
    told = [(e.action, e.detail) for e in trail.events]
    assert told == [("log-in refused", "unknown"), ("log-in refused", None), ("refused", "nobody")]


def test_a_network_of_addresses_is_one_stranger_and_of_many_strangers_some_are_told() -> None:
    now = [0.0]
    folding = Folding(lambda: now[0])

    def told(address: str, name: str = "unknown") -> Event | None:
        actor = Actor(ActorKind.MACHINE, name, None, address)
        return folding.folded(Event(Action.REFUSED, EventOutcome.FAILURE, actor, detail="nobody"))

    assert [told(f"2001:db8::{n:x}") is not None for n in range(1, 50)].count(True) == 1
    lines = [line for n in range(5000) if (line := told(f"10.{n >> 8}.{n & 255}.1"))]
    assert len(lines) == MOST_STRANGERS
    assert [line.actor.address for line in lines].count(None) == 1
    # Who is known is told all the same, and in the next ten minutes there is room again.
    person = Actor(ActorKind.PERSON, "vera", "viewer", "10.0.0.1")
    view = Event(Action.VIEWED, EventOutcome.SUCCESS, person, KEY)
    assert folding.folded(view) == view
    now[0] += SAME_S
    again = told("10.200.1.1")
    assert again is not None
    assert again.actor.address == "10.200.1.1"
