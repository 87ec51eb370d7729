"""An audit record repository for tests: syslog over TLS (RFC 5425), in threads of this process."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from cadnode.tls import TlsFiles, server_context


@dataclass
class SyslogServer:
    """What it received, a message each, in order. `port` 0: any free one.

    `drops` connections are reset after a part was read: nothing of them counts. Not `says_goodbye`:
    connections are closed without a close_notify alert, as rsyslog with GnuTLS does.
    """

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    drops: int = 0
    says_goodbye: bool = True
    peer: dict[str, object] | None = None

    @property
    def text(self) -> str:
        return b"\n".join(self.messages).decode()

    def serve(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            self.connections += 1
            self.peer = connection.getpeercert()
            data = bytearray()
            while part := connection.recv(65536):
                data += part
                if self.drops and b" " in data and len(_taken(bytearray(data))) >= 1:
                    self.drops -= 1
                    reset = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    return
            self.messages += _taken(data)
            assert not data, "a frame is not whole"
            if self.says_goodbye:
                connection.unwrap()


def _taken(data: bytearray) -> list[bytes]:
    """The whole frames of octet counting (RFC 5425 4.3.1), taken off the front."""
    found = []
    while b" " in data:
        length, _, rest = bytes(data).partition(b" ")
        if len(rest) < int(length):
            break
        found.append(rest[: int(length)])
        del data[: len(length) + 1 + int(length)]
    return found


@contextmanager
def running(
    files: TlsFiles, server: SyslogServer | None = None, version: ssl.TLSVersion | None = None
) -> Iterator[SyslogServer]:
    """A repository that listens on a loopback port until the end of the block."""
    server = server or SyslogServer()
    context = server_context(files)
    context.maximum_version = version or context.maximum_version
    listening = socket.create_server(("127.0.0.1", server.port))
    server.port = listening.getsockname()[1]
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            plain.settimeout(10)
            thread = threading.Thread(target=server.serve, args=(plain, context), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(5)
        for thread in threads:
            thread.join(5)
