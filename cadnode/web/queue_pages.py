"""The list of studies for people: filtered, page by page, and searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from cadnode.web.caller import caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import FilterWrong, StudyFilter, StudyPage, filter_of
from cadnode.web.study import State
from cadnode.web.templating import Templates

_FILTERS: Final = ("state", "needs_you", "since", "until")


@dataclass(frozen=True, slots=True)
class StateChoice:
    """A state that the list can be narrowed to, and how many studies are in it."""

    state: State
    count: int


def choices(page: StudyPage) -> list[StateChoice]:
    """The states that there are studies in, on the way of a study."""
    return [StateChoice(state, page.counts[state]) for state in State if page.counts.get(state)]


def routes(node: Node, templates: Templates) -> APIRouter:
    """The list's routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def listed(request: Request) -> Response:
        fields = {name: request.query_params.get(name, "") for name in (*_FILTERS, "after")}
        return _list(node, templates, request, fields)

    @router.post("/search")
    async def search(request: Request) -> Response:
        form = form_of(await request.body())
        fields = {name: form.get(name, "") for name in ("text", "after")}
        return await run_in_threadpool(_list, node, templates, request, fields)

    return router


def _list(
    node: Node, templates: Templates, request: Request, fields: Mapping[str, str]
) -> Response:
    """The page of what the fields ask for; without a study where they make no sense, and why."""
    wrong: FilterWrong | None = None
    try:
        wanted = filter_of(fields)
    except FilterWrong as error:
        wanted, wrong = StudyFilter(), error
    try:
        page = node.listed(wanted) if wrong is None else StudyPage(())
        health = node.health()
    except Unavailable:
        return away(request, templates)
    return templates.page(
        "recent.html.jinja",
        caller_of(request),
        422 if wrong else 200,
        wanted=wanted,
        wrong=wrong,
        page=page,
        choices=choices(page),
        health=health,
        first=_address({**fields, "after": ""}),
        older=_address({**fields, "after": page.after}) if page.after else "",
    )


def _address(fields: Mapping[str, str]) -> str:
    """Of a part of the list: never with what was searched for, which names a patient."""
    kept = {name: fields.get(name, "") for name in _FILTERS}
    after = {"after": fields["after"]} if fields.get("after") and "text" not in fields else {}
    return "/?" + urlencode({name: word for name, word in (kept | after).items() if word})
