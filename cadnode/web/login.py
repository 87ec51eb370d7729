"""Log-in by name and password or at an OpenID provider, and log-out."""

import math
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from cadnode.identity.provider import ProviderError
from cadnode.identity.sessions import Session
from cadnode.phrases import N_
from cadnode.web import recording
from cadnode.web.access import Access, cookie_of
from cadnode.web.caller import caller_of
from cadnode.web.cross_site import came_by_https, form_of
from cadnode.web.language import current
from cadnode.web.refusals import once_more, safe_path
from cadnode.web.templating import Templates
from cadnode.web.threads import PASSWORDS, PROVIDER, Threads

OPENID_COOKIE: Final = "cadnode_openid"
_OPENID_S: Final = 600
OPENID_REASONS: Final = {
    "state": N_("This log-in was begun too long ago, or in another browser. Begin again."),
    "denied": N_("Your organisation's log-in was refused or given up."),
    "provider": N_(
        "Your organisation's log-in does not answer, or not as it should. Try again later."
    ),
    "id_token": N_("What your organisation's log-in says of you cannot be used. Tell an admin."),
    "no_role": N_("Your account has no role on this node. An admin of your organisation gives it."),
    "unknown": N_("There is no log-in by an organisation's account here."),
}


def routes(access: Access, templates: Templates) -> APIRouter:
    """The routes by which sessions begin and end."""
    router, desk = APIRouter(include_in_schema=False), _Desk(access, templates)

    @router.get("/login")
    async def login(request: Request, next: str = "/", ended: str = "") -> Response:
        if caller_of(request) is not None:
            return RedirectResponse(safe_path(next), 303)
        return desk.page(next, has_ended=bool(ended))

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = form_of(await request.body())
        name, password = form.get("name", "").strip(), form.get("password", "")
        address = request.client.host if request.client else ""
        found = await desk.comparing.run(lambda: access.identities.log_in(name, password, address))
        wanted = form.get("next", "/")
        if isinstance(found, Session):
            return desk.logged_in(request, found, RedirectResponse(safe_path(wanted), 303))
        recording.note(request, detail=found.reason, name=found.name)
        return desk.page(wanted, found.reason, found.wait_s)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        caller = caller_of(request)
        if caller is not None and caller.session_id:
            access.identities.log_out(caller.session_id)
        answer = RedirectResponse("/login", 303, {"Clear-Site-Data": '"cache"'})
        desk.forget(answer, access.cookie)
        return answer

    @router.get("/login/openid/begin")
    async def begin_openid(request: Request, next: str = "/") -> Response:
        provider = access.identities.openid
        if provider is None:
            return desk.page(next, "unknown")
        address = request.client.host if request.client else ""
        try:
            begun = await desk.asking.run(lambda: provider.begin(safe_path(next), address))
        except ProviderError:
            return desk.page(next, "provider")
        answer = RedirectResponse(begun.url, 303)
        # Lax: the provider's page leads back here, and the browser has to bring it along.
        name = access.cookie_name(OPENID_COOKIE)
        desk.remember(request, answer, name, begun.cookie, "lax", _OPENID_S)
        return answer

    @router.get("/login/openid")
    async def openid(request: Request) -> Response:
        provider = access.identities.openid
        cookie = cookie_of(request.headers, access.cookie_name(OPENID_COOKIE))
        if provider is None:
            recording.note(request, detail="unknown")
            return desk.page("/", "unknown")
        query = dict(request.query_params)
        found = await desk.asking.run(lambda: provider.finish(query, cookie))
        if isinstance(found, tuple):
            session, wanted = found
            answer = desk.logged_in(request, session, once_more(safe_path(wanted)))
        else:
            recording.note(request, detail=found.reason)
            answer = desk.page("/", found.reason, found.wait_s)
        desk.forget(answer, access.cookie_name(OPENID_COOKIE))
        return answer

    return router


class _Desk:
    """What the routes of the log-in share."""

    def __init__(self, access: Access, templates: Templates) -> None:
        self._access = access
        self._templates = templates
        self.comparing, self.asking = Threads(PASSWORDS), Threads(PROVIDER)

    def page(
        self, wanted: str, refused: str = "", wait_s: float = 0.0, *, has_ended: bool = False
    ) -> Response:
        """The page with the form; `refused`: why the last try did not succeed."""
        identities = self._access.identities
        is_locked = refused == "locked"
        answer = self._templates.page(
            "login.html.jinja", None, 429 if is_locked else 401 if refused else 200,
            next=safe_path(wanted), refused=refused, wait=in_words(wait_s), has_ended=has_ended,
            openid_reasons=OPENID_REASONS,
            takes_passwords=identities.takes_passwords, takes_token=identities.takes_token,
            openid=identities.openid is not None,
        )  # fmt: skip
        if wait_s > 0:
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
        return answer

    def logged_in(self, request: Request, session: Session, answer: Response) -> Response:
        """An answer that begins a session; the browser's session before it ends."""
        if before := self._access.session_id(request.headers):
            self._access.identities.log_out(before)
        recording.note(request, session.identity)
        self.remember(request, answer, self._access.cookie, session.id, "strict")
        return answer

    def remember(
        self, request: Request, answer: Response, name: str, value: str,
        samesite: Literal["lax", "strict"], age_s: int | None = None,
    ) -> None:  # fmt: skip
        """Set a cookie that scripts cannot read, by https alone where the browser came so."""
        answer.set_cookie(
            name, value, max_age=age_s,
            httponly=True, samesite=samesite,
            secure=self._access.is_secure or came_by_https(request.headers), path="/",
        )  # fmt: skip

    def forget(self, answer: Response, name: str) -> None:
        """Have the browser forget a cookie."""
        answer.delete_cookie(
            name, path="/", secure=self._access.is_secure, httponly=True, samesite="strict"
        )


def in_words(seconds: float) -> str:
    """A time to wait, as people say it; "" for none."""
    if seconds <= 0:
        return ""
    return current().duration(seconds)
