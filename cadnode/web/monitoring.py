"""Routes for what watches the node: `/metrics` for Prometheus, the probes `/healthz`, `/readyz`."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from cadnode.phrases import N_
from cadnode.web.node import Node, Unavailable
from cadnode.web.threads import HEALTH, METRICS, Threads

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of Prometheus's text format (prometheus.io/docs/instrumenting/exposition_formats)."""


def routes(node: Node) -> APIRouter:
    """These routes."""
    router, scraping, looking = APIRouter(), Threads(METRICS), Threads(HEALTH)

    @router.head("/metrics", include_in_schema=False)
    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """What the node counts of itself, in Prometheus's text format."""
        if node.metrics is None:
            raise Unavailable(N_("this node counts nothing"), N_("ask the node itself"))
        return Response(await scraping.run(node.metrics), media_type=TEXT_FORMAT)

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        """Whether this process answers: always 200, and nothing is looked at for it."""
        return JSONResponse({"status": "ok"})

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether the node can take a study now and read it; 503 where a check does not pass."""
        if node.ready is None:
            raise Unavailable(N_("this node counts nothing"), N_("ask the node itself"))
        found = await looking.run(node.ready)
        answer = {"ready": found.is_ready, "checks": found.checks}
        return JSONResponse(answer, 200 if found.is_ready else 503)

    return router
