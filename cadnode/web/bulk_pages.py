"""One act for many studies of a list: what is to be confirmed, the order, and what was done.

A list names what it offers (`BulkList`). Its page shows what is asked, and a form of it orders
that; then the page is shown again, and says for how many it was done.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import QueryParams

from cadnode.web import bulk
from cadnode.web.bulk import BulkAct, BulkOrder
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.destinations import PeerGroup
from cadnode.web.node import Node, Unavailable
from cadnode.web.pages import away
from cadnode.web.queue import CURSOR, FilterWrong, StudyFilter
from cadnode.web.recording import note, note_each
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

_ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class BulkList:
    """A list of studies at `path`, and the `acts` that it offers, ordered at `orders`/ACT.

    `filters` are the fields that narrow it. `wanted_of` makes a filter of them; it raises
    `FilterWrong`. `is_whole`: it is every study of the node, so that an act for all of it needs
    a filter that leaves some out.
    """

    path: str
    orders: str
    acts: tuple[BulkAct, ...]
    filters: tuple[str, ...]
    wanted_of: Callable[[Mapping[str, str]], StudyFilter]
    is_whole: bool = False

    def kept(self, fields: Mapping[str, str]) -> dict[str, str]:
        """The filter as it was stated."""
        return {name: fields[name] for name in self.filters if fields.get(name)}

    def wanted(self, fields: Mapping[str, str]) -> StudyFilter:
        """The studies that are asked for. Raises `FilterWrong`."""
        names = (*self.filters, "after")
        return self.wanted_of({name: fields.get(name, "") for name in names})

    def has_all(self, fields: Mapping[str, str], wanted: StudyFilter) -> bool:
        """Whether an act is for all that the filter lets pass."""
        return _ALL in fields and (wanted.is_narrowed or not self.is_whole)


def context(
    listed: BulkList, node: Node, request: Request, query: QueryParams, wanted: StudyFilter
) -> dict[str, Any]:
    """What a list's page shows of acts: what is to be confirmed, or what was done.

    Raises
    ------
    Unavailable
        The list cannot be counted.
    """
    caller = caller_of(request)
    everything = listed.has_all(query, wanted)
    keys = bulk.named(query.getlist("study"))
    is_asked = _ALL in query or "study" in query or "do" in query
    to_do = _act_of(listed, query.get("do", "")) if is_asked else None
    order = BulkOrder(keys, wanted if everything else None)
    did, more = _act_of(listed, query.get("did", "")), query.get("more", "")
    return {
        "list_path": listed.path,
        "orders_path": listed.orders,
        "is_whole": listed.is_whole,
        "kept": listed.kept(query),
        "may_order": caller is not None and caller.may_order and node.orders is not None,
        "to_do": to_do.value if to_do else "",
        "chosen": keys,
        "everything": everything,
        "n_asked": bulk.count(node, order) if to_do else 0,
        "destinations": _destinations(node) if to_do is BulkAct.REDELIVER else (),
        "did": did.value if did else "",
        "n_done": _number(query.get("n", "")),
        "left": _number(query.get("left", "")),
        "more": more if re.fullmatch(CURSOR, more) else "",
    }


def add_routes(
    router: APIRouter,
    listed: BulkList,
    node: Node,
    templates: Templates,
    working: Threads,
    page: Callable[[Request, QueryParams], Response],
) -> None:
    """The routes by which a list's page orders its acts; `page` shows it again."""

    def ask_again(request: Request, act: BulkAct, form: Mapping[str, str]) -> Response:
        note(request, detail="nothing done: not confirmed")
        return RedirectResponse(f"{listed.path}?{_asked_again(listed, act, form)}", 303)

    async def ordered(request: Request, act: BulkAct) -> Response:
        form = form_of(await request.body())
        if node.orders is None:
            return away(request, templates)
        try:
            wanted = listed.wanted(form)
        except FilterWrong:  # it stands for no study, least of all for every one
            return await run_in_threadpool(page, request, QueryParams(listed.kept(form)))
        why, to = (" ".join(form.get(name, "").split()) for name in ("reason", "to"))
        if (act is BulkAct.DROP and not why) or (act is BulkAct.REDELIVER and not to):
            return ask_again(request, act, form)
        order = BulkOrder(
            bulk.named(form.get("studies", "").split(",")),
            wanted if listed.has_all(form, wanted) else None,
            to if act is BulkAct.REDELIVER else wanted.destination,
            by_whom(request), why, act,
        )  # fmt: skip
        try:
            if act is BulkAct.DROP and form.get("asked"):  # none that failed since it was asked
                n_found = await working.run(partial(bulk.count, node, order))
                if n_found > _number(form["asked"]):
                    return ask_again(request, act, form)
            done = await working.run(partial(bulk.carry_out, node, node.orders, order))
        except Unavailable:
            return away(request, templates)
        note_each(request, done.outcomes)
        left = len(done.acts) - done.n_done
        words = {"did": act.value, "n": done.n_done, "left": left, "more": done.after}
        address = {name: word for name, word in words.items() if word} | listed.kept(form)
        return RedirectResponse(f"{listed.path}?{urlencode(address)}", 303)

    for act in listed.acts:
        router.add_api_route(
            f"{listed.orders}/{act.value}", _route(ordered, act), methods=["POST"],
            include_in_schema=False,
        )  # fmt: skip


def _route(ordered: Callable[[Request, BulkAct], Any], act: BulkAct) -> Callable[[Request], Any]:
    async def route(request: Request) -> Response:
        answer: Response = await ordered(request, act)
        return answer

    return route


def _asked_again(listed: BulkList, act: BulkAct, form: Mapping[str, str]) -> str:
    """The address' query that asks for the confirmation once more."""
    kept = listed.kept(form) | {name: form[name] for name in (_ALL, "after") if form.get(name)}
    keys = [("study", key) for key in bulk.named(form.get("studies", "").split(","))]
    return urlencode([("do", act.value), *kept.items(), *keys])


def _act_of(listed: BulkList, word: str) -> BulkAct | None:
    """The act that is asked for; the list's first one where none is."""
    if not word:
        return listed.acts[0]
    return next((act for act in listed.acts if act.value == word), None)


def _destinations(node: Node) -> tuple[str, ...]:
    peers = node.peers.listed() if node.peers is not None else ()
    return tuple(one.name for one in peers if one.group is PeerGroup.DESTINATIONS)


def _number(word: str) -> int:
    return int(word) if re.fullmatch("[0-9]{1,6}", word) else 0
