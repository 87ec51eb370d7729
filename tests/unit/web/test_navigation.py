"""The bar of all pages shows what its reader may open, and nothing to strangers."""

import pytest

from cadnode.identity.role import Identity, Role, Via
from cadnode.web.caller import Caller
from cadnode.web.navigation import BAR, places_of
from cadnode.web.rights import RIGHTS
from tests.web_cases import Told, known, served


def labels(role: Role) -> list[str]:
    visitor = Caller(Identity("x", role, Via.PASSWORD), "10.0.0.1", "csrf")
    return [place.label for place in places_of(visitor)]


def test_each_role_sees_what_it_may_open() -> None:
    assert labels(Role.VIEWER)[:2] == ["Studies", "Needs you"]
    assert "Destinations" in labels(Role.VIEWER)
    assert set(labels(Role.VIEWER)) <= set(labels(Role.OPERATOR)) <= set(labels(Role.ADMIN))
    for role in Role:
        for place in places_of(Caller(Identity("x", role, Via.PASSWORD), "10.0.0.1", "csrf")):
            needed = RIGHTS["GET", place.path].role
            assert needed is None or role >= needed


def test_a_page_that_is_not_served_is_not_offered() -> None:
    assert "/upload" in {place.path for place in BAR}
    assert ("Upload" in labels(Role.ADMIN)) == (("GET", "/upload") in RIGHTS)
    assert places_of(None) == ()


@pytest.mark.parametrize("path", ["/", "/needs-you", "/destinations"])
def test_the_bar_is_on_each_page_and_marks_where_one_is(path: str) -> None:
    with served(Told(), known()) as client:
        assert 'aria-label="Pages of this node"' not in client.get("/login").text
        client.log_in("vera")
        page = client.get(path).text
    assert page.count('aria-current="page"') == 1
    assert f'href="{path}" aria-current="page"' in page
