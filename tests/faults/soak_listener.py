"""The listener under every kind of harm at once, for long: what it costs, as JSON.

    python -m tests.faults.soak_listener --associations 10000 --minutes 10

Starts a listener in a process of its own. One peer, at 127.0.0.9 and a process of its own too,
asks for C-ECHO five times a second throughout; others do harm in turn: scans, half-open and
dripping connections, requests that lack a byte, huge PDUs, random bytes, idle associations, stores
sent ahead, stores that drip, RSTs. Quick associations are opened until there were as many as
wanted and the minutes are over. The exit code is 1 where a C-ECHO took a second or more, or
something grew. `machine_late_max_s` is how late the machine itself was to wake the peer that
asks: on a busy one, what a C-ECHO takes is this too.
"""

import argparse
import json
import os
import random
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.faults.listener_peer import (
    ACCEPTED,
    DATA,
    MG,
    Listening,
    associate,
    associate_rq,
    command,
    connect,
    data_set,
    echo_s,
    listening,
    p_data,
    received,
    reset,
    store,
)

HONEST, QUICK = "127.0.0.9", ("127.0.0.5", "127.0.0.6", "127.0.0.7")
_GROWTH_MB = 32


def scan(node: Listening) -> None:
    """A load balancer's checks."""
    for _ in range(100):
        connect(node.port).close()


def half_open(node: Listening) -> None:
    """Connections that say nothing."""
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(node.port))
        time.sleep(2.0)


def dripped_requests(node: Listening) -> None:
    """200 requests of which a byte comes now and then."""
    request = associate_rq()
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(node.port)) for _ in range(200)]
        for byte in request[:6]:
            for peer in peers:
                with suppress(OSError):
                    peer.sendall(bytes([byte]))
            time.sleep(0.5)


def huge_pdus(node: Listening) -> None:
    """16 MiB less a byte, and requests of 256 KiB less a byte, before an association."""
    with ExitStack() as stack:
        for n in range(60):
            length = (16 << 20) if n % 2 else (256 << 10)
            peer = stack.enter_context(connect(node.port))
            with suppress(OSError):
                peer.sendall(struct.pack(">BxI", 1, length) + bytes((256 << 10) - 1))


def noise(node: Listening) -> None:
    """Random bytes, HTTP and TLS."""
    hellos = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00" + bytes(500)]
    for n in range(100):
        with connect(node.port) as peer, suppress(OSError):
            peer.sendall(hellos[n % 4] if n % 4 < 2 else os.urandom(random.randint(1, 3000)))


def idle(node: Listening) -> None:
    """Associations that are never used."""
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(associate(node.port)[0])
        time.sleep(2.0)


def sent_ahead(node: Listening) -> None:
    """Stores without waiting for an answer, which is not read either."""
    peer, answer = associate(node.port)
    with peer, suppress(OSError):
        peer.settimeout(3.0)
        for n in range(1500 if answer == ACCEPTED else 0):
            peer.sendall(store(n))


def dripped_stores(node: Listening) -> None:
    """Data sets of which a byte comes now and then, on as many associations as there are."""
    begun = command(0x0001, MG, b"1.2.3.9.1") + p_data(DATA, data_set(b"1.2.3.9.1"))
    with ExitStack() as stack:
        peers = []
        for _ in range(20):
            peer, answer = associate(node.port)
            stack.enter_context(peer)
            if answer == ACCEPTED:
                peers.append(peer)
                with suppress(OSError):
                    peer.sendall(begun)
        for _ in range(10):
            for peer in peers:
                with suppress(OSError):
                    peer.sendall(p_data(DATA, b"\0"))
            time.sleep(0.5)


def resets(node: Listening) -> None:
    """RST in every state."""
    for sent in (b"", associate_rq()[:40]):
        peer = connect(node.port)
        peer.sendall(sent)
        reset(peer)
    whole = store(1, 100_000)
    for cut in (0, 20, 200, 50_000, len(whole)):
        peer, answer = associate(node.port)
        if answer == ACCEPTED:
            with suppress(OSError):
                peer.sendall(whole[:cut])
        reset(peer)


def stores(node: Listening) -> None:
    """What the listener is for, in between: 20 images, each answered."""
    peer, answer = associate(node.port, source="127.0.0.8")
    with peer:
        for n in range(20 if answer == ACCEPTED else 0):
            peer.sendall(store(n, 200_000))
            assert received(peer)[0] == 0x04


HARMS: tuple[Callable[[Listening], None], ...] = (
    scan, half_open, dripped_requests, huge_pdus, noise, idle, sent_ahead, dripped_stores, resets,
    stores,
)  # fmt: skip


def probe(port: int) -> None:
    """C-ECHO after C-ECHO until standard input ends; then seconds, null for none, as JSON."""
    taken: list[float | None] = []
    late: list[float] = []
    while True:
        began = time.monotonic()
        if select.select([sys.stdin], [], [], 0.2)[0]:
            break
        late.append(time.monotonic() - began - 0.2)
        try:
            taken.append(echo_s(port, HONEST))
        except (OSError, AssertionError):
            taken.append(None)
    print(json.dumps([taken, max(late)]))


class Soak:
    """The run's peers, and what was measured."""

    def __init__(self, node: Listening, associations: int, until: float) -> None:
        self.node, self.wanted, self.until = node, associations, until
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.samples: list[dict[str, float]] = []
        self.echoes: list[float | None] = []
        self.late_s = 0.0
        self.is_over = threading.Event()

    def run(self) -> None:
        """Return when there were enough associations and the time is over."""
        quick = [threading.Thread(target=self._associate, args=(one,)) for one in QUICK]
        others = [
            threading.Thread(target=one, daemon=True)
            for one in (self._harm, self._harm, self._sample)
        ]
        program = [
            sys.executable,
            "-m",
            "tests.faults.soak_listener",
            "--probe",
            str(self.node.port),
        ]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as prober:
            for thread in quick + others:
                thread.start()
            for thread in quick:
                thread.join()
            self.is_over.set()
            self.echoes, self.late_s = json.loads(prober.communicate(timeout=60)[0])
        for thread in others:
            thread.join(60)

    def _associate(self, source: str) -> None:
        while self.done["associations"] < self.wanted or time.monotonic() < self.until:
            try:
                echo_s(self.node.port, source)
                self.done["associations"] += 1
            except (OSError, AssertionError) as error:
                self.failed[str(error) or type(error).__name__] += 1

    def _harm(self) -> None:
        while not self.is_over.is_set():
            harm = random.choice(HARMS)
            with suppress(OSError):
                harm(self.node)
            self.done[harm.__name__] += 1

    def _sample(self) -> None:
        began = time.monotonic()
        while not self.is_over.wait(1.0):
            status = self.node.status()
            incoming = len(self.node.incoming())
            self.samples.append(
                {"s": round(time.monotonic() - began), "incoming": incoming, **status}
            )

    def table(self, before: dict[str, int], after: dict[str, int]) -> dict[str, object]:
        """What was measured."""
        ordered = sorted(one for one in self.echoes if one is not None)
        every = max(1, len(self.samples) // 30)
        return {
            "echoes": len(self.echoes),
            "echoes_unanswered": self.echoes.count(None),
            "echo_median_s": round(ordered[len(ordered) // 2], 4),
            "echo_p99_s": round(ordered[int(len(ordered) * 0.99)], 4),
            "echo_max_s": round(ordered[-1], 3),
            "echoes_of_1_s_or_more": sum(one >= 1.0 for one in ordered),
            "machine_late_max_s": round(self.late_s, 3),
            "quick_that_failed": dict(self.failed),
            "done": dict(self.done),
            "stored": self.node.stored(),
            "most": {key: max(s[key] for s in self.samples) for key in self.samples[0]},
            "before": before,
            "after": after,
            "log_lines": len(self.node.log_file.read_text().splitlines()),
            "over_time": self.samples[::every],
        }


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--associations", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--work", type=Path, help="folder for files (default: the system's)")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        probe(options.probe)
        return 0
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=options.work) as work,
        listening(Path(work)) as node,
    ):
        echo_s(node.port)
        before = node.status()
        soak = Soak(node, options.associations, time.monotonic() + 60 * options.minutes)
        soak.run()
        time.sleep(5.0)
        after = node.status()
        table = soak.table(before, after)
    print(json.dumps(table, indent=1))
    grown = after["rss_mb"] - before["rss_mb"] >= _GROWTH_MB
    leaked = any(after[key] > before[key] for key in ("descriptors", "threads"))
    late = table["echoes_of_1_s_or_more"] or table["echoes_unanswered"]
    return int(bool(grown or leaked or late))


if __name__ == "__main__":
    sys.exit(main())
