"""The page of other machines, and the question whether one of them answers."""

from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from cadnode.phrases import N_, phrase
from cadnode.web.caller import caller_of
from cadnode.web.destinations import Echo, PeerGroup, Peers, UnknownPeer
from cadnode.web.node import Node, Unavailable
from cadnode.web.recording import note
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

ECHOES: Final = 4  # peers that are waited for at a time
_REFRESH_S: Final = 2


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes, and those of programs."""
    router = APIRouter()
    asking = Threads(ECHOES)

    async def asked(request: Request, group: str, peer: str) -> Echo:
        which = PeerGroup(group) if group in set(PeerGroup) else None
        if which is None:
            raise UnknownPeer(
                N_("there is no such group of peers"),
                phrase("one of %(known)s", known=", ".join(PeerGroup)),
            )
        found = await asking.run(partial(_peers(node).ask, which, peer))
        note(request, detail=f"{which} {peer}")  # a configured name: others were refused
        return found

    @router.get("/destinations", include_in_schema=False)
    def destinations(request: Request) -> Response:
        return _page(node, templates, request)

    @router.post("/destinations/{group}/{peer}/echo", include_in_schema=False)
    async def echo(group: str, peer: str, request: Request) -> Response:
        try:
            await asked(request, group, peer)
        except UnknownPeer as unknown:
            answer = {"error": unknown.error, "hint": unknown.hint}
            return templates.page("refused.html.jinja", caller_of(request), 404, **answer)
        return RedirectResponse("/destinations", 303)

    @router.get("/api/destinations")
    def listed() -> JSONResponse:
        """Destinations, sources and senders: how they are reached, what they got, what they lack.

        `undelivered` is null where the job database does not answer.
        """
        peers = _peers(node).listed()
        return JSONResponse(
            {group.value: [p.as_dict() for p in peers if p.group is group] for group in PeerGroup}
        )

    @router.post("/api/destinations/{group}/{peer}/echo")
    async def api_echo(group: str, peer: str, request: Request) -> JSONResponse:
        """Ask whether a peer answers (C-ECHO, or HTTP); 202 while it has not answered yet."""
        try:
            found = await asked(request, group, peer)
        except UnknownPeer as unknown:
            return JSONResponse({"error": unknown.error, "hint": unknown.hint}, 404)
        return JSONResponse(found.as_dict(), 202 if found.is_running else 200)

    return router


def _page(node: Node, templates: Templates, request: Request) -> Response:
    peers, caller = _peers(node).listed(), caller_of(request)
    return templates.page(
        "destinations.html.jinja",
        caller,
        groups={group: [p for p in peers if p.group is group] for group in PeerGroup},
        may_ask=caller is not None and caller.may_order,
        refresh_s=_REFRESH_S if any(p.echo and p.echo.is_running for p in peers) else 0,
    )


def _peers(node: Node) -> Peers:
    if node.peers is None:
        raise Unavailable(N_("this node tells nothing about its peers"), N_("ask the node itself"))
    return node.peers
