"""The page of what needs somebody: studies that do not go on by themselves, and what to do."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from cadnode.audit.event import Outcome
from cadnode.web.caller import caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.deliveries import OWED, OrderRefused, Orders
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import CURSOR, StudyFilter, StudyRow
from cadnode.web.recording import note_each
from cadnode.web.study import KEY, State, StudyState
from cadnode.web.templating import Templates

LISTED: Final = 100
MOST_AT_ONCE: Final = 1000
_ALL: Final = "all"
_FETCH_AGAIN: Final = (
    "then press Read with cadnode in Orthanc, or ask for it by `POST /api/studies`"
)
DELIVERY_ADVICE: Final = {
    "refused": "Mend at the destination what it refuses (its title for this node, rights, kinds of "
    "objects; `cadnode check` asks it), then try again. What shall never go there is given up on "
    "the study's page.",
    "given_up": "See that the destination is up and reached (`cadnode check`), then try again.",
}
ADVICE: Final = {
    "reading_failed": "The node's log says how it failed, by the study's key; once that is mended, "
    "try again.",
    "reading_kills_worker": "It is not read by itself any more. Look at the study in a viewer; try "
    "again after an update, or report it with the log.",
    "reading_hangs_worker": "It is not read by itself any more. Try again when the machine has "
    "less to do, or raise `reading.longest_per_image_s`.",
    "reading_needs_memory": "It is not read by itself any more. Give the node more memory, then "
    "try again.",
    "result_removed": "Its images are here: try again, and it is read anew.",
    "unknown_study": f"See that the source has the study; {_FETCH_AGAIN}.",
    "unknown_source": f"Add the source to the configuration (`[[sources]]`); {_FETCH_AGAIN}.",
    "source_not_understood": f"See that the source's address is that of its interface; "
    f"{_FETCH_AGAIN}.",
}  # fmt: skip
OTHERWISE: Final = "Its page and the node's log say more, the log by the study's key."
_FETCH_OTHERWISE: Final = f"See that the source is up and has the study; {_FETCH_AGAIN}."


@dataclass(frozen=True, slots=True)
class Need:
    """A line of the page: a study, what to do about it, and whether trying again is of use."""

    row: StudyRow
    advice: str
    may_retry: bool


def need_of(row: StudyRow) -> Need:
    """What to do about a study that needs somebody."""
    return Need(row, advice_of(row.study), may_be_tried(row.study))


def may_be_tried(study: StudyState) -> bool:
    """Whether there is something to try again: a delivery, or a reading of images that are here."""
    is_owed = any(word in OWED for _, word in study.deliveries)
    return study.needs_you and (is_owed or study.n_instances > 0)


def advice_of(study: StudyState) -> str:
    """What somebody may do, in a sentence or two."""
    if study.state is not State.FAILED:
        words = {word for _, word in study.deliveries}
        return DELIVERY_ADVICE["refused" if "refused" in words else "given_up"]
    known = (ADVICE[reason.code] for reason in study.reasons if reason.code in ADVICE)
    return next(known, OTHERWISE if study.n_instances else _FETCH_OTHERWISE)


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/needs-you")
    def needs_you(request: Request) -> Response:
        query = request.query_params
        after = query.get("after", "") if re.fullmatch(CURSOR, query.get("after", "")) else ""
        try:
            page = node.listed(StudyFilter(needs_you=True, after=after, limit=LISTED))
            chosen = _to_try(node, query.getlist("study"), everything=_ALL in query)
        except Unavailable:
            return away(request, templates)
        caller = caller_of(request)
        return templates.page(
            "needs_you.html.jinja",
            caller,
            page=page,
            needs=[need_of(row) for row in page.rows],
            after=after,
            may_order=caller is not None and caller.may_order and node.orders is not None,
            was_asked=_ALL in query or "study" in query,
            chosen=chosen,
            everything=_ALL in query,
            most=MOST_AT_ONCE,
            tried=_number(query.get("tried", "")),
            left=_number(query.get("left", "")),
        )

    @router.post("/needs-you/retry")
    async def retry(request: Request) -> Response:
        form = form_of(await request.body())
        try:
            if node.orders is None:
                return away(request, templates)
            keys = await run_in_threadpool(
                _to_try, node, form.get("studies", "").split(","), everything=_ALL in form
            )
            acts = await run_in_threadpool(_retry, node.orders, keys)
        except Unavailable:
            return away(request, templates)
        note_each(request, acts)
        n_tried = sum(how is Outcome.SUCCESS for _, how in acts)
        return RedirectResponse(f"/needs-you?tried={n_tried}&left={len(acts) - n_tried}", 303)

    return router


def _to_try(node: Node, named: Sequence[str], *, everything: bool) -> list[str]:
    """Keys of the studies to try again: those that are named, or all for which it is of use."""
    if not everything:
        keys = dict.fromkeys(key for key in named if KEY.fullmatch(key))
        return list(keys)[:MOST_AT_ONCE]
    rows = node.listed(StudyFilter(needs_you=True, limit=MOST_AT_ONCE)).rows
    return [row.study.key for row in rows if may_be_tried(row.study)]


def _retry(orders: Orders, keys: Iterable[str]) -> list[tuple[str, Outcome]]:
    """What became of each. Where the job database goes away in between, the rest are failures."""
    acts: list[tuple[str, Outcome]] = []
    is_away: Unavailable | None = None
    for key in keys:
        try:
            if is_away is None:
                orders.retry(key, "")
            acts.append((key, Outcome.FAILURE if is_away else Outcome.SUCCESS))
        except OrderRefused:
            acts.append((key, Outcome.FAILURE))
        except Unavailable as error:
            if not acts:
                raise
            is_away = error
            acts.append((key, Outcome.FAILURE))
    return acts


def _number(word: str) -> int:
    return int(word) if re.fullmatch("[0-9]{1,6}", word) else 0
