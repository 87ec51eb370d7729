"""Logging in at an OpenID Connect provider, by the node's routes and a real provider."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.openid_provider import CLIENT, REDIRECT, SECRET, OpenIdProvider, provider, visited
from tests.web_cases import UID, Client, Told, Trail, known, served


@pytest.fixture
def running() -> Iterator[OpenIdProvider]:
    with provider() as one:
        yield one


@pytest.fixture
def settings(running: OpenIdProvider, tmp_path: Path) -> dict[str, object]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return {
        "openid_issuer": running.issuer, "openid_client_id": CLIENT,
        "openid_client_secret_file": secret, "openid_redirect_url": REDIRECT,
        "openid_roles": {"radiologists": "viewer"},
    }  # fmt: skip


def begun(client: Client, wanted: str = "/") -> tuple[str, str]:
    """Where the browser is sent, and the cookie that it is given."""
    answer = client.get("/login/openid/begin?" + urlencode({"next": wanted}))
    assert answer.status_code == 303
    return answer.headers["Location"], answer.headers["Set-Cookie"]


def came_back(client: Client, query: dict[str, str]):
    return client.get("/login/openid?" + urlencode(query), Sec_Fetch_Site="cross-site")


def test_a_person_logs_in_at_the_provider_and_comes_to_the_page_that_was_wanted(
    settings: dict[str, object],
) -> None:
    trail = Trail()
    with served(Told(), known(**settings), trail) as client:
        assert "your organisation's account" in client.get("/login").text.replace("&#39;", "'")
        url, cookie = begun(client, f"/studies/{UID}")
        for part in ("cadnode_openid=", "HttpOnly", "SameSite=lax", "Max-Age=600"):
            assert part in cookie
        back = came_back(client, visited(url))
        # A page of this node leads on: the browser sends no strict cookie where another site did.
        assert (back.status_code, f"url=/studies/{UID}" in back.text) == (200, True)
        assert "SameSite=strict" in back.headers["Set-Cookie"]
        assert "cadnode_openid" not in client.session.cookies
        page = client.get(f"/studies/{UID}")
        assert (page.status_code, "jane.doe" in page.text.lower()) == (200, True)
        assert client.send("/logout", {"csrf": client.csrf()}).status_code == 303
        assert client.get("/api/studies").status_code == 401
    assert [line[:2] for line in trail.lines][:2] == [
        ("log-in", "success"), ("study viewed", "success"),
    ]  # fmt: skip


def test_a_log_in_that_another_browser_began_is_refused(settings: dict[str, object]) -> None:
    trail = Trail()
    with served(Told(), known(**settings), trail) as client:
        url, _ = begun(client)
        client.session.cookies.clear()
        back = came_back(client, visited(url))
        assert back.status_code == 401
        assert "cadnode_session" not in client.session.cookies
        assert "in another browser" in back.text
    assert [(e.action, e.detail) for e in trail.events] == [("log-in refused", "state")]


def test_a_person_without_a_role_is_told_so(
    settings: dict[str, object], running: OpenIdProvider
) -> None:
    running.groups = ["gardeners"]
    with served(Told(), known(**settings)) as client:
        back = came_back(client, visited(begun(client)[0]))
        assert (back.status_code, "has no role on this node" in back.text) == (401, True)
        assert client.get("/api/studies").status_code == 401


def test_a_provider_that_is_away_is_told_on_the_page(
    settings: dict[str, object], running: OpenIdProvider
) -> None:
    running.is_away = True
    with served(Told(), known(**settings)) as client:
        answer = client.get("/login/openid/begin")
    assert (answer.status_code, "does not answer" in answer.text) == (401, True)


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_way_back_leads_to_no_other_site(settings: dict[str, object], wanted: str) -> None:
    with served(Told(), known(**settings)) as client:
        back = came_back(client, visited(begun(client, wanted)[0]))
    assert (back.status_code, "evil" in back.text) == (200, False)


def test_by_https_the_cookie_on_the_way_is_this_hosts_alone(settings: dict[str, object]) -> None:
    with served(Told(), known(is_secure=True, **settings)) as client:
        _, cookie = begun(client)
    assert cookie.startswith("__Host-cadnode_openid=")
    assert "Secure" in cookie
