"""One HTTP connection: uvicorn's, with the clocks of `http_phase` and a place it gives back."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from cadnode.limits import REQUEST_HEADER_BYTES
from cadnode.node.http_phase import QUIET_BODY_S, STALLED_S, HttpPhase, HttpTimes, Unread

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpConnection(H11Protocol):
    """A connection from its accept until nothing of it is left, not even an abandoned answer.

    `on_cut` is called with the reason, a word for the log, when it is ended against its client's
    will; `on_gone` once, when it is closed and the node works for it no more.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        address: str,
        times: HttpTimes,
        on_cut: Callable[[str], None],
        on_gone: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.app = self._answer
        self.address = address
        self._times = times
        self._on_cut = on_cut
        self._on_gone = on_gone
        self._raw: asyncio.WriteTransport | None = None  # below TLS: what is not sent yet is here
        self._early: list[bytes] = []  # came with the end of the handshake
        self._answers = 0  # the application is at work on
        self._is_cut = self._is_lost = self._is_gone = False
        self._phase, self._since = HttpPhase.SHAKING, time.monotonic()
        self._heard_at = self._since
        self._unread = Unread(self._since)

    # Called by the server

    def hold(self, raw: asyncio.WriteTransport) -> None:
        """Begin on an accepted connection, still without TLS."""
        self._raw = raw
        if self._is_cut:
            raw.abort()

    def begin(self, transport: asyncio.Transport) -> None:
        """Speak HTTP over `transport`, which is ready."""
        if self._is_lost:
            return
        self.connection_made(transport)
        self._enter(HttpPhase.ASKING)
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def look(self, now: float) -> None:
        """End it if it takes too long."""
        if self._is_lost:
            return
        self._unread.measure(self._waiting_bytes(), now)
        stalled_s = self._unread.stalled_s(now)
        if stalled_s is not None and stalled_s >= self._times.unread_s:
            self._on_cut("unread")
            self.cut()
            return
        if self.transport is not None and self.transport.is_closing():
            self._enter(HttpPhase.ENDING)
        if stalled_s is not None:
            if self._phase in (HttpPhase.IDLE, HttpPhase.ENDING):
                self._since = now  # these begin when the answer is taken
        elif now - self._since >= self._times.longest_s(self._phase):
            self._end()

    def spare_s(self) -> float | None:
        """For how long it could have been missed; None: it is at work (`admission.Holder`)."""
        now = time.monotonic()
        if self._is_lost:  # the node works on for a client that has left
            return None
        stalled_s = self._unread.stalled_s(now)
        if stalled_s is not None:
            spare = stalled_s - STALLED_S
        elif self._phase is HttpPhase.ANSWERING:
            return None
        elif self._phase is HttpPhase.RECEIVING:
            spare = now - self._heard_at - QUIET_BODY_S
        else:
            spare = now - self._since
        return spare if spare > 0 else None

    def dismiss(self) -> bool:
        """Cut it unless it is at work by now; whether it is cut."""
        if self.spare_s() is None:
            return False
        self._on_cut("gave_way")
        self.cut()
        return True

    def cut(self) -> None:
        """Close at once; what was not sent is lost."""
        self._is_cut = True
        if self._raw is not None:
            self._raw.abort()

    # Called by asyncio

    def data_received(self, data: bytes) -> None:
        """Some bytes of the client."""
        if self.transport is None:
            self._early.append(data)
            return
        self._heard_at = time.monotonic()
        super().data_received(data)
        self._find_phase()

    def resume_writing(self) -> None:
        """Most of what was written has been taken."""
        super().resume_writing()
        self._unread.was_taken(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._is_lost = True
        if self.transport is not None:
            super().connection_lost(exc)
        self._tell_if_gone()

    # Called by uvicorn

    def shutdown(self) -> None:
        """The server ends: it closes when its answer is sent; at once when it has none to send."""
        with suppress(h11.LocalProtocolError):
            super().shutdown()

    def on_response_complete(self) -> None:
        """An answer is written; one that was pipelined begins."""
        super().on_response_complete()
        self._find_phase()

    async def _answer(
        self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """The application, for one request of a client that is still there."""
        if self._is_lost:
            return
        self._answers += 1
        try:
            if _header_bytes(scope) > REQUEST_HEADER_BYTES:
                await _refuse(send, 431)  # RFC 6585 5
            elif _has_two_lengths(scope):
                await _refuse(send, 400)
            else:
                await self.config.loaded_app(scope, receive, send)
        finally:
            self._answers -= 1
            self._tell_if_gone()

    def _tell_if_gone(self) -> None:
        """Say so, once, when it is closed and the application is done with it."""
        if self._is_lost and not self._answers and not self._is_gone:
            self._is_gone = True
            self._on_gone()

    # The clock

    def _enter(self, phase: HttpPhase) -> None:
        if phase is not self._phase:
            self._phase, self._since = phase, time.monotonic()

    def _find_phase(self) -> None:
        if self.transport.is_closing():
            self._enter(HttpPhase.ENDING)
        elif self.cycle is not None and not self.cycle.response_complete:
            is_sent = not self.cycle.more_body or self.cycle.response_started
            self._enter(HttpPhase.ANSWERING if is_sent else HttpPhase.RECEIVING)
        elif self.conn.their_state is not h11.IDLE:
            self._enter(HttpPhase.ENDING)  # answered before its body was here
        elif self.cycle is None or self.conn.trailing_data[0]:
            self._enter(HttpPhase.ASKING)
        else:
            self._enter(HttpPhase.IDLE)

    def _end(self) -> None:
        """End what has waited too long in its phase."""
        if self._phase is HttpPhase.IDLE:
            self.timeout_keep_alive_handler()
            return
        # Who keeps a connection open that has ended, as pools of clients do, does nothing wrong.
        if self._phase is not HttpPhase.ENDING or self.conn.their_state is h11.SEND_BODY:
            self._on_cut(str(self._phase))
        if self._phase is HttpPhase.ASKING:
            self.transport.write(_LATE)
            self.transport.close()
        else:
            self.cut()

    def _waiting_bytes(self) -> int:
        """How much of the answers waits here, above and below TLS."""
        size = self._raw.get_write_buffer_size() if self._raw is not None else 0
        if self.transport is not None and self.transport is not self._raw:
            size += self.transport.get_write_buffer_size()
        return size


def _header_bytes(scope: "Scope") -> int:
    if scope["type"] != "http":
        return 0
    named = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return named + len(scope["raw_path"] or b"") + len(scope["query_string"])


def _has_two_lengths(scope: "Scope") -> bool:
    """Whether a proxy before us may see another end of the request than we do (RFC 9112 6.1)."""
    if scope["type"] != "http":
        return False
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}


async def _refuse(send: "ASGISendCallable", status: int) -> None:
    """Answer a request that is not looked at, and close its connection."""
    headers = [(b"connection", b"close"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
