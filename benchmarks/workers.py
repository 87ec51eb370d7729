"""Several workers on one PostgreSQL server: killed and restarted, and how the queue scales.

    python -m benchmarks.workers faults [--exams 500] [--read-s 1.0] [--seed 1]
    python -m benchmarks.workers scale [--exams 120] [--read-s 1.0] [--workers 1,2,4,8]

They run `tests.worker_double`: the node's leases, queues and workflows, with a reading that sleeps
for READ_S seconds instead of computing, so that a small machine shows how the queue behaves, not
how fast it computes. In `faults` three workers get the exams, two of them are
killed with SIGKILL while they read and started again, and the database is stopped and started.
Leases last as long as the node's own. `benchmarks.worker_nodes` is the way with real readings.
Needs root and Debian's PostgreSQL (`tests.postgres`).
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.ingest import machine
from cadnode.node import workflow
from cadnode.node.job_database import client_of
from tests.postgres import PostgresServer, postgres_server

Process = subprocess.Popen[bytes]


def wait_until(reached: Callable[[], object], what: str, within_s: float = 1800.0) -> None:
    """Return once `reached()` is true."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit(f"not reached: {what}")
        time.sleep(0.1)


class Doubles:
    """Workers with doubles for steps, and what they noted."""

    def __init__(self, storage: Path, url: str, read_s: float) -> None:
        self._storage, self._url, self._read_s = storage, url, read_s
        self.workers: list[Process] = []
        workflow.prepare(url)

    def start(self) -> None:
        """Start one more."""
        command = [sys.executable, "-m", "tests.worker_double", str(self._storage), self._url]
        self.workers.append(subprocess.Popen([*command, str(self._read_s)]))

    def lines(self) -> list[tuple[float, str, str, str]]:
        """(epoch s, slot, step, study) of every line."""
        path = self._storage / "steps"
        found = [one.split() for one in path.read_text().splitlines()] if path.exists() else []
        return [(float(at), slot, step, study) for at, slot, step, study in found]

    def counts(self, step: str) -> Counter[str]:
        """How often each study had a step."""
        return Counter(study for _, _, what, study in self.lines() if what == step)

    def announce(self, n: int) -> None:
        """Have so many studies considered."""
        client = client_of(self._url)
        for number in range(n):
            options = {"workflow_name": "consider", "queue_name": workflow.ARRIVALS}
            client.enqueue(options, f"{number:016x}")  # type: ignore[arg-type]
        client.destroy()

    def kill_one_that_reads(self, choice: random.Random) -> str:
        """`kill -9` one in the middle of a reading; the study that it had in hand."""
        while True:
            done = self.counts("read")
            hands = {slot: of for _, slot, step, of in self.lines() if step == "begin"}
            busy = {slot: of for slot, of in hands.items() if not done[of]}
            alive = {str(one.pid): one for one in self.workers if one.poll() is None}
            for slot in choice.sample(sorted(busy), len(busy)):
                pid = (self._storage / "roles" / f"{slot}.pid").read_text()
                if pid in alive:
                    alive[pid].kill()
                    alive[pid].wait()
                    return busy[slot]
            time.sleep(0.05)

    def close(self) -> None:
        """End them all."""
        for one in self.workers:
            one.send_signal(signal.SIGTERM)
        for one in self.workers:
            one.wait(60)


@contextmanager
def doubles(server: PostgresServer, name: str, n: int, read_s: float) -> Iterator[Doubles]:
    """So many workers with doubles for steps, which work."""
    with tempfile.TemporaryDirectory() as storage:
        crew = Doubles(Path(storage), server.url.replace("/cadnode", f"/{name}"), read_s)
        for _ in range(n):
            crew.start()
        wait_until(lambda: sum(crew.counts("working").values()) == n, "workers run")
        try:
            yield crew
        finally:
            crew.close()


def faults(exams: int, read_s: float, seed: int) -> list[str]:
    """Three workers, two killed while they read; the database stopped and started."""
    choice = random.Random(seed)
    with postgres_server() as server:
        server.start()
        with doubles(server, "faults", 3, read_s) as crew:
            began = time.time()
            crew.announce(exams)
            killed: dict[str, float] = {}
            for part in (0.2, 0.5):
                wait_until(lambda p=part: len(crew.counts("deliver")) > p * exams, "exams are done")
                study = crew.kill_one_that_reads(choice)
                killed[study] = time.time()
                wait_until(lambda s=study: crew.counts("deliver")[s], "it is taken over")
                crew.start()  # as systemd would, only later: what it had was another's by then
            wait_until(lambda: len(crew.counts("deliver")) > 0.7 * exams, "exams are done")
            server.stop()
            time.sleep(5.0)
            server.start()
            wait_until(lambda: len(crew.counts("deliver")) == exams, "all is delivered")
            took = time.time() - began
            lines = crew.lines()
            read, sent = crew.counts("read"), crew.counts("deliver")
    after = [
        next(at for at, _, step, of in lines if (step, of) == ("deliver", study)) - when
        for study, when in killed.items()
    ]
    return [
        f"| exams | {exams} |",
        f"| lost | {exams - len(sent)} |",
        f"| read more than once to the end | {sum(n > 1 for n in read.values())} |",
        f"| delivered more than once | {sum(n > 1 for n in sent.values())} |",
        f"| workers killed while they read | {len(killed)} |",
        f"| from the kill to that study's delivery, s | {', '.join(f'{s:.1f}' for s in after)} |",
        "| database stopped and started, s away | 1, 5 |",
        f"| whole run, s | {took:.0f} |",
    ]


def scale(exams: int, read_s: float, numbers: list[int]) -> list[str]:
    """Exams a minute by number of workers."""
    table = ["| workers | exams a minute | of the ideal |", "|---|---|---|"]
    with postgres_server() as server:
        server.start()
        for n in numbers:
            with doubles(server, f"scale_{n}", n, read_s) as crew:
                crew.announce(exams)
                wait_until(lambda c=crew: len(c.counts("deliver")) == exams, "all is delivered")
                begins = [at for at, _, step, _ in crew.lines() if step == "begin"]
                ends = [at for at, _, step, _ in crew.lines() if step == "deliver"]
            a_minute = exams / (max(ends) - min(begins)) * 60
            table.append(f"| {n} | {a_minute:.1f} | {a_minute / (n * 60 / read_s):.2f} |")
    return table


def main() -> None:
    """Run one of the two and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["faults", "scale"])
    parser.add_argument("--exams", type=int)
    parser.add_argument("--read-s", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", default="1,2,4,8")
    options = parser.parse_args()
    about = machine()
    if options.what == "faults":
        table = faults(options.exams or 500, options.read_s, options.seed)
    else:
        numbers = [int(n) for n in options.workers.split(",")]
        table = scale(options.exams or 120, options.read_s, numbers)
    print(json.dumps(vars(options)), about, *table, sep="\n", flush=True)


if __name__ == "__main__":
    main()
