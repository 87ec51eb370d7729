"""A node with its senders, archive, network, disk and clock: all that a run needs, put together."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.demo.archive import free_port
from tests.faults.harness import properties
from tests.faults.harness.archive import Archive
from tests.faults.harness.disk import Disk
from tests.faults.harness.faults import Fault
from tests.faults.harness.growth import Sampler
from tests.faults.harness.ledger import Answers
from tests.faults.harness.node import ROLES, NodeUnderTest
from tests.faults.harness.proxy import Condition, Proxy
from tests.faults.harness.senders import Senders, send_once
from tests.faults.harness.studies import SentStudy
from tests.faults.harness.wait import until

SETTLED_S: Final = 15.0  # without a result; then the node is asked whether more is to come


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that must not be: which property, and what was seen."""

    property: str
    what: str
    at_s: float


class Site:
    """One run's surroundings in the folder `work`; `close` leaves no process and no mount."""

    def __init__(
        self, work: Path, studies: Sequence[SentStudy], *, seed: int, disk_mb: int = 0,
        more: str = "", say: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.studies, self.seed, self._say = work, list(studies), seed, say
        self.began = time.monotonic()
        self.defects: list[Defect] = []
        earlier = work / "faults.json"
        self.faults: list[dict[str, Any]] = (
            json.loads(earlier.read_text()) if earlier.exists() else []
        )
        self.lock = threading.Lock()
        self.answers = Answers(work / "answers.jsonl")
        self.archive = Archive(work / "archive", free_port())
        self.archive.start()
        self.back = Proxy(self.archive.port)
        self.disk = Disk(work / "storage", work, disk_mb) if disk_mb else _PlainDisk(work)
        self._clock = work / "clock"
        self.set_clock(0)
        self.node = NodeUnderTest(
            work, work / "storage", self.back.port, more=more, preload=self.disk.library,
            environment={**self.disk.environment(), "FAULTS_CLOCK": str(self._clock)},
        )  # fmt: skip
        self.front = Proxy(self.node.port)
        self.sampler = Sampler(self.node)

    def set_clock(self, seconds: int) -> None:
        """The node's clock is so far ahead (or behind, when negative)."""
        whole = self._clock.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.replace(self._clock)

    # What is noted

    @property
    def elapsed_s(self) -> float:
        return round(time.monotonic() - self.began, 1)

    def note(self, what: str) -> None:
        self._say(f"{self.elapsed_s:7.1f} s  {what}")

    def defect(self, name: str, what: str) -> None:
        with self.lock:
            self.defects.append(Defect(name, what, self.elapsed_s))
        self.note(f"DEFECT {name}: {what}")

    def happened(self, fault: Fault, seconds: float) -> None:
        with self.lock:
            self.faults.append(
                {"kind": fault.kind, "name": fault.name, "ended_at_s": self.elapsed_s,
                 "seconds": round(seconds, 1)}
            )  # fmt: skip
            (self.work / "faults.json").write_text(json.dumps(self.faults))
        self.note(f"{fault.name} ({seconds:.1f} s)")

    @property
    def missing(self) -> dict[str, str]:
        """Faults that cannot be had on this machine, and why."""
        return self.disk.missing

    def is_missing(self, fault: Fault) -> bool:
        return fault.name in self.missing

    # The course of a run

    def senders(
        self, n: int, pause_s: float = 0.0, due_s: Callable[[SentStudy], float] = lambda _: 0.0
    ) -> Senders:
        """Senders of what is not yet sent."""
        left = [s for s in self.studies if not self._is_sent(s)]
        return Senders(
            left, self.front.port, self.answers, n=n, seed=self.seed, pause_s=pause_s, due_s=due_s
        )

    def _is_sent(self, study: SentStudy) -> bool:
        return all(self.answers.is_taken(f.digest) for f in study.files)

    def is_begun(self, study: SentStudy) -> bool:
        """Whether anything of the study was taken."""
        return any(self.answers.is_taken(f.digest) for f in study.files)

    def heal(self) -> None:
        """No fault any more."""
        self.disk.restore()
        self.set_clock(0)
        for proxy in (self.front, self.back):
            proxy.become(Condition())
        self.archive.behave("ok")
        if self.archive.process is None:
            self.archive.start()
        until(self.node.is_up, "the node is up without faults", 600)

    def missing_results(self) -> list[SentStudy]:
        """Studies whose content, as it was sent last, has no report in the archive."""
        held = properties.by_study(self.archive.record.held())
        return [s for s in self.studies if not properties.has_result(s, held)]

    def lied_about(self) -> list[SentStudy]:
        """Studies whose result is missing because the archive said Success and stored nothing.

        No sender can find that out without storage commitment (PS3.4 annex J).
        """
        said = [o for o in self.archive.record.read() if o.is_held or o.status == 0]
        answered = properties.by_study(said)
        return [s for s in self.missing_results() if properties.has_result(s, answered)]

    def drain(self, patience_s: float) -> list[SentStudy]:
        """Wait until all results are there, or nothing more is to come; returns what is missing.

        As long as results arrive it goes on, however slow the machine: `patience_s` is without any.
        """
        n_before, since = -1, time.monotonic()
        while missing := self.missing_results():
            if len(missing) != n_before:
                n_before, since = len(missing), time.monotonic()
            quiet_s = time.monotonic() - since
            if quiet_s > patience_s or (quiet_s > SETTLED_S and not self.under_way(missing)):
                break
            time.sleep(1.0)
        return missing

    def under_way(self, studies: Sequence[SentStudy]) -> list[SentStudy]:
        """One of those of which the node says that more is to come, or says nothing; else none.

        The last first: the node works in order, so that it is clear soonest.
        """
        found = []
        for study in reversed(studies):
            state = self.node.study(study.study_instance_uid)
            if state is None or not state.get("is_final", False):
                found.append(study)
                break
        return found

    def send_again(self, studies: Sequence[SentStudy]) -> None:
        """As an archive's admin would whose report is missing: the images once more."""
        for study in studies:
            send_once(study.final, self.node.port, self.answers, "ADMIN")

    def states(self, studies: Sequence[SentStudy]) -> dict[str, int]:
        """How the node calls the states of these studies."""
        found = [self.node.study(s.study_instance_uid) or {} for s in studies]
        return dict(Counter(
            f"{f.get('state', 'unknown')} {sorted(set(f.get('deliveries', {}).values()))}"
            for f in found
        ))  # fmt: skip

    def check(self) -> dict[str, Any]:
        """Every property that ledger and spool can decide; defects are noted."""
        found = properties.check(
            self.studies, self.answers.taken(), self.archive.record.read(), self.node.storage
        )
        self.defects = [d for d in self.defects if d.property not in found.figures]
        for name, what in found.defects:
            self.defect(name, what)
        return found.figures

    def watch(self) -> None:
        """What must be true at any moment; a defect that is known already is not noted again."""
        found = properties.Findings()
        properties.check_objects(self.studies, self.archive.record.read(), found)
        known = {d.property for d in self.defects}
        for name, what in found.defects:
            if name not in known:
                self.defect(name, what)

    def check_processes(self) -> dict[str, Any]:
        """No death that we did not cause, no traceback; after a stop, nothing left."""
        died = self.node.events("role_died")
        own = [d for d in died if d.get("exit_code") != -9]
        if own:
            ends = Counter(f"{d.get('role')} (exit code {d.get('exit_code')})" for d in own)
            self.defect("deaths", f"roles died that nobody killed: {dict(ends)}")
        if n := self.node.tracebacks():
            self.defect("tracebacks", f"{n} in the node's log")
        return {"deaths": len(died), "deaths_unasked": len(own), "tracebacks": n}

    def check_leftovers(self) -> None:
        """Call it after `node.stop()`."""
        if left := self.node.processes():
            self.defect("leftovers", f"processes: {sorted(left.values())}")
        for name, what in properties.leftovers(self.node.storage, self.node.temporary):
            self.defect(name, what)
        if self.node.probe():
            self.defect("leftovers", "somebody still listens on the node's port")

    def report(self) -> dict[str, Any]:
        """What is in the run's JSON."""
        return {
            "seed": self.seed,
            "studies": len(self.studies),
            "shapes": dict(Counter(s.shape for s in self.studies)),
            "seconds": self.elapsed_s,
            "faults": dict(Counter(f["name"] for f in self.faults)),
            "faults_by_kind": dict(Counter(f["kind"] for f in self.faults)),
            "connections_cut": self.front.cuts + self.back.cuts,
            "faults_missing_here": self.missing,
            "node_starts": self.node.starts,
            "defects": [asdict(d) for d in self.defects],
        }

    def close(self, *, unmount: bool = True) -> None:
        """End everything. A run that is to go on keeps its disk."""
        self.sampler.stop()
        self.disk.restore()
        self.set_clock(0)
        if self.node.process is not None:
            for name in ("supervisor", *ROLES):
                self.node.signal(name, signal.SIGCONT)
            self.node.kill_all()
        self.archive.kill()
        for proxy in (self.front, self.back):
            proxy.close()
        self.answers.close()
        if unmount:
            self.disk.unmount()


class _PlainDisk(Disk):
    """The machine's own disk: nothing is wrong with it."""

    def __init__(self, work: Path) -> None:
        self.folder, self.library, self.is_mounted = work / "storage", None, False
        self.folder.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        return {}

    @property
    def missing(self) -> dict[str, str]:
        names = ("disk_full", "disk_slow", "disk_failing", "power_loss", "clock_forwards",
                 "clock_backwards")  # fmt: skip
        return dict.fromkeys(names, "this run has no disk of its own")

    def restore(self) -> None:
        pass

    def unmount(self) -> None:
        pass
