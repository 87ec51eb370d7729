"""Listeners of one node behind a balancer: real processes, HAProxy and PostgreSQL."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cadnode.demo.archive import free_port, is_listening
from cadnode.node import workflow
from tests.integration.node import wait_until
from tests.postgres import PostgresServer

Process = subprocess.Popen[bytes]
NEEDS_HAPROXY = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="HAProxy is not installed"
)
BALANCER = "127.0.0.9"  # from where HAProxy connects
PROXIED = f'proxy_addresses = ["{BALANCER}"]'

_LISTENER = """\
[listener]
host = "127.0.0.1"
port = {port}
{more}

[storage]
folder = "{folder}"
min_free_gb = 0.05

[study]
quiet_s = {quiet_s}
settle_s = 1.5

[web]
enabled = false

[jobs]
database_url = "{url}"

{peers}
"""
BALANCED = """\
defaults
    mode tcp
    balance roundrobin
    timeout connect 2s
    timeout client 120s
    timeout server 120s
    retries 2
    option redispatch
listen dicom
"""
"""How HAProxy balances listeners: a part of its configuration, to which ports are added."""
_HAPROXY = f"""\
global
    maxconn 200
{BALANCED}    bind 127.0.0.1:{{port}}
    source {{source}}
"""


class Cluster:
    """Listeners and a worker of doubles on one folder and database, behind one port."""

    def __init__(
        self, folder: Path, server: PostgresServer, *, quiet_s: float = 3.0, peers: str = ""
    ) -> None:
        self.folder, self.storage = folder, folder / "data"
        self.storage.mkdir()
        self.url = server.url.replace("/cadnode", f"/{folder.name.replace('-', '_')}")
        self.port = free_port()
        self.ports: list[int] = []
        self.listeners: list[Process] = []
        self._others: list[Process] = []
        self._quiet_s, self._peers = quiet_s, peers
        workflow.prepare(self.url)

    def start_listener(self) -> int:
        """Start one more; its number, from 0 on. Each has the same settings but for its port."""
        port, number = free_port(), len(self.ports)
        self.config(number).write_text(
            _LISTENER.format(
                port=port, folder=self.storage, url=self.url, more=PROXIED, peers=self._peers,
                quiet_s=self._quiet_s,
            )
        )  # fmt: skip
        self.ports.append(port)
        self.listeners.append(self._listener(number))
        return number

    def config(self, number: int) -> Path:
        """The settings of a listener."""
        return self.folder / f"listener-{number}.toml"

    def wait_for(self, *numbers: int) -> None:
        """Return once these listen."""
        for number in numbers:
            wait_until(lambda n=number: is_listening(self.ports[n]), "it listens", 60.0)  # type: ignore[misc]

    def kill(self, number: int) -> None:
        """`kill -9`."""
        self.listeners[number].kill()
        self.listeners[number].wait()

    def start_balancer(self) -> None:
        """Start HAProxy before the listeners that there are."""
        path = self.folder / "haproxy.cfg"
        servers = [
            f"    server listener{n} 127.0.0.1:{port} send-proxy-v2 check inter 200ms fall 2\n"
            for n, port in enumerate(self.ports)
        ]
        path.write_text(_HAPROXY.format(port=self.port, source=BALANCER) + "".join(servers))
        subprocess.run(["haproxy", "-c", "-q", "-f", str(path)], check=True)
        with (self.folder / "haproxy.log").open("ab") as log:
            command = ["haproxy", "-db", "-f", str(path)]
            self._others.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_until(lambda: is_listening(self.port), "the balancer listens")

    def start_worker(self, read_s: float = 0.3) -> None:
        """Start a worker whose steps are doubles."""
        command = [sys.executable, "-m", "tests.worker_double", str(self.storage), self.url]
        self._others.append(subprocess.Popen([*command, str(read_s), "--quick", "--spool"]))

    def send(self, *files: Path, port: int = 0, calling: str = "MG1") -> bool:
        """Whether DCMTK's storescu has sent all of these over one association."""
        command = ["storescu", "-R", "-aet", calling, "-aec", "CADNODE", "127.0.0.1"]
        done = subprocess.run(
            [*command, str(port or self.port), *map(str, files)],
            check=False, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"},
        )  # fmt: skip
        return done.returncode == 0

    def stored(self, study: str) -> list[Path]:
        """What the spool holds of a study."""
        return sorted((self.storage / "spool" / "studies" / study).iterdir())

    def counts(self, step: str) -> Counter[str]:
        """How often each study had a step of the worker."""
        path = self.storage / "steps"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return Counter(study for _, _, what, study in lines if what == step)

    def lines(self, number: int, event: str) -> list[dict[str, object]]:
        """Lines of a listener's log."""
        log = (self.folder / f"listener-{number}.log").read_text()
        found = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def received(self, number: int) -> int:
        """How many instances a listener has taken."""
        return len(self.lines(number, "instance_received"))

    def close(self) -> None:
        """End them all."""
        everybody = [*self.listeners, *self._others]
        for one in everybody:
            one.send_signal(signal.SIGTERM)
        for one in everybody:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()

    def _listener(self, number: int) -> Process:
        command = [sys.executable, "-m", "cadnode", "serve", "--role", "listener", "--config"]
        with (self.folder / f"listener-{number}.log").open("ab") as log:
            return subprocess.Popen([*command, str(self.config(number))], stdout=log, stderr=log)


@contextmanager
def cluster(
    folder: Path, server: PostgresServer, n: int = 2, *, quiet_s: float = 3.0, peers: str = ""
) -> Iterator[Cluster]:
    """So many listeners and a worker behind a balancer, which all answer."""
    found = Cluster(folder, server, quiet_s=quiet_s, peers=peers)
    try:
        numbers = [found.start_listener() for _ in range(n)]
        found.start_worker()
        found.wait_for(*numbers)
        found.start_balancer()
        wait_until(lambda: found.counts("working"), "the worker works")
        yield found
    finally:
        found.close()


def slept_until(at: float) -> None:
    """Sleep until then, by the monotonic clock: for what must stay as it is."""
    time.sleep(max(0.0, at - time.monotonic()))
