"""The table of rights: every route is in it, and it is what is asked for."""

import pytest
from fastapi import FastAPI
from starlette.routing import Match, Route

from cadnode.identity.role import Role
from cadnode.web import rights
from cadnode.web.api import create
from cadnode.web.rights import RIGHTS, right_of
from tests.web_cases import (
    OPERATORS_TOKEN,
    PASSWORDS,
    REMOTE_TOKENS,
    TOKEN,
    VIEWERS_TOKEN,
    Told,
    known,
    nobody_known,
    served,
)

# By hand, so that a row that is changed is changed twice: what needs no role, and what more than a
# viewer's.
ANYBODYS = {
    "GET /healthz", "GET /readyz",
    "GET /health", "GET /static/{file}", "GET /login", "POST /login", "GET /login/openid",
    "GET /login/openid/begin", "POST /language",
}  # fmt: skip
MONITORS = {"GET /metrics", "POST /logout"}
OPERATORS = {
    "POST /api/studies", "POST /needs-you/retry", "POST /needs-you/drop",
    "POST /api/studies/retry", "POST /api/studies/drop",
    "POST /api/studies/redeliver", "POST /api/studies/reread",
    *(f"POST /list/{act}" for act in ("retry", "redeliver", "reread", "drop")),
    "GET /log", "GET /api/log",
    *(f"POST {at}/destinations/{{group}}/{{peer}}/echo" for at in ("", "/api")),
    "GET /upload", "POST /api/upload",
    *(f"POST {at}/studies/{{name}}/{w}" for at in ("", "/api") for w in
      ("retry", "redeliver", "reread", "drop")),
}  # fmt: skip
REMOTE_WORKERS = {
    "POST /api/remote/readings", "POST /api/remote/readings/{reading}/claim",
    "PUT /api/remote/claims/{claim}", "GET /api/remote/claims/{claim}/images/{image}",
    *(f"POST /api/remote/claims/{{claim}}/{word}" for word in ("result", "failure")),
}  # fmt: skip

ADMINS = {
    "GET /settings", "GET /api/settings",
    *(f"POST /models/{{system}}/{word}" for word in ("change", "judge", "promote")),
}  # fmt: skip


def app() -> FastAPI:
    return create(Told().node(), nobody_known())


def rows(role: Role | None) -> set[str]:
    return {" ".join(row) for row, right in RIGHTS.items() if right.role is role}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(rights.served(app().routes)) == set(RIGHTS)
    assert len(RIGHTS) > 20


def test_an_application_with_a_route_that_has_no_row_does_not_start() -> None:
    changed = app()
    changed.add_api_route("/api/models", lambda: None, methods=["DELETE"])
    with pytest.raises(LookupError, match=r"DELETE.*/api/models"):
        rights.check(changed.routes)
    changed = app()
    changed.mount("/files", FastAPI())
    with pytest.raises(LookupError, match="/files"):
        rights.check(changed.routes)


def test_a_row_without_a_route_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rights.RIGHTS, ("GET", "/gone"), rights.NOT_SERVED)
    with pytest.raises(LookupError, match="/gone"):
        app()


def test_roles_are_those_that_are_documented() -> None:
    assert rows(None) == ANYBODYS
    assert rows(Role.MONITOR) == MONITORS
    assert rows(Role.OPERATOR) == OPERATORS
    assert rows(Role.ADMIN) == ADMINS
    assert rows(Role.REMOTE_WORKER) == REMOTE_WORKERS
    others = ANYBODYS | MONITORS | OPERATORS | ADMINS | REMOTE_WORKERS
    assert rows(Role.VIEWER) == {" ".join(row) for row in RIGHTS} - others


def test_whatever_changes_something_is_no_viewers_but_a_readers_own_word_and_the_log_out() -> None:
    searches = {"/search", "/api/studies/search"}  # posted, so that no address has a name in it
    # What is looked at beside a study: it is not read, and goes with the study.
    looks = {"/studies/{name}/priors/{prior}/fetch"}
    # Whoever may look at a view may ask the systems about a place in it.
    searches |= {"/studies/{name}/regions", "/api/studies/{name}/regions"}
    own = {"/logout", "/studies/{name}/verdicts", "/api/studies/{name}/verdicts"}
    for (method, path), right in RIGHTS.items():
        is_free = path in {*own, *searches, *looks}
        if method != "GET" and right.role is not None and not is_free:
            assert right.role >= Role.OPERATOR or right.role is Role.REMOTE_WORKER
        # What pages look like is no event, nor that a machine is there, and goes on.
        no_events = {"/language", "/api/remote/readings", "/api/remote/claims/{claim}"}
        if method != "GET" and path not in no_events:
            assert right.action is not None


def test_the_table_is_found_by_a_requests_path() -> None:
    assert right_of("POST", "/api/studies/1.2/drop") == RIGHTS["POST", "/api/studies/{name}/drop"]
    assert right_of("HEAD", "/health").role is None
    assert right_of("GET", "/login/openid") == RIGHTS["GET", "/login/openid"]
    for method, path in (
        ("POST", "/health"), ("GET", "/health/x"), ("GET", "/static/a/b"), ("GET", "/x\n/health"),
        ("DELETE", "/login"), ("", "/login"), ("GET", ""),
    ):  # fmt: skip
        assert right_of(method, path) == rights.NOT_SERVED


def test_the_table_takes_a_path_for_the_route_that_it_is_taken_to() -> None:
    """One that the gate read otherwise than the router would pass by another route's right."""
    routes = [r for one in app().routes for r in getattr(one, "original_router", app()).routes]
    ends = ("", "\n", "\n\n", "/", "//", "\r", "\x85", ";x", "%0a", "?", "#", "\0", " ", "/..")
    paths = [path.replace("{name}", name) + end for _, path in RIGHTS for end in ends
             for name in ("1.2", "x\n", "..", "a/b", "%2f")]  # fmt: skip
    n_matched = 0
    for path in {*paths, *(path[1:] for path in paths), *("/" + path for path in paths)}:
        for route in routes:
            scope = {"type": "http", "method": "POST", "path": path, "headers": []}
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                n_matched += 1
                assert right_of("POST", path) == RIGHTS["POST", route.path]
    assert n_matched > 50


def test_a_viewer_gets_no_further_by_a_path_that_ends_in_a_line_feed() -> None:
    told = Told()
    with served(told, known()) as client:
        path = f"{client.url}/api/studies/1.2/retry%0a"
        token = {"Authorization": f"Bearer {VIEWERS_TOKEN}"}
        assert client.session.post(path, headers=token, timeout=10).status_code == 403
    assert told.orders == []


def test_a_remote_worker_may_read_exams_and_nothing_else_and_nobody_else_may() -> None:
    remote = Role.REMOTE_WORKER
    for (_, path), right in RIGHTS.items():
        if right.role is not None:
            assert remote.may(right.role) is path.startswith("/api/remote/")
    assert [role for role in Role if role.may(remote)] == [remote]
    assert not remote.may(rights.NOT_SERVED.role or remote)
    told, paths = Told(), {"own": "/api/remote/readings", "other": "/api/studies/1.2/drop"}
    tokens = {"box": REMOTE_TOKENS["box"], "doer": OPERATORS_TOKEN, "all": TOKEN}
    with served(told, known()) as client:
        found = {
            (who, what): client.post(path, {}, Authorization=f"Bearer {token}").status_code
            for who, token in tokens.items()
            for what, path in paths.items()
        }
    assert {key for key, status in found.items() if status == 403} == {
        ("box", "other"), ("doer", "own"), ("all", "own"),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(PASSWORDS))
def test_each_role_passes_where_its_row_says_and_nowhere_else(name: str) -> None:
    access = known()
    with served(Told(), access) as client:
        client.log_in(name)
        role = Role.of({"vera": "viewer", "otto": "operator", "anna": "admin"}[name])
        csrf = client.csrf()
        for (method, path), right in RIGHTS.items():
            if path in ("/login", "/logout"):
                continue
            here = {"Origin": client.url, "X-CSRF-Token": csrf}
            answer = client.session.request(
                method, client.url + path.replace("{name}", "1.2").replace("{file}", "base.css"),
                headers=here, allow_redirects=False, timeout=10,
            )  # fmt: skip
            is_allowed = right.role is None or role.may(right.role)
            assert (answer.status_code != 403) is is_allowed, (method, path)
