"""Is the node healthy, and if not, why: roles, queue, disk, models, destinations."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cadnode import __version__
from cadnode.node import role_status, worker_state
from cadnode.node.disk_problems import disk_problems
from cadnode.node.jobs import Job, JobLookup, JobsUnavailable
from cadnode.node.role_status import Presence
from cadnode.node.supervise import ROLES
from cadnode.node.worker_state import NodeState
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import GOOD, FetchCode
from cadnode.settings import Settings
from cadnode.web.node import Health, HealthProblem

GOOD_FOR_S: Final = 2.0  # health needs no token: frequent requests must not load the database
LOOKS_BACK: Final = timedelta(hours=24)
DELIVERY_LATE_S: Final = 600.0
FETCH_LATE_S: Final = 600.0
READING_LATE_S: Final = 1800.0

_ROLE_HINTS: Final = {
    "listener": "no images are received; is listener.port taken? `cadnode check` and the log say",
    "worker": "images are received, but not read; `cadnode check` and the node's log say why",
    "web": "",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that wait or run: how many, and for how many seconds the oldest has."""

    count: int = 0
    oldest_s: float = 0.0

    @staticmethod
    def since(begun: Iterable[float], now: float) -> "Waiting":
        """Of jobs that began to wait at these times."""
        times = list(begun)
        return Waiting(len(times), max(0.0, now - min(times))) if times else Waiting()

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {"waiting": self.count, "oldest_s": round(self.oldest_s)}


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """What waits at each stage, and what failed during the last day."""

    fetching: Waiting = Waiting()
    reading: Waiting = Waiting()
    delivering: dict[str, Waiting] = field(default_factory=dict)
    failed: int = 0
    undelivered: tuple[tuple[str, str, int], ...] = ()  # (destination, "refused"|"given_up", n)
    not_fetched: tuple[tuple[FetchCode, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fetching": self.fetching.as_dict(),
            "reading": self.reading.as_dict(),
            "delivering": {name: w.as_dict() for name, w in self.delivering.items()},
        }


class HealthCheck:
    """Called for the node's health; an answer is good for a moment."""

    def __init__(self, settings: Settings, progress: JobLookup) -> None:
        self._settings = settings
        self._progress = progress
        self._lock = threading.Lock()
        self._last: tuple[float, Health] | None = None

    def __call__(self) -> Health:
        """The health of the node now."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._last[0] > GOOD_FOR_S:
                self._last = (now, self._look())
            return self._last[1]

    def _look(self) -> Health:
        storage = self._settings.storage.folder
        roles = {name: role_status.look(storage, name) for name in ROLES}
        state = worker_state.read(storage)
        problems = [*role_problems(roles, state), *model_problems(state)]
        problems += disk_problems(self._settings)
        try:
            queue = self._queue()
            problems += queue_problems(queue)
        except JobsUnavailable:
            queue = QueueHealth()
            problems.append(_JOBS_AWAY)
        words = {name: role_word(name, p, state) for name, p in roles.items()}
        return Health(__version__, words, queue.as_dict(), tuple(problems))

    def _queue(self) -> QueueHealth:
        """Raises `JobsUnavailable`."""
        now, since = time.time(), datetime.now(UTC) - LOOKS_BACK
        open_jobs = self._progress.open_jobs("consider", "process", "deliver")
        reading = [j for j in open_jobs if j.name == "process" or _is_due(j)]
        delivering: dict[str, list[float]] = {d.name: [] for d in self._settings.destinations}
        for job in open_jobs:
            if job.name == "deliver":
                delivering.setdefault(_destination(job), []).append(job.created_at)
        ended = Counter(
            (_destination(job), job.output)
            for job in self._progress.ended_since(since, "deliver")
            if job.output in ("refused", "given_up")
        )
        broken = self._progress.failed_since(since, "deliver")
        ended.update((_destination(job), "given_up") for job in broken)
        spool = self._settings.storage.folder / "spool"
        return QueueHealth(
            fetching=Waiting.since(_asked_at(spool), now),
            reading=Waiting.since((j.created_at for j in reading), now),
            delivering={name: Waiting.since(t, now) for name, t in delivering.items()},
            failed=len(self._progress.failed_since(since, "process")),
            undelivered=tuple((name, str(word), n) for (name, word), n in ended.items()),
            not_fetched=_not_fetched(spool, since.timestamp()),
        )


_JOBS_AWAY: Final = HealthProblem(
    "jobs_away", "The job database does not answer",
    "images are still received; is jobs.database_url right, and the database running?",
)  # fmt: skip


def is_at_work(name: str, role: Presence, state: NodeState | None) -> bool:
    """Whether the role does its work: a worker has loaded its models, others stay alive.

    One that died a short while ago, for example without a port, may do so again at once.
    """
    if name == "worker":
        return role.is_up and state is not None and state.pid == role.pid
    return role.is_up and not role.is_restarting


def role_word(name: str, role: Presence, state: NodeState | None) -> str:
    """The state of the role in one word."""
    if is_at_work(name, role, state):
        return "up"
    if role.is_restarting:
        return "restarting"
    return "starting" if role.is_up else "down"


def role_problems(roles: dict[str, Presence], state: NodeState | None) -> Iterator[HealthProblem]:
    """What is wrong with the node's processes."""
    for name, role in roles.items():
        why = f": {role.error}" if role.error else ""
        if not why and role.exit_code is not None:
            why = f" (exit code {role.exit_code})"
        word = role_word(name, role, state)
        if word == "up" and role.is_restarting:
            yield HealthProblem(
                "role_died", f"The {name} died a moment ago and runs again{why}",
                "the node's log says why", failing=False,
            )  # fmt: skip
        elif word == "starting":
            yield HealthProblem(
                "role_starting", f"The {name} is starting", "it loads its models", failing=False
            )
        elif word != "up":
            how = "is started again and again" if word == "restarting" else "is down"
            yield HealthProblem("role_down", f"The {name} {how}{why}", _ROLE_HINTS[name])


def model_problems(state: NodeState | None) -> Iterator[HealthProblem]:
    """What is wrong with the models that a worker should use."""
    if state is not None and state.problem is not None:
        yield HealthProblem(
            "models_refused", f"Models cannot be loaded: {state.problem.message}",
            "the node keeps the previous models; `cadnode check` gives details",
        )  # fmt: skip


def queue_problems(queue: QueueHealth) -> Iterator[HealthProblem]:
    """What waits for too long, and what failed."""
    for name, waiting in queue.delivering.items():
        if waiting.oldest_s > DELIVERY_LATE_S:
            yield HealthProblem(
                "destination_away",
                f"{name} has not taken a result for {_for(waiting.oldest_s)}; "
                f"results that wait: {waiting.count}",
                "is it running, does it know this node, is its password right? ask `cadnode check`",
            )  # fmt: skip
    for name, word, count in sorted(queue.undelivered):
        how = "refused" if word == "refused" else "was away for too long for"
        yield HealthProblem(
            f"delivery_{word}", f"{name} {how} {count} of the last day's results",
            "the studies' pages name it, the log says why; ask for a study to send it again",
            failing=False,
        )  # fmt: skip
    if queue.reading.oldest_s > READING_LATE_S:
        yield HealthProblem(
            "reading_late", f"A study has waited for {_for(queue.reading.oldest_s)} to be read",
            f"studies that wait: {queue.reading.count}", failing=False,
        )  # fmt: skip
    if queue.fetching.oldest_s > FETCH_LATE_S:
        yield HealthProblem(
            "source_away", f"A study has waited for {_for(queue.fetching.oldest_s)} to be fetched",
            "is its source running, and are user, password or token right?", failing=False,
        )  # fmt: skip
    for code, count in queue.not_fetched:
        yield HealthProblem(
            "fetch_failed", f"Studies of the last day that could not be fetched: {count}",
            code.meaning, failing=False,
        )  # fmt: skip
    if queue.failed:
        yield HealthProblem(
            "reading_failed", f"Studies of the last day that could not be read: {queue.failed}",
            "the log says why (study_failed)", failing=False,
        )  # fmt: skip


def _is_due(job: Job) -> bool:
    """Whether a quiet study is still waiting to be checked: the worker does not get to it."""
    return job.name == "consider" and job.status != "DELAYED"


def _destination(job: Job) -> str:
    return job.identifier.split("-", 3)[-1]


def _asked_at(spool: Path) -> list[float]:
    """When the studies that are not fetched yet were requested."""
    times = (requests.asked_at(spool, key) for key in requests.waiting(spool))
    return [at for at in times if at is not None]  # None: fetched in this moment


def _not_fetched(spool: Path, since: float) -> tuple[tuple[FetchCode, int], ...]:
    """Why fetches that ended since then failed permanently, and how many for each reason."""
    ended = requests.ended_since(spool, since)
    codes = Counter(how.code for how in ended if how.is_final and how.code not in GOOD)
    return tuple(sorted(codes.items()))


def _for(seconds: float) -> str:
    """A time in words: "12 min", "3 h"."""
    return f"{seconds / 3600:.0f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
