"""Which language a request is answered in, and the form that chooses one.

The cookie of a choice counts, else what the browser asks for (Accept-Language, RFC 9110 12.5.4),
else the setting `web.language`.
"""

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadnode.web.access import Access, cookie_of
from cadnode.web.cross_site import came_by_https, form_of
from cadnode.web.language import NAMES, answering_in, language
from cadnode.web.refusals import safe_path
from cadnode.web.rights import READING, RIGHTS

LANGUAGE_COOKIE: Final = "lang"
_YEAR_S: Final = 365 * 24 * 3600
_VARIES: Final = ("Cookie", "Accept-Language")


def language_of(headers: Headers, default: str) -> str:
    """The code of the language in which a request is answered."""
    chosen = cookie_of(headers, LANGUAGE_COOKIE)
    if chosen in NAMES:
        return chosen
    return next(_accepted(headers.get("accept-language", "")), default)


def _accepted(header: str) -> Iterator[str]:
    """Those of our languages that a browser accepts, the most wanted first."""
    wanted = []
    for part in header.split(","):
        name, _, rest = part.strip().partition(";")
        quality = _quality(rest)
        code = name.strip().lower().partition("-")[0]
        if quality > 0 and code in NAMES:
            wanted.append((quality, code))
    for _, code in sorted(wanted, key=lambda one: -one[0]):
        yield code


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


class Languages:
    """ASGI middleware: what is rendered for a request is in its language, and says so."""

    def __init__(self, app: ASGIApp, default: str) -> None:
        self._app = app
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen = language_of(Headers(scope=scope), self._default)

        async def send_in_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Language", chosen)
                    for name in _VARIES:
                        headers.add_vary_header(name)
            await send(message)

        with answering_in(language(chosen), _page_of(scope)):
            await self._app(scope, receive, send_in_language)


def _page_of(scope: Scope) -> str:
    """The page to return to: the one asked for, or that of a form; "/" where there is none."""
    path = str(scope["path"])
    if scope["method"] not in READING:
        return path if ("GET", path) in RIGHTS else "/"
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def routes(access: Access) -> APIRouter:
    """The route that keeps a choice: anybody's, as the page of the log-in offers it."""
    router = APIRouter(include_in_schema=False)

    @router.post("/language")
    async def choose(request: Request) -> Response:
        form = form_of(await request.body())
        answer = RedirectResponse(safe_path(form.get("next", "/")), 303)
        code = form.get("lang", "")
        if code in NAMES:
            answer.set_cookie(
                LANGUAGE_COOKIE, code, max_age=_YEAR_S, path="/", httponly=True, samesite="lax",
                secure=access.is_secure or came_by_https(request.headers),
            )  # fmt: skip
        return answer

    return router
