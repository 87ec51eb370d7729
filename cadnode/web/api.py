"""The HTTP interface: routes for programs in JSON, and the application they belong to."""

from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from cadnode import __version__
from cadnode.receive.identity import is_valid_uid
from cadnode.web import pages
from cadnode.web.access import Access, AccessGate
from cadnode.web.node import Node, Notice, Unavailable, UnknownSource
from cadnode.web.request_log import BodyLimit, RequestLog
from cadnode.web.study import State, StudyState

MOST_LISTED: Final = 500


def _uid(value: str) -> str:
    if not is_valid_uid(value):
        raise ValueError("a UID has digits and dots, 64 characters at most")
    return value


class NoticeBody(BaseModel):
    """Body of `POST /api/studies`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_instance_uid: Annotated[str, AfterValidator(_uid)]
    source: str = Field(min_length=1, max_length=32)
    orthanc_id: str | None = Field(None, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")
    at_once: bool = False


def create(node: Node, access: Access) -> FastAPI:
    """The ASGI application of a node."""
    app = FastAPI(
        title="cadnode", version=__version__, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json",
    )  # fmt: skip
    app.include_router(_routes(node, access))
    app.include_router(pages.routes(node, access))
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)
    # The last one added sees a request first.
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessGate, access=access)
    app.add_middleware(RequestLog)
    return app


def _routes(node: Node, access: Access) -> APIRouter:
    router = APIRouter()

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    def health(request: Request) -> JSONResponse:
        """How the node is; 503 when it cannot do its work. The token shows details."""
        found = node.health()
        answer = found.as_dict(with_details=access.may_look(request.headers))
        return JSONResponse(answer, 200 if found.is_able else 503)

    @router.post("/api/studies", status_code=202)
    def notify(body: NoticeBody, request: Request) -> JSONResponse:
        """Have a study fetched from a source and read."""
        uid = body.study_instance_uid
        request.state.study = uid
        try:
            node.notify(Notice(uid, body.source, body.orthanc_id or "", body.at_once))
        except UnknownSource as error:
            known = ", ".join(error.known) or "none: add a [[sources]] block"
            return error_answer(404, f"there is no source {body.source!r}", f"configured: {known}")
        state = node.state_of(uid)
        answer = {"study_instance_uid": uid, "state": state.state.value, "url": state.url}
        return JSONResponse(answer, 202)

    @router.get("/api/studies")
    def recent(limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50) -> JSONResponse:
        """The studies that changed last, the newest first; nothing in it names a patient."""
        return JSONResponse({"studies": [state.as_row() for state in node.recent(limit)]})

    @router.get("/api/studies/{name}")
    def study(name: str) -> JSONResponse:
        """Where a study is; status 404 and state "unknown" when the node never heard of it."""
        state = node.state_of(name)
        return _unknown(state) if state.state is State.UNKNOWN else JSONResponse(state.as_dict())

    return router


def error_answer(status: int, error: str, hint: str) -> JSONResponse:
    """An error as JSON: what is wrong, and what to do."""
    return JSONResponse({"error": error, "hint": hint}, status)


def _unknown(state: StudyState) -> JSONResponse:
    answer = {
        "error": "the node has never received anything of this study",
        "hint": "send it by C-STORE, or ask for it by POST /api/studies",
    }
    return JSONResponse({**state.as_dict(), **answer}, 404)


def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unavailable)
    return error_answer(503, str(error), error.hint)


def _bad_request(_request: Request, error: Exception) -> JSONResponse:
    """Which field is wrong and why, without its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    why = first["msg"].removeprefix("Value error, ")
    return error_answer(422, f"{where}: {why}", "docs/web.md shows what to send")


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    hint = "docs/web.md lists the routes" if error.status_code in (404, 405) else ""
    return error_answer(error.status_code, str(error.detail).lower(), hint)
