"""The page of what needs somebody: studies that do not go on by themselves, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import QueryParams

from cadnode.phrases import N_
from cadnode.web import bulk_pages
from cadnode.web.bulk import BulkAct
from cadnode.web.bulk_pages import BulkList
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import FilterWrong, StudyFilter, StudyPage, StudyRow, filter_of
from cadnode.web.study import State, StudyState
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

LISTED: Final = 100
DELIVERY_ADVICE: Final = {
    "refused": N_(
        "Mend at the destination what it refuses (its title for this node, rights, kinds of "
        "objects; `cadnode check` asks it), then try again. What shall never go there: give it up."
    ),
    "given_up": N_("See that the destination is up and reached (`cadnode check`), then try again."),
}
ADVICE: Final = {
    "reading_failed": N_(
        "The node's log says how it failed, by the study's key; once that is mended, "
        "try again. What is not to be read: give it up."
    ),
    "reading_kills_worker": N_(
        "It is not read by itself any more. Look at the study in a viewer; try "
        "again after an update, or report it with the log."
    ),
    "reading_hangs_worker": N_(
        "It is not read by itself any more. Try again when the machine has less to "
        "do, or raise `reading.longest_per_image_s`."
    ),
    "reading_needs_memory": N_(
        "It is not read by itself any more. Give the node more memory, then try again."
    ),
    "result_removed": N_("Its images are here: try again, and it is read once more."),
    "unknown_study": N_("See that the source has the study; then try again."),
    "unknown_source": N_("Add the source to the configuration (`[[sources]]`); then try again."),
    "source_not_understood": N_(
        "See that the source's address is that of its interface; then try again."
    ),
}
OTHERWISE: Final = N_("Its page and the node's log say more, the log by the study's key.")
_FETCH_OTHERWISE: Final = N_("See that the source is up and has the study; then try again.")


@dataclass(frozen=True, slots=True)
class Need:
    """A line of the page: a study, and what to do about it."""

    row: StudyRow
    advice: str


def need_of(row: StudyRow) -> Need:
    """What to do about a study that needs somebody."""
    return Need(row, advice_of(row.study))


def advice_of(study: StudyState) -> str:
    """What somebody may do, in a sentence or two."""
    if study.state is not State.FAILED:
        words = {word for _, word in study.deliveries}
        return DELIVERY_ADVICE["refused" if "refused" in words else "given_up"]
    known = (ADVICE[reason.code] for reason in study.reasons if reason.code in ADVICE)
    return next(known, OTHERWISE if study.n_instances else _FETCH_OTHERWISE)


def routes(node: Node, templates: Templates, working: Threads) -> APIRouter:
    """The page's routes."""
    router = APIRouter(include_in_schema=False)

    @router.get(LIST.path)
    def needs_you(request: Request) -> Response:
        return _page(node, templates, request, request.query_params)

    bulk_pages.add_routes(
        router, LIST, node, templates, working, partial(_page, node, templates)
    )  # fmt: skip
    return router


def _page(node: Node, templates: Templates, request: Request, query: QueryParams) -> Response:
    """What needs somebody; what is to be confirmed, or what was done."""
    wanted, wrong = StudyFilter(needs_you=True, limit=LISTED), None
    try:
        wanted = LIST.wanted(query)
    except FilterWrong as error:
        wrong = error
    try:
        page = node.listed(wanted) if wrong is None else StudyPage(())
        acts = bulk_pages.context(LIST, node, request, query, wanted)
    except Unavailable:
        return away(request, templates)
    return templates.page(
        "needs_you.html.jinja",
        caller_of(request),
        422 if wrong else 200,
        page=page,
        needs=[need_of(row) for row in page.rows],
        wanted=wanted,
        wrong=wrong,
        older=urlencode({**LIST.kept(query), "after": page.after}),
        **acts,
    )


def _wanted(fields: Mapping[str, str]) -> StudyFilter:
    return replace(filter_of(fields, LISTED), needs_you=True, counted=True)


LIST: Final = BulkList(
    "/needs-you", "/needs-you", (BulkAct.RETRY, BulkAct.DROP),
    ("state", "destination", "since", "until"), _wanted,
)  # fmt: skip
