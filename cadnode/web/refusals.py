"""What those are answered who do not pass: a page for people, JSON for programs.

401 where it is not known who asks, 403 where it is and does not suffice (RFC 9110 15.5.2, 15.5.4).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from markupsafe import escape
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from cadnode.phrases import N_, phrase
from cadnode.web.caller import Caller, Denied
from cadnode.web.language import current
from cadnode.web.rights import NOT_SERVED, READING, right_of
from cadnode.web.templating import Templates

# A browser withholds a strict cookie when a link from elsewhere, such as an archive, leads here.
# From this page of our own it requests the same path again, and sends its cookie if it has one.
AGAIN: Final = "again"
_ONCE_MORE: Final = (
    '<!DOCTYPE html><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">{1}</a>'
)
_TO_IDENTIFY: Final = "send `Authorization: Bearer TOKEN` (`cadnode users token`), or log in"
_UNKNOWN: Final = {
    Denied.NOBODY: ("it is not known who asks", _TO_IDENTIFY),
    Denied.TOKEN: ("no such token", _TO_IDENTIFY),
    Denied.SESSION: ("the session has ended", "log in again"),
}
_REFUSED: Final = {
    Denied.PROXY: (
        N_("what comes through this proxy is not served"),
        N_(
            "configure who may ask: `web.users_file`, `web.tokens_file` or OpenID "
            "Connect; a proxy that names people has to be in `web.proxy_addresses`"
        ),
    ),
    Denied.ORIGIN: (
        N_("the request does not come from a page of this node"),
        N_("open the page under the address that the node is meant to have; programs send a token"),
    ),
    Denied.CSRF: (
        N_("the page that this was sent from is out of date"),
        N_("load the page again; programs send a token, or the session's in `X-CSRF-Token`"),
    ),
}


def once_more(path: str) -> HTMLResponse:
    """A page that leads on to a path of this node, from this node."""
    return HTMLResponse(_ONCE_MORE.format(quote(path, safe="/%?=&"), _go_on()))


def _go_on() -> str:
    return str(escape(current().text(N_("Go on"))))


def wants_page(scope: Scope) -> bool:
    """Whether a person asks with a browser, who is better served by a page than by JSON."""
    accepted = Headers(scope=scope).get("accept", "")
    return "text/html" in accepted and not scope["path"].startswith("/api/")


def answer(denied: Denied, scope: Scope, templates: Templates) -> Response:
    """The answer to a request that does not pass."""
    if denied is Denied.HOST:
        hint = "use http://127.0.0.1, or configure who may ask (`web.users_file`, `cadnode users`)"
        return _json(421, "this name is not served to everybody", hint)
    if denied in _UNKNOWN:
        if wants_page(scope):
            return _to_log_in(denied, scope)
        scheme = 'Bearer error="invalid_token"' if denied is Denied.TOKEN else "Bearer"
        return _json(401, *_UNKNOWN[denied], {"WWW-Authenticate": scheme})
    error, hint = _REFUSED.get(denied) or _role(scope)
    if wants_page(scope):
        caller = scope["state"].get("caller")
        return templates.page("refused.html.jinja", caller, 403, error=error, hint=hint)
    is_role = denied is Denied.ROLE
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'} if is_role else {}
    return _json(403, error, hint, headers)


def _to_log_in(denied: Denied, scope: Scope) -> Response:
    """To the log-in and back, once it is sure that the browser did not withhold its cookie."""
    if scope["method"] not in READING:  # the page with the button, not what it was to do
        page = scope["path"].rpartition("/")[0]
        is_served = right_of("GET", page) is not NOT_SERVED  # the lists' orders are beside "/"
        return _log_in_page(page if is_served else "/", has_ended=True)
    headers, path = Headers(scope=scope), safe_path(scope["path"])
    is_again = scope["query_string"] == AGAIN.encode()
    site = headers.get("sec-fetch-site", "")  # absent where http is not on loopback
    if denied is Denied.NOBODY and (site == "cross-site" or not (site or is_again)):
        return HTMLResponse(
            _ONCE_MORE.format(quote(path) + ("" if site else f"?{AGAIN}"), _go_on())
        )
    return _log_in_page(path, has_ended=denied is Denied.SESSION)


def _log_in_page(wanted: str, *, has_ended: bool) -> Response:
    asked = {"next": safe_path(wanted), **({"ended": "1"} if has_ended else {})}
    return RedirectResponse("/login?" + urlencode(asked, safe="/", quote_via=quote), 303)


def _role(scope: Scope) -> tuple[str, str]:
    caller, needed = scope["state"]["caller"], scope["state"]["right"].role
    assert isinstance(caller, Caller)
    name, role = caller.identity.name, caller.identity.role.word
    words = {"name": name, "needed": needed.word}
    if needed.is_of_programs:
        hint = phrase("a program has it: `cadnode users token NAME --role %(needed)s`", **words)
    else:
        hint = phrase("an admin gives it: `cadnode users role %(name)s %(needed)s`", **words)
    return phrase("this needs the role %(needed)s; %(name)s is %(role)s", role=role, **words), hint


def _json(status: int, error: str, hint: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": error, "hint": hint}, status, dict(headers or {}))


def safe_path(wanted: str) -> str:
    """`wanted` when it is a path on this node, else "/": no log-in leads to another site."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_path and wanted.isprintable() else "/"
