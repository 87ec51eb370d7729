"""The whole way behind a balancer: listeners killed, roles upgraded, each on a network of its own.

    python -m benchmarks.listener_nodes [--exams 8] [--namespaces] [--older FOLDER]

Phantom exams, each view by an association of its own (DCMTK's storescu), through HAProxy to two
`cadnode serve --role listener`, read by two `--role worker` with the packaged models on one
PostgreSQL server and one folder, delivered to DCMTK's storescp. A view that was not answered with
Success is sent again, as a PACS does. One listener is killed (SIGKILL) at half of the exams, in the
middle of an association, and started again.

With `--namespaces` each role is in a network namespace of its own, without a loopback. With
`--older`, the sources of a version before, the node begins as that one, with one listener, and is
upgraded role by role while exams come: `deploy/try-rolling-upgrade.sh`. Needs root, Debian's
PostgreSQL, HAProxy and DCMTK.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from benchmarks.ingest import machine
from benchmarks.namespaces import NETWORK, Machines, machines
from benchmarks.workers import Process, wait_until
from cadnode.demo.archive import free_port
from cadnode.node.delivery_record import tries
from cadnode.node.results import Results
from tests.postgres import PostgresServer, postgres_server
from tests.several_listeners import BALANCED

ROOT = Path(__file__).parents[1]
ROLES = ("database", "balancer", "listener1", "listener2", "worker1", "worker2", "archive", "pacs")
OLDER, THIS = "older", "this"

_CONFIG = """\
[listener]
host = "{host}"
port = {port}
{proxied}
{peers}
[storage]
folder = "{storage}"
min_free_gb = 0.05
[study]
quiet_s = 4.0
settle_s = 1.0
[reading]
device = "cpu"
threads = 1
[web]
enabled = false
[jobs]
database_url = "{url}"
[[destinations]]
name = "archive"
host = "{archive}"
port = {archive_port}
ae_title = "ARCHIVE"
"""
_PEER = """\
[[listener.peers]]
address = "{address}"
ae_title = "PACS"
"""
_HAPROXY = f"""\
{BALANCED}    bind {{host}}:{{port}}
    server listener1 {{one}} {{send}} check inter 300ms fall 2
    server listener2 {{two}} {{send}} check inter 300ms fall 2
"""


class BalancedSite:
    """Processes of a node and of what is around it, on their machines."""

    def __init__(self, work: Path, hosts: Machines, server: PostgresServer, older: str) -> None:
        self.work, self.hosts, self.storage = work, hosts, work / "data"
        self.ports = {role: free_port() for role in ROLES}
        self.processes: dict[str, Process] = {}
        self._paths = {OLDER: f"{older}:{work / 'names'}", THIS: f"{ROOT}:{work / 'names'}"}
        self._url = server.url.replace("127.0.0.1", hosts.address("database"))
        self._is_proxied = not older  # a version before knows no such setting
        (work / "names").mkdir()
        (work / "names" / "cadnode_training").symlink_to(ROOT / "training")

    def start(self, role: str, version: str = THIS) -> None:
        """Start a listener or worker of a version, on its machine; it works when this returns."""
        kind, host = role.rstrip("12"), self.hosts.address(role)
        pacs, balancer = self.hosts.address("pacs"), self.hosts.address("balancer")
        config = self.work / f"{role}.toml"
        config.write_text(
            _CONFIG.format(
                host=host, port=self.ports[role], storage=self.storage, url=self._url,
                proxied=f'proxy_addresses = ["{balancer}"]' if self._is_proxied else "",
                peers=_PEER.format(address=pacs if self._is_proxied else balancer),
                archive=self.hosts.address("archive"), archive_port=self.ports["archive"],
            )
        )  # fmt: skip
        event = "listening" if kind == "listener" else "working"
        before = len(self.events(role, event))
        self.run(
            role, sys.executable, "-m", "cadnode", "serve", "--role", kind, "--config",
            str(config), path=self._paths[version],
        )  # fmt: skip
        wait_until(lambda: len(self.events(role, event)) > before, f"{role} works", 300.0)

    def run(self, role: str, *command: str, path: str = "") -> None:
        """Run a command on the machine of a role, with its output in a file."""
        with (self.work / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(
                self.hosts.on(role, *command), stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": path} if path else None,
            )  # fmt: skip

    def start_others(self) -> None:
        """The archive and the balancer."""
        (self.work / "archive").mkdir()
        port = str(self.ports["archive"])
        store = ["storescp", "-v", "+xa", "-aet", "ARCHIVE", "-od", str(self.work / "archive")]
        self.run("archive", *store, port)
        config = self.work / "haproxy.cfg"
        where = {f"listener{n}": self.where(f"listener{n}") for n in (1, 2)}
        config.write_text(
            _HAPROXY.format(
                host=self.hosts.address("balancer"), port=self.ports["balancer"],
                one=where["listener1"], two=where["listener2"],
                send="send-proxy-v2" if self._is_proxied else "",
            )
        )  # fmt: skip
        subprocess.run(["haproxy", "-c", "-q", "-f", str(config)], check=True)
        self.run("balancer", "haproxy", "-db", "-f", str(config))

    def where(self, role: str) -> str:
        """Host and port of a role."""
        return f"{self.hosts.address(role)}:{self.ports[role]}"

    def end(self, role: str, how: int = signal.SIGTERM) -> None:
        """End a role, and wait until it has ended."""
        self.processes[role].send_signal(how)
        self.processes[role].wait(120)

    def events(self, role: str, event: str) -> list[dict[str, object]]:
        """Lines of a role's log."""
        log = self.work / f"{role}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def send(self, file: Path) -> bool:
        """Whether the balancer's listeners took a file, over one association."""
        host, port = self.hosts.address("balancer"), str(self.ports["balancer"])
        command = ["storescu", "-R", "-xt", "-to", "10", "-aet", "PACS", "-aec", "CADNODE"]
        done = subprocess.run(
            self.hosts.on("pacs", *command, host, port, str(file)), check=False, capture_output=True
        )
        return done.returncode == 0

    def delivered(self) -> Counter[str]:
        """How often a result of each study arrived."""
        kept = Results.in_storage(self.storage)
        folders = [folder for study, _ in kept.studies() for folder in kept.reported(study)]
        return Counter(
            folder.parent.name
            for folder in folders
            for one in tries(folder)
            if one.status.has_arrived
        )

    def n_results(self) -> int:
        """Reported contents of all studies."""
        kept = Results.in_storage(self.storage)
        return sum(len(kept.reported(study)) for study, _ in kept.studies())

    def close(self) -> None:
        """End them all."""
        for one in self.processes.values():
            one.send_signal(signal.SIGTERM)
        for one in self.processes.values():
            one.wait(120)


class Pacs(threading.Thread):
    """Sends exams one after the other, each view alone, until each was answered with Success."""

    def __init__(self, site: BalancedSite, exams: list[list[Path]], pause_s: float) -> None:
        super().__init__(daemon=True)
        self._site, self._exams, self._pause_s = site, exams, pause_s
        self.n_sent = self.n_again = 0

    def run(self) -> None:
        """Until all are sent."""
        for files in self._exams:
            for file in files:
                while not self._site.send(file):
                    self.n_again += 1
                    time.sleep(0.5)
            self.n_sent += 1
            time.sleep(self._pause_s)


def _upgraded(site: BalancedSite, pacs: Pacs, n: int) -> list[str]:
    """Upgrade role by role while exams come; what was done, for the table."""
    wait_until(lambda: pacs.n_sent >= n // 4, "exams come")
    site.start("listener2")  # beside the older one
    site.end("listener1")
    site.start("listener1")
    site.end("worker1")
    site.start("worker1")
    wait_until(lambda: pacs.n_sent >= n // 2, "exams come")
    site.end("worker2")
    site.start("worker2")
    return ["listener, worker, worker: each stopped by SIGTERM and started as this version"]


def _killed(site: BalancedSite, pacs: Pacs, n: int) -> list[str]:
    """Kill a listener while something is on its way to it; it is started again."""
    wait_until(lambda: pacs.n_sent >= n // 2, "exams come")
    incoming = site.storage / "spool" / "incoming"
    wait_until(lambda: any(incoming.iterdir()), "something is on its way")
    site.end("listener1", signal.SIGKILL)
    time.sleep(3.0)
    site.start("listener1")
    return ["listener1 killed, started again after 3 s"]


def nodes(exams: int, older: str, *, apart: bool) -> list[str]:
    """Run it; rows of a table."""
    with ExitStack() as stack:
        hosts = stack.enter_context(machines(ROLES if apart else ()))
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres_server(lambda *one: hosts.on("database", *one)))
        if apart:
            with (server.folder / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {NETWORK}.0/24 trust\n")
        server.start(*(["-c listen_addresses=*"] if apart else []))
        site = BalancedSite(work, hosts, server, older)
        stack.callback(site.close)
        files = _phantoms(work, exams)
        site.start_others()
        first = OLDER if older else THIS
        for role in ("listener1", *(() if older else ("listener2",)), "worker1", "worker2"):
            site.start(role, first)
        began = time.time()
        pacs = Pacs(site, files, pause_s=6.0)
        pacs.start()
        did = _upgraded(site, pacs, exams) if older else _killed(site, pacs, exams)
        wait_until(lambda: len(site.delivered()) == exams, "all is delivered")
        time.sleep(10.0)  # a second reading or delivery would come now
        took = time.time() - began
        sent, n_results = site.delivered(), site.n_results()
        stored = (work / "archive.log").read_text(errors="replace").count("Received Store Request")
        n_objects = len([*(work / "archive").iterdir()])
        by_listener = [len(site.events(f"listener{n}", "instance_received")) for n in (1, 2)]
        n_spooled = len([*(site.storage / "spool" / "studies").glob("*/*.dcm")])
    return [
        f"| what was done | {'; '.join(did)} |",
        f"| exams, views | {exams}, {sum(map(len, files))} |",
        f"| associations that failed, and were tried again | {pacs.n_again} |",
        f"| instances received by listener1, listener2 | {by_listener[0]}, {by_listener[1]} |",
        f"| instances in the spool | {n_spooled} |",
        f"| lost | {exams - len(sent)} |",
        f"| results beyond one a study | {n_results - exams} |",
        f"| delivered more than once | {sum(n > 1 for n in sent.values())} |",
        f"| C-STOREs at the archive, objects there | {stored}, {n_objects} |",
        f"| whole run, s | {took:.0f} |",
    ]


def _phantoms(work: Path, exams: int) -> list[list[Path]]:
    made = [sys.executable, "-m", "cadnode", "phantom", "--out", str(work / "exams")]
    subprocess.run([*made, "--exams", str(exams)], check=True, stdout=subprocess.DEVNULL)
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted((work / "exams").rglob("*.dcm")):
        by_folder.setdefault(path.parent, []).append(path)
    return list(by_folder.values())


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=8)
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--older", default="")
    options = parser.parse_args()
    table = nodes(options.exams, options.older, apart=options.namespaces)
    print(machine(), *table, sep="\n", flush=True)


if __name__ == "__main__":
    main()
