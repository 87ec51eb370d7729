"""The whole way on several real workers, two of them killed while they read.

    python -m benchmarks.worker_nodes [--exams 6] [--seed 1]

Phantom exams by C-STORE to `cadnode serve --role listener`, three `cadnode serve --role worker` on
one PostgreSQL server, results into a folder. Two workers are killed (SIGKILL) while they read, and
started again once what they had is delivered. Needs root, Debian's PostgreSQL and DCMTK.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.ingest import machine
from benchmarks.workers import Process, wait_until
from cadnode.demo.archive import free_port, is_listening
from cadnode.node.delivery_record import tries
from cadnode.node.jobs import JobLookup
from cadnode.node.results import Results
from tests.postgres import postgres_server

_CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}
[storage]
folder = "{storage}"
min_free_gb = 0.05
[study]
quiet_s = 2.0
settle_s = 0.5
[reading]
device = "cpu"
[web]
enabled = false
[jobs]
database_url = "{url}"
[[destinations]]
name = "archive"
kind = "folder"
folder = "{archive}"
"""


def nodes(exams: int, seed: int) -> list[str]:
    """The whole way with real workers, two of them killed while they read."""
    choice = random.Random(seed)
    with postgres_server() as server, tempfile.TemporaryDirectory() as name:
        server.start()  # its database is made by the first worker
        work = Path(name)
        storage, archive, port = work / "data", work / "archive", free_port()
        archive.mkdir()
        config = work / "node.toml"
        config.write_text(
            _CONFIG.format(port=port, storage=storage, url=server.url, archive=archive)
        )
        made = [sys.executable, "-m", "cadnode", "phantom", "--out", str(work / "exams")]
        subprocess.run([*made, "--exams", str(exams)], check=True, stdout=subprocess.DEVNULL)
        files = sorted(str(path) for path in (work / "exams").rglob("*.dcm"))
        roles: list[Process] = []

        def start(role: str) -> Process:
            command = [sys.executable, "-m", "cadnode", "serve", "--role", role, "--config"]
            with (work / "log").open("ab") as log:
                roles.append(subprocess.Popen([*command, str(config)], stdout=log, stderr=log))
            return roles[-1]

        def log_lines(event: str) -> int:
            return (work / "log").read_text(errors="replace").count(f'"event": "{event}"')

        def reported() -> int:
            kept = Results.in_storage(storage)
            return sum(len(kept.reported(study)) for study, _ in kept.studies())

        def delivered() -> Counter[str]:
            kept = Results.in_storage(storage)
            folders = [folder for study, _ in kept.studies() for folder in kept.reported(study)]
            return Counter(
                folder.parent.name
                for folder in folders
                for one in tries(folder)
                if one.status.has_arrived
            )

        try:
            start("listener")
            wait_until(lambda: is_listening(port), "it listens")
            workers = [start("worker") for _ in range(3)]
            wait_until(lambda: log_lines("working") == 3, "three workers run", 600.0)
            began = time.time()
            subprocess.run(
                ["storescu", "-R", "-xt", "-aec", "CADNODE", "127.0.0.1", str(port), *files],
                check=True, capture_output=True,
            )  # fmt: skip
            queued, after = [], []
            for number in (1, 2):
                killed, hand = _kill_one_that_reads(storage, workers, choice)
                workers.remove(killed)
                at = time.time()
                wait_until(lambda n=number: log_lines("jobs_taken_over") == n, "a take-over")
                queued.append(time.time() - at)
                wait_until(lambda h=hand: delivered()[h], "it is delivered")
                after.append(time.time() - at)
                workers.append(start("worker"))
            wait_until(lambda: len(delivered()) == exams, "all is delivered")
            took = time.time() - began
            lookup = JobLookup(server.url)
            wait_until(lambda: not lookup.open_jobs("process", "deliver", "consider"), "idle")
            lookup.close()
            sent, n_results, n_sent = delivered(), reported(), _objects(archive)
            places = (storage / "spool" / "studies", storage / "results", archive)
            sizes = [_megabytes(place) / exams for place in places]
        finally:
            for one in roles:
                one.send_signal(signal.SIGTERM)
            for one in roles:
                one.wait(120)
    return [
        f"| exams (phantoms of four views, JPEG-LS) | {exams} |",
        f"| images, results, objects sent: MB an exam | {', '.join(f'{n:.1f}' for n in sizes)} |",
        f"| lost | {exams - len(sent)} |",
        f"| results beyond one a study | {n_results - exams} |",
        f"| delivered more than once | {sum(n > 1 for n in sent.values())} |",
        f"| objects in the archive, studies with them | {n_sent[0]}, {n_sent[1]} |",
        f"| workers killed while they read | {len(after)} |",
        f"| from the kill to the take-over, s | {', '.join(f'{s:.1f}' for s in queued)} |",
        f"| from the kill to that study's delivery, s | {', '.join(f'{s:.1f}' for s in after)} |",
        f"| whole run, s | {took:.0f} |",
    ]


def _kill_one_that_reads(
    storage: Path, workers: list[Process], choice: random.Random
) -> tuple[Process, str]:
    """`kill -9` a worker that has a study in hand; the process, and the study."""
    by_pid = {str(one.pid): one for one in workers}
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        hands = {path: path.read_bytes().strip() for path in (storage / "roles").glob("*.hand")}
        for path in choice.sample(sorted(hands), len(hands)):
            one = by_pid.get(path.with_suffix(".pid").read_text())
            if hands[path] and one is not None:
                one.kill()
                one.wait()
                return one, hands[path].decode().split("-")[0]
        time.sleep(0.05)
    raise SystemExit("no worker reads")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _objects(archive: Path) -> tuple[int, int]:
    found = list(archive.rglob("*.dcm"))
    return len(found), len({path.relative_to(archive).parts[0] for path in found})


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(machine(), *nodes(options.exams, options.seed), sep="\n", flush=True)


if __name__ == "__main__":
    main()
