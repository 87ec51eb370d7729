"""The routes of remote workers (`cadnode serve --role remote-worker`, docs/scale.md)."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Header, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from cadnode.audit.event import EventOutcome
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.recording import note_each
from cadnode.web.remote import RemoteMachine, RemoteReadings
from cadnode.web.threads import REMOTE, Threads

MACHINE: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
SHA256: Final = "X-Content-SHA256"
_DIGEST: Final = r"^[0-9a-f]{64}$"
_OVER: Final = {
    "error": "this reading is not this machine's any more",
    "hint": "another one reads it, or it was read: ask for the next",
}
_T = TypeVar("_T")


class _Damaged(Exception):
    """A body is not what its header states."""


class MachineBody(BaseModel):
    """Who asks for readings, or takes one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str = Field(pattern=MACHINE)
    version: str = Field(min_length=1, max_length=32)
    digest: str = Field(pattern=_DIGEST)

    def asking(self, request: Request) -> RemoteMachine:
        """As the node knows it: with the name of its token."""
        return RemoteMachine(self.machine, self.version, self.digest, _token(request))


class ReturnBody(BaseModel):
    """Why a reading is given back: it failed there, or the machine stops."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    has_failed: bool


def routes(node: Node) -> APIRouter:
    """Exams to read, their images, and what was read."""
    router, threads = APIRouter(include_in_schema=False), Threads(REMOTE)

    async def asked(ask: Callable[[RemoteReadings], _T]) -> _T:
        remote = node.remote
        if remote is None:
            raise Unavailable("this node has no remote workers", "set remote.workers")
        try:
            return await threads.run(lambda: ask(remote))
        except OSError:
            raise Unavailable("the node's disk takes nothing", "is it full?") from None

    @router.post("/api/remote/readings")
    async def open_readings(body: MachineBody, request: Request) -> JSONResponse:
        """The readings that a machine may have, the most urgent first, or why it gets none."""
        asks = body.asking(request)
        found = await asked(lambda it: it.open_for(asks))
        return JSONResponse(found.as_dict())

    @router.post("/api/remote/readings/{reading}/claim")
    async def claim(reading: str, body: MachineBody, request: Request) -> JSONResponse:
        """Have a reading: names and sizes of its files. 409 where somebody else has it."""
        asks = body.asking(request)
        found = await asked(lambda it: it.claim(reading, asks))
        if found is None:
            return JSONResponse(_OVER, 409)
        request.state.study = found.study
        return JSONResponse(found.as_dict())

    @router.put("/api/remote/claims/{claim}")
    async def keeps(claim: str, request: Request) -> Response:
        """Say that the reading goes on. 410 where it is not this machine's any more."""
        study = await asked(lambda it: it.keeps(claim, _token(request)))
        if study is None:
            return JSONResponse(_OVER, 410)
        request.state.study = study
        return JSONResponse({"claim": claim})

    @router.get("/api/remote/claims/{claim}/images/{image}")
    async def image(claim: str, image: str, request: Request) -> Response:
        """A file of the reading, as received, and its SHA-256 as a header."""
        found = await asked(lambda it: it.image(claim, _token(request), image))
        if found is None:
            return JSONResponse(_OVER, 410)
        request.state.study = found.study
        headers = {SHA256: found.sha256}
        return FileResponse(found.path, headers=headers, media_type="application/dicom")

    @router.post("/api/remote/claims/{claim}/result")
    async def result(
        claim: str,
        request: Request,
        x_content_sha256: Annotated[str, Header(pattern=_DIGEST)],
    ) -> Response:
        """Take what was read: a zip file, whose SHA-256 the header states. 422 where it differs."""
        parcel, token = await request.body(), _token(request)

        def take(remote: RemoteReadings) -> str | None:
            if hashlib.sha256(parcel).hexdigest() != x_content_sha256:
                raise _Damaged
            return remote.take(claim, token, parcel)

        try:
            study = await asked(take)
        except _Damaged:
            error = {"error": "it did not arrive as it was sent", "hint": "send it again"}
            return JSONResponse(error, 422)
        if study is None:
            return JSONResponse(_OVER, 410)
        note_each(request, [(study, EventOutcome.SUCCESS)])
        return JSONResponse({"claim": claim})

    @router.post("/api/remote/claims/{claim}/failure")
    async def failure(claim: str, body: ReturnBody, request: Request) -> Response:
        """Give a reading back that is not made there: the node or another machine reads it."""
        study = await asked(lambda it: it.give_up(claim, _token(request), body.has_failed))
        if study is None:
            return JSONResponse(_OVER, 410)
        note_each(request, [(study, EventOutcome.FAILURE)])
        return JSONResponse({"claim": claim})

    return router


def _token(request: Request) -> str:
    """The name of the token that the machine shows."""
    caller = caller_of(request)
    return "" if caller is None else caller.identity.name
