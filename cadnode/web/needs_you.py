"""The page of what needs somebody: studies that do not go on by themselves, and what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import QueryParams

from cadnode.phrases import N_
from cadnode.web import bulk
from cadnode.web.bulk import BulkOrder
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import CURSOR, FilterWrong, StudyFilter, StudyPage, StudyRow, filter_of
from cadnode.web.recording import note_each
from cadnode.web.study import State, StudyState
from cadnode.web.templating import Templates
from cadnode.web.threads import BULK, Threads

LISTED: Final = 100
_ALL: Final = "all"
_FILTERS: Final = ("state", "destination", "since", "until")
DELIVERY_ADVICE: Final = {
    "refused": N_(
        "Mend at the destination what it refuses (its title for this node, rights, kinds of "
        "objects; `cadnode check` asks it), then try again. What shall never go there: give it up."
    ),
    "given_up": N_("See that the destination is up and reached (`cadnode check`), then try again."),
}
ADVICE: Final = {
    "reading_failed": N_(
        "The node's log says how it failed, by the study's key; once that is mended, try again."
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


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes."""
    router, working = APIRouter(include_in_schema=False), Threads(BULK)

    @router.get("/needs-you")
    def needs_you(request: Request) -> Response:
        return _page(node, templates, request)

    async def ordered(request: Request, form: Mapping[str, str], why: str) -> Response:
        orders = node.orders
        if orders is None:
            return away(request, templates)
        wanted, wrong = _wanted(form)
        if wrong is not None:  # it stands for no study, least of all for every one
            return _page(node, templates, request, QueryParams(_kept(form)))
        order = BulkOrder(
            bulk.named(form.get("studies", "").split(",")),
            wanted if _ALL in form else None,
            wanted.destination,
            by_whom(request),
            why,
        )
        try:
            done = await working.run(partial(bulk.carry_out, node, orders, order))
        except Unavailable:
            return away(request, templates)
        note_each(request, done.outcomes)
        told = {"did": "drop" if why else "retry", "n": done.n_done}
        left = {"left": len(done.acts) - done.n_done, "more": done.after}
        address = {name: word for name, word in (told | left).items() if word} | _kept(form)
        return RedirectResponse(f"/needs-you?{urlencode(address)}", 303)

    @router.post("/needs-you/retry")
    async def retry(request: Request) -> Response:
        return await ordered(request, form_of(await request.body()), "")

    @router.post("/needs-you/drop")
    async def drop(request: Request) -> Response:
        form = form_of(await request.body())
        why = " ".join(form.get("reason", "").split())
        if not why:
            kept = _kept(form) | ({_ALL: form[_ALL]} if form.get(_ALL) else {})
            keys = [("study", key) for key in bulk.named(form.get("studies", "").split(","))]
            asked = urlencode([("do", "drop"), *kept.items(), *keys])
            return RedirectResponse(f"/needs-you?{asked}", 303)
        return await ordered(request, form, why)

    return router


def _page(
    node: Node, templates: Templates, request: Request, query: QueryParams | None = None
) -> Response:
    """What needs somebody; what is to be confirmed, or what was done."""
    query = request.query_params if query is None else query
    wanted, wrong = _wanted(query)
    everything = _ALL in query
    keys = bulk.named(query.getlist("study"))
    try:
        page = node.listed(wanted) if wrong is None else StudyPage(())
        n_asked = (page.n_found or 0) if everything else len(keys)
    except Unavailable:
        return away(request, templates)
    caller = caller_of(request)
    kept = _kept(query)
    return templates.page(
        "needs_you.html.jinja",
        caller,
        422 if wrong else 200,
        page=page,
        needs=[need_of(row) for row in page.rows],
        wanted=wanted,
        wrong=wrong,
        kept=kept,
        older=urlencode({**kept, "after": page.after}),
        may_order=caller is not None and caller.may_order and node.orders is not None,
        to_do=query.get("do", "retry") if everything or "study" in query or "do" in query else "",
        chosen=keys,
        everything=everything,
        n_asked=n_asked,
        did=query.get("did", ""),
        n_done=_number(query.get("n", "")),
        left=_number(query.get("left", "")),
        more=query.get("more", "") if re.fullmatch(CURSOR, query.get("more", "")) else "",
    )


def _kept(fields: Mapping[str, str]) -> dict[str, str]:
    """The filter as it was stated."""
    return {name: fields[name] for name in _FILTERS if fields.get(name)}


def _wanted(fields: Mapping[str, str]) -> tuple[StudyFilter, FilterWrong | None]:
    """The studies that the page is asked for, and why that makes no sense, if it does not."""
    try:
        known = {name: fields.get(name, "") for name in (*_FILTERS, "after")}
        found = filter_of(known, LISTED)
    except FilterWrong as wrong:
        return StudyFilter(needs_you=True, limit=LISTED), wrong
    return replace(found, needs_you=True, counted=True), None


def _number(word: str) -> int:
    return int(word) if re.fullmatch("[0-9]{1,6}", word) else 0
