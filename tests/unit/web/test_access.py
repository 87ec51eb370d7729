"""Who may ask the HTTP side, and for what."""

from dataclasses import replace

import pytest
from starlette.datastructures import Headers

from cadnode.web.access import Access
from cadnode.web.caller import Caller, Denied
from cadnode.web.refusals import safe_path
from cadnode.web.study import State
from tests.web_cases import (
    DONE,
    ILL,
    OPERATORS_TOKEN,
    TOKEN,
    UID,
    VIEWERS_TOKEN,
    WELL,
    Told,
    known,
    nobody_known,
    served,
)

NOTICE = {"study_instance_uid": UID, "source": "orthanc"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_strangers_are_refused_everything_but_health() -> None:
    with served(Told(), known()) as client:
        assert client.get("/health").status_code == 200
        for path in ("/api/studies", f"/api/studies/{UID}", "/api/openapi.json", "/nothing"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert set(refused.json()) == {"error", "hint"}
        assert client.post("/api/studies", {}).status_code == 401


def test_strangers_learn_how_much_waits_and_no_destinations_name() -> None:
    waiting = {"waiting": 2, "oldest_s": 50}
    queue = {
        "reading": {"waiting": 1, "oldest_s": 3},
        "delivering": {"pacs-12": waiting, "fhir": {"waiting": 1, "oldest_s": 9}},
        "undelivered": {"pacs-12": 3, "fhir": 1},
        "committing": {"pacs-12": {**waiting, "overdue": 1}},
    }
    with served(Told(health=replace(WELL, queue=queue)), known()) as client:
        told = client.get("/health")
        assert client.get("/health", **bearer(VIEWERS_TOKEN)).json()["queue"] == queue
    assert told.json()["queue"] == {
        "reading": {"waiting": 1, "oldest_s": 3},
        "delivering": {"*": {"waiting": 3, "oldest_s": 50}},
        "undelivered": {"*": 4},
        "committing": {"*": {"waiting": 2, "oldest_s": 50, "overdue": 1}},
    }


@pytest.mark.parametrize("told", [f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer ", TOKEN])
def test_a_wrong_token_is_refused(told: str) -> None:
    with served(Told(), known()) as client:
        assert client.get("/api/studies", Authorization=told).status_code == 401


def test_the_token_opens_the_node() -> None:
    with served(Told(), known()) as client:
        assert client.get("/api/studies", Authorization=f"bearer {TOKEN}").status_code == 200
        assert client.post("/api/studies", NOTICE, **bearer(TOKEN)).status_code == 202


def test_a_wrong_token_is_refused_whatever_else_a_request_shows() -> None:
    with served(Told(), known()) as client:
        client.log_in("anna")
        assert client.get("/api/studies").status_code == 200
        assert client.get("/api/studies", **bearer("x" * 40)).status_code == 401


def test_a_program_may_do_what_its_role_is_for_and_is_told_which_role_is_missing() -> None:
    told = Told()
    with served(told, known()) as client:
        assert client.get(f"/api/studies/{UID}", **bearer(VIEWERS_TOKEN)).status_code == 200
        for path in ("/api/studies", *(f"/api/studies/{UID}/{w}" for w in ("retry", "drop"))):
            refused = client.post(path, NOTICE, **bearer(VIEWERS_TOKEN))
            assert refused.status_code == 403
            assert "needs the role operator; looker is viewer" in refused.json()["error"]
            assert "cadnode users role looker operator" in refused.json()["hint"]
        assert (told.notices, told.orders) == ([], [])
        retry = client.post(f"/api/studies/{UID}/retry", {}, **bearer(OPERATORS_TOKEN))
    assert retry.status_code == 202
    assert told.orders == [("retry", UID, "")]


def test_a_person_is_told_on_a_page_that_something_is_not_theirs_to_do() -> None:
    with served(Told(), known()) as client:
        client.log_in("vera")
        fields = {"csrf": client.csrf()}
        refused = client.send(f"/studies/{UID}/retry", fields, Accept="text/html")
    assert refused.status_code == 403
    assert "vera is viewer" in refused.text
    assert refused.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("name", "is_offered"), [("vera", False), ("otto", True), ("anna", True)])
def test_a_viewer_sees_no_button_that_is_not_for_viewers(name: str, is_offered: bool) -> None:
    refused = replace(DONE, state=State.REFUSED, deliveries=(("archive", "refused"),))
    with served(Told({UID: refused}), known()) as client:
        client.log_in(name)
        page = client.get(f"/studies/{UID}").text
    for words in ("Try again now", "Give up the delivery to archive"):
        assert (words in page) is is_offered
    assert name in page


def test_a_browser_is_led_to_the_log_in_and_back_to_the_page_that_it_wanted() -> None:
    with served(Told(), known()) as client:
        sent_away = client.get(f"/studies/{UID}", Accept="text/html", Sec_Fetch_Site="none")
        assert sent_away.status_code == 303
        assert sent_away.headers["Location"] == f"/login?next=/studies/{UID}"
        assert f'value="/studies/{UID}"' in client.get(sent_away.headers["Location"]).text
        back = client.log_in("vera", wanted=f"/studies/{UID}")
        assert (back.status_code, back.headers["Location"]) == (303, f"/studies/{UID}")
        assert client.get(f"/studies/{UID}", Accept="text/html").status_code == 200


def test_a_visitor_from_elsewhere_is_asked_to_come_again_before_being_asked_to_log_in() -> None:
    """Its browser keeps a strict cookie back the first time."""
    with served(Told(), known()) as client:
        told = client.get(f"/studies/{UID}", Accept="text/html", Sec_Fetch_Site="cross-site")
        assert (told.status_code, "Jane" in told.text) == (200, False)
        assert f'content="0; url=/studies/{UID}"' in told.text
        # Over http that is not on loopback browsers do not say where they come from.
        told = client.get(f"/studies/{UID}", Accept="text/html")
        assert f'content="0; url=/studies/{UID}?again"' in told.text
        sent_away = client.get(f"/studies/{UID}?again", Accept="text/html")
        assert sent_away.headers["Location"] == f"/login?next=/studies/{UID}"


def test_a_path_from_elsewhere_is_escaped_in_the_page_that_repeats_it() -> None:
    with served(Told(), known()) as client:
        told = client.get('/studies/"><script>x', Accept="text/html")
    assert told.status_code == 200
    assert "<script>" not in told.text


def test_a_path_that_looks_like_another_site_leads_nowhere() -> None:
    with served(Told(), known()) as client:
        told = client.get("//evil.example/x", Accept="text/html")
    assert "evil.example" not in told.text


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("127.0.0.1:8114", True), ("localhost", True), ("[::1]:8114", True), ("[::1]", True),
        ("127.8.8.8", True), ("evil.example:8114", False), ("", False), ("10.0.0.1", False),
        ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_a_node_without_identities_answers_to_loopback_names_only(
    host: str, is_served: bool
) -> None:
    found = nobody_known().who(Headers({"host": host}), "127.0.0.1")
    assert isinstance(found, Caller) if is_served else found is Denied.HOST


def test_a_rebound_name_is_refused_over_http_too() -> None:
    with served(Told()) as client:
        assert client.get("/", Host="evil.example").status_code == 421
        assert client.get("/health", Host="evil.example").status_code == 200


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via", "X-Real-IP"]
)
def test_what_a_proxy_passes_on_is_refused_where_nobody_is_known(name: str) -> None:
    """Most proxies ask their neighbour under the name 127.0.0.1, whoever asked them."""
    with served(Told(health=ILL)) as client:
        refused = client.get(f"/studies/{UID}", **{name: "192.0.2.7"})
        health = client.get("/health", **{name: "192.0.2.7"})
    assert (refused.status_code, "Jane" in refused.text) == (403, False)
    assert "users_file" in refused.json()["hint"]
    assert health.status_code == 503
    assert "It is down" not in health.text


def test_a_proxy_before_a_node_with_a_token_is_served() -> None:
    with served(Told(), known()) as client:
        assert client.get("/api/studies", Via="1.1 proxy", **bearer(TOKEN)).status_code == 200


def proxied(address: str) -> Access:
    return known(
        proxy_user_header="X-Remote-User", proxy_role="operator", proxy_addresses=(address,)
    )


def test_a_person_whom_the_proxy_names_needs_no_session_and_may_write_from_pages_alone() -> None:
    told = Told()
    with served(told, proxied("127.0.0.1")) as client:
        named = {"X_Remote_User": "dora"}
        page = client.get(f"/studies/{UID}", **named)
        assert "dora" in page.text
        assert "Log out" not in page.text
        (csrf,) = {*client.fields(page.text, "csrf")}
        path = f"/studies/{UID}/retry"
        assert client.send(path, {"csrf": "x" * 64}, **named).status_code == 403
        assert client.post(f"/api/studies/{UID}/retry", {}, **named).status_code == 403
        assert told.orders == []
        assert client.send(path, {"csrf": csrf}, **named).status_code == 303
    assert told.orders == [("retry", UID, "")]


def test_the_proxys_header_from_anybody_else_is_refused_even_with_a_session() -> None:
    with served(Told(), proxied("192.0.2.1")) as client:
        client.log_in("vera")
        assert client.get("/api/studies").status_code == 200
        assert client.get("/api/studies", X_Remote_User="dora").status_code == 403


def test_health_tells_strangers_that_something_is_wrong_and_those_who_are_known_what() -> None:
    with served(Told(health=ILL), known()) as client:
        (outline,) = client.get("/health").json()["problems"]
        (told,) = client.get("/health", **bearer(VIEWERS_TOKEN)).json()["problems"]
    assert (outline["code"], outline["severity"]) == ("role_down", "failing")
    assert "It is down" not in str(outline)
    assert told["meaning"] == "It is down"


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/studies/1.2", "/studies/1.2"), ("", "/"), ("//evil.example", "/"),
        ("/\\evil.example", "/"), ("https://evil.example", "/"), ("/a\r\nSet-Cookie: x=y", "/"),
    ],
)  # fmt: skip
def test_a_log_in_leads_to_no_other_site(wanted: str, led_to: str) -> None:
    assert safe_path(wanted) == led_to
    with served(Told(), known()) as client:
        assert client.log_in("vera", wanted=wanted).headers["Location"] == led_to
