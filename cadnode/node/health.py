"""Is the node healthy, and if not, why: roles, queue, disk, models, destinations."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cadnode import __version__
from cadnode.node import job_database, role_status, worker_state
from cadnode.node.audit_health import AuditState
from cadnode.node.disk_problems import disk_problems
from cadnode.node.drift_watch import drift_problems
from cadnode.node.jobs import DeliveryStatus, Job, JobLookup, JobsUnavailable, delivery_of
from cadnode.node.poison import Casualties, SetAsideCode
from cadnode.node.refused_peers import refused_problems
from cadnode.node.remote.remote_health import remote_problems
from cadnode.node.role_status import Presence
from cadnode.node.supervise import ROLES
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.node.worker_state import NodeState
from cadnode.phrases import N_, nphrase, phrase
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
    "listener": N_(
        "no images are received; is listener.port taken? `cadnode check` and the log say"
    ),
    "worker": N_("images are received, but not read; `cadnode check` and the node's log say why"),
    "web": "",
}


_GOES_ON: Final = N_("another one goes on with its work; start it again, the log says why it ended")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that wait or run: how many, and for how many seconds the oldest has."""

    count: int = 0
    oldest_s: float = 0.0
    why: str = ""

    @staticmethod
    def since(begun: Iterable[float], now: float, why: str = "") -> "Waiting":
        """Of jobs that began to wait at these times, and why the last one had to."""
        times = list(begun)
        return Waiting(len(times), max(0.0, now - min(times)), why) if times else Waiting()

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {"waiting": self.count, "oldest_s": round(self.oldest_s)}


@dataclass(frozen=True, order=True, slots=True)
class Missing:
    """Results that a destination does not have, for one reason: `word` is "refused" or "given_up".

    `is_retried`: they are tried again by themselves, daily.
    """

    destination: str
    word: str
    reason: str = ""
    is_retried: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class Committing:
    """Results that a destination stored and has not confirmed yet.

    `n_overdue` of them for longer than its `commit_within_h`.
    """

    waiting: Waiting = Waiting()
    n_overdue: int = 0

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {**self.waiting.as_dict(), "overdue": self.n_overdue}


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """What waits at each stage, what is undelivered, and what failed during the last day."""

    fetching: Waiting = Waiting()
    reading: Waiting = Waiting()
    delivering: dict[str, Waiting] = field(default_factory=dict)
    failed: int = 0
    undelivered: tuple[Missing, ...] = ()
    not_fetched: tuple[tuple[FetchCode, int], ...] = ()
    committing: dict[str, Committing] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; "committing" where a destination is asked to commit."""
        found: dict[str, Any] = {
            "fetching": self.fetching.as_dict(),
            "reading": self.reading.as_dict(),
            "delivering": {name: w.as_dict() for name, w in self.delivering.items()},
            "undelivered": self._undelivered(),
        }
        if self.committing:
            found["committing"] = {name: one.as_dict() for name, one in self.committing.items()}
        return found

    def _undelivered(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for one in self.undelivered:
            counts[one.destination] += one.count
        return dict(sorted(counts.items()))


class HealthCheck:
    """Called for the node's health; an answer is good for a moment."""

    def __init__(self, settings: Settings, progress: JobLookup) -> None:
        self._settings = settings
        self._progress = progress
        self._undelivered = UndeliveredIndex(settings.storage.folder)
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
        roles: dict[str, Presence] = {}
        for name in ROLES:
            roles |= role_status.look_around(storage, name)
        state = worker_state.read(storage)
        problems = [*role_problems(roles, state), *model_problems(state)]
        problems += lasting_problems(self._settings)
        problems += disk_problems(self._settings)
        problems += refused_problems(storage)
        problems += remote_problems(self._settings)
        problems += drift_problems(self._settings)
        audit = AuditState.of(self._settings)
        problems += audit.problems()
        try:
            queue = self._queue()
            problems += queue_problems(queue)
        except JobsUnavailable:
            queue = QueueHealth()
            problems.append(_JOBS_AWAY)
        words = {name: role_word(name, p, state) for name, p in roles.items()}
        waiting = queue.as_dict()
        if found := audit.as_dict():
            waiting["audit"] = found
        return Health(__version__, words, waiting, tuple(problems))

    def _queue(self) -> QueueHealth:
        """Raises `JobsUnavailable`."""
        now, since = time.time(), datetime.now(UTC) - LOOKS_BACK
        open_jobs = self._progress.open_jobs("consider", "process", "deliver")
        reading = [j for j in open_jobs if j.name == "process" or _is_due(j)]
        missing = {entry.key: entry for entry in self._undelivered.all()}
        delivering: dict[str, list[float]] = {d.name: [] for d in self._settings.destinations}
        for job in open_jobs:
            if job.name == "deliver" and (began := _waits_since(job, missing)) is not None:
                delivering.setdefault(delivery_of(job.identifier)[2], []).append(began)
        spool = self._settings.storage.folder / "spool"
        return QueueHealth(
            fetching=Waiting.since(_asked_at(spool), now),
            reading=Waiting.since((j.created_at for j in reading), now),
            delivering={
                name: Waiting.since(t, now, _last_reason(name, missing.values()))
                for name, t in delivering.items()
            },
            failed=len(self._progress.failed_since(since, "process")),
            undelivered=_counted(missing.values()),
            not_fetched=_not_fetched(spool, since.timestamp()),
            committing=committing(self._settings, missing.values(), now),
        )


_JOBS_AWAY: Final = HealthProblem(
    "jobs_away", N_("The job database does not answer"),
    N_("images are still received; is jobs.database_url right, and the database running?"),
)  # fmt: skip


def is_at_work(name: str, role: Presence, state: NodeState | None) -> bool:
    """Whether the role does its work: a worker has loaded its models, others stay alive.

    One that died a short while ago, for example without a port, may do so again at once.
    """
    if role.hangs or role.waits_for:
        return False
    if role_status.role_of(name) == "worker":
        is_loaded = state is not None and state.pid == role.pid
        return role.is_up and (is_loaded or role.works)
    return role.is_up and not role.is_restarting


def role_word(name: str, role: Presence, state: NodeState | None) -> str:
    """The state of the role in one word."""
    if is_at_work(name, role, state):
        return "up"
    if role.hangs:
        return "hanging"
    if role.waits_for:
        return "waiting"
    if role.is_restarting:
        return "restarting"
    return "starting" if role.is_up else "down"


def role_problems(roles: dict[str, Presence], state: NodeState | None) -> Iterator[HealthProblem]:
    """What is wrong with the node's processes; no failure while another does the same work."""
    at_work = [name for name, role in roles.items() if is_at_work(name, role, state)]
    for name, role in roles.items():
        others = [role_status.role_of(one) for one in at_work if one != name]
        has_another = role_status.role_of(name) in others
        for problem in _problems_of(name, role, state):
            yield _of_several(problem) if has_another else problem


def _of_several(problem: HealthProblem) -> HealthProblem:
    hint = _GOES_ON if problem.code == "role_down" else problem.hint
    return replace(problem, hint=hint, failing=False)


def _problems_of(name: str, role: Presence, state: NodeState | None) -> Iterator[HealthProblem]:
    why = _why_it_died(role)
    word = role_word(name, role, state)
    if word == "up" and role.is_restarting:
        yield HealthProblem(
            "role_died",
            phrase("The %(name)s died a moment ago and runs again%(why)s", name=name, why=why),
            N_("the node's log says why"),
            failing=False,
        )
    elif word == "hanging":
        yield HealthProblem(
            "role_hangs", phrase("The %(name)s hangs: %(hangs)s", name=name, hangs=role.hangs),
            N_("the node starts it again by itself; the log says more (role_hung)"),
        )  # fmt: skip
    elif word == "waiting":
        yield HealthProblem(
            "role_waiting",
            phrase("The %(name)s waits: %(waits_for)s", name=name, waits_for=role.waits_for),
            N_("it goes on by itself as soon as that is over"),
        )
    elif word == "starting":
        yield HealthProblem(
            "role_starting",
            phrase("The %(name)s is starting", name=name),
            N_("it loads its models"),
            failing=False,
        )
    elif word != "up":
        said = phrase("The %(name)s is down%(why)s", name=name, why=why)
        if word == "restarting":
            said = phrase("The %(name)s is started again and again%(why)s", name=name, why=why)
        yield HealthProblem("role_down", said, _ROLE_HINTS[role_status.role_of(name)])


def _why_it_died(role: Presence) -> str:
    if role.error:
        return f": {role.error}"
    if role.hung:
        return phrase(" (it hung: %(hung)s)", hung=role.hung)
    if role.exit_code is None:
        return ""
    return phrase(" (exit code %(code)s)", code=role.exit_code)


def set_aside_problems(aside: Iterable[tuple[str, SetAsideCode]]) -> Iterator[HealthProblem]:
    """Studies that killed or hung the worker, and are not read again by themselves."""
    for code, count in sorted(Counter(code for _, code in aside).items()):
        yield HealthProblem(
            f"study_set_aside_{code}",
            phrase("%(meaning)s: %(count)s", meaning=phrase(code.meaning), count=count),
            N_("the study's page names it; ask for it again when the cause is gone"),
        )


def job_database_problems(
    n_taken_up: int, damaged: Iterable[tuple[str, float]]
) -> Iterator[HealthProblem]:
    """What became of a job database of the last day: one that was damaged, or lost something."""
    for name, _ in damaged:
        yield HealthProblem(
            "jobs_damaged",
            phrase(
                "The job database was damaged and made anew; the old one is %(name)s", name=name
            ),
            N_("what was read and delivered is known from the results; is the disk failing?"),
            failing=False,
        )
    if n_taken_up:
        yield HealthProblem(
            "deliveries_taken_up",
            phrase(
                "Results that the job database had lost, and that are delivered now: "
                "%(n_taken_up)s",
                n_taken_up=n_taken_up,
            ),
            N_("was the job database removed, or an older copy restored?"),
            failing=False,
        )


def lasting_problems(settings: Settings) -> Iterator[HealthProblem]:
    """What deaths of the worker and of the job database have left behind."""
    storage = settings.storage.folder
    since = time.time() - LOOKS_BACK.total_seconds()
    yield from set_aside_problems(Casualties(storage).all_set_aside())
    yield from job_database_problems(
        worker_state.taken_up(storage, LOOKS_BACK.total_seconds()),
        _damaged_since(settings.database_url, since),
    )


def model_problems(state: NodeState | None) -> Iterator[HealthProblem]:
    """What is wrong with the models that a worker should use."""
    if state is not None and state.problem is not None:
        yield HealthProblem(
            "models_refused",
            phrase("Models cannot be loaded: %(message)s", message=state.problem.message),
            N_("the node keeps the previous models; `cadnode check` gives details"),
        )


def queue_problems(queue: QueueHealth) -> Iterator[HealthProblem]:
    """What waits for too long, and what failed."""
    for name, waiting in queue.delivering.items():
        if waiting.oldest_s > DELIVERY_LATE_S:
            why = f" ({waiting.why})" if waiting.why else ""
            yield HealthProblem(
                "destination_away",
                phrase(
                    "%(name)s has not taken a result for %(time)s; results that wait: "
                    "%(count)s%(why)s",
                    name=name,
                    time=_for(waiting.oldest_s),
                    count=waiting.count,
                    why=why,
                ),
                N_(
                    "is it running, does it know this node, is its password right? ask "
                    "`cadnode check`"
                ),
            )
    for one in sorted(queue.undelivered):
        why = f" ({one.reason})" if one.reason else ""
        words = {"name": one.destination, "why": why}
        if one.word == "refused":
            said = nphrase(
                "%(name)s refused %(n)s result%(why)s", "%(name)s refused %(n)s results%(why)s",
                one.count, **words,
            )  # fmt: skip
        else:
            said = nphrase(
                "%(name)s was away for too long for %(n)s result%(why)s",
                "%(name)s was away for too long for %(n)s results%(why)s", one.count, **words,
            )  # fmt: skip
        hint = N_(
            "`cadnode deliveries list` names them; `cadnode studies retry` sends them now, "
            "`cadnode studies drop` gives them up"
        )
        if one.is_retried:
            hint = N_(
                "they are tried daily; `cadnode deliveries list` names them; `cadnode studies "
                "retry` sends them now, `cadnode studies drop` gives them up"
            )
        yield HealthProblem(f"delivery_{one.word}", said, hint, failing=False, lasting=True)
    for name, one_is_asked in queue.committing.items():
        if n_overdue := one_is_asked.n_overdue:
            results = nphrase("%(n)s result", "%(n)s results", n_overdue)
            yield HealthProblem(
                "commitment_overdue",
                phrase(
                    "%(name)s stored %(results)s and did not confirm in time that it keeps "
                    "them; the oldest waits for %(time)s",
                    name=name,
                    results=results,
                    time=_for(one_is_asked.waiting.oldest_s),
                ),
                N_(
                    "can it reach this node's listener, and does it know our AE title and port "
                    "for storage commitment? it is asked again by itself"
                ),
                failing=False,
                lasting=True,
            )
    if queue.reading.oldest_s > READING_LATE_S:
        yield HealthProblem(
            "reading_late",
            phrase("A study has waited for %(time)s to be read", time=_for(queue.reading.oldest_s)),
            phrase("studies that wait: %(count)s", count=queue.reading.count),
            failing=False,
        )
    if queue.fetching.oldest_s > FETCH_LATE_S:
        yield HealthProblem(
            "source_away",
            phrase(
                "A study has waited for %(time)s to be fetched", time=_for(queue.fetching.oldest_s)
            ),
            N_("is its source running, and are user, password or token right?"),
            failing=False,
        )
    for code, count in queue.not_fetched:
        yield HealthProblem(
            "fetch_failed",
            phrase("Studies of the last day that could not be fetched: %(count)s", count=count),
            code.meaning,
            failing=False,
        )
    if queue.failed:
        yield HealthProblem(
            "reading_failed",
            phrase(
                "Studies of the last day that could not be read: %(failed)s", failed=queue.failed
            ),
            N_("the log says why (study_failed)"),
            failing=False,
        )


def _damaged_since(database_url: str, since: float) -> list[tuple[str, float]]:
    """Names of damaged job databases that were moved aside since then, and when."""
    found = []
    for path in job_database.damaged_copies(database_url):
        with suppress(OSError):
            at = path.stat().st_ctime  # of the move
            if at >= since:
                found.append((path.name, at))
    return found


def _is_due(job: Job) -> bool:
    """Whether a quiet study is still waiting to be checked: the worker does not get to it."""
    return job.name == "consider" and job.status != "DELAYED"


def _waits_since(job: Job, missing: Mapping[tuple[str, str, str], Undelivered]) -> float | None:
    """Since when a result waits for its destination; None: that is counted as undelivered."""
    entry = missing.get(delivery_of(job.identifier))
    if entry is None:
        return job.created_at
    return entry.since if entry.status is DeliveryStatus.RETRY else None


def _last_reason(name: str, missing: Iterable[Undelivered]) -> str:
    """Why the last try to deliver to a destination did not arrive; "" when none has failed."""
    waiting = [e for e in missing if e.destination == name and e.status is DeliveryStatus.RETRY]
    return max(waiting, key=lambda entry: entry.at).reason if waiting else ""


def committing(
    settings: Settings, missing: Iterable[Undelivered], now: float
) -> dict[str, Committing]:
    """What waits for its commitment, of each destination that is asked for one."""
    found: dict[str, list[Undelivered]] = {d.name: [] for d in settings.destinations if d.commit}
    for entry in missing:
        if entry.status is DeliveryStatus.AWAITING_COMMITMENT:
            found.setdefault(entry.destination, []).append(entry)
    return {
        name: Committing(
            Waiting.since((one.since for one in entries), now),
            sum(one.overdue_at is not None and one.overdue_at <= now for one in entries),
        )
        for name, entries in found.items()
    }


def _counted(missing: Iterable[Undelivered]) -> tuple[Missing, ...]:
    """How many results each destination has refused, or was away for too long for, and why."""
    counts: Counter[Missing] = Counter(
        Missing(e.destination, e.status.value, e.reason, e.next_at is not None)
        for e in missing
        if e.status not in (DeliveryStatus.RETRY, DeliveryStatus.AWAITING_COMMITMENT)
    )
    return tuple(replace(one, count=n) for one, n in counts.items())


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
