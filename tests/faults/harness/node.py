"""The node under test: its settings, its processes, its health, all seen from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cadnode.demo.archive import free_port
from tests.faults.harness.wait import NotReached, comes_true, is_listening, until

ROLES: Final = ("worker", "listener", "web")
UP_WITHIN_S: Final = 600.0
GONE_WITHIN_S: Final = 60.0
SETTINGS: Final = """\
[listener]
host = "127.0.0.1"
port = {port}
network_timeout_s = 10.0

[storage]
folder = "{storage}"
min_free_gb = {min_free_gb}

[study]
wanted_views = ["R CC"]
settle_s = 0.5
quiet_s = 3.0
sweep_s = 3.0

[reading]
device = "cpu"
threads = 1
most_regions = 0
operating_point = "specificity=0.999"

[web]
port = {web_port}

[[destinations]]
name = "archive"
port = {archive_port}
ae_title = "ARCHIVE"
timeout_s = 6.0
"""


@dataclass
class NodeUnderTest:
    """A node's settings and processes; `kill`, `pause` and `restart` as fate or an admin would."""

    work: Path
    storage: Path
    archive_port: int
    port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    min_free_gb: float = 0.0
    more: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    preload: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def __post_init__(self) -> None:
        self.temporary = self.work / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.settings = self.work / "node.toml"
        self.log = self.work / "node.log"
        values = {
            "port": self.port, "web_port": self.web_port, "storage": self.storage,
            "archive_port": self.archive_port, "min_free_gb": self.min_free_gb,
        }  # fmt: skip
        self.settings.write_text(SETTINGS.format(**values) + self.more)

    def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cadnode", "serve", "--config", str(self.settings)],
                stdout=log, stderr=log, start_new_session=True, env=self._environment(),
            )  # fmt: skip
        self.starts += 1
        if wait:
            until(lambda: self.is_up() or self.has_ended, "the node is up", UP_WITHIN_S)
            if self.has_ended:
                raise NotReached("the node ended while it started")

    @property
    def has_ended(self) -> bool:
        """Whether its supervisor is gone."""
        return self.process is None or self.process.poll() is not None

    def _environment(self) -> dict[str, str]:
        own = {**os.environ, **self.environment, "TMPDIR": str(self.temporary)}
        if self.preload is not None:
            own["LD_PRELOAD"] = str(self.preload)
        return own

    # What can be seen of it

    def processes(self) -> dict[int, str]:
        """Process id → what it is: "supervisor", a role, or "child" of one of them."""
        found: dict[int, str] = {}
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError, IndexError, ValueError):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    state, parent = _stat(entry)
                    pid = int(entry.name)
                    if state != "Z":
                        parents[pid] = parent
                        if str(self.settings).encode() in words and b"serve" in words:
                            found[pid] = _role(words)
        for pid in parents:
            if pid not in found and parents[pid] in found and found[parents[pid]] != "child":
                found[pid] = "child"
        # A fork has its parent's command line.
        forks = [p for p, n in found.items() if n in ROLES and found.get(parents[p]) == n]
        return {**found, **dict.fromkeys(forks, "child")}

    def pids(self, name: str) -> list[int]:
        """Processes of a role."""
        return [pid for pid, what in self.processes().items() if what == name]

    def health(self) -> dict[str, Any] | None:
        """`GET /health`; None when there is no answer."""
        return self._get("/health")

    def study(self, uid: str) -> dict[str, Any] | None:
        """`GET /api/studies/UID`; None when there is no answer."""
        return self._get(f"/api/studies/{uid}")

    def _get(self, path: str) -> dict[str, Any] | None:
        url = f"http://127.0.0.1:{self.web_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            with error, suppress(ValueError, OSError):
                found = json.load(error)
                return found if isinstance(found, dict) else None
            return None
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def is_up(self) -> bool:
        """Whether every role works."""
        if self.has_ended:
            return False
        roles = (self.health() or {}).get("roles", {})
        return is_listening(self.port) and all(roles.get(name) == "up" for name in ROLES)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        found = []
        mark = f'"event": "{name}"'.encode()
        for line in self.log.read_bytes().splitlines() if self.log.exists() else []:
            if mark in line:
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def tracebacks(self) -> int:
        """How often the log shows a Python traceback."""
        return self.log.read_bytes().count(b"Traceback (most recent call last)")

    # What can be done to it

    def kill(self, name: str) -> int:
        """`kill -9` the processes of a role; returns how many there were."""
        pids = self.pids(name)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if name == "supervisor" and self.process is not None:
            self.process.wait()
        until(lambda: not set(pids) & set(self.processes()), f"the {name} is dead", GONE_WITHIN_S)
        return len(pids)

    def signal(self, name: str, number: signal.Signals) -> None:
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_all(self) -> None:
        """`kill -9` everything at once, as a power cut does."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        until(lambda: not self.processes(), "no process of the node is left", GONE_WITHIN_S)

    def orphans_end(self) -> bool:
        """Whether the roles of a supervisor that is dead end by themselves."""
        return comes_true(lambda: not self.processes(), GONE_WITHIN_S)

    def stop(self) -> bool:
        """SIGTERM; returns whether it ended in time, and nothing of it is left."""
        if self.process is None:
            return True
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill_all()
            return False
        return comes_true(lambda: not self.processes(), 10)

    def restart(self) -> None:
        self.stop()
        self.start()

    def probe(self) -> bool:
        """Whether the listener answers a connection at all."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2):
            return True
        return False


def _role(words: list[bytes]) -> str:
    if b"--role" not in words:
        return "supervisor"
    return words[words.index(b"--role") + 1].decode()


def _stat(entry: Path) -> tuple[str, int]:
    """State and parent of a process."""
    state, parent, *_ = (entry / "stat").read_text().rsplit(")", 1)[1].split()
    return state, int(parent)
