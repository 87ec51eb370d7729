"""A worker whose steps are doubles: the node's own lease, queues and workflows without a reading.

    python -m tests.worker_double STORAGE DATABASE_URL READ_S [--quick] [--spool] [--jobs-version N]

It appends lines to `STORAGE/steps`: `<epoch> <slot> <step> <study>`, of a reading at its begin
("begin") and end ("read"). A reading takes READ_S seconds of sleep. `--quick`: leases last a fifth
as long. `--spool`: a study's content is what the spool holds of it, else all have the same.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from cadnode import log
from cadnode.node import heartbeat, role_status, storage_lock, worker_lease, workflow
from cadnode.node.gated_steps import confirmed
from cadnode.node.job_watch import JobWatch
from cadnode.node.poison import Casualties
from cadnode.node.supervise import stopping_on_signal
from cadnode.node.workflow_steps import FetchAnswer, Steps
from cadnode.receive.spool import Spool
from cadnode.settings import Settings

CONTENT = "fedcba9876543210"


def main() -> None:
    """Work until SIGTERM."""
    storage, url, read_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    log.configure("WARNING", human=False)
    if "--quick" in sys.argv:
        worker_lease.EVERY_S, worker_lease.SILENT_S, worker_lease.CONFIRMED_S = 0.4, 6.0, 2.0
    if "--jobs-version" in sys.argv:
        version = sys.argv[sys.argv.index("--jobs-version") + 1]
        workflow.JOBS_VERSION = worker_lease.JOBS_VERSION = version
    settings = Settings.model_validate(
        {"storage": {"folder": str(storage)}, "jobs": {"database_url": url}}
    )
    with (
        storage_lock.held(storage, shared=True),
        role_status.present(storage, "worker", beside=True) as slot,
        heartbeat.beating(storage, slot) as pulse,
        stopping_on_signal(supervised=False) as stopping,
    ):
        lease = worker_lease.lease_of(settings, slot, pulse)
        steps = _Doubles(storage, slot, read_s, lease)
        jobs = JobWatch(settings.database_url, pulse, stopping, lease.executor)
        jobs.launched(steps.bound(), before=lease.take)
        lease.take_over()
        steps.note("working", lease.executor)
        while not stopping():
            pulse.tick("worker")
            time.sleep(0.1)
        workflow.stop(within_s=5.0)
        lease.release()


class _Doubles:
    """What the steps do here."""

    def __init__(
        self, storage: Path, slot: str, read_s: float, lease: worker_lease.AnyLease
    ) -> None:
        self._lines = storage / "steps"
        self._slot, self._read_s, self._lease = slot, read_s, lease
        self._casualties = Casualties(storage, slot)
        self._spool = Spool(storage / "spool") if "--spool" in sys.argv else None

    def note(self, step: str, study: str) -> None:
        with self._lines.open("a") as file:
            file.write(f"{time.time():.3f} {self._slot} {step} {study}\n")

    def read(self, study: str, content: str) -> bool:
        with self._casualties.in_hand(study, content):
            self.note("begin", study)
            time.sleep(self._read_s)
            self._lease.confirm()
            self.note("read", study)
        return True

    def fingerprint(self, study: str) -> str:
        if self._spool is None:
            return CONTENT
        paths = self._spool.instances(study)
        return self._spool.fingerprint(paths) if paths else ""

    def report(self, study: str, _content: str, _old: str, _made_at: str) -> int:
        self.note("report", study)
        return 1

    def deliver(self, study: str, _content: str, _destination: str) -> str:
        self.note("deliver", study)
        return "delivered"

    def arrived_since(self, study: str, _content: str, _destination: str, since: float) -> str:
        lines = [line.split() for line in self._lines.read_text().splitlines()]
        arrived = [float(at) for at, _, step, of in lines if (step, of) == ("deliver", study)]
        return "delivered" if any(at >= since for at in arrived) else ""

    def bound(self) -> Steps:
        steps = Steps(
            fetch=lambda *_: FetchAnswer("nothing_asked"),
            fingerprint=self.fingerprint,
            read=self.read,
            predecessor=lambda *_: "",
            report=self.report,
            deliver=self.deliver,
            arrived_since=self.arrived_since,
            answer=lambda *_: "",
            shadow=lambda *_: "off",
            has_result=lambda *_: False,
            now=lambda: datetime.now(UTC),
            destinations=(("archive", 3600.0),),
        )
        return confirmed(steps, self._lease.confirm)


if __name__ == "__main__":
    main()
