"""Forgets a study's failed jobs, so that they can run again under the same identifiers.

A job of one identifier runs once. That keeps a study from being read twice, and would keep one
that failed permanently from ever being read. Choice: the rows of the failed jobs are deleted,
because their successors then have all their attempts left, and a search for a study's jobs finds
those that count.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from dbos import DBOS, WorkflowStatus
from dbos._dbos import _get_dbos_instance
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cadnode.log import get_logger
from cadnode.node.jobs import FAILED, OPEN, DeliveryStatus, deliver_id, process_ids
from cadnode.node.workflow_steps import Steps

log = get_logger("jobs")
_LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL's error code
_AT_WORK: Final = ("ENQUEUED", "PENDING")  # a delayed one is only due later

_WAITS_MS: Final = 20_000  # for another worker that forgets jobs of the same study

_lock = threading.Lock()  # who asks second finds the first one's new jobs, and leaves them alone


def undelivered(study: str, content: str, steps: Steps) -> list[str]:
    """Destinations that do not have this content's result, and whose next try is not due yet."""
    return list(_failed(study, content, steps)) if steps.has_result(study, content) else []


def forget_failures(study: str, content: str, steps: Steps) -> int:
    """How many jobs are forgotten; none while an attempt to read this content is under way.

    Without a result it is every attempt to read it, and every delivery that has ended: a new
    reading makes new ones. With a result it is the deliveries that did not arrive.
    """
    with _alone(study) as is_alone:
        if not is_alone:
            return 0
        attempts = _jobs(process_ids(study, content))
        if any(job.status in OPEN for job in attempts.values()):
            return 0
        if steps.has_result(study, content):  # asked after the attempts: one may have ended now
            old = [i for ids in _failed(study, content, steps).values() for i in ids]
        else:
            deliveries = _jobs(deliver_id(study, content, name) for name in steps.names())
            old = [*attempts, *(i for i, job in deliveries.items() if job.status not in OPEN)]
        if old:
            log.info("tried_anew", study=study, count=len(old))
            DBOS.delete_workflows(old)
        return len(old)


def forget_ended(identifier: str) -> None:
    """Delete the job of an earlier try, once it has ended: only the last one is of interest."""
    jobs = _jobs([identifier])
    if identifier in jobs and jobs[identifier].status not in OPEN:
        DBOS.delete_workflows([identifier])


def bring_forward(identifier: str, place: int) -> None:
    """Give a job that still waits in its queue this place, where that is before its own.

    DBOS has no call for it. What a worker takes meanwhile is no longer waiting, and stays as it is.
    """
    if place:
        database = _get_dbos_instance()._sys_db
        jobs = database.tables.workflow_status
        waits = (jobs.c.workflow_uuid == identifier) & (jobs.c.status == "ENQUEUED")
        with database.engine.begin() as connection:
            connection.execute(
                jobs.update().where(waits & (jobs.c.priority > place)).values(priority=place)
            )


def has_failed(study: str, content: str) -> bool:
    """Whether an attempt to read this content has failed, now or before the one under way."""
    attempts = _jobs(process_ids(study, content))
    return len(attempts) > 1 or any(job.status in FAILED for job in attempts.values())


@contextmanager
def _alone(study: str) -> Iterator[bool]:
    """Within the block no other worker forgets jobs of the study; False: one has not ended in time.

    On PostgreSQL, which several workers share, by an advisory lock: it ends with its connection.
    """
    with _lock:
        engine = _get_dbos_instance()._sys_db.engine
        if engine.dialect.name != "postgresql":
            yield True
            return
        with engine.connect() as connection, connection.begin():
            connection.execute(text(f"SET LOCAL lock_timeout = {_WAITS_MS}"))
            wait = text("SELECT pg_advisory_xact_lock(hashtextextended(:study, 4206321))")
            try:
                connection.execute(wait, {"study": study})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                    raise
                connection.rollback()
                log.warning("study_held", study=study)
                yield False
                return
            yield True


def _failed(study: str, content: str, steps: Steps) -> dict[str, list[str]]:
    """By destination, the jobs of the deliveries that did not arrive and do not run just now."""
    waiting = steps.waiting(study, content)
    first = {name: deliver_id(study, content, name) for name in steps.names()}
    jobs = _jobs([*first.values(), *filter(None, waiting.values())])
    failed = {}
    for name, identifier in first.items():
        known = [i for i in (identifier, waiting.get(name, "")) if i in jobs]
        is_missing = name in waiting or any(_has_failed(jobs[i]) for i in known)
        if is_missing and all(jobs[i].status not in _AT_WORK for i in known):
            failed[name] = known
    return failed


def _has_failed(delivery: WorkflowStatus) -> bool:
    failed = (DeliveryStatus.REFUSED, DeliveryStatus.GIVEN_UP)
    return delivery.status in FAILED or delivery.output in failed


def _jobs(identifiers: Iterable[str]) -> dict[str, WorkflowStatus]:
    wanted = list(identifiers)
    if not wanted:
        return {}
    found = DBOS.list_workflows(workflow_ids=wanted, load_input=False)
    return {job.workflow_id: job for job in found}
