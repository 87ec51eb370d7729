"""Routes of a study's assessment: its table by itself, and what readers say of findings."""

import time
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from cadnode.phrases import N_
from cadnode.web import assessment
from cadnode.web.caller import caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.reader_verdicts import (
    ReaderVerdict,
    VerdictBook,
    VerdictWord,
    about_finding,
    counting,
)
from cadnode.web.recording import note
from cadnode.web.study import State, key_of
from cadnode.web.templating import Templates
from cadnode.web.threads import VERDICTS, Threads


class VerdictBody(BaseModel):
    """Body of `POST /api/studies/{name}/verdicts`.

    `content` is that of `GET`: the result that the reader looked at. `finding` and `patient` are
    counted from 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: VerdictWord
    finding: Annotated[int, Field(ge=1, le=100_000)]
    content: str = Field(min_length=1, max_length=128)
    patient: Annotated[int, Field(ge=1, le=100_000)] = 1


def routes(node: Node, templates: Templates) -> APIRouter:
    """The routes."""
    router, writing = APIRouter(), Threads(VERDICTS)

    @router.get("/studies/{name}/assessment", include_in_schema=False)
    def table(name: str, request: Request) -> Response:
        return _page(node, templates, request, name)

    @router.post("/studies/{name}/verdicts", include_in_schema=False)
    async def judge(name: str, request: Request) -> Response:
        form = form_of(await request.body())
        try:
            body = VerdictBody.model_validate(
                {key: value for key, value in form.items() if key != "csrf"}
            )
            await writing.run(partial(_add, node, request, name, body))
        except ValueError:
            refused = OrderRefused(N_("the form was not whole"), N_("load the page again"))
            return await run_in_threadpool(_page, node, templates, request, name, refused)
        except OrderRefused as error:
            return await run_in_threadpool(_page, node, templates, request, name, error)
        except Unavailable:
            return away(request, templates)
        return RedirectResponse(f"/studies/{quote(name, safe='')}/assessment", 303)

    @router.get("/api/studies/{name}/verdicts")
    def verdicts(name: str) -> JSONResponse:
        """What readers said of the study's findings, the first first; the last on each counts.

        `content` is the newest result's, which a verdict has to name.
        """
        said = _book(node).of_study(name)
        readings = node.readings_of(name)
        if not said and not readings:
            _known(node, name)
        rows = [
            {**one.as_dict(), "counts": does}
            for one, does in zip(said, counting(said), strict=True)
        ]
        content = readings[0].content if readings else None
        return JSONResponse({"study": key_of(name), "content": content, "verdicts": rows})

    @router.post("/api/studies/{name}/verdicts", status_code=201)
    async def add(name: str, body: VerdictBody, request: Request) -> JSONResponse:
        """Accept or reject a finding, or take back what was said; the last word counts."""
        said = await writing.run(partial(_add, node, request, name, body))
        return JSONResponse(said.as_dict(), 201)

    return router


def _page(
    node: Node, templates: Templates, request: Request, name: str,
    refused: OrderRefused | None = None,
) -> Response:  # fmt: skip
    """The table on a page of its own."""
    try:
        state = node.state_of(name)
    except Unavailable:
        return away(request, templates)
    caller = caller_of(request)
    return templates.page(
        "assessment.html.jinja",
        caller,
        404 if state.state is State.UNKNOWN or refused else 200,
        name=name,
        study=state,
        patient=node.patient_of(name),
        refused=refused,
        **assessment.context(node, name, caller),
    )


def _add(node: Node, request: Request, name: str, body: VerdictBody) -> ReaderVerdict:
    """Keep a verdict on a finding of the newest result; a later one was not looked at."""
    note(request, detail=body.verdict.value)
    book, caller = _book(node), caller_of(request)
    reading = next((r for r in node.readings_of(name) if r.patient == body.patient), None)
    if reading is None:
        _known(node, name)
        raise OrderRefused(N_("the study has no result"), N_("wait until it is read"))
    if reading.content != body.content:
        raise OrderRefused(N_("the study has been read again since"), N_("look at the new result"))
    said = about_finding(
        reading.result.findings, body.finding, body.verdict,
        at=time.time(), by=caller.identity.name if caller else "unknown",
        content=body.content, patient=body.patient,
        is_person=caller is not None and caller.identity.is_person,
    )  # fmt: skip
    book.add(name, said)
    return said


def _book(node: Node) -> VerdictBook:
    if node.verdicts is None:
        raise Unavailable(N_("no verdicts are kept here"), N_("ask the node itself"))
    return node.verdicts


def _known(node: Node, name: str) -> None:
    """Raise `OrderRefused` where the node never heard of the study."""
    if node.state_of(name).state is State.UNKNOWN:
        raise OrderRefused(
            N_("the node has never received anything of this study"),
            N_("name it by its key or UID"),
        )
