"""A study that kills or hangs the worker: others are read, and it ends as failed, with a reason."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cadnode.node import heartbeat, retry, workflow
from cadnode.node.job_database import client_of
from cadnode.node.jobs import JobLookup, process_ids
from cadnode.node.poison import Casualties, SetAsideCode
from cadnode.node.retry import RetryStrategy
from cadnode.node.storage_lock import held
from cadnode.node.supervise import _Role

POISON, GOOD, CONTENT = "0" * 16, "1" * 16, "fedcba9876543210"

# The worker's process with the node's own workflows, and a reading that ends as the test wants.
WORKER = """
import ctypes, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from cadnode.node import heartbeat, retry, role_status, workflow
from cadnode.node.job_watch import JobWatch
from cadnode.node.orphans import end_with_parent
from cadnode.node.poison import Casualties
from cadnode.node.retry import RetryStrategy
from tests.faults.test_job_database import STEPS

storage, url, how, poison = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
heartbeat.EVERY_S = 0.1
retry.READING = RetryStrategy(0.2, last_attempt=5)
casualties = Casualties(storage)
end_with_parent()

def read(study, content):
    casualties.admit(study, content)
    with casualties.in_hand(study, content), pulse.step("reading", 1.0):
        (storage / "reads").open("a").write(study + "\\n")
        if study == poison:
            if how == "crashes":
                ctypes.string_at(0)
            elif how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                time.sleep(600)
    return True

steps = replace(STEPS, fingerprint=lambda study: "fedcba9876543210", read=read, report=lambda *_: 0)
with role_status.present(storage, "worker"), heartbeat.beating(storage, "worker") as pulse:
    JobWatch(url, pulse, lambda: False).launched(steps)
    while True:
        pulse.tick("worker")
        time.sleep(0.1)
"""
CODES = {
    "crashes": SetAsideCode.KILLS,
    "is killed": SetAsideCode.KILLS,
    "hangs": SetAsideCode.HANGS,
}


@pytest.mark.parametrize("how", CODES)
def test_a_study_by_which_the_worker(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "SILENT_S", 20.0)
    monkeypatch.setattr(retry, "ROLE", RetryStrategy(0.05))
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    workflow.prepare(url)
    client, lookup = client_of(url), JobLookup(url)
    for study in (POISON, GOOD):  # the bad one first: it is the head of the queue
        client.enqueue({"workflow_name": "consider", "queue_name": workflow.ARRIVALS}, study)
    with held(tmp_path) as lock:
        command = [sys.executable, "-c", WORKER, str(tmp_path), url, how, POISON]
        role = _Role("worker", command, tmp_path, lock)
        role.start()
        try:
            watch(role, lambda: ended(lookup, POISON, "failed") and ended(lookup, GOOD, "done"))
        finally:
            if role.process is not None:
                role.process.kill()
                role.process.wait()
            role.line.close()
    client.destroy()
    lookup.close()

    assert Casualties(tmp_path).all_set_aside() == [(POISON, CODES[how])]
    reads = (tmp_path / "reads").read_text().split()
    assert (reads.count(POISON), reads.count(GOOD)) == (3, 1)
    assert reads.index(GOOD) < 3  # it did not wait for the end of the bad one


def watch(role: _Role, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline
        for _ in range(5):
            role.look()
            time.sleep(0.05)


def ended(lookup: JobLookup, study: str, how: str) -> bool:
    jobs = lookup.find(process_ids(study, CONTENT)).values()
    if how == "failed":
        return any(job.has_failed for job in jobs)
    return any(job.output == "reported" for job in jobs)
