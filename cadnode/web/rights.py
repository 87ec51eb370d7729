"""Who may do what by HTTP, and what is recorded of it: one row for each route.

A monitor reads metrics alone, a viewer pages and states, an operator orders what concerns studies,
an admin what concerns the node. Machines that read exams for it have a role beside these. The
application does not start while a route has no row (`check`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute, compile_path

from cadnode.audit.event import Action
from cadnode.identity.role import Role
from cadnode.limits import READING_BYTES, READING_S, REQUEST_S

READING: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Right:
    """The role that a route needs, None: anybody's; and what an audit trail calls its use.

    `most_body_bytes`: how long its body may be, where that is more than everybody's; `body_s`: how
    long it may take to come. `is_scraped`: the addresses of `web.metrics_from` need no role.
    """

    role: Role | None
    action: Action | None = None
    most_body_bytes: int = 0
    body_s: float = REQUEST_S
    is_scraped: bool = False


_REMOTE, _MONITOR, _VIEWER, _OPERATOR, _ADMIN = Role
_EVIDENCE_BYTES: Final = 512 * 1024  # a comparison with all its strata, as a form sends it
RIGHTS: Final[dict[tuple[str, str], Right]] = {
    ("GET", "/health"): Right(None),
    ("GET", "/healthz"): Right(None),
    ("GET", "/readyz"): Right(None),
    ("GET", "/metrics"): Right(_MONITOR, is_scraped=True),
    ("GET", "/static/{file}"): Right(None),
    ("POST", "/language"): Right(None),
    ("GET", "/login"): Right(None),
    ("POST", "/login"): Right(None, Action.LOGGED_IN),
    ("GET", "/login/openid/begin"): Right(None),
    ("GET", "/login/openid"): Right(None, Action.LOGGED_IN),  # the way back: `openid_redirect_url`
    ("POST", "/logout"): Right(_MONITOR, Action.LOGGED_OUT),
    ("GET", "/"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/search"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/list/retry"): Right(_OPERATOR, Action.RETRIED),
    ("POST", "/list/redeliver"): Right(_OPERATOR, Action.REDELIVERED),
    ("POST", "/list/reread"): Right(_OPERATOR, Action.REREAD),
    ("POST", "/list/drop"): Right(_OPERATOR, Action.DROPPED),
    ("GET", "/upload"): Right(_OPERATOR),
    ("POST", "/api/upload"): Right(_OPERATOR, Action.RECEIVED),
    ("GET", "/needs-you"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/needs-you/retry"): Right(_OPERATOR, Action.RETRIED),
    ("POST", "/needs-you/drop"): Right(_OPERATOR, Action.DROPPED),
    ("GET", "/studies/{name}"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/report"): Right(_VIEWER, Action.EXPORTED),
    ("GET", "/studies/{name}/priors"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/priors/{prior}/views"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/priors/{prior}/views/{view}/preview"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/priors/{prior}/views/{view}/grey"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/priors/{prior}/views/{view}/tiles/{level}/{x}_{y}"): Right(
        _VIEWER, Action.VIEWED
    ),
    # Who may look at a study may have what is looked at beside it; nothing is read or sent for it.
    ("POST", "/studies/{name}/priors/{prior}/fetch"): Right(_VIEWER, Action.ORDERED),
    ("GET", "/studies/{name}/views"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/views/{view}/preview"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/views/{view}/grey"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/views/{view}/tiles/{level}/{x}_{y}"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/views/{view}/maps/{n}"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/studies/{name}/assessment"): Right(_VIEWER, Action.VIEWED),
    ("POST", "/studies/{name}/verdicts"): Right(_VIEWER, Action.JUDGED),
    ("POST", "/studies/{name}/retry"): Right(_OPERATOR, Action.RETRIED),
    ("POST", "/studies/{name}/redeliver"): Right(_OPERATOR, Action.REDELIVERED),
    ("POST", "/studies/{name}/reread"): Right(_OPERATOR, Action.REREAD),
    ("POST", "/studies/{name}/drop"): Right(_OPERATOR, Action.DROPPED),
    ("GET", "/studies/{name}/regions"): Right(_VIEWER, Action.VIEWED),
    ("POST", "/studies/{name}/regions"): Right(_VIEWER, Action.REGION_ASKED),
    ("GET", "/models"): Right(_VIEWER),
    ("GET", "/models/{system}"): Right(_VIEWER),
    ("POST", "/models/{system}/judge"): Right(_ADMIN, Action.MODELS_CHANGED, _EVIDENCE_BYTES),
    ("POST", "/models/{system}/promote"): Right(_ADMIN, Action.MODELS_CHANGED, _EVIDENCE_BYTES),
    ("POST", "/models/{system}/change"): Right(_ADMIN, Action.MODELS_CHANGED),
    ("GET", "/api/models"): Right(_VIEWER),
    ("GET", "/quality"): Right(_VIEWER),
    ("GET", "/api/quality"): Right(_VIEWER),
    ("GET", "/quality/outcomes"): Right(_VIEWER),
    ("GET", "/api/quality/outcomes"): Right(_VIEWER),
    ("GET", "/settings"): Right(_ADMIN),
    ("GET", "/api/settings"): Right(_ADMIN),
    ("GET", "/log"): Right(_OPERATOR),
    ("GET", "/api/log"): Right(_OPERATOR),
    ("GET", "/destinations"): Right(_VIEWER),
    ("POST", "/destinations/{group}/{peer}/echo"): Right(_OPERATOR, Action.PEER_ASKED),
    ("GET", "/api/destinations"): Right(_VIEWER),
    ("POST", "/api/destinations/{group}/{peer}/echo"): Right(_OPERATOR, Action.PEER_ASKED),
    ("GET", "/api/openapi.json"): Right(_VIEWER),
    ("GET", "/api/studies"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/api/studies/search"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/api/studies"): Right(_OPERATOR, Action.ORDERED),
    ("GET", "/api/studies/{name}"): Right(_VIEWER, Action.VIEWED),
    ("GET", "/api/studies/{name}/regions"): Right(_VIEWER, Action.VIEWED),
    ("POST", "/api/studies/{name}/regions"): Right(_VIEWER, Action.REGION_ASKED),
    ("GET", "/api/studies/{name}/verdicts"): Right(_VIEWER, Action.VIEWED),
    ("POST", "/api/studies/{name}/verdicts"): Right(_VIEWER, Action.JUDGED),
    ("GET", "/api/deliveries"): Right(_VIEWER, Action.QUERIED),
    ("POST", "/api/studies/retry"): Right(_OPERATOR, Action.RETRIED),
    ("POST", "/api/studies/drop"): Right(_OPERATOR, Action.DROPPED),
    ("POST", "/api/studies/redeliver"): Right(_OPERATOR, Action.REDELIVERED),
    ("POST", "/api/studies/reread"): Right(_OPERATOR, Action.REREAD),
    ("POST", "/api/studies/{name}/retry"): Right(_OPERATOR, Action.RETRIED),
    ("POST", "/api/studies/{name}/redeliver"): Right(_OPERATOR, Action.REDELIVERED),
    ("POST", "/api/studies/{name}/reread"): Right(_OPERATOR, Action.REREAD),
    ("POST", "/api/studies/{name}/drop"): Right(_OPERATOR, Action.DROPPED),
    # Images leave the node, and what comes back is reported: for the machines that read alone.
    ("POST", "/api/remote/readings"): Right(_REMOTE),
    ("POST", "/api/remote/readings/{reading}/claim"): Right(_REMOTE, Action.EXPORTED),
    ("PUT", "/api/remote/claims/{claim}"): Right(_REMOTE),
    ("GET", "/api/remote/claims/{claim}/images/{image}"): Right(_REMOTE, Action.EXPORTED),
    ("POST", "/api/remote/claims/{claim}/result"): Right(
        _REMOTE, Action.READ, READING_BYTES, READING_S
    ),
    ("POST", "/api/remote/claims/{claim}/failure"): Right(_REMOTE, Action.READ),
}
# What is not served is told to those alone who may see what is.
NOT_SERVED: Final = Right(_VIEWER)

# Starlette's own patterns, matched as it matches them: what is a route there is that route here.
_COMPILED: Final = [
    (method, compile_path(path)[0], right) for (method, path), right in RIGHTS.items()
]


def right_of(method: str, path: str) -> Right:
    """The row of a request; `NOT_SERVED` where there is no such route."""
    wanted = "GET" if method in READING else method
    for listed, pattern, right in _COMPILED:
        if listed == wanted and pattern.match(path):
            return right
    return NOT_SERVED


def served(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of each route of an application; HEAD counts as GET."""
    for route in routes:
        router = getattr(route, "original_router", None)  # FastAPI keeps what it includes whole
        if router is not None:
            yield from served(router.routes)
            continue
        path = str(getattr(route, "path", route))
        for method in getattr(route, "methods", None) or ("ANY",):
            yield ("GET" if method in READING else str(method)), path


def check(routes: Iterable[BaseRoute]) -> None:
    """Raise `LookupError` for routes without a row, and for rows without a route."""
    found = set(served(routes))
    if wrong := sorted(found ^ set(RIGHTS)):
        raise LookupError(f"routes and cadnode.web.rights.RIGHTS differ: {wrong}")
