"""Who may ask: clients with the token, browsers that logged in with it, and anybody for health.

Without a token only this machine's own programs reach the node, and only under loopback names: a
web page from elsewhere that had its name point to 127.0.0.1 (DNS rebinding) is turned away, and so
is what a proxy on this machine passes on for somebody else.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cadnode.log import get_logger
from cadnode.settings.section import is_loopback

COOKIE: Final = "cadnode_session"
SESSION_S: Final = 12 * 3600  # a shift
SHORTEST_TOKEN: Final = 16
_OPEN_PATHS: Final = frozenset({"/health", "/login"})
_READING: Final = frozenset({"GET", "HEAD"})
# What proxies add to a request: Via and Forwarded by RFC 9110 and 7239, the others by custom.
_OF_A_PROXY: Final = frozenset({"via", "forwarded", "x-real-ip"})

# A browser withholds a strict cookie when a link from elsewhere, such as an archive, leads here.
# From this page of our own it requests the same path again, and sends its cookie if it has one.
_AGAIN: Final = "again"
_ONCE_MORE: Final = (
    '<!DOCTYPE html><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">Go on</a>'
)

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class Access:
    """The token that is required, "" when none is; `is_secure` when the node serves https."""

    token: str = field(default="", repr=False)
    is_secure: bool = False
    clock: Callable[[], float] = time.time

    def is_token(self, text: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return bool(self.token) and hmac.compare_digest(text.encode(), self.token.encode())

    def session(self) -> str:
        """A browser's cookie: when it ends, and the token's signature under that. Not the token."""
        ends = str(int(self.clock()) + SESSION_S)
        return f"{ends}.{self._signature(ends)}"

    def is_session(self, cookie: str) -> bool:
        """Whether this is a cookie of ours that has not ended."""
        ends, _, signature = cookie.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._signature(ends).encode())
        return genuine and ends.isdigit() and self.clock() < int(ends)

    def _signature(self, ends: str) -> str:
        message = f"cadnode session until {ends}".encode("utf-8", "surrogateescape")
        return hmac.new(self.token.encode(), message, hashlib.sha256).hexdigest()

    def refusal(self, method: str, path: str, headers: Headers) -> str:
        """Why the request is refused: "proxy", "host", "token", or "" when it is not.

        A cookie allows reading only: every other method takes the token.
        """
        if path in _OPEN_PATHS or path.startswith("/static/"):
            return ""
        if not self.token:
            if _is_passed_on(headers):
                return "proxy"
            return "" if _is_local(headers.get("host", "")) else "host"
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(token.strip()):
            return ""
        if method in _READING and self.is_session(_cookie(headers)):
            return ""
        return "token"

    def may_look(self, headers: Headers) -> bool:
        """Whether who asks may see pages, and with them what health keeps from strangers."""
        return not self.refusal("GET", "/", headers)


class AccessGate:
    """ASGI middleware that lets pass what `Access` does not refuse."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if reason := self._access.refusal(scope["method"], scope["path"], headers):
                log.warning("web_refused", reason=reason, peer=(scope.get("client") or ("",))[0])
                is_again = scope["query_string"] == _AGAIN.encode()
                answer = _refused(reason, scope["path"], headers, is_again=is_again)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def safe_path(wanted: str) -> str:
    """`wanted` when it is a path on this node, else "/": no login leads to another site."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_path and wanted.isprintable() else "/"


def _refused(reason: str, path: str, headers: Headers, *, is_again: bool) -> Response:
    if reason == "proxy":
        answer = {
            "error": "nothing is served through a proxy without a token",
            "hint": "set web.token_file",
        }
        return JSONResponse(answer, 403)
    if reason == "host":
        answer = {
            "error": "this name is not served without a token",
            "hint": "use http://127.0.0.1, or set web.token_file",
        }
        return JSONResponse(answer, 421)
    if "text/html" in headers.get("accept", "") and not path.startswith("/api/"):
        here = quote(safe_path(path))
        site = headers.get("sec-fetch-site", "")  # absent where http is not on loopback
        if site == "cross-site" or not (site or is_again):
            return HTMLResponse(_ONCE_MORE.format(here + ("" if site else f"?{_AGAIN}")))
        return RedirectResponse(f"/login?next={here}", 303)
    answer = {
        "error": "no token, or a wrong one",
        "hint": "send `Authorization: Bearer TOKEN`, with the token in web.token_file",
    }
    return JSONResponse(answer, 401, {"WWW-Authenticate": "Bearer"})


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _is_passed_on(headers: Headers) -> bool:
    """Whether a proxy's header shows that the request is passed on for another client."""
    return any(name in _OF_A_PROXY or name.startswith("x-forwarded") for name in headers)


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine's loopback."""
    name = host if host.endswith("]") else host.rsplit(":", 1)[0]
    return is_loopback(name.strip("[]"))
