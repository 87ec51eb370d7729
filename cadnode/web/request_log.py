"""What is recorded of each request: one structured log line, and headers that browsers obey."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadnode.limits import REQUEST_S
from cadnode.log import get_logger
from cadnode.web.rights import Right
from cadnode.web.study import key_of

MOST_BODY_BYTES: Final = 16 * 1024

_DULL: Final = frozenset({"/health", "/healthz", "/readyz", "/metrics", "/log", "/api/log"})
_DULL_BELOW: Final = ("/static/", "/api/remote/")  # remote workers ask each second
FILE_ROUTE: Final = ("POST", "/api/upload")

log = get_logger("web")

HEADERS: Final = {
    # The node's own pages: nothing from elsewhere, no inline script or style.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send `Origin: null`, and no write could prove where it is from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS: Final = {"Strict-Transport-Security": "max-age=31536000"}  # by https alone: RFC 6797


class RequestLog:
    """ASGI middleware: logs each request's route, status and duration; never a path or query.

    What goes wrong unforeseen is logged by its class and answered with status 500.
    """

    def __init__(self, app: ASGIApp, *, is_secure: bool = False) -> None:
        self._app = app
        self._headers = {**HEADERS, **(HSTS if is_secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            # Its text may hold an identifier, and the server would print it.
            log.error("web_failed", error=error, **_what(scope))
            if not status:
                answer = {"error": "an internal error", "hint": "see the node's log"}
                await JSONResponse(answer, 500)(scope, receive, send_with_headers)
        # What is asked for every few seconds, and a viewer's tiles, are logged at DEBUG only; the
        # log fills no log.
        path = scope["path"]
        is_dull = path in _DULL or path.startswith(_DULL_BELOW) or "/views/" in path
        write = log.debug if is_dull else log.info
        write(
            "web_answered", status=status, seconds=round(time.perf_counter() - started, 4),
            peer=(scope.get("client") or ("",))[0], **_what(scope),
        )  # fmt: skip


class BodyLimit:
    """ASGI middleware: no request has a body of more than a few kilobytes, nor one that drips.

    Where a route takes more, its row in `rights` says so; who may not use it was refused before.
    A file that is uploaded (`web.uploads`) has limits of its own, and passes as it comes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on once its body is here and small enough."""
        if scope["type"] != "http" or is_file(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        right = scope.get("state", {}).get("right")
        is_known = isinstance(right, Right)
        most = max(MOST_BODY_BYTES, right.most_body_bytes if is_known else 0)
        try:
            async with asyncio.timeout(right.body_s if is_known else REQUEST_S):
                body = await _body(scope, receive, most)
        except TimeoutError:
            answer = {"error": "the body did not arrive in time", "hint": "send it in one go"}
            await JSONResponse(answer, 408, {"Connection": "close"})(scope, receive, send)
            return
        except ClientDisconnect:
            return
        if len(body) > most:
            answer = {"error": "the body is too long", "hint": "docs/web.md shows what to send"}
            await JSONResponse(answer, 413)(scope, receive, send)
            return
        was_sent = False

        async def replay() -> Message:
            nonlocal was_sent
            if was_sent:
                return await receive()
            was_sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)


def is_file(method: str, path: str) -> bool:
    """Whether a request's body is a file, which the route reads piece by piece."""
    return (method, path) == FILE_ROUTE


async def _body(scope: Scope, receive: Receive, most: int) -> bytearray:
    """The body; of one that is too long, enough to see it. Raises `ClientDisconnect`."""
    body, more = bytearray(), scope["method"] not in ("GET", "HEAD")
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _what(scope: MutableMapping[str, Any]) -> dict[str, str]:
    """Method, route template and hashed study of a request."""
    name = scope.get("path_params", {}).get("name") or scope.get("state", {}).get("study", "")
    route = getattr(scope.get("route"), "path", "")
    fields = {"method": scope["method"], "route": route or "none"}
    return {**fields, "study": key_of(name)} if name else fields
