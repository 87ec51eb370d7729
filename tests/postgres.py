"""A PostgreSQL server of a test's own, as the Debian package brings it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cadnode.demo.archive import free_port

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
NEEDS_POSTGRES = pytest.mark.skipif(
    not _BINARIES or os.geteuid() != 0,
    reason="PostgreSQL is not installed, or there is no root to run it as another user",
)


class PostgresServer:
    """A server in a folder that its user may enter; it is not started yet.

    `on` makes the command that runs another one where the server is to be.
    """

    def __init__(self, folder: Path, on: Callable[..., list[str]] = lambda *one: [*one]) -> None:
        self._on = on
        self.bin = _BINARIES[-1].parent
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/cadnode"
        shutil.chown(folder, "postgres")
        self._run("initdb", "-D", str(self.folder), "-A", "trust", "--no-sync")

    def start(self, *more: str) -> None:
        """Start it; `more` are further options of the server."""
        options = [f"-p {self.port}", "-c listen_addresses=127.0.0.1", f"-k {self.folder}"]
        options += ["-c fsync=off", *more]
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-o", " ".join(options), "-l", log,
                  "start")  # fmt: skip

    def stop(self) -> None:
        """End it as a crash does."""
        self._run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "-w", "stop")

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            self._on("runuser", "-u", "postgres", "--", str(self.bin / name), *arguments),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip


@contextmanager
def postgres_server(
    on: Callable[..., list[str]] = lambda *one: [*one],
) -> Iterator[PostgresServer]:
    """A server that is not started yet; at the end it is stopped and removed."""
    folder = Path(tempfile.mkdtemp(prefix="cadnode-pg-"))  # where another user may go
    server = PostgresServer(folder, on)
    try:
        yield server
    finally:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", str(server.bin / "pg_ctl"), "-D",
             str(server.folder), "-m", "immediate", "stop"],
            check=False, capture_output=True, cwd="/",
        )  # fmt: skip
        shutil.rmtree(folder)
