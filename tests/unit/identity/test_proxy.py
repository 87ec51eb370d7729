"""A proxy's word, and everybody else's."""

import pytest
from starlette.datastructures import Headers

from cadnode.identity.proxy import Proxy, ProxyRefused
from cadnode.identity.role import Identity, Role, Via
from cadnode.settings import WebSection

PROXY = "10.1.2.3"
FIXED = Proxy(
    WebSection(
        proxy_user_header="X-Remote-User",
        proxy_role="viewer",
        proxy_addresses=("10.1.2.3", "fd00::/8"),
    )
)
NAMED = Proxy(
    WebSection(
        proxy_user_header="X-Remote-User",
        proxy_role_header="X-Remote-Role",
        proxy_addresses=("10.1.2.0/24",),
    )
)


@pytest.mark.parametrize("address", [PROXY, "::ffff:10.1.2.3", "fd00::7"])
@pytest.mark.parametrize("name", ["jane", "HOSPITAL\\jane", "jane@hospital.org", "Jane Doe", "é"])
def test_the_proxys_word_is_taken(address: str, name: str) -> None:
    found = FIXED.of({"x-remote-user": name}, address)
    assert found == Identity(name, Role.VIEWER, Via.PROXY)
    assert found.is_person


@pytest.mark.parametrize("role", [role for role in Role if not role.is_of_programs])
def test_everybody_has_the_role_that_the_settings_name(role: Role) -> None:
    section = WebSection(proxy_user_header="X-U", proxy_role=role.word, proxy_addresses=(PROXY,))
    assert Proxy(section).of({"X-U": "jane"}, PROXY) == Identity("jane", role, Via.PROXY)


def test_the_role_is_what_the_proxy_says() -> None:
    said = {"X-Remote-User": "jane", "X-Remote-Role": "admin"}
    assert NAMED.of(said, PROXY) == Identity("jane", Role.ADMIN, Via.PROXY)


@pytest.mark.parametrize(
    "address", ["10.1.2.4", "127.0.0.1", "::1", "", "testclient", "10.1.2.3.4"]
)
@pytest.mark.parametrize("name", ["X-Remote-User", "x-remote-user", "X-REMOTE-USER"])
def test_the_header_of_anybody_else_is_refused_not_passed_over(address: str, name: str) -> None:
    with pytest.raises(ProxyRefused) as raised:
        FIXED.of({name: "jane"}, address)
    assert raised.value.code == "address"
    assert "jane" not in str(raised.value)


def test_a_role_alone_is_refused_too() -> None:
    with pytest.raises(ProxyRefused, match="only the proxy"):
        NAMED.of({"X-Remote-Role": "admin"}, "10.9.9.9")
    with pytest.raises(ProxyRefused, match="once"):
        NAMED.of({"X-Remote-Role": "admin"}, PROXY)


def test_without_the_header_the_proxy_says_nothing() -> None:
    for address in (PROXY, "10.9.9.9"):
        assert FIXED.of({"accept": "*/*", "x-remote-users": "a"}, address) is None
    assert FIXED.of({"X-Remote-Role": "admin"}, "10.9.9.9") is None, "a header of no meaning here"


@pytest.mark.parametrize(
    "lines",
    [
        [("x-remote-user", "jane"), ("x-remote-user", "tom")],
        [("x-remote-user", "jane"), ("X-Remote-User", "jane")],
        [("x-remote-user", "j"), ("x-remote-role", "viewer"), ("x-remote-role", "admin")],
    ],
)
def test_a_header_that_comes_twice_is_refused(lines: list[tuple[str, str]]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in lines]
    with pytest.raises(ProxyRefused) as raised:
        NAMED.of(Headers(raw=raw), PROXY)
    assert raised.value.code == "repeated"


@pytest.mark.parametrize(
    "name", ["", " ", "jane, tom", "jane;admin", "a\x00", "a\nb", "a\x1b[2J", "x" * 129, "a\u202eb"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ProxyRefused) as raised:
        FIXED.of({"X-Remote-User": name}, PROXY)
    assert raised.value.code == "name"


@pytest.mark.parametrize("role", ["", "root", "viewer, admin", "3", "remote-worker"])
def test_what_is_no_role_is_refused(role: str) -> None:
    with pytest.raises(ProxyRefused) as raised:
        NAMED.of({"X-Remote-User": "jane", "X-Remote-Role": role}, PROXY)
    assert raised.value.code == "role"
    with pytest.raises(ProxyRefused):
        NAMED.of({"X-Remote-User": "jane"}, PROXY)
