"""The web role's server: uvicorn's loop and application, behind an accept of our own.

uvicorn and asyncio accept whoever comes and count connections by requests. Here a connection has a
place before a byte of it is read, handshakes are bounded, certificates are followed, and each
connection has the clocks of `http_connection`.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from cadnode.limits import REQUEST_HEADER_BYTES
from cadnode.log import get_logger
from cadnode.node.heartbeat import Pulse
from cadnode.node.http_connection import HttpConnection
from cadnode.node.http_phase import HttpTimes
from cadnode.receive.admission import AssociationPlace, PlaceLimits, Places, origin, plain_address
from cadnode.receive.notes import Notes
from cadnode.settings.section import is_loopback

# Of this machine: health checks, Orthanc's plugin, a proxy. Nobody from elsewhere takes these.
LOCAL: Final = PlaceLimits(in_all=128, per_address=128, idle_s=0.0)
REMOTE: Final = PlaceLimits(in_all=256, per_address=64, idle_s=0.0)
_MOST_ACCEPTED_AT_ONCE: Final = 64
_PAUSE_S: Final = 0.1
_TLS_S: Final = 600.0  # asyncio's; the phases of a connection end sooner
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n"
    b"Content-Length: 0\r\n\r\n"
)

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How many connections there may be, of this machine and of all others, and their clocks."""

    remote: PlaceLimits = REMOTE
    local: PlaceLimits = LOCAL
    times: HttpTimes = field(default_factory=HttpTimes)
    is_local: Callable[[str], bool] = is_loopback


class HttpServer(uvicorn.Server):
    """Answers by `app` on one listening socket, by TLS where `tls` gives a context.

    The loop that answers requests is a heartbeat of the role: `pulse` stops with it.
    """

    def __init__(
        self,
        app: ASGIApp,
        pulse: Pulse,
        limits: HttpLimits | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        super().__init__(_config(app))
        self._pulse = pulse
        self._limits = limits or HttpLimits()
        self._tls = tls
        self._remote, self._local = Places(self._limits.remote), Places(self._limits.local)
        self._notes = Notes()
        self._opening: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on the one socket."""
        (self._listening,) = sockets or []
        await super().startup(sockets=[])
        self._listening.setblocking(False)
        self._resume()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second by the loop that answers requests."""
        self._pulse.tick("event loop")
        now = time.monotonic()
        for connection in self._connections():
            connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in hand, a few seconds; the loop ticks no more."""
        self._pulse.ended("event loop")
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
        for task in self._opening:
            task.cancel()
        for connection in self._connections():
            if connection.spare_s() is not None:
                connection.cut()
        await asyncio.sleep(0)  # those are told
        await super().shutdown(sockets)
        for connection in self._connections():
            connection.cut()
        await asyncio.sleep(0)  # they are told

    def _connections(self) -> list[HttpConnection]:
        held = [*self._remote.holders(), *self._local.holders()]
        return [one for one in held if isinstance(one, HttpConnection)]

    # Who comes in

    def _resume(self) -> None:
        if self._listening is not None and not self.should_exit:
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_MOST_ACCEPTED_AT_ONCE):
            try:
                peer, where = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE:
                    self._wait_for_descriptors(listening, error)
                    return
                continue  # it was gone before it was accepted
            self._admit(peer, plain_address(where[0]))

    def _wait_for_descriptors(self, listening: socket.socket, error: OSError) -> None:
        if self._notes.due("descriptors", ""):
            log.error("web_connection_failed", error=error, reason="descriptors")
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_PAUSE_S, self._resume)
        idle = [(spare_s, one) for one in self._connections() if (spare_s := one.spare_s())]
        if idle:
            max(idle, key=lambda found: found[0])[1].dismiss()

    def _admit(self, peer: socket.socket, address: str) -> None:
        places = self._local if self._limits.is_local(address) else self._remote
        held: list[AssociationPlace] = []

        def give_back() -> None:
            for place in held:
                places.give_back(place)

        connection = HttpConnection(
            self.config, self.server_state, self.lifespan.state, address,
            self._limits.times, lambda reason: self._note_cut(reason, address), give_back,
        )  # fmt: skip
        place = places.take(origin(address), connection)
        if place is None:
            if count := self._notes.due("places", address):
                log.warning("web_connection_refused", reason="places", peer=address, count=count)
            self._turn_away(peer)
            return
        held.append(place)
        task = asyncio.get_running_loop().create_task(self._open(peer, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _turn_away(self, peer: socket.socket) -> None:
        """Status 503 where it can be said without waiting."""
        with suppress(OSError), peer:
            peer.setblocking(False)
            if self._tls is None:
                peer.send(_FULL)

    async def _open(self, peer: socket.socket, connection: HttpConnection) -> None:
        """Bring an accepted connection to where it speaks HTTP, or end it."""
        raw: asyncio.Transport | None = None
        try:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw, _ = await asyncio.get_running_loop().connect_accepted_socket(_Silent, peer)
            connection.hold(raw)
            transport = await self._secured(raw, connection)
            connection.begin(transport)
            raw.resume_reading()
        except BaseException as error:
            # Whatever a handshake ends with, it ends this connection alone.
            if raw is None:
                peer.close()
            else:
                raw.abort()
            connection.connection_lost(None)
            if isinstance(error, ssl.SSLError):
                self._note_cut("tls", connection.address)
            elif isinstance(error, Exception) and not isinstance(error, OSError):
                log.error("web_connection_failed", error=error, peer=connection.address)
            elif not isinstance(error, Exception):
                raise

    async def _secured(
        self, raw: asyncio.Transport, connection: HttpConnection
    ) -> asyncio.Transport:
        """What the connection speaks over. Raises `OSError` where the handshake ends otherwise."""
        if self._tls is None:
            raw.set_protocol(connection)
            return raw
        transport = None
        if not raw.is_closing():
            transport = await asyncio.get_running_loop().start_tls(
                raw, connection, self._tls(), server_side=True,
                ssl_handshake_timeout=_TLS_S, ssl_shutdown_timeout=_TLS_S,
            )  # fmt: skip
        if transport is None:  # cut meanwhile
            raise ConnectionAbortedError
        return transport

    def _note_cut(self, reason: str, address: str) -> None:
        if count := self._notes.due(reason, address):
            log.warning("web_connection_cut", reason=reason, peer=address, count=count)


class _Silent(asyncio.Protocol):
    """Reads nothing: the first byte is for who speaks TLS or HTTP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Not to be read from yet."""
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        access_log=False,  # it would show UIDs; `RequestLog` logs what may be logged
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=3600,  # the phases of a connection end sooner
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=REQUEST_HEADER_BYTES,
    )
