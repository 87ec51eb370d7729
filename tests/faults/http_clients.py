"""A web server on loopback, and clients that hold on to it."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadnode.node.heartbeat import Pulse
from cadnode.node.http_connection import HttpConnection
from cadnode.node.http_phase import HttpTimes
from cadnode.node.http_server import HttpLimits, HttpServer
from cadnode.web.request_log import BodyLimit, RequestLog

LARGE = 12 << 20
FAST = HttpTimes(handshake_s=0.6, header_s=0.6, unread_s=0.8, idle_s=0.6, ending_s=0.4)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEGUN = b"GET /health HTTP/1.1\r\nHost: loc"


@dataclass
class Served:
    """A server on loopback, and its raw clients."""

    port: int
    server: HttpServer
    work: threading.Event
    stack: ExitStack

    def open(self, said: bytes = b"", source: str = "127.0.0.1", small: bool = False) -> Any:
        """A connected client that has said something; closed at the end."""
        client = socket.socket()
        self.stack.callback(client.close)
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.bind((source, 0))
        client.settimeout(8)
        client.connect(("127.0.0.1", self.port))
        client.sendall(said)
        return client

    def health_s(self, source: str = "127.0.0.1") -> float:
        """How long health took to be answered, with a connection of its own."""
        began = time.monotonic()
        client = self.open(HEALTH, source)
        assert client.recv(4096).startswith(b"HTTP/1.1 200"), "health is not answered"
        client.close()
        return time.monotonic() - began

    @property
    def held(self) -> list[HttpConnection]:
        return self.server._connections()


def application(work: threading.Event | None = None) -> Starlette:
    """Health, an answer of `LARGE` bytes, one that waits for `work`, and one that takes a body."""

    def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    def slow(request: Request) -> Response:
        if work is not None:
            work.wait(20)
        return PlainTextResponse("done")

    def large(request: Request) -> Response:
        return PlainTextResponse(b"x" * LARGE)

    async def told(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(
        routes=[
            Route("/health", health), Route("/large", large), Route("/slow", slow),
            Route("/told", told, methods=["POST"]),
        ]
    )  # fmt: skip
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog)
    return app


@contextmanager
def served(
    limits: HttpLimits | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
    kind: type[socket.socket] = socket.socket,
) -> Iterator[Served]:
    work = threading.Event()
    work.set()
    listening = kind()
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    server = HttpServer(application(work), Pulse(), limits, tls)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    with ExitStack() as stack:
        try:
            yield Served(listening.getsockname()[1], server, work, stack)
        finally:
            work.set()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def is_cut(client: socket.socket) -> bool:
    """Whether the server has closed it, all that was sent before read and thrown away."""
    try:
        while client.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
