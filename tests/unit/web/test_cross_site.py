"""Writes have to prove that a page of this node sent them."""

import pytest
from starlette.datastructures import Headers

from cadnode.web.cross_site import comes_from_here, form_of
from tests.web_cases import OPERATORS_TOKEN, UID, Told, known, served

NOTICE = {"study_instance_uid": UID, "source": "orthanc"}


@pytest.mark.parametrize(
    ("told", "is_here"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://before.the.proxy"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://node:8114"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://node:8114"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"origin": "http://node:8114"}, True),
        ({"origin": "HTTP://Node:8114"}, True),
        ({"origin": "http://node:8115"}, False),
        ({"origin": "http://node.evil.example:8114"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://["}, False),
        ({"origin": "file://node:8114"}, False),
        ({}, False),
    ],
)
def test_the_browser_says_where_a_request_comes_from(told: dict[str, str], is_here: bool) -> None:
    assert comes_from_here(Headers({"host": "node:8114", **told}), is_secure=False) is is_here


@pytest.mark.parametrize(
    ("origin", "host", "is_secure", "is_here"),
    [
        ("https://node", "node", True, True),
        ("https://node:443", "node", True, True),
        ("https://node", "node:443", True, True),
        ("http://node", "node", True, False),
        ("http://node", "node:80", False, True),
        ("https://node", "node", False, True),
        ("https://node", "", True, False),
    ],
)
def test_ports_that_go_without_saying_are_the_same(
    origin: str, host: str, is_secure: bool, is_here: bool
) -> None:
    headers = Headers({"host": host, "origin": origin})
    assert comes_from_here(headers, is_secure=is_secure) is is_here


def test_a_form_with_hundreds_of_fields_has_none() -> None:
    assert form_of(b"a=1&b=%20x&a=2") == {"a": "1", "b": " x"}
    assert form_of(b"&".join(b"a=%d" % n for n in range(100))) == {}
    assert form_of(b"\xff=\xfe") == {"\ufffd": "\ufffd"}


def test_a_person_writes_with_the_secret_of_the_page_and_not_without() -> None:
    told = Told()
    with served(told, known()) as client:
        client.log_in("otto")
        csrf, here = client.csrf(), {"Origin": client.url}
        for wrong in ({}, {"X_CSRF_Token": ""}, {"X_CSRF_Token": csrf[:-1]}):
            refused = client.post("/api/studies", NOTICE, **here, **wrong)
            assert refused.status_code == 403
            assert "out of date" in refused.json()["error"]
        elsewhere = {"Origin": "https://evil.example", "X_CSRF_Token": csrf}
        assert client.post("/api/studies", NOTICE, **elsewhere).status_code == 403
        assert client.post("/api/studies", NOTICE, X_CSRF_Token=csrf).status_code == 403
        assert told.notices == []
        assert client.post("/api/studies", NOTICE, **here, X_CSRF_Token=csrf).status_code == 202
    assert len(told.notices) == 1


def test_the_secret_of_one_person_is_not_anothers() -> None:
    told = Told()
    with served(told, known()) as client:
        client.log_in("otto")
        ottos = client.csrf()
        client.log_in("anna")
        refused = client.send(f"/studies/{UID}/retry", {"csrf": ottos})
        assert refused.status_code == 403
        assert client.send(f"/studies/{UID}/retry", {"csrf": client.csrf()}).status_code == 303
    assert told.orders == [("retry", UID, "")]


def test_a_program_with_a_token_needs_no_secret() -> None:
    with served(Told(), known()) as client:
        token = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}
        assert client.post("/api/studies", NOTICE, **token).status_code == 202


def test_on_a_node_without_identities_programs_write_and_pages_from_elsewhere_do_not() -> None:
    told = Told()
    with served(told) as client:
        assert client.post("/api/studies", NOTICE).status_code == 202
        for away in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            assert client.post("/api/studies", NOTICE, **away).status_code == 403
            assert client.send(f"/studies/{UID}/retry", {}, **away).status_code == 403
        assert client.send(f"/studies/{UID}/retry", {}).status_code == 403
        bare = client.session.post(f"{client.url}/studies/{UID}/retry", timeout=10)
        assert bare.status_code == 403
        assert told.orders == []
        csrf = client.csrf(f"/studies/{UID}")
        assert client.send(f"/studies/{UID}/retry", {"csrf": csrf}).status_code == 303
    assert (len(told.notices), len(told.orders)) == (1, 1)
