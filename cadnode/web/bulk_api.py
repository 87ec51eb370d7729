"""Routes by which a program has one act done for many studies, in one request."""

from datetime import date
from functools import partial
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cadnode.phrases import N_
from cadnode.web import bulk
from cadnode.web.bulk import BulkAct, BulkDone, BulkOrder
from cadnode.web.caller import by_whom
from cadnode.web.node import Node, Unavailable
from cadnode.web.queue import CURSOR, StudyFilter
from cadnode.web.recording import note, note_each
from cadnode.web.study import KEY, State
from cadnode.web.threads import Threads

_Key = Annotated[str, StringConstraints(pattern=f"^{KEY.pattern}$")]


class BulkFilter(BaseModel):
    """Which studies are meant, in the list that the act is for; `{}`: all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = None
    since: date | None = None
    until: date | None = None
    destination: str = Field("", max_length=32)


class BulkBody(BaseModel):
    """Body of `POST /api/studies/retry`: `studies` are keys; or `filter`, of those that need you.

    `destination`: only what this destination does not have. `after` is that of the answer before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: list[_Key] | None = Field(None, min_length=1, max_length=bulk.MOST_NAMED)
    filter: BulkFilter | None = None
    destination: str = Field("", max_length=32)
    after: str = Field("", pattern=f"^({CURSOR})?$")
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.studies is None) == (self.filter is None):
            raise ValueError("name studies, or a filter, which may be {}: one of the two")
        return self

    def order(self, act: BulkAct, by: str = "", why: str = "") -> BulkOrder:
        """What it asks for."""
        destination = self.destination or (self.filter.destination if self.filter else "")
        return self._order(act, destination, by, why, needs_you=True)

    def _order(
        self, act: BulkAct, destination: str, by: str, why: str, *, needs_you: bool
    ) -> BulkOrder:
        wanted = None
        if self.filter is not None:
            wanted = StudyFilter(needs_you=needs_you, after=self.after, **self.filter.model_dump())
        return BulkOrder(bulk.named(self.studies or ()), wanted, destination, by, why, act)


class BulkDropBody(BulkBody):
    """Body of `POST /api/studies/drop`: the same, and why."""

    reason: str = Field(min_length=1, max_length=200)


class BulkRereadBody(BulkBody):
    """Body of `POST /api/studies/reread`: `filter` is of all studies, and leaves some out."""

    destination: Literal[""] = ""

    @model_validator(mode="after")
    def _leaves_some_out(self) -> Self:
        if self.filter is not None and self.filter == BulkFilter():
            raise ValueError("this would be every study: the filter has to leave some out")
        return self

    def order(self, act: BulkAct, by: str = "", why: str = "") -> BulkOrder:
        """What it asks for."""
        return self._order(act, self.destination, by, why, needs_you=False)


class BulkRedeliverBody(BulkRereadBody):
    """Body of `POST /api/studies/redeliver`: the same, and to which destination."""

    destination: str = Field(min_length=1, max_length=32)  # type: ignore[assignment]


def routes(node: Node, working: Threads) -> APIRouter:
    """The routes."""
    router = APIRouter()

    async def done(request: Request, body: BulkBody, order: BulkOrder, status: int) -> JSONResponse:
        if node.orders is None:
            raise Unavailable(N_("no orders are taken here"), N_("ask the node itself"))
        if body.dry_run:
            n_found = await working.run(partial(bulk.count, node, order))
            note(request, detail="dry run")
            return JSONResponse({"dry_run": True, "count": n_found})
        found = await working.run(partial(bulk.carry_out, node, node.orders, order))
        note_each(request, found.outcomes)
        return JSONResponse(answer_of(found), status)

    @router.post("/api/studies/retry", status_code=202)
    async def retry(body: BulkBody, request: Request) -> JSONResponse:
        """Try many again: the studies named by key, or all that need somebody and fit a filter.

        `count` is how many there are, `done` for how many it was ordered. What there was no time
        for is asked for by the same request with `after`. `dry_run` only counts.
        """
        return await done(request, body, body.order(BulkAct.RETRY), 202)

    @router.post("/api/studies/drop")
    async def drop(body: BulkDropBody, request: Request) -> JSONResponse:
        """Give up what is undelivered of many studies, on purpose: by whom and why is recorded."""
        return await done(
            request, body, body.order(BulkAct.DROP, by_whom(request), body.reason), 200
        )

    @router.post("/api/studies/redeliver", status_code=202)
    async def redeliver(body: BulkRedeliverBody, request: Request) -> JSONResponse:
        """Send the newest results of many studies again to a destination that lost them."""
        return await done(request, body, body.order(BulkAct.REDELIVER), 202)

    @router.post("/api/studies/reread", status_code=202)
    async def reread(body: BulkRereadBody, request: Request) -> JSONResponse:
        """Read many studies once more, with the models that are active now."""
        return await done(request, body, body.order(BulkAct.REREAD, by_whom(request)), 202)

    return router


def answer_of(done: BulkDone) -> dict[str, Any]:
    """For JSON."""
    return {
        "dry_run": False,
        "count": done.n_found,
        "done": done.n_done,
        "refused": [
            {"study": act.study, "error": act.refused.error, "hint": act.refused.hint}
            for act in done.acts
            if act.refused is not None
        ],
        "after": done.after or None,
    }
