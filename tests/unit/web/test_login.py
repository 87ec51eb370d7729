"""How sessions begin and end, and what their cookies are worth."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cadnode.identity.refusal import Refusal, Refused
from cadnode.web.login import in_words
from tests.web_cases import PASSWORDS, TOKEN, UID, Told, known, served

NOTICE = {"study_instance_uid": UID, "source": "orthanc"}


def test_the_cookie_is_for_this_site_only_and_says_nothing() -> None:
    with served(Told(), known()) as client:
        cookie = client.log_in("vera").headers["Set-Cookie"]
    assert cookie.startswith("cadnode_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert "Max-Age" not in cookie  # it goes with the browser
    assert "vera" not in cookie


def test_by_https_the_cookie_is_this_hosts_alone_and_browsers_are_told_to_stay_with_https() -> None:
    with served(Told(), known(is_secure=True)) as client:
        origin = client.url.replace("http:", "https:")
        answer = client.send(
            "/login", {"name": "vera", "password": "walnut tide 41 lanterns"}, Origin=origin
        )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-cadnode_session=")
    assert "Secure" in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_without_https_no_browser_is_told_to_stay_with_it() -> None:
    with served(Told(), known()) as client:
        assert "Strict-Transport-Security" not in client.get("/login").headers


@pytest.mark.parametrize(
    ("name", "password"), [("vera", "something else 41"), ("nobody", "x" * 20)]
)
def test_a_wrong_log_in_gets_no_session_and_does_not_say_which_half_was_wrong(
    name: str, password: str
) -> None:
    with served(Told(), known()) as client:
        refused = client.log_in(name, password)
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers
        assert "do not belong together" in refused.text
        assert password not in refused.text
        assert client.get("/api/studies").status_code == 401


def test_who_tries_again_and_again_is_told_how_long_to_wait() -> None:
    now = [1000.0]
    with served(Told(), known(clock=lambda: now[0])) as client:
        for n in range(10):
            answer = client.log_in("vera", "something else 41")
            assert answer.status_code == 401
            if n == 0:
                assert answer.headers["Retry-After"] == "1"
                assert "next try is possible in 1 second." in answer.text
            if n < 9:
                now[0] += 2.0**n
        locked = client.log_in("vera")
        assert locked.status_code == 429
        assert int(locked.headers["Retry-After"]) == 900
        assert "Try again in 15 minutes" in locked.text
        now[0] += 901
        assert client.log_in("vera").status_code == 303


def test_a_log_in_from_another_site_is_refused() -> None:
    """A page elsewhere could have a visitor work under another's name (log-in CSRF)."""
    with served(Told(), known()) as client:
        fields = {"name": "vera", "password": "walnut tide 41 lanterns"}
        for told in (
            {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
            {"Origin": "null", "Sec_Fetch_Site": "same-site"},
        ):
            refused = client.send("/login", fields, **told)
            assert (refused.status_code, "Set-Cookie" in refused.headers) == (403, False)
        bare = client.session.post(f"{client.url}/login", data=fields, timeout=10)
        assert (bare.status_code, "Set-Cookie" in bare.headers) == (403, False)


def test_the_nodes_token_without_a_name_is_good_for_looking() -> None:
    with served(Told(), known()) as client:
        assert client.log_in("", TOKEN).status_code == 303
        assert client.get("/api/studies").status_code == 200
        csrf = {"X_CSRF_Token": client.csrf(), "Origin": client.url}
        assert client.post("/api/studies", NOTICE, **csrf).status_code == 403
        assert client.send("/logout", {}).status_code == 403  # a session, which has to prove itself
        assert client.send("/logout", {"csrf": client.csrf()}).status_code == 303


def test_a_log_out_ends_the_session_for_whoever_has_its_cookie() -> None:
    with served(Told(), known()) as client:
        client.log_in("vera")
        cookie = client.session.cookies["cadnode_session"]
        out = client.send("/logout", {"csrf": client.csrf()})
        assert (out.status_code, out.headers["Location"]) == (303, "/login")
        assert out.headers["Clear-Site-Data"] == '"cache"'
        assert "cadnode_session" not in client.session.cookies
        assert client.get("/api/studies", Cookie=f"cadnode_session={cookie}").status_code == 401


def test_nobody_is_logged_out_from_elsewhere() -> None:
    with served(Told(), known()) as client:
        client.log_in("vera")
        csrf = client.csrf()
        assert client.send("/logout", {}).status_code == 403
        away = client.send("/logout", {"csrf": csrf}, Sec_Fetch_Site="cross-site")
        assert away.status_code == 403
        assert client.get("/api/studies").status_code == 200


def test_a_second_log_in_ends_the_first_session_of_that_browser() -> None:
    with served(Told(), known()) as client:
        client.log_in("vera")
        first = client.session.cookies["cadnode_session"]
        client.log_in("otto")
        assert client.session.cookies["cadnode_session"] != first
        client.session.cookies.clear()
        assert client.get("/api/studies", Cookie=f"cadnode_session={first}").status_code == 401


def test_a_session_that_has_ended_is_told_at_the_log_in() -> None:
    now = [1000.0]
    with served(Told(), known(clock=lambda: now[0])) as client:
        client.log_in("vera")
        now[0] += 31 * 60
        sent = client.get(f"/studies/{UID}", Accept="text/html", Sec_Fetch_Site="none")
        assert sent.headers["Location"] == f"/login?next=/studies/{UID}&ended=1"
        assert "Your session has ended" in client.get(sent.headers["Location"]).text


def test_a_button_of_a_page_whose_session_has_ended_leads_to_the_log_in_and_back() -> None:
    now, told = [1000.0], Told()
    with served(told, known(clock=lambda: now[0])) as client:
        client.log_in("otto")
        csrf = client.csrf()
        now[0] += 31 * 60
        sent = client.send(f"/studies/{UID}/retry", {"csrf": csrf}, Accept="text/html")
        assert (sent.status_code, told.orders) == (303, [])
        assert sent.headers["Location"] == f"/login?next=/studies/{UID}&ended=1"
        assert client.send(f"/studies/{UID}/retry", {"csrf": csrf}).status_code == 401
        # The orders of the list at "/" have no page above them.
        listed = client.send("/list/retry", {"csrf": csrf}, Accept="text/html")
        assert listed.headers["Location"] == "/login?next=/&ended=1"


def test_log_ins_that_take_long_keep_no_page_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than the server has threads for what is slow."""
    access, may_go_on = known(), threading.Event()

    def slow(name: str, password: str, address: str) -> Refused:
        may_go_on.wait(30)
        return Refused(Refusal.WRONG)

    monkeypatch.setattr(access.identities, "log_in", slow)
    with served(Told(), access) as client, ThreadPoolExecutor(60) as pool:

        def log_in(_n: int) -> int:
            headers, fields = {"Origin": client.url}, {"name": "vera", "password": "x"}
            at = f"{client.url}/login"
            return requests.post(at, fields, headers=headers, timeout=60).status_code

        try:
            asked = [pool.submit(log_in, n) for n in range(60)]
            token = {"Authorization": f"Bearer {TOKEN}"}
            for _ in range(20):
                assert client.get(f"/api/studies/{UID}", **token).status_code == 200
        finally:
            may_go_on.set()
        assert {one.result() for one in asked} == {401}


def test_a_page_that_refreshes_itself_does_not_keep_a_session_alive() -> None:
    now = [1000.0]
    with served(Told(), known(clock=lambda: now[0])) as client:
        client.log_in("vera")
        for _ in range(4):
            now[0] += 9 * 60
            answer = client.get("/", X_Cadnode_Refresh="1")
        assert answer.status_code == 401
        client.log_in("vera")
        for _ in range(4):
            now[0] += 9 * 60
            assert client.get("/").status_code == 200


def test_who_is_logged_in_stands_at_the_top_of_each_page() -> None:
    with served(Told(), known()) as client:
        client.log_in("otto")
        for path in ("/", f"/studies/{UID}", f"/studies/{UID}/report"):
            page = client.get(path).text
            assert re.search(r"otto <small>operator</small>", page)
            assert "Log out" in page


def test_the_log_in_of_a_node_without_identities_leads_to_the_page() -> None:
    with served(Told()) as client:
        answer = client.get("/login?next=/studies/1")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/1")


def test_the_log_in_page_offers_what_there_is() -> None:
    with served(Told(), known()) as client:
        page = client.get("/login").text
        assert 'name="password"' in page
        assert "organisation" not in page
        assert client.get("/login/openid/begin").status_code == 401


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, ""), (0.2, "1 second"), (2, "2 seconds"), (90, "90 seconds"), (91, "2 minutes"),
     (900, "15 minutes")],
)  # fmt: skip
def test_a_time_to_wait_is_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "x.y", "é.é", "x" * 5000, 'a="b; c='])
def test_what_is_no_session_is_refused(cookie: str) -> None:
    with served(Told(), known()) as client:
        told = f"cadnode_session={cookie}".encode().decode("latin-1")
        assert client.get("/api/studies", Cookie=told).status_code == 401


@pytest.mark.parametrize(
    ("said", "is_secure"),
    [
        ({}, False), ({"Origin": "https://cad.example"}, True),
        ({"X-Forwarded-Proto": "https"}, True), ({"X-Forwarded-Proto": "http"}, False),
    ],
)  # fmt: skip
def test_behind_a_proxy_that_serves_https_the_session_goes_by_https_alone(
    said: dict[str, str], is_secure: bool
) -> None:
    with served(Told(), known()) as client:
        fields = {"name": "vera", "password": PASSWORDS["vera"]}
        answer = client.send("/login", fields, **said)
    assert answer.status_code == 303
    assert ("; Secure" in answer.headers["Set-Cookie"]) is is_secure
