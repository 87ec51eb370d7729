"""The list of studies for people: filtered, page by page, and searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from cadnode.web import bulk_pages
from cadnode.web.bulk import BulkAct
from cadnode.web.bulk_pages import BulkList
from cadnode.web.caller import caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import FilterWrong, StudyFilter, StudyPage, filter_of
from cadnode.web.study import State
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

_FILTERS: Final = ("state", "needs_you", "since", "until")
LIST: Final = BulkList("/", "/list", tuple(BulkAct), _FILTERS, filter_of, is_whole=True)


@dataclass(frozen=True, slots=True)
class StateChoice:
    """A state that the list can be narrowed to, and how many studies are in it."""

    state: State
    count: int


def choices(page: StudyPage) -> list[StateChoice]:
    """The states that there are studies in, on the way of a study."""
    return [StateChoice(state, page.counts[state]) for state in State if page.counts.get(state)]


def routes(node: Node, templates: Templates, working: Threads) -> APIRouter:
    """The list's routes."""
    router = APIRouter(include_in_schema=False)

    def page(request: Request, query: QueryParams) -> Response:
        fields = {name: query.get(name, "") for name in (*_FILTERS, "after")}
        return _list(node, templates, request, fields, query)

    @router.get("/")
    def listed(request: Request) -> Response:
        return page(request, request.query_params)

    bulk_pages.add_routes(router, LIST, node, templates, working, page)

    @router.post("/search")
    async def search(request: Request) -> Response:
        form = form_of(await request.body())
        fields = {name: form.get(name, "") for name in ("text", "after")}
        return await run_in_threadpool(_list, node, templates, request, fields, QueryParams())

    return router


def _list(
    node: Node, templates: Templates, request: Request, fields: Mapping[str, str],
    query: QueryParams,
) -> Response:  # fmt: skip
    """The page of what the fields ask for; without a study where they make no sense, and why."""
    wrong: FilterWrong | None = None
    try:
        wanted = filter_of(fields)
    except FilterWrong as error:
        wanted, wrong = StudyFilter(), error
    try:
        page = node.listed(wanted) if wrong is None else StudyPage(())
        health = node.health()
        acts = bulk_pages.context(LIST, node, request, query, wanted)
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
        **acts,
    )


def _address(fields: Mapping[str, str]) -> str:
    """Of a part of the list: never with what was searched for, which names a patient."""
    kept = {name: fields.get(name, "") for name in _FILTERS}
    after = {"after": fields["after"]} if fields.get("after") and "text" not in fields else {}
    return "/?" + urlencode({name: word for name, word in (kept | after).items() if word})
