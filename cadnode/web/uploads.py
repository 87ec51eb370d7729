"""A CD, a folder or a zip archive that a person brings by a page: each file a request of its own.

The body is the file, streamed into the spool piece by piece; nothing of it is held. A file that is
not taken is answered with why. What is decided is `node.uploads`'s; limits are in `limits`.
"""

import asyncio
import time
from collections import Counter
from functools import partial
from typing import Final
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from cadnode.audit.event import EventOutcome
from cadnode.limits import UPLOAD_BYTES, UPLOAD_BYTES_PER_S, UPLOAD_SILENCE_S
from cadnode.web.caller import caller_of
from cadnode.web.node import Node
from cadnode.web.request_log import FILE_ROUTE
from cadnode.web.templating import Templates
from cadnode.web.threads import UPLOADS, Threads
from cadnode.web.uploaded import MOST_NAME, NoRoom, Uploads

MOST_AT_ONCE: Final = 8  # further ones are asked to come again: the page sends two


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page and the route that it sends files to."""
    router, threads = APIRouter(), Threads(UPLOADS)
    running: Counter[str] = Counter()

    @router.get("/upload", include_in_schema=False)
    def page(request: Request) -> Response:
        return templates.page(
            "upload.html.jinja", caller_of(request), is_offered=node.uploads is not None
        )

    @router.post(FILE_ROUTE[1])
    async def upload(request: Request) -> JSONResponse:
        """Take one file, which is the body: a DICOM file, or a zip archive of such.

        `X-File-Name` (percent-encoded) is told back with what was not taken. 422 where nothing was.
        """
        if node.uploads is None:
            return _answer(503, "this node takes no files", "send them by C-STORE: `cadnode send`")
        if running["files"] >= MOST_AT_ONCE:
            return _answer(503, "others send files just now", "send it again in a moment")
        running["files"] += 1
        try:
            return await _take(request, node.uploads, threads)
        except NoRoom:
            return _answer(507, "there is no room for more images", "make room on the node's disk")
        except TimeoutError:
            return _answer(408, "the file did not arrive in time", "send it again")
        except ClientDisconnect:
            return _answer(400, "the file did not arrive whole", "send it again")
        finally:
            running["files"] -= 1

    return router


async def _take(request: Request, uploads: Uploads, threads: Threads) -> JSONResponse:
    """Stream a body into the spool. Raises `NoRoom`, `TimeoutError` and `ClientDisconnect`."""
    name = unquote(request.headers.get("x-file-name", ""), errors="replace")[-MOST_NAME:]
    upload = await threads.run(uploads.begin)
    try:
        n_bytes, waited_s, pieces = 0, 0.0, request.stream()
        while True:
            began = time.monotonic()
            async with asyncio.timeout(UPLOAD_SILENCE_S):
                piece = await anext(pieces, None)
            waited_s += time.monotonic() - began  # for the browser, not for our disk
            if waited_s > UPLOAD_SILENCE_S and n_bytes < UPLOAD_BYTES_PER_S * waited_s:
                raise TimeoutError
            if piece is None:
                break
            n_bytes += len(piece)
            if n_bytes > UPLOAD_BYTES:
                return _answer(413, "the file is too large", "send what it holds file by file")
            await threads.run(partial(upload.write, piece))
        found = await threads.run(partial(upload.finish, name))
    finally:
        await threads.run(upload.drop)
    request.state.acts = tuple((study, EventOutcome.SUCCESS) for study in found.studies)
    return JSONResponse(found.as_dict(name), 200 if found.studies else 422)


def _answer(status: int, error: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": error, "hint": hint}, status)
