"""Routes about the prior exams of a study's woman: the list, a prior's views, and its fetch."""

import re
from functools import partial
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from cadnode.audit.event import Outcome
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.prior_exams import PriorDesk, PriorExam, PriorList, PriorPictures, PriorView
from cadnode.web.recording import note_each
from cadnode.web.study import KEY, key_of
from cadnode.web.templating import Templates
from cadnode.web.threads import PRIORS, Threads

_VIEW: Final = re.compile(r"[0-9a-f]{16}")


def routes(node: Node, templates: Templates) -> APIRouter:
    """The routes; all of them wait in threads of their own, for sources and for pictures."""
    router, asking, showing = APIRouter(include_in_schema=False), Threads(PRIORS), Threads(2)

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
        views = [_as_dict(study, prior, view) for view in pictures.views]
        return JSONResponse({"prior": prior, "views": views, "n_not_shown": pictures.n_not_shown})

    @router.get("/studies/{name}/priors/{prior}/views/{view}/preview")
    async def preview(name: str, prior: str, view: str, request: Request) -> Response:
        picture = None
        if KEY.fullmatch(prior) and _VIEW.fullmatch(view):
            show = partial(_desk(node).preview, key_of(name), prior, view)
            picture = await showing.run(show)
        if picture is None:
            return _nothing("there is no such view, or its pixels cannot be shown")
        _note_both(request, key_of(name), prior)
        return Response(picture, media_type="image/png")

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


def _as_dict(study: str, prior: str, view: PriorView) -> dict[str, object]:
    """A view for scripts, under the URL where its pixels are."""
    url = f"/studies/{study}/priors/{prior}/views/{view.key}"
    return {
        "view": view.key,
        "name": view.name,
        "laterality": view.laterality,
        "position": view.view,
        "rows": view.rows,
        "columns": view.columns,
        "photometric": view.photometric,
        "spacing_mm": view.spacing_mm,
        "url": url,
        "preview": f"{url}/preview",
    }


def _note_both(request: Request, study: str, prior: str) -> None:
    """Have the trail say that both studies were looked at."""
    note_each(request, [(study, Outcome.SUCCESS), (prior, Outcome.SUCCESS)])


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _nothing(error: str) -> JSONResponse:
    hint = "GET /studies/{name}/priors lists those that there are"
    return JSONResponse({"error": error, "hint": hint}, 404)
