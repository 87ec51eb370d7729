"""Pages for people: one study with its report, and what may be ordered of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from cadnode.explain.ramp import scale
from cadnode.phrases import N_, phrase
from cadnode.web import assessment, region_pages
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.deliveries import OWED, OrderRefused, Orders
from cadnode.web.library import library_bytes
from cadnode.web.node import Node, Unavailable
from cadnode.web.study import State, StudyState
from cadnode.web.templating import STATIC, Templates
from cadnode.web.view_pages import url_of
from cadnode.web.viewing import StudyViews

_WAY: Final = ("arriving", "queued", "reading", "delivering", "done")
_REACHED: Final = {
    State.FETCHING: 0,
    State.RECEIVING: 0,
    State.QUEUED: 1,
    State.READING: 2,
    State.DELIVERING: 3,
}
# The report is one file with its scripts and pictures in it. The sandbox gives it an origin of
# its own: nothing in it can ask the node for anything. It is in English, as it was sent.
_REPORT_HEADERS: Final = {
    "Content-Language": "en",
    "Content-Security-Policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}
_READ: Final = (State.DONE, State.DELIVERING, State.REFUSED)
_FOR_GOOD: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
ORDERED: Final = {
    "retry": N_("It is tried again now."),
    "redeliver": N_("The result is sent again."),
    "reread": N_("It is read once more. The new report replaces the one before."),
    "drop": N_("It is given up. The record says by whom and why."),
}


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


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be ordered of a study: a retry; the destinations to send to again, or to give up.

    `reread`: it is read, and its images are here to be read once more. `drop_failed`: it could not
    be fetched or read, and may be given up as a whole.
    """

    retry: bool
    redeliver: tuple[str, ...]
    drop: tuple[str, ...]
    reread: bool = False
    drop_failed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to order but to read it once more."""
        return not (self.retry or self.redeliver or self.drop or self.drop_failed)


def offer_of(study: StudyState) -> Offer:
    """What makes sense to order of a study in its state."""
    owed = tuple(name for name, word in study.deliveries if word in OWED)
    sent = tuple(name for name, word in study.deliveries if word not in OWED)
    may_reread = study.n_instances > 0 and study.state in _READ
    has_failed = study.state is State.FAILED
    may_retry = bool(owed) or has_failed or study.state is State.DROPPED
    return Offer(may_retry, sent, owed, may_reread, drop_failed=has_failed)


def routes(node: Node, templates: Templates) -> APIRouter:
    """The pages' routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/studies/{name}")
    def study(name: str, request: Request, ordered: str = "", patient: int = 1) -> Response:
        return _study(node, templates, request, name, ordered=ordered, patient=patient)

    @router.get("/studies/{name}/report")
    def report(name: str, request: Request, patient: int = 1) -> Response:
        found = node.page_of(name)
        pages = () if found is None else (found.path, *found.others)
        if not 1 <= patient <= len(pages):
            return templates.page("no_report.html.jinja", caller_of(request), 404)
        try:
            content = pages[patient - 1].read_bytes()
        except FileNotFoundError:  # read anew, removed or erased since it was found
            return templates.page("no_report.html.jinja", caller_of(request), 404)
        return HTMLResponse(content, headers=_REPORT_HEADERS)

    @router.get("/static/{file}")
    async def static(file: str) -> Response:
        if (library := library_bytes(file)) is not None:  # its name has its version in it
            return Response(library, media_type="text/javascript", headers=_FOR_GOOD)
        if file not in STATIC:
            return Response(status_code=404)
        headers = {"Cache-Control": "no-cache"}
        return Response(templates.text(file), media_type=STATIC[file], headers=headers)

    _add_orders(router, node, templates)
    return router


def _add_orders(router: APIRouter, node: Node, templates: Templates) -> None:
    """What an operator orders with a button of a study's page, which is shown again."""

    async def ordered(
        request: Request, name: str, word: str, order: Callable[[Orders, dict[str, str]], object]
    ) -> Response:
        form = form_of(await request.body())
        try:
            if node.orders is None:
                return away(request, templates)
            await run_in_threadpool(order, node.orders, form)
        except OrderRefused as refused:
            return await run_in_threadpool(_study, node, templates, request, name, refused=refused)
        except Unavailable:
            return away(request, templates)
        return RedirectResponse(f"/studies/{quote(name, safe='')}?ordered={word}", 303)

    @router.post("/studies/{name}/retry")
    async def retry(name: str, request: Request) -> Response:
        return await ordered(request, name, "retry", lambda orders, form: orders.retry(name, ""))

    @router.post("/studies/{name}/redeliver")
    async def redeliver(name: str, request: Request) -> Response:
        return await ordered(
            request, name, "redeliver",
            lambda orders, form: orders.redeliver(name, form.get("destination", "")),
        )  # fmt: skip

    @router.post("/studies/{name}/reread")
    async def reread(name: str, request: Request) -> Response:
        by = by_whom(request)
        return await ordered(request, name, "reread", lambda orders, form: orders.reread(name, by))

    @router.post("/studies/{name}/drop")
    async def drop(name: str, request: Request) -> Response:
        by = by_whom(request)
        return await ordered(
            request, name, "drop",
            lambda orders, form: orders.drop(
                name, form.get("destination", ""), by, form.get("reason", "")
            ),
        )  # fmt: skip


def _study(
    node: Node, templates: Templates, request: Request, name: str, *, ordered: str = "",
    refused: OrderRefused | None = None, patient: int = 1,
) -> Response:  # fmt: skip
    """A study's page; with what was ordered of it, or why an order was refused."""
    try:
        state = node.state_of(name)
    except Unavailable:
        return away(request, templates)
    caller = caller_of(request)
    may_order = caller is not None and caller.may_order and node.orders is not None
    context: dict[str, object] = {
        "name": name,
        "study": state,
        "patient": node.patient_of(name),
        "steps": steps(state.state),
        "report": node.page_of(name),
        "offer": offer_of(state) if may_order else None,
        "way": node.way_of(state),
        "ordered": ORDERED.get(ordered, ""),
        "refused": refused,
        "has_priors": node.priors is not None,
    }
    context |= room_of(node, state, name, patient)
    context |= region_pages.context(node, name)
    context |= assessment.context(node, name, caller)
    status = 404 if state.state is State.UNKNOWN or refused else 200
    return templates.page("study.html.jinja", caller, status, **context)


def room_of(node: Node, study: StudyState, name: str, patient: int) -> dict[str, object]:
    """What the page shows of a study's images: of one patient, where it holds those of several."""
    viewing = node.viewing if study.state is not State.UNKNOWN else None
    found = StudyViews() if viewing is None else viewing.views(name)
    shown = min(max(patient, 1), found.n_patients)
    own = found.of_patient(shown)
    room = replace(own, views=tuple(view for view in own.views if not view.why))
    most = max((view.windows for view in room.views), key=len, default=())
    return {
        "room": room,
        "ramp": scale(),
        "not_shown": [view for view in own.views if view.why],
        "maps": list(dict.fromkeys(name for view in room.views for name in view.maps)),
        "windows": [w.label or phrase("Window %(n)s", n=n) for n, w in enumerate(most, start=1)][
            1:
        ],
        "library": "" if viewing is None else viewing.library,
        "views_url": url_of(name),
        "n_patients": found.n_patients,
        "shown_patient": shown,
    }


def away(request: Request, templates: Templates) -> Response:
    """The page that says that the job database does not answer."""
    return templates.page("away.html.jinja", caller_of(request), 503)
