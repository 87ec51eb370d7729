"""Does each role do its work? A heartbeat a role, from the loops that do it.

A role has a `Pulse`. Each loop of it ticks there; a step that may take long says for how long at
most. A thread of the role beats once a second: to the supervisor over the role's standard input
(a socket, of which it holds the other end), which no full disk silences, and into
`roles/<role>.beat`, in place, for those who only look. A beat says which part of the role is stuck,
if one is. A process that is stopped, or whose threads are all held up, does not beat at all.
"""

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from cadnode.node.in_place import InPlace

EVERY_S: Final = 1.0
SILENT_S: Final = 45.0  # without a beat for so long, a working role hangs
STARTING_SILENT_S: Final = 120.0  # a cold disk gives libraries of gigabytes
LOOP_S: Final = 60.0  # a loop that ticks several times a second
SHOWN_SILENT_S: Final = (
    60.0  # the file is written by a thread of its own, on a disk that may be slow
)
STARTING, WORKING, WAITING = "starting", "working", "waiting"


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat. `at` is `time.monotonic()`, the machine's own since its boot.

    `boot` says of which machine and boot. `state` is "starting", "working" or "waiting: …" with
    what for, in words; `stuck` names the part of the role that does not go on, "" when all do.
    """

    pid: int
    at: float
    state: str = STARTING
    stuck: str = ""
    boot: str = ""

    @property
    def is_starting(self) -> bool:
        """Whether the role has not worked yet: it loads libraries and models."""
        return self.state == STARTING

    @property
    def waits_for(self) -> str:
        """What the role waits for, in words; "" when it does not wait."""
        return self.state.removeprefix(f"{WAITING}: ") if self.state.startswith(WAITING) else ""

    def silent_s(self) -> float:
        """Seconds without another beat after which the role hangs."""
        return STARTING_SILENT_S if self.is_starting else SILENT_S


@cache
def boot() -> str:
    """The kernel's name of this machine's boot; "" where it has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def encoded(beat: Beat) -> bytes:
    """A beat as a line of JSON."""
    return json.dumps(asdict(beat)).encode() + b"\n"


def decoded(line: bytes) -> Beat | None:
    """The beat of a line; None when it is none, as of another version."""
    with suppress(ValueError, TypeError):
        return Beat(**json.loads(line))
    return None


def file_of(storage: Path, role: str) -> InPlace:
    """Where a role's last beat can be seen."""
    return InPlace(storage / "roles" / f"{role}.beat", 512)


class Pulse:
    """The pulse of this process's role. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}  # part: when it is stuck unless it ticks before
        self._running: dict[object, tuple[str, float]] = {}  # steps
        self._state = STARTING

    def tick(self, part: str, within_s: float = LOOP_S) -> None:
        """`part` goes on, and ticks again within that time."""
        with self._lock:
            self._due[part] = time.monotonic() + within_s

    def ended(self, part: str) -> None:
        """`part` does not tick any more, as it should be."""
        with self._lock:
            self._due.pop(part, None)

    @contextmanager
    def step(self, name: str, within_s: float) -> Iterator[None]:
        """Within the block a step runs that takes so many seconds at most."""
        token = object()
        with self._lock:
            self._running[token] = (name, time.monotonic() + within_s)
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(token, None)

    def say(self, state: str, detail: str = "") -> bool:
        """Change the state; whether it is another than before."""
        state = f"{state}: {detail}" if detail else state
        with self._lock:
            was, self._state = self._state, state
        return was != state

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Within the block the role waits for something, and then is as it was."""
        with self._lock:
            before, self._state = self._state, f"{WAITING}: {what}"
        try:
            yield
        finally:
            with self._lock:
                self._state = before

    def beat(self) -> Beat:
        """The beat of this moment."""
        now = time.monotonic()
        with self._lock:
            late = [part for part, due in self._due.items() if now > due]
            late += [name for name, due in self._running.values() if now > due]
            return Beat(os.getpid(), now, self._state, late[0] if late else "", boot())


@contextmanager
def beating(storage: Path, role: str) -> Iterator[Pulse]:
    """A pulse that beats within the block."""
    pulse, end = Pulse(), threading.Event()
    beats = [
        threading.Thread(target=_send, args=(pulse, end), name="beat", daemon=True),
        threading.Thread(
            target=_show, args=(pulse, end, file_of(storage, role)), name="beat-file", daemon=True
        ),
    ]
    for thread in beats:
        thread.start()
    try:
        yield pulse
    finally:
        end.set()


def _send(pulse: Pulse, end: threading.Event) -> None:
    """To the supervisor; where there is none, or it does not read just now, nothing is lost."""
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(0).st_mode):
            return
        line = socket.socket(fileno=os.dup(0))
        with line:
            while True:
                with suppress(BlockingIOError):
                    line.send(encoded(pulse.beat()), socket.MSG_DONTWAIT)
                if end.wait(EVERY_S):
                    return


def _show(pulse: Pulse, end: threading.Event, file: InPlace) -> None:
    while True:
        file.write(encoded(pulse.beat()))
        if end.wait(EVERY_S):
            return


class Listened:
    """The supervisor's end of a role's line: when it was last heard, and what it said."""

    def __init__(self) -> None:
        self._line, self.role_end = socket.socketpair()
        self._line.setblocking(False)
        self._rest = b""
        self._heard_at = time.monotonic()
        self._looked_at = self._heard_at
        self.last = Beat(0, self._heard_at)

    def started(self) -> None:
        """The role has its end now: only when it is closed here does its death end the line."""
        self.role_end.close()

    def close(self) -> None:
        """End the line: the role ends with it."""
        self._line.close()
        self.role_end.close()

    def stuck(self) -> str:
        """Why the role hangs, in words; "" when it does not.

        Time in which the supervisor itself did not run, as on a machine that slept, counts for
        nobody.
        """
        now = time.monotonic()
        gap_s = now - self._looked_at
        self._looked_at = now
        if gap_s > 5.0:
            self._heard_at += gap_s
        if self._read():
            self._heard_at = now
        if gap_s <= 5.0 and self.last.stuck:
            return self.last.stuck
        silent_s = now - self._heard_at
        return "no heartbeat" if silent_s > self.last.silent_s() else ""

    def _read(self) -> bool:
        heard = False
        with suppress(OSError):
            while data := self._line.recv(65536):
                heard = True
                *lines, self._rest = (self._rest + data).split(b"\n")
                beats = [beat for line in lines if (beat := decoded(line))]
                self.last = beats[-1] if beats else self.last
        return heard
