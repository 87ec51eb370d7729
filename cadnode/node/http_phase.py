"""What an HTTP connection may wait for on its client, and how long: the clocks, without a network.

A client may connect and say nothing, send a request byte by byte, never read the answer, or never
close. Each of these is a phase with an end; the server looks at all connections ten times a second.

| phase     | the connection                                  | ends after      | gives way      |
|-----------|-------------------------------------------------|-----------------|----------------|
| SHAKING   | is shaking hands by TLS                         | `handshake_s`   | at once        |
| ASKING    | sends a request's header, or has sent nothing   | `header_s`: 408 | at once        |
| RECEIVING | sends a body, which `web.BodyLimit` bounds      | that one's time | quiet for 2 s  |
| ANSWERING | waits for the node                              |                 | never          |
| IDLE      | is kept for another request                     | `idle_s`        | at once        |
| ENDING    | has its answer, but sends on or does not close  | `ending_s`      | at once        |
| any       | has not taken `LEAST_READ_BYTES` of its answer  | `unread_s`      | after 5 s      |

"Gives way" is to a newcomer where all places are taken (`receive.admission`). RFC 9110 15.5.9 has
the 408, RFC 9112 9.5 and 9.6 the idle and the lingering end.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

LEAST_READ_BYTES: Final = 64 << 10
QUIET_BODY_S: Final = 2.0
STALLED_S: Final = 5.0


class HttpPhase(StrEnum):
    """What a connection waits for; the words are in the log."""

    SHAKING = "handshake"
    ASKING = "header"
    RECEIVING = "body"
    ANSWERING = "answer"
    IDLE = "idle"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """How long a client may take."""

    handshake_s: float = 10.0
    header_s: float = 10.0
    unread_s: float = 60.0
    idle_s: float = 15.0
    ending_s: float = 5.0

    def longest_s(self, phase: HttpPhase) -> float:
        """How long a phase lasts at most; inf where something else ends it."""
        return {
            HttpPhase.SHAKING: self.handshake_s,
            HttpPhase.ASKING: self.header_s,
            HttpPhase.IDLE: self.idle_s,
            HttpPhase.ENDING: self.ending_s,
        }.get(phase, inf)


class Unread:
    """How much of its answers a client has not taken, and since when it takes too little."""

    def __init__(self, now: float) -> None:
        self._bytes, self._since = 0, now

    def measure(self, size: int, now: float) -> None:
        """So many bytes wait here at this moment."""
        if not size or not self._bytes or size <= self._bytes - LEAST_READ_BYTES:
            self._bytes, self._since = size, now
        elif size > self._bytes:
            self._bytes = size  # more was written; that is nothing that the client did

    def was_taken(self, now: float) -> None:
        """Most of it is gone."""
        self._bytes, self._since = 0, now

    def stalled_s(self, now: float) -> float | None:
        """For how long too little was taken; None when nothing waits."""
        return now - self._since if self._bytes else None
