"""A node in processes of its own beside a real Orthanc, for the tests that need the whole way."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cadnode.demo.archive import DemoArchive, free_port, is_listening
from cadnode.node import supervise, trial_job
from cadnode.registry import installation
from cadnode.registry.history import ChangeAuthor
from cadnode.registry.installation import Stores
from tests.peers import StoreScp

WITHIN_S = 120.0
_TRIED: list[bytes] = []  # what the first node of this process noted: its libraries run jobs
CONFIG = """\
[listener]
host = "127.0.0.1"
port = {port}

[storage]
folder = "{folder}"
min_free_gb = 0.05

[study]
quiet_s = {quiet_s}
settle_s = 0.5
sweep_s = 2.0

[reading]
device = "cpu"

[web]
port = {web_port}

[[destinations]]
name = "archive"
port = {archive_port}
ae_title = "ARCHIVE"
"""


def wait_until(
    reached: Callable[[], object],
    what: str,
    within_s: float = WITHIN_S,
    every_s: float = 0.05,
    at_most_s: float = 0.5,
) -> None:
    """Return once `reached()` is true; fail with `what` when it takes too long.

    The pause between two looks grows from `every_s` to a tenth of the time that has passed, and to
    `at_most_s`: a look costs processor time, of the node too, which needs it for what is awaited.
    """
    start = time.monotonic()
    while not reached():
        waited = time.monotonic() - start
        assert waited < within_s, f"not reached: {what}"
        time.sleep(max(every_s, min(waited / 10, at_most_s)))


def left_active(stores: Stores, name: str) -> None:
    """Deactivate all models but one.

    For nodes whose point is not the reading: the others are loaded by each of them, look for
    findings in each view, and take a quarter of its processor time.
    """
    author = ChangeAuthor("admin", datetime.now(UTC))
    for entry in list(stores.catalogue().active()):
        if entry.name != name:
            installation.deactivate(stores, entry.name, author)


def views_alone(storage: Path) -> None:
    """Let a node that begins in that folder read digital views, and look for no findings."""
    left_active(Stores(storage / "models"), "dib-mg-digital")


ENDINGS = ("role_died", "role_hung", "role_killed", "lease_lost")


@dataclass
class Node:
    """A node's folder and port; `start` and `kill` as an admin (or a power cut) would."""

    folder: Path
    port: int
    config: Path
    web_port: int  # 0: it has no HTTP side
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def start(self) -> None:
        """Start it. The trial of the job database runs for the first node of a test run only."""
        stamp = self.folder / "data" / trial_job.STAMP
        if _TRIED and not stamp.exists():
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_bytes(_TRIED[0])
        with (self.folder / "node.log").open("ab") as output:
            self.process = subprocess.Popen(
                supervise.command("all", self.config),
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        # Each look is a process, beside a node that needs the cores to start.
        wait_until(self.answers, "the node listens", every_s=0.25)
        if not _TRIED and stamp.exists():
            _TRIED.append(stamp.read_bytes())

    def answers(self) -> bool:
        """Whether its listener does, and its HTTP side where it has one."""
        if self.web_port and not is_listening(self.web_port):
            return False
        echo = ["echoscu", "-aec", "CADNODE", "127.0.0.1", str(self.port)]
        return subprocess.run(echo, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        """`kill -9` supervisor, listener and worker at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=40)

    def send(self, *files: Path, options: tuple[str, ...] = ()) -> None:
        """By DCMTK's storescu; `options` may propose a compressed transfer syntax."""
        subprocess.run(
            ["storescu", "-R", *options, "-aec", "CADNODE", "127.0.0.1", str(self.port),
             *map(str, files)],
            check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"},
        )  # fmt: skip

    def jobs(self, name: str, status: str = "SUCCESS") -> int:
        """Number of workflows of that name that have ended so."""
        database = self.folder / "data" / "jobs.sqlite"
        if not database.exists():
            return 0
        with closing(sqlite3.connect(database, timeout=10)) as connection:
            query = "select count(*) from workflow_status where name = ? and status = ?"
            (count,) = connection.execute(query, (name, status)).fetchone()
        return int(count)

    def is_idle(self) -> bool:
        """Whether no job waits, is delayed or runs."""
        open_ones = ("ENQUEUED", "DELAYED", "PENDING")
        return not any(
            self.jobs(n, s)
            for n in ("fetch", "consider", "process", "deliver", "shadow")
            for s in open_ones
        )

    def events(self, name: str) -> int:
        return self.log.count(f'"event": "{name}"')

    @property
    def endings(self) -> list[str]:
        """The lines of the log that say why a role ended or began again."""
        return [
            line
            for line in self.log.splitlines()
            if any(f'"event": "{name}"' in line for name in ENDINGS)
        ]


@contextmanager
def running_node(
    folder: Path, archive: DemoArchive | StoreScp, *, quiet_s: float = 3.0, more: str = ""
) -> Iterator[Node]:
    """A node that delivers to `archive`, started; stopped at the end, however it ends.

    `more` is further configuration.
    """
    port, web_port = free_port(), free_port()
    config = folder / "node.toml"
    config.write_text(
        CONFIG.format(
            port=port, web_port=web_port, folder=folder / "data", quiet_s=quiet_s,
            archive_port=archive.port,
        )
        + more
    )  # fmt: skip
    node = Node(folder, port, config, web_port)
    node.start()
    try:
        yield node
    finally:
        node.stop()
