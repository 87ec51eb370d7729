"""A network in one place: a TCP proxy whose connections can be cut after any byte.

| way     | what happens                                                    |
|---------|-----------------------------------------------------------------|
| pass    | bytes go through                                                |
| refuse  | a new connection is reset at once                               |
| stall   | nothing goes through, both ends stay open                       |
| delay   | each piece waits for `seconds`                                  |
| cut     | a connection is reset after `after` bytes in that `direction`   |
| close   | the same, but closed in order (FIN)                             |
"""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from cadnode.demo.archive import free_port

PIECE: Final = 4096
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
Way = Literal["pass", "refuse", "stall", "delay", "cut", "close"]
Direction = Literal["up", "down"]  # from the one who connects, or back to it


@dataclass(frozen=True, slots=True)
class Condition:
    """How the network is."""

    way: Way = "pass"
    after: int = 0
    direction: Direction = "up"
    seconds: float = 0.0


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    n_ended: int = 0  # directions in which nothing more comes

    def end(self, *, reset: bool) -> None:
        for one in (self.client, self.server):
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                else:
                    one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)  # wakes a thread that reads
            with suppress(OSError):
                one.close()


class Proxy:
    """Listens on `port`, and connects to `target`."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.cuts = 0
        self._condition = Condition()
        self._changed = threading.Condition()
        self._open: set[_Connection] = set()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def become(self, condition: Condition) -> None:
        """From now on the network is so, for connections that are open, too."""
        with self._changed:
            self._condition = condition
            self._changed.notify_all()

    def sever(self) -> None:
        """Reset every connection that is open."""
        for connection in list(self._open):
            connection.end(reset=True)

    def close(self) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.become(Condition())
        self.sever()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if self._condition.way == "refuse":
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.target), 5)
            server.settimeout(None)
        except OSError:
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(client, server)
        self._open.add(connection)
        for source, sink, direction in ((client, server, "up"), (server, client, "down")):
            threading.Thread(
                target=self._pump, args=(connection, source, sink, direction), daemon=True
            ).start()

    def _pump(
        self, connection: _Connection, source: socket.socket, sink: socket.socket, direction: str
    ) -> None:
        is_cut = False
        try:
            while data := source.recv(PIECE):
                data, is_cut = self._admit(connection, data, direction)
                sink.sendall(data)
                if is_cut:
                    break
            if not is_cut:
                sink.shutdown(socket.SHUT_WR)
                if not self._is_last(connection):
                    return
                connection.end(reset=False)
                self._open.discard(connection)
                return
        except OSError:
            pass
        connection.end(reset=not is_cut or self._condition.way != "close")
        self._open.discard(connection)

    def _is_last(self, connection: _Connection) -> bool:
        with self._changed:
            connection.n_ended += 1
            return connection.n_ended == 2

    def _admit(self, connection: _Connection, data: bytes, direction: str) -> tuple[bytes, bool]:
        """What of a piece goes through, and whether the connection ends then."""
        with self._changed:
            if self._condition.way == "delay":
                self._changed.wait(self._condition.seconds)
            while self._condition.way == "stall":
                self._changed.wait()
            now = self._condition
        passed = connection.passed[direction]
        connection.passed[direction] += len(data)
        if now.way in ("cut", "close") and direction == now.direction:
            left = max(0, now.after - passed)
            if left < len(data):
                self.cuts += 1
                return data[:left], True
        return data, False
