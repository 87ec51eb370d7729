"""The HTTP interface: routes for programs in JSON, and the application they belong to."""

from dataclasses import replace
from datetime import date
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cadnode import __version__
from cadnode.audit.event import Recorder
from cadnode.domain import Priority
from cadnode.phrases import N_
from cadnode.receive.identity import is_valid_uid
from cadnode.web import (
    bulk_api,
    choice,
    destination_pages,
    log_page,
    login,
    model_pages,
    monitoring,
    needs_you,
    outcome_pages,
    pages,
    priors,
    quality_page,
    queue_pages,
    refusals,
    region_pages,
    remote_routes,
    rights,
    settings_page,
    uploads,
    verdict_routes,
    view_pages,
)
from cadnode.web.access import Access, AccessGate
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import CsrfGate
from cadnode.web.deliveries import STATES, DeliveryFilter, OrderRefused, Orders
from cadnode.web.node import Node, Notice, Unavailable, UnknownSource
from cadnode.web.queue import (
    CURSOR,
    MOST_ROWS,
    MOST_TEXT,
    PAGE_ROWS,
    FilterWrong,
    StudyFilter,
    filter_of,
)
from cadnode.web.recording import NoRecorder, Recording
from cadnode.web.regions import RegionRefused
from cadnode.web.request_log import BodyLimit, RequestLog
from cadnode.web.study import State, StudyState
from cadnode.web.templating import Templates
from cadnode.web.threads import BULK, HEALTH, Threads

MOST_DELIVERIES: Final = 10_000


def _uid(value: str) -> str:
    if not is_valid_uid(value):
        raise ValueError("a UID has digits and dots, 64 characters at most")
    return value


class NoticeBody(BaseModel):
    """Body of `POST /api/studies`; without a source: of a study that is here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_instance_uid: Annotated[str, AfterValidator(_uid)]
    source: str | None = Field(None, min_length=1, max_length=32)
    orthanc_id: str | None = Field(None, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")
    at_once: bool = False
    priority: Priority | None = None


class OrderBody(BaseModel):
    """Body of `POST /api/studies/{name}/retry`; without a destination: all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destination: str | None = Field(None, min_length=1, max_length=32)


class RedeliverBody(BaseModel):
    """Body of `POST /api/studies/{name}/redeliver`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destination: str = Field(min_length=1, max_length=32)


class DropBody(OrderBody):
    """Body of `POST /api/studies/{name}/drop`."""

    reason: str = Field(min_length=1, max_length=200)


class SearchBody(BaseModel):
    """Body of `POST /api/studies/search`: all words of `text` are in name, numbers or key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=MOST_TEXT)
    state: State | None = None
    needs_you: bool = False
    since: date | None = None
    until: date | None = None
    after: str = Field("", pattern=f"^({CURSOR})?$")
    limit: int = Field(PAGE_ROWS, ge=1, le=MOST_ROWS)


def create(
    node: Node, access: Access, recorder: Recorder | None = None, language: str = "en"
) -> FastAPI:
    """The ASGI application of a node; `recorder` is told who did what, None: nobody is.

    `language` is that of pages for whom neither a cookie nor the browser names one.

    Raises
    ------
    LookupError
        A route has no row in `cadnode.web.rights`.
    """
    templates, bulk_acts = Templates(), Threads(BULK)
    app = FastAPI(
        title="cadnode", version=__version__, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,  # they would lead to whatever host a request names
    )  # fmt: skip
    app.include_router(_routes(node))
    app.include_router(monitoring.routes(node))
    app.include_router(bulk_api.routes(node, bulk_acts))
    app.include_router(queue_pages.routes(node, templates, bulk_acts))
    app.include_router(uploads.routes(node, templates))
    app.include_router(needs_you.routes(node, templates, bulk_acts))
    app.include_router(region_pages.routes(node, templates))
    app.include_router(pages.routes(node, templates))
    app.include_router(view_pages.routes(node))
    app.include_router(priors.routes(node, templates))
    app.include_router(verdict_routes.routes(node, templates))
    app.include_router(destination_pages.routes(node, templates))
    app.include_router(model_pages.routes(node, templates))
    app.include_router(quality_page.routes(node, templates))
    app.include_router(outcome_pages.routes(node, templates))
    app.include_router(settings_page.routes(node, templates))
    app.include_router(log_page.routes(node, templates))
    app.include_router(remote_routes.routes(node))
    app.include_router(login.routes(access, templates))
    app.include_router(choice.routes(access))
    rights.check(app.routes)
    # Handlers are coroutines: plain functions would wait for a thread that slow pages have.
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(OrderRefused, _order_refused)
    app.add_exception_handler(RegionRefused, _region_refused)
    app.add_exception_handler(FilterWrong, _filter_wrong)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, partial(_http_error, templates))
    # The last one added sees a request first.
    app.add_middleware(CsrfGate, templates=templates)
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessGate, access=access, templates=templates)
    app.add_middleware(Recording, recorder=recorder or NoRecorder())
    app.add_middleware(RequestLog, is_secure=access.is_secure)
    app.add_middleware(choice.Languages, default=language)
    return app


def _routes(node: Node) -> APIRouter:
    router, looking = APIRouter(), Threads(HEALTH)

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    async def health(request: Request) -> JSONResponse:
        """How the node is; 503 when it cannot do its work. Who is known sees details."""
        found = await looking.run(node.health)
        answer = found.as_dict(with_details=caller_of(request) is not None)
        return JSONResponse(answer, 200 if found.is_able else 503)

    @router.post("/api/studies", status_code=202)
    def notify(body: NoticeBody, request: Request) -> JSONResponse:
        """Have a study fetched from a source and read; without a source: what failed of it again.

        A reading that failed is tried once more, and what is undelivered is sent now. `priority`
        is how soon it is read among others; what is asked for at once is urgent.
        """
        uid = body.study_instance_uid
        request.state.study = uid
        if body.source is None:
            _orders(node).retry(uid, "")
            return _accepted(node, uid)
        try:
            orthanc_id = body.orthanc_id or ""
            node.notify(Notice(uid, body.source, orthanc_id, body.at_once, body.priority))
        except UnknownSource as error:
            known = ", ".join(error.known) or "none: add a [[sources]] block"
            return error_answer(404, f"there is no source {body.source!r}", f"configured: {known}")
        return _accepted(node, uid)

    @router.get("/api/studies/{name}")
    def study(name: str) -> JSONResponse:
        """Where a study is, and its way; 404 and "unknown" when the node never heard of it."""
        state = node.state_of(name)
        if state.state is State.UNKNOWN:
            return _unknown(state)
        return JSONResponse(state.as_dict() | {"way": node.way_of(state).as_dict()})

    _add_lists(router, node)
    _add_orders(router, node)
    return router


def _add_lists(router: APIRouter, node: Node) -> None:
    """Routes by which the node's studies are listed and searched."""

    def answer(wanted: StudyFilter) -> JSONResponse:
        page = node.listed(wanted)
        rows = [row.study.as_row() for row in page.rows]
        return JSONResponse(
            {"studies": rows, "after": page.after or None, "complete": page.is_complete}
        )

    @router.get("/api/studies")
    def listed(
        state: Annotated[State | None, Query()] = None,
        needs_you: Annotated[bool, Query()] = False,
        since: Annotated[str, Query(max_length=10)] = "",
        until: Annotated[str, Query(max_length=10)] = "",
        after: Annotated[str, Query(pattern=f"^({CURSOR})?$")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = PAGE_ROWS,
    ) -> JSONResponse:
        """The studies, the one that changed last first; nothing in it names a patient.

        `since` and `until` are days (2026-03-04) on which it changed last. `after` is that of the
        answer before, and asks for those that follow. `needs_you`: those alone that do not go on by
        themselves. `complete` is false while the node still looks through its studies.
        """
        days = {"since": since, "until": until}
        wanted = filter_of({**days, "after": after}, limit)
        return answer(replace(wanted, state=state, needs_you=needs_you))

    @router.post("/api/studies/search")
    def search(body: SearchBody) -> JSONResponse:
        """The same, by words of a patient's name, by her number, an accession number, key or UID.

        They are sent in the body, because addresses are kept in logs and histories.
        """
        return answer(StudyFilter(**body.model_dump()))


def _add_orders(router: APIRouter, node: Node) -> None:
    """Routes by which an operator deals with what is undelivered."""

    @router.get("/api/deliveries")
    def deliveries(
        state: Annotated[Literal[STATES], Query()] = "undelivered",  # type: ignore[valid-type]
        destination: Annotated[str, Query(max_length=32)] = "",
        older_than_h: Annotated[float, Query(ge=0)] = 0.0,
        limit: Annotated[int, Query(ge=1, le=MOST_DELIVERIES)] = 500,
    ) -> JSONResponse:
        """Deliveries and why they did not arrive, the oldest first; nothing names a patient."""
        wanted = DeliveryFilter(state, destination, older_than_h * 3600)
        found = _orders(node).listed(wanted)
        rows = [one.as_dict() for one in found[:limit]]
        return JSONResponse({"count": len(found), "deliveries": rows})

    @router.post("/api/studies/{name}/retry", status_code=202)
    def retry(name: str, body: OrderBody | None = None) -> JSONResponse:
        """Read again what failed, and deliver now what is undelivered."""
        destination = (body and body.destination) or ""
        return JSONResponse(_orders(node).retry(name, destination).as_dict(), 202)

    @router.post("/api/studies/{name}/redeliver", status_code=202)
    def redeliver(name: str, body: RedeliverBody) -> JSONResponse:
        """Send the study's newest result again to a destination."""
        return JSONResponse(_orders(node).redeliver(name, body.destination).as_dict(), 202)

    @router.post("/api/studies/{name}/reread", status_code=202)
    def reread(name: str, request: Request) -> JSONResponse:
        """Read a study once more that is read, with the models that are active now."""
        return JSONResponse(_orders(node).reread(name, by_whom(request)).as_dict(), 202)

    @router.post("/api/studies/{name}/drop")
    def drop(name: str, body: DropBody, request: Request) -> JSONResponse:
        """Give up what is undelivered, on purpose: it is recorded by whom and why."""
        orders = _orders(node)
        done = orders.drop(name, body.destination or "", by_whom(request), body.reason)
        return JSONResponse(done.as_dict())


def _orders(node: Node) -> Orders:
    if node.orders is None:
        raise Unavailable(N_("no orders are taken here"), N_("ask the node itself"))
    return node.orders


def _accepted(node: Node, uid: str) -> JSONResponse:
    state = node.state_of(uid)
    answer = {"study_instance_uid": uid, "state": state.state.value, "url": state.url}
    return JSONResponse(answer, 202)


def error_answer(status: int, error: str, hint: str) -> JSONResponse:
    """An error as JSON: what is wrong, and what to do."""
    return JSONResponse({"error": error, "hint": hint}, status)


def _unknown(state: StudyState) -> JSONResponse:
    answer = {
        "error": "the node has never received anything of this study",
        "hint": "send it by C-STORE, or ask for it by POST /api/studies",
    }
    return JSONResponse({**state.as_dict(), **answer}, 404)


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unavailable)
    return error_answer(503, str(error), error.hint)


async def _order_refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OrderRefused)
    return error_answer(404, error.error, error.hint)


async def _region_refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RegionRefused)
    return error_answer(error.status, error.error, error.hint)


async def _filter_wrong(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FilterWrong)
    return error_answer(422, error.error, error.hint)


async def _bad_request(_request: Request, error: Exception) -> JSONResponse:
    """Which field is wrong and why, without its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    why = first["msg"].removeprefix("Value error, ")
    return error_answer(422, f"{where}: {why}", "docs/web.md shows what to send")


async def _http_error(templates: Templates, request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and refusals.wants_page(request.scope):
        caller = request.scope.get("state", {}).get("caller")
        return templates.page("missing.html.jinja", caller, 404)
    hint = "docs/web.md lists the routes" if error.status_code in (404, 405) else ""
    return error_answer(error.status_code, str(error.detail).lower(), hint)
