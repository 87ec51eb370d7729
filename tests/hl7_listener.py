"""An HL7 listener by `hl7` (python-hl7), which our messages are not written with."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import hl7
from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

ERROR = "ERR|||{code}^{words}^HL70357|E||||the patient's name may stand here: MUSTERMANN"


@dataclass
class Hl7Listener:
    """What a listener was sent, as parsed, and how it answers the next messages.

    An answer is (MSA-1, code of ERR-3): ("AA", "") once there are no others. "silent": nothing;
    "hang up": the connection ends; "other": another message is acknowledged; "noise": no HL7.
    """

    port: int = 0
    encoding: str = "utf-8"
    messages: list[hl7.Message] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)

    async def serve(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                message = await reader.readmessage()
                self.messages.append(message)
                code, error = self.answers.pop(0) if self.answers else ("AA", "")
                if code == "silent":
                    continue
                if code == "hang up":
                    return
                writer.writeblock(self._answer(message, code, error).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    @staticmethod
    def _answer(message: hl7.Message, code: str, error: str) -> str:
        if code == "noise":
            return "HTTP/1.1 400 Bad Request"
        control = str(message.segment("MSH")(10))
        if code == "other":
            code, control = "AA", "ANOTHER"
        rows = [
            "MSH|^~\\&|RIS|HOSPITAL|cadnode||20260304150607||ACK^R01^ACK|1|P|2.5.1",
            f"MSA|{code}|{control}",
            *([ERROR.format(code=error, words="words")] if error else []),
        ]
        return "\r".join(rows)


@contextmanager
def listening(
    listener: Hl7Listener, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Hl7Listener]:
    """The listener at work, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop: list[Callable[[], None]] = []

    async def run() -> None:
        ended = asyncio.Event()
        server = await start_hl7_server(
            listener.serve, "127.0.0.1", port, encoding=listener.encoding, ssl=tls
        )
        listener.port = server.sockets[0].getsockname()[1]
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        ready.set()
        await ended.wait()
        server.close()
        await asyncio.gather(
            *(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True
        )

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield listener
    finally:
        stop[0]()
        thread.join(10)
        loop.close()
