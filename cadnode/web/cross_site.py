"""Proof that a page of this node sent a write, and no page from elsewhere (CSRF).

Two proofs, both needed: where the browser says that the request comes from (Fetch Metadata's
Sec-Fetch-Site, else the Origin of RFC 6454), and a secret that only pages of this node hold. The
session's cookie is SameSite=Strict on top of that.
"""

import hmac
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadnode.identity.role import Via
from cadnode.log import get_logger
from cadnode.web import refusals
from cadnode.web.caller import Caller, Denied
from cadnode.web.rights import READING
from cadnode.web.templating import Templates

FIELD: Final = "csrf"
HEADER: Final = "x-csrf-token"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 20
_PORTS: Final = {"http": ":80", "https": ":443"}

log = get_logger("web")


def form_of(body: bytes) -> dict[str, str]:
    """The fields of a form, each its first value; none where there are too many."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def is_browser(headers: Headers) -> bool:
    """Whether a browser sent a write: each says where from, in one of two headers or in both."""
    return "sec-fetch-site" in headers or "origin" in headers


def comes_from_here(headers: Headers, *, is_secure: bool) -> bool:
    """Whether the browser says that a page of this node sent the request.

    A proxy may change Host, and with it what Origin can be compared with; Sec-Fetch-Site, which no
    page can set, then decides. Browsers leave it out where http is not on loopback.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(headers.get("origin", ""))
    except ValueError:
        return False
    if origin.scheme not in _PORTS or (is_secure and origin.scheme != "https"):
        return False
    port = _PORTS[origin.scheme]
    named = (text.lower().removesuffix(port) for text in (origin.netloc, headers.get("host", "")))
    return bool(origin.netloc) and len(set(named)) == 1


def came_by_https(headers: Headers) -> bool:
    """Whether browser or proxy says so: who lies makes only their own cookie stricter."""
    proto = headers.get("x-forwarded-proto", "").strip().lower()
    return proto == "https" or headers.get("origin", "").startswith("https://")


def needs_proof(caller: Caller, path: str, headers: Headers) -> bool:
    """Whether a caller's write has to prove that a page of this node sent it.

    Not with a token, which no browser adds by itself, nor from this machine's own programs; always
    with a session, also where that began with a token.
    """
    if caller.session_id:
        return True
    if caller.identity.via is Via.TOKEN:
        return False
    is_program = path.startswith("/api/") and not is_browser(headers)
    return not (caller.identity.via is Via.LOOPBACK and is_program)


class CsrfGate:
    """ASGI middleware that refuses writes without their secret; it stands behind the body's limit.

    The secret is in the header `X-CSRF-Token`, or in the field `csrf` of a form.
    """

    def __init__(self, app: ASGIApp, templates: Templates) -> None:
        self._app = app
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        caller = scope.get("state", {}).get("caller")
        if not _has_to_show(scope, caller):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        shown = headers.get(HEADER, "")
        if not shown and headers.get("content-type", "").split(";")[0].strip().lower() == _FORM:
            message = await receive()
            shown, receive = form_of(message.get("body", b"")).get(FIELD, ""), _again(message)
        if hmac.compare_digest(shown.encode("utf-8", "replace"), caller.csrf.encode()):
            await self._app(scope, receive, send)
            return
        scope["state"]["denied"] = Denied.CSRF
        log.warning("web_refused", reason=Denied.CSRF, peer=caller.address)
        await refusals.answer(Denied.CSRF, scope, self._templates)(scope, receive, send)


def _has_to_show(scope: Scope, caller: Any) -> bool:
    """Whether this is a write that a secret has to come with; a log-in has no caller's yet."""
    if scope["type"] != "http" or scope["method"] in READING or not isinstance(caller, Caller):
        return False
    right = scope["state"]["right"]
    return right.role is not None and needs_proof(caller, scope["path"], Headers(scope=scope))


def _again(message: Message) -> Receive:
    """The whole body once more, which came as one message."""

    async def replay() -> Message:
        return message

    return replay
