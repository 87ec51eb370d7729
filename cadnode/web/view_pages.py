"""Routes of a viewer: what a study's views are, their stored pixels in tiles, their layers."""

import gzip
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from cadnode.web.node import Node
from cadnode.web.threads import PIXELS, Threads
from cadnode.web.viewing import NotShown, PixelsOf, Viewing

CELLS: Final = "application/octet-stream"
_GZIP_LEVEL: Final = 1  # the next ones take longer and save a hundredth
View = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


def url_of(name: str) -> str:
    """The path below which a study's views are served."""
    return f"/studies/{quote(name, safe='')}/views"


def routes(node: Node) -> APIRouter:
    """The routes of the views of a study that the node holds."""
    router, threads, viewing = APIRouter(include_in_schema=False), Threads(PIXELS), node.viewing

    async def answered(
        name: str, view: str, make: Callable[[PixelsOf], bytes | None], kind: str, request: Request
    ) -> Response:
        def find() -> PixelsOf | None:
            return viewing.pixels(name, view) if viewing is not None else None

        return await answer_of(threads, find, make, kind, request)

    @router.get("/studies/{name}/views")
    async def views(name: str) -> JSONResponse:
        if viewing is None:
            return no_image()
        found = await threads.run(lambda: viewing.views(name))
        return JSONResponse(found.as_dict(url_of(name)))

    @router.get("/studies/{name}/views/{view}/preview")
    async def preview(name: str, view: View, request: Request) -> Response:
        return await answered(name, view, lambda it: it.preview(), "image/jpeg", request)

    @router.get("/studies/{name}/views/{view}/grey")
    async def grey(name: str, view: View, request: Request) -> Response:
        return await answered(name, view, lambda it: it.grey(), CELLS, request)

    @router.get("/studies/{name}/views/{view}/tiles/{level}/{x}_{y}")
    async def tile(name: str, view: View, level: int, x: int, y: int, request: Request) -> Response:
        return await answered(name, view, lambda it: it.tile(level, x, y), CELLS, request)

    @router.get("/studies/{name}/views/{view}/maps/{n}")
    async def heat_map(name: str, view: View, n: int) -> Response:
        layer = await threads.run(lambda: _layer(viewing, name, view, n))
        return no_image() if layer is None else Response(layer, media_type="image/webp")

    return router


async def answer_of(
    threads: Threads,
    find: Callable[[], PixelsOf | None],
    make: Callable[[PixelsOf], bytes | None],
    kind: str,
    request: Request,
) -> Response:
    """What `make` makes of the pixels that `find` finds, made in a thread of the viewer's own."""

    def made() -> bytes | None:
        found = find()
        content = make(found) if found is not None else None
        if content is None or kind != CELLS or not takes_gzip(request):
            return content
        return gzip.compress(content, _GZIP_LEVEL)

    try:
        content = await threads.run(made)
    except NotShown as refused:
        return JSONResponse({"error": str(refused), "code": refused.code, "hint": ""}, 422)
    if content is None:
        return no_image()
    zipped = kind == CELLS and takes_gzip(request)
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"} if zipped else {}
    return Response(content, media_type=kind, headers=headers)


def _layer(viewing: Viewing | None, name: str, view: str, n: int) -> bytes | None:
    return None if viewing is None else viewing.heat_map(name, view, n)


def takes_gzip(request: Request) -> bool:
    """Whether who asks takes gzip; browsers do."""
    return "gzip" in request.headers.get("accept-encoding", "")


def no_image() -> JSONResponse:
    """There is no such view, tile or layer."""
    hint = "GET /studies/{name}/views lists the views that are here"
    return JSONResponse({"error": "there is no such image", "hint": hint}, 404)
