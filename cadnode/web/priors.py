"""Routes about the prior exams of a study's woman: the list, a prior's views, and its fetch."""

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from cadnode.audit.event import EventOutcome
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.prior_exams import PriorDesk, PriorExam, PriorList, PriorPictures
from cadnode.web.recording import note_each
from cadnode.web.study import KEY, key_of
from cadnode.web.templating import Templates
from cadnode.web.threads import PIXELS, PRIORS, Threads
from cadnode.web.view_pages import CELLS, View, answer_of, no_image
from cadnode.web.viewing import PixelsOf


def routes(node: Node, templates: Templates) -> APIRouter:
    """The routes; all of them wait in threads of their own, for sources and for pictures."""
    router, asking, showing = APIRouter(include_in_schema=False), Threads(PRIORS), Threads(2)
    pixels = Threads(PIXELS)

    @router.get("/studies/{name}/priors")
    async def priors(name: str, request: Request, show: str = "") -> Response:
        desk, study = _desk(node), key_of(name)
        found = await asking.run(partial(desk.listed, study))
        if _wants_json(request):
            return JSONResponse(found.as_dict())
        shown = _of_key(found, show)
        pictures = None
        if shown is not None and shown.is_here:
            pictures = await showing.run(partial(desk.pictures, study, shown.key))
            _note_both(request, study, shown.key)
        return templates.page(
            "priors.html.jinja",
            caller_of(request),
            name=study,
            found=found,
            shown=shown if pictures else None,
            pictures=pictures,
        )

    @router.get("/studies/{name}/priors/{prior}/views")
    async def views(name: str, prior: str, request: Request) -> Response:
        study, pictures = key_of(name), await _pictures(node, showing, name, prior)
        if not pictures.views and not pictures.n_not_shown:
            return _nothing("there is no such prior exam here")
        _note_both(request, study, prior)
        exam = _of_key(await asking.run(partial(_desk(node).listed, study)), prior)
        url = f"/studies/{study}/priors/{prior}/views"
        return JSONResponse(
            {
                "prior": prior,
                "label": exam.label if exam else "Prior",
                "views": [view.as_dict(url) for view in pictures.views],
                "n_not_shown": pictures.n_not_shown,
            }
        )

    async def answered(
        name: str, prior: str, view: str, make: Callable[[PixelsOf], bytes | None], kind: str,
        request: Request,
    ) -> Response:  # fmt: skip
        if not KEY.fullmatch(prior):
            return no_image()
        find = partial(_desk(node).pixels, key_of(name), prior, view)
        answer = await answer_of(pixels, find, make, kind, request)
        if answer.status_code == 200:
            _note_both(request, key_of(name), prior)
        return answer

    at = "/studies/{name}/priors/{prior}/views/{view}"

    @router.get(f"{at}/preview")
    async def preview(name: str, prior: str, view: View, request: Request) -> Response:
        return await answered(name, prior, view, lambda it: it.preview(), "image/jpeg", request)

    @router.get(f"{at}/grey")
    async def grey(name: str, prior: str, view: View, request: Request) -> Response:
        return await answered(name, prior, view, lambda it: it.grey(), CELLS, request)

    @router.get(f"{at}/tiles/{{level}}/{{x}}_{{y}}")
    async def tile(
        name: str, prior: str, view: View, level: int, x: int, y: int, request: Request
    ) -> Response:
        return await answered(name, prior, view, lambda it: it.tile(level, x, y), CELLS, request)

    @router.post("/studies/{name}/priors/{prior}/fetch")
    async def fetch(name: str, prior: str, request: Request) -> Response:
        done = None
        if KEY.fullmatch(prior):
            done = await asking.run(partial(_desk(node).bring, key_of(name), prior))
        if done is None:
            return _nothing("no source lists such a prior exam of this woman")
        if not done:
            raise Unavailable("too many prior exams wait to be fetched", "try again in a minute")
        if _wants_json(request):
            return JSONResponse({"prior": prior, "state": "fetching"}, 202)
        return RedirectResponse(f"/studies/{quote(key_of(name), safe='')}/priors", 303)

    return router


async def _pictures(node: Node, showing: Threads, name: str, prior: str) -> PriorPictures:
    desk = _desk(node)
    if not KEY.fullmatch(prior):
        return PriorPictures()
    return await showing.run(partial(desk.pictures, key_of(name), prior))


def _desk(node: Node) -> PriorDesk:
    if node.priors is None:
        raise Unavailable("prior exams are not looked for here", "ask the node itself")
    return node.priors


def _of_key(found: PriorList, key: str) -> PriorExam | None:
    return next((one for one in found.priors if one.key == key), None)


def _note_both(request: Request, study: str, prior: str) -> None:
    """Have the trail say that both studies were looked at."""
    note_each(request, [(study, EventOutcome.SUCCESS), (prior, EventOutcome.SUCCESS)])


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _nothing(error: str) -> JSONResponse:
    hint = "GET /studies/{name}/priors lists those that there are"
    return JSONResponse({"error": error, "hint": hint}, 404)
