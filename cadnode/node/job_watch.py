"""The worker and its job database: it waits for one that cannot be used, and begins again after.

| the job database is              | at the worker's start          | while it runs       |
|----------------------------------|--------------------------------|---------------------|
| locked, away, read-only, or full | waits (`retry.JOBS`)           | waits, goes on      |
| one whose write failed           |                                | waits, begins again |
| removed or replaced              | made                           | begins again        |
| damaged                          | kept aside, and a new one made | begins again        |

What it waits for stands in its heartbeat, and so in `/health` and `cadnode check`. To begin again
is to run this process's program once more: jobs whose checkpoint failed are taken up at a launch.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import SettingsError
from cadnode.log import get_logger
from cadnode.node import heartbeat, job_database, retry
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_database import BROKEN, DAMAGED, GONE, Failures, JobsProblem
from cadnode.node.jobs import JobsUnavailable
from cadnode.node.workflow import launch, prepare, stop
from cadnode.node.workflow_steps import Start, Steps

LOOK_EVERY_S: Final = 5.0

_FAILURES: Final = (SQLAlchemyError, dbos_error.DBOSException, SettingsError, JobsUnavailable)

log = get_logger("worker")


class JobWatch:
    """Looks after the job database of this process's worker."""

    def __init__(
        self,
        database_url: str,
        pulse: Pulse,
        stopping: Callable[[], bool],
        executor: str = "worker",
    ) -> None:
        self._url = database_url
        self._executor = executor
        self._pulse = pulse
        self._stopping = stopping
        self._failures = Failures()
        self._identity: tuple[int, int] | None = None
        self._look_at = 0.0
        self._problem: JobsProblem | None = None
        self._must_begin_again = False

    def launched(
        self,
        steps: Steps,
        before: Callable[[], None] = lambda: None,
        after: Callable[[Start], None] = lambda _: None,
    ) -> Start | None:
        """Start the workflows, as soon as the database can be used; None when the node stops.

        `before` is called when its tables are there and no job runs yet, `after` when they run; an
        error of the database in them is waited for as well.
        """
        pause_s = 0.0
        while not self._stopping():
            problem = self._usable(thorough=True) or self._try_launch(steps, before, after)
            if isinstance(problem, Start):
                self._identity = job_database.identity(self._url)
                self._failures.last = None
                self._say(None)
                return problem
            self._say(problem)
            pause_s = retry.JOBS.pause_after_s(pause_s)
            self._wait(pause_s)
        return None

    @property
    def is_usable(self) -> bool:
        """Whether the database could be used when it was looked at last."""
        return self._problem is None

    def look(self) -> bool:
        """Whether the database can be used now. Runs the program again where it has to be."""
        now = time.monotonic()
        if now < self._look_at:
            return self._problem is None
        self._look_at = now + LOOK_EVERY_S
        problem = job_database.problem_of(self._url)
        is_other = job_database.identity(self._url) != self._identity
        if problem is DAMAGED or is_other or self._failures.last:
            self._must_begin_again = True
        if self._must_begin_again and (problem is None or problem is DAMAGED):
            self._begin_again(GONE if is_other else problem or self._failures.last or BROKEN)
        self._say(problem)
        return problem is None

    def _usable(self, *, thorough: bool) -> JobsProblem | None:
        problem = job_database.problem_of(self._url, thorough=thorough)
        if problem is not DAMAGED:
            return problem
        try:
            kept = job_database.set_aside(self._url, time.time())
        except OSError as error:
            log.error("jobs_unavailable", role="worker", reason=DAMAGED.code, error=error)
            return DAMAGED
        log.critical("jobs_damaged", role="worker", reason=DAMAGED.code, count=int(bool(kept)))
        return None

    def _try_launch(
        self, steps: Steps, before: Callable[[], None], after: Callable[[Start], None]
    ) -> Start | JobsProblem:
        try:
            prepare(self._url)
            before()
            start = launch(steps, self._url, executor=self._executor)
            after(start)
            return start
        except _FAILURES as error:
            log.error("jobs_unavailable", role="worker", error=error)
            stop(within_s=0.0)
            problem, self._failures.last = self._failures.last, None
            return problem or BROKEN

    def _say(self, problem: JobsProblem | None) -> None:
        self._problem = problem
        if problem is None:
            if self._pulse.say(heartbeat.WORKING):
                log.info("jobs_available", role="worker")
        elif self._pulse.say(heartbeat.WAITING, f"the job database {problem.words}"):
            log.error("jobs_unavailable", role="worker", reason=problem.code)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping():
            time.sleep(0.1)

    def _begin_again(self, problem: JobsProblem) -> None:
        """Run this process's program again, with the same number, standard input and output."""
        log.warning("worker_begins_again", role="worker", reason=problem.code)
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "cadnode", *sys.argv[1:]])
