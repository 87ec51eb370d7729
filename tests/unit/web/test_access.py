"""Who may ask the HTTP side, and what a browser's session is worth."""

import pytest
from starlette.datastructures import Headers

from cadnode.web.access import SESSION_S, Access, safe_path
from tests.web_cases import ILL, TOKEN, UID, Told, served

LOCKED = Access(TOKEN)


def test_without_a_token_everything_but_health_is_refused() -> None:
    with served(Told(), LOCKED) as client:
        assert client.get("/health").status_code == 200
        for path in ("/api/studies", f"/api/studies/{UID}", "/api/openapi.json"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert set(refused.json()) == {"error", "hint"}
        assert client.post("/api/studies", {}).status_code == 401


@pytest.mark.parametrize("told", [f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer ", TOKEN])
def test_a_wrong_token_is_refused(told: str) -> None:
    with served(Told(), LOCKED) as client:
        assert client.get("/api/studies", Authorization=told).status_code == 401


def test_the_token_opens_the_node() -> None:
    with served(Told(), LOCKED) as client:
        assert client.get("/api/studies", Authorization=f"bearer {TOKEN}").status_code == 200


def test_a_browser_is_led_to_the_login_and_back_to_the_page_that_it_wanted() -> None:
    with served(Told(), LOCKED) as client:
        sent_away = client.get(f"/studies/{UID}", Accept="text/html", Sec_Fetch_Site="none")
        assert sent_away.status_code == 303
        assert sent_away.headers["Location"] == f"/login?next=/studies/{UID}"
        assert f'value="/studies/{UID}"' in client.get(sent_away.headers["Location"]).text
        back = client.log_in(TOKEN, f"/studies/{UID}")
        assert (back.status_code, back.headers["Location"]) == (303, f"/studies/{UID}")
        assert client.get(f"/studies/{UID}", Accept="text/html").status_code == 200


def test_a_visitor_from_elsewhere_is_asked_to_come_again_before_being_asked_to_log_in() -> None:
    """Its browser keeps a strict cookie back the first time."""
    with served(Told(), LOCKED) as client:
        told = client.get(f"/studies/{UID}", Accept="text/html", Sec_Fetch_Site="cross-site")
        assert (told.status_code, "Jane" in told.text) == (200, False)
        assert f'content="0; url=/studies/{UID}"' in told.text
        # Over http that is not on loopback browsers do not say where they come from.
        told = client.get(f"/studies/{UID}", Accept="text/html")
        assert f'content="0; url=/studies/{UID}?again"' in told.text
        sent_away = client.get(f"/studies/{UID}?again", Accept="text/html")
        assert sent_away.headers["Location"] == f"/login?next=/studies/{UID}"


def test_a_path_from_elsewhere_is_escaped_in_the_page_that_repeats_it() -> None:
    with served(Told(), LOCKED) as client:
        told = client.get('/studies/"><script>x', Accept="text/html")
    assert told.status_code == 200
    assert "<script>" not in told.text


def test_a_path_that_looks_like_another_site_leads_nowhere() -> None:
    with served(Told(), LOCKED) as client:
        told = client.get("//evil.example/x", Accept="text/html")
    assert "evil.example" not in told.text


def test_the_cookie_is_for_this_site_only_and_is_not_the_token() -> None:
    with served(Told(), Access(TOKEN, is_secure=True)) as client:
        cookie = client.log_in(TOKEN).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" in cookie
    assert TOKEN not in cookie


def test_a_wrong_login_gets_no_cookie() -> None:
    with served(Told(), LOCKED) as client:
        refused = client.log_in("something-else-of-length")
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers
        assert "not the token" in refused.text


def test_a_cookie_is_good_for_looking_but_not_for_doing() -> None:
    told = Told()
    with served(told, LOCKED) as client:
        client.log_in(TOKEN)
        assert client.get("/api/studies").status_code == 200
        body = {"study_instance_uid": UID, "source": "orthanc"}
        assert client.post("/api/studies", body).status_code == 401
    assert told.notices == []


def test_a_session_ends_with_the_shift_and_cannot_be_made_longer() -> None:
    now = [1000.0]
    access = Access(TOKEN, clock=lambda: now[0])
    cookie = access.session()
    ends, _, signature = cookie.partition(".")
    assert access.is_session(cookie)
    assert not access.is_session(f"{int(ends) + 1}.{signature}")
    assert not Access("another-token-of-length", clock=lambda: 1000.0).is_session(cookie)
    now[0] += SESSION_S
    assert not access.is_session(cookie)


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "x.y", "é.é", "9999999999.é"])
def test_what_is_no_session_is_refused(cookie: str) -> None:
    assert not LOCKED.is_session(cookie)


def test_an_empty_token_is_never_right() -> None:
    assert not Access("").is_token("")


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("127.0.0.1:8114", True), ("localhost", True), ("[::1]:8114", True), ("[::1]", True),
        ("127.8.8.8", True), ("evil.example:8114", False), ("", False), ("10.0.0.1", False),
        ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_a_node_without_a_token_answers_to_loopback_names_only(host: str, is_served: bool) -> None:
    refusal = Access().refusal("GET", "/", Headers({"host": host}))
    assert refusal == ("" if is_served else "host")


def test_a_rebound_name_is_refused_over_http_too() -> None:
    with served(Told()) as client:
        assert client.get("/", Host="evil.example").status_code == 421
        assert client.get("/health", Host="evil.example").status_code == 200


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via", "X-Real-IP"]
)
def test_what_a_proxy_passes_on_is_refused_without_a_token(name: str) -> None:
    """Most proxies ask their neighbour under the name 127.0.0.1, whoever asked them."""
    with served(Told(health=ILL)) as client:
        refused = client.get(f"/studies/{UID}", **{name: "192.0.2.7"})
        health = client.get("/health", **{name: "192.0.2.7"})
    assert (refused.status_code, "Jane" in refused.text) == (403, False)
    assert "token_file" in refused.json()["hint"]
    assert health.status_code == 503
    assert "It is down" not in health.text


def test_a_proxy_before_a_node_with_a_token_is_served() -> None:
    with served(Told(), LOCKED) as client:
        told = {"Via": "1.1 proxy", "Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/studies", **told).status_code == 200


def test_health_tells_strangers_that_something_is_wrong_and_those_with_the_token_what() -> None:
    with served(Told(health=ILL), LOCKED) as client:
        (outline,) = client.get("/health").json()["problems"]
        (known,) = client.get("/health", Authorization=f"Bearer {TOKEN}").json()["problems"]
    assert (outline["code"], outline["severity"]) == ("role_down", "failing")
    assert "It is down" not in str(outline)
    assert known["meaning"] == "It is down"


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/studies/1.2", "/studies/1.2"), ("", "/"), ("//evil.example", "/"),
        ("/\\evil.example", "/"), ("https://evil.example", "/"), ("/a\r\nSet-Cookie: x=y", "/"),
    ],
)  # fmt: skip
def test_a_login_leads_to_no_other_site(wanted: str, led_to: str) -> None:
    assert safe_path(wanted) == led_to
    with served(Told(), LOCKED) as client:
        assert client.log_in(TOKEN, wanted).headers["Location"] == led_to
