"""Routes by which a region of a view is asked about, and its answer is seen: JSON and pages."""

from typing import Any, Final, Self
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from cadnode.phrases import N_
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.regions import (
    MOST_POINTS,
    AskedRegion,
    RegionDraft,
    RegionList,
    RegionRefused,
    Regions,
)
from cadnode.web.study import KEY
from cadnode.web.templating import Templates

_FARTHEST: Final = 1e6  # pixels; where the image ends is checked with the image
_FORM_HINT: Final = N_(
    "choose a view, and give whole numbers of pixels: left and top edge, then right and bottom edge"
)
_SYSTEMS: Final = {
    "kim2018": N_("whole view (kim2018)"),
    "kang2021": N_("region networks (kang2021)"),
    "helsinki_dtl": N_("region network (helsinki_dtl)"),
    "wang2016": N_("shape and calcifications (wang2016)"),
}


class RegionBody(BaseModel):
    """Body of `POST /api/studies/{name}/regions`: a view, and either a box or an outline.

    `view` is the key of the view's file. `box` is x0, y0, x1, y1, `outline` a list of x, y, in
    pixels of the image as stored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    view: str = Field(pattern=f"^{KEY.pattern}$")
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    outline: list[tuple[FiniteFloat, FiniteFloat]] | None = Field(
        None, min_length=3, max_length=MOST_POINTS
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.box is None) == (self.outline is None):
            raise ValueError("give either box (x0, y0, x1, y1) or outline ([[x, y], …])")
        numbers = [*(self.box or ()), *(n for point in self.outline or () for n in point)]
        if any(abs(number) > _FARTHEST for number in numbers):
            raise ValueError("positions are pixels of the image")
        return self

    def draft(self) -> RegionDraft:
        """What was drawn."""
        if self.box is not None:
            return box_draft(self.view, *self.box)
        return RegionDraft(self.view, tuple(self.outline or ()), is_box=False)


def box_draft(view: str, x0: float, y0: float, x1: float, y1: float) -> RegionDraft:
    """A box by two opposite corners, whichever they are."""
    (left, right), (top, bottom) = sorted((x0, x1)), sorted((y0, y1))
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return RegionDraft(view, corners, is_box=True)


def context(node: Node, name: str) -> dict[str, Any]:
    """What `study_regions.html.jinja` shows of a study."""
    found = RegionList() if node.regions is None else node.regions.of_study(name)
    return {"region_list": found, "region_systems": _SYSTEMS}


def routes(node: Node, templates: Templates) -> APIRouter:
    """The routes, of programs and of pages."""
    router = APIRouter()

    @router.post("/api/studies/{name}/regions", status_code=202)
    def ask(name: str, body: RegionBody, request: Request) -> JSONResponse:
        """Have a region of a view assessed by every system, before the next view is read.

        202 where it is new, 200 where the same region was asked about before. The answer is found
        by GET, and as a structured report at the destinations.
        """
        asked = _regions(node).ask(name, body.draft(), by_whom(request))
        return JSONResponse(_as_dict(asked), 202 if asked.is_new else 200)

    @router.get("/api/studies/{name}/regions")
    def listed(name: str) -> JSONResponse:
        """The regions of a study that were asked about, the newest first, and their answers."""
        found = _regions(node).of_study(name)
        views = [{"view": key, "name": words} for key, words in found.views]
        rows = [region.as_dict() for region in found.regions]
        return JSONResponse({"regions": rows, "views": views})

    _add_pages(router, node, templates)
    return router


def _add_pages(router: APIRouter, node: Node, templates: Templates) -> None:
    @router.get("/studies/{name}/regions", include_in_schema=False)
    def part(name: str, request: Request) -> HTMLResponse:
        """The part of a study's page that shows regions, alone: its script renews it."""
        return templates.page(
            "study_regions.html.jinja", caller_of(request), name=name, **context(node, name)
        )

    @router.post("/studies/{name}/regions", include_in_schema=False)
    async def ask(name: str, request: Request) -> Response:
        """A form with four numbers: what works without the viewer, and without scripts."""
        form, who = form_of(await request.body()), by_whom(request)
        try:
            draft = _of_form(form)
            await run_in_threadpool(_regions(node).ask, name, draft, who)
        except RegionRefused as refused:
            return templates.page(
                "region_refused.html.jinja", caller_of(request), refused.status,
                name=name, error=refused.error, hint=refused.hint,
            )  # fmt: skip
        except Unavailable:
            return templates.page("away.html.jinja", caller_of(request), 503)
        return RedirectResponse(f"/studies/{quote(name, safe='')}#regions", 303)


def _of_form(form: dict[str, str]) -> RegionDraft:
    """Raises `RegionRefused` where a number is missing or none."""
    view = form.get("view", "")
    try:
        x0, y0, x1, y1 = (int(form.get(edge, "")) for edge in ("x0", "y0", "x1", "y1"))
    except ValueError:
        raise RegionRefused(422, N_("the region has not four numbers"), _FORM_HINT) from None
    if not KEY.fullmatch(view) or max(map(abs, (x0, y0, x1, y1))) > _FARTHEST:
        raise RegionRefused(422, N_("the region names no place in a view"), _FORM_HINT)
    return box_draft(view, x0, y0, x1, y1)


def _regions(node: Node) -> Regions:
    if node.regions is None:
        raise Unavailable(N_("no regions are assessed here"), N_("ask the node itself"))
    return node.regions


def _as_dict(asked: AskedRegion) -> dict[str, Any]:
    worker = "running" if asked.is_running else "stopped"
    return {**asked.region.as_dict(), "worker": worker}
