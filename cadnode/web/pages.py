"""Pages for people: recent studies, one study with its report, and the login."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup, escape

from cadnode.exam.patient import Patient
from cadnode.html.environment import ON_SCREENS, environment
from cadnode.web.access import COOKIE, SESSION_S, Access, safe_path
from cadnode.web.node import Node, Unavailable
from cadnode.web.study import (
    DELIVERY_MEANINGS,
    State,
    StudyState,
)

LISTED: Final = 50
_STATIC: Final = {
    "base.css": "text/css", "cadnode.css": "text/css", "cadnode.js": "text/javascript",
}  # fmt: skip
_WAY: Final = ("arriving", "queued", "reading", "delivering", "done")
_REACHED: Final = {
    State.FETCHING: 0,
    State.RECEIVING: 0,
    State.QUEUED: 1,
    State.READING: 2,
    State.DELIVERING: 3,
}
# The report is one file with its scripts and pictures in it. The sandbox gives it an origin of
# its own: nothing in it can ask the node for anything.
_REPORT_HEADERS: Final = {
    "Content-Security-Policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    )
}


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A line of the list."""

    study: StudyState
    patient: Patient


@dataclass(frozen=True, slots=True)
class Step:
    """A step on the way of a study: "past", "now" or "to_come"."""

    word: str
    looks: str


def steps(state: State) -> list[Step]:
    """The way of a study that is in `state`, as the page shows it; empty when it is at an end."""
    if state not in _REACHED:
        return []
    now = _REACHED[state]
    return [
        Step(word, "past" if at < now else "now" if at == now else "to_come")
        for at, word in enumerate(_WAY)
    ]


def routes(node: Node, access: Access) -> APIRouter:
    """The pages' routes."""
    router = APIRouter(include_in_schema=False)
    pages = _Pages()
    page = pages.page

    @router.get("/")
    def recent() -> Response:
        try:
            rows = [StudyRow(study, node.patient_of(study.key)) for study in node.recent(LISTED)]
            return page("recent.html.jinja", rows=rows, most=LISTED, health=node.health())
        except Unavailable:
            return page("away.html.jinja", 503)

    @router.get("/studies/{name}")
    def study(name: str) -> Response:
        try:
            state = node.state_of(name)
        except Unavailable:
            return page("away.html.jinja", 503)
        return page(
            "study.html.jinja",
            404 if state.state is State.UNKNOWN else 200,
            study=state,
            patient=node.patient_of(name),
            steps=steps(state.state),
            report=node.page_of(name),
        )

    @router.get("/studies/{name}/report")
    def report(name: str, patient: int = 1) -> Response:
        found = node.page_of(name)
        pages = () if found is None else (found.path, *found.others)
        if not 1 <= patient <= len(pages):
            return page("no_report.html.jinja", 404)
        return HTMLResponse(pages[patient - 1].read_bytes(), headers=_REPORT_HEADERS)

    @router.get("/login")
    def login(next: str = "/") -> Response:
        return page("login.html.jinja", next=safe_path(next), is_wrong=False)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        token, wanted = (form.get(name, [""])[0] for name in ("token", "next"))
        if not access.is_token(token.strip()):
            return page("login.html.jinja", 401, next=safe_path(wanted), is_wrong=True)
        answer = RedirectResponse(safe_path(wanted), 303)
        answer.set_cookie(
            COOKIE, access.session(), max_age=SESSION_S, httponly=True, samesite="strict",
            secure=access.is_secure, path="/",
        )  # fmt: skip
        return answer

    @router.get("/static/{file}")
    def static(file: str) -> Response:
        if file not in _STATIC:
            return Response(status_code=404)
        headers = {"Cache-Control": "no-cache"}
        return Response(pages.text(file), media_type=_STATIC[file], headers=headers)

    return router


class _Pages:
    """The templates, with escaping on."""

    def __init__(self) -> None:
        self._templates = environment("cadnode.web", dark=ON_SCREENS)
        self._templates.filters["with_code"] = _with_code
        self._templates.globals["delivery_meanings"] = DELIVERY_MEANINGS

    def text(self, template: str, **values: object) -> str:
        """A template with its values."""
        return self._templates.get_template(template).render(values)

    def page(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """A page made of a template."""
        return HTMLResponse(self.text(template, **values), status)


def _with_code(text: str) -> Markup:
    """HTML of a sentence, what is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
