"""Forgets a study's failed jobs, so that they can run again under the same identifiers.

A job of one identifier runs once. That keeps a study from being read twice, and would keep one
that failed permanently from ever being read. Choice: the rows of the failed jobs are deleted,
because their successors then have all their attempts left, and a search for a study's jobs finds
those that count.
"""

import threading
from collections.abc import Callable, Iterable, Sequence

from dbos import DBOS, WorkflowStatus

from cadnode.log import get_logger
from cadnode.node.jobs import FAILED, OPEN, DeliveryStatus, deliver_id, process_ids

log = get_logger("jobs")
HasResult = Callable[[str, str], bool]  # study, content

_lock = threading.Lock()  # who asks second finds the first one's new jobs, and leaves them alone


def undelivered(
    study: str, content: str, destinations: Sequence[str], has_result: HasResult
) -> list[str]:
    """Destinations that refused this content's result or were given up; none without a result."""
    return [] if not has_result(study, content) else list(_failed(study, content, destinations))


def forget_failures(
    study: str, content: str, destinations: Sequence[str], has_result: HasResult
) -> int:
    """How many jobs are forgotten; none while an attempt to read this content is under way.

    Without a result it is every attempt to read it, and every delivery that has ended: a new
    reading makes new ones. With a result it is the deliveries that did not arrive.
    """
    with _lock:
        attempts = _jobs(process_ids(study, content))
        if any(job.status in OPEN for job in attempts.values()):
            return 0
        if has_result(study, content):  # asked after the attempts: one may have ended just now
            old = list(_failed(study, content, destinations).values())
        else:
            deliveries = _jobs(deliver_id(study, content, name) for name in destinations)
            old = [*attempts, *(i for i, job in deliveries.items() if job.status not in OPEN)]
        if old:
            log.info("tried_anew", study=study, count=len(old))
            DBOS.delete_workflows(old)
        return len(old)


def has_failed(study: str, content: str) -> bool:
    """Whether an attempt to read this content has failed, now or before the one under way."""
    attempts = _jobs(process_ids(study, content))
    return len(attempts) > 1 or any(job.status in FAILED for job in attempts.values())


def _failed(study: str, content: str, destinations: Sequence[str]) -> dict[str, str]:
    """Identifiers of the deliveries that did not arrive, by destination."""
    names = {deliver_id(study, content, name): name for name in destinations}
    return {names[i]: i for i, job in _jobs(names).items() if _has_failed(job)}


def _has_failed(delivery: WorkflowStatus) -> bool:
    failed = (DeliveryStatus.REFUSED, DeliveryStatus.GIVEN_UP)
    return delivery.status in FAILED or delivery.output in failed


def _jobs(identifiers: Iterable[str]) -> dict[str, WorkflowStatus]:
    wanted = list(identifiers)
    if not wanted:
        return {}
    found = DBOS.list_workflows(workflow_ids=wanted, load_input=False)
    return {job.workflow_id: job for job in found}
