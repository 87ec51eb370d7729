"""The state of one study, decided from what is known of it; nothing here reads a disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Final

from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.failed_readings import DroppedReading
from cadnode.node.jobs import DeliveryStatus, Job, ProcessStatus
from cadnode.node.poison import SetAsideCode
from cadnode.node.readiness import Fetching, Ignore, Readiness, Wait
from cadnode.node.undelivered import Undelivered
from cadnode.phrases import N_, phrase
from cadnode.receive.fetch.requests import Ended, FetchCode
from cadnode.web.study import Reason, State

READING_FAILED: Final = Reason(
    "reading_failed", N_("Reading failed each time it was tried; the node's log says how")
)
READING_DELAYED: Final = Reason("tried_again", N_("Reading failed and is tried again later"))
NO_MAMMOGRAMS: Final = Reason("no_mammograms", N_("The study holds no mammograms"))
JOBS_LOST: Final = Reason(
    "deliveries_unknown", N_("The job database knows nothing of this study's deliveries")
)
NOTHING_SENT: Final = Reason(
    "nothing_sent",
    N_("Nothing of this reading was sent: it gave no objects, or its destinations came later"),
)
RESULT_GONE: Final = Reason(
    "result_removed",
    N_(
        "The study was read, but its result was removed since: try it again, and it is read once "
        "more"
    ),
)
IMAGES_REMOVED: Final = Reason(
    "images_removed", N_("Its images were removed from this node after its results were delivered")
)
REMOVED: Final = Reason(
    "removed",
    N_(
        "It was read and delivered; images and results were removed from this node "
        "since. Asked for at once, it is read again"
    ),
)
_OWED: Final = (DeliveryStatus.REFUSED, DeliveryStatus.AWAITING_COMMITMENT)
_SETTLED: Final = frozenset(status.value for status in DeliveryStatus if status.is_settled)


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What spool, results and job database hold of one study.

    `readiness` is what `node.readiness` decides of it; `fetch` is the outcome of the last fetch.
    `attempts` are the jobs that read this content, the last one last; `has_result`: this content is
    reported; `set_aside` is why it is not read again by itself. `deliveries` has this content's
    first delivery job per configured destination, None where there is none. `tries` are the
    recorded last tries of this content, by destination, and `missing` what its destinations do
    not have. `dropped` is what was given up of its reading; `content` is what it is held against.
    `was_removed`: it is what was removed after its delivery.
    """

    n_instances: int = 0
    readiness: Readiness = field(default_factory=Ignore)
    fetch: Ended | None = None
    attempts: tuple[Job, ...] = ()
    has_result: bool = False
    set_aside: SetAsideCode | None = None
    deliveries: tuple[tuple[str, Job | None], ...] = ()
    tries: Mapping[str, DeliveryTry] = field(default_factory=dict)
    missing: Mapping[str, Undelivered] = field(default_factory=dict)
    was_removed: bool = False
    content: str = ""
    dropped: DroppedReading | None = None


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """A study's state, the reasons that are not in its result, and its deliveries' words."""

    state: State
    reasons: tuple[Reason, ...] = ()
    deliveries: tuple[tuple[str, str], ...] = ()


def decide(facts: StudyFacts) -> StudyVerdict:
    """The study's state: the first of these that holds."""
    missed = _missed(facts.fetch)
    if isinstance(facts.readiness, Fetching):
        # What is read already may still be on its way, or refused, while more is fetched.
        now = _of_deliveries(facts) if facts.has_result else StudyVerdict(State.FETCHING)
        return StudyVerdict(State.FETCHING, (*missed, *now.reasons), now.deliveries)
    if facts.was_removed:
        return _of_removed(facts, missed)
    if not facts.n_instances:
        return _without_images(facts, missed)
    if isinstance(facts.readiness, Ignore):
        return StudyVerdict(State.IGNORED, (*missed, NO_MAMMOGRAMS))
    verdict = _of_content(facts)
    return StudyVerdict(verdict.state, (*missed, *verdict.reasons), verdict.deliveries)


def _missed(fetch: Ended | None) -> tuple[Reason, ...]:
    """Why the last fetch did not bring, or has not brought yet, what the source has."""
    if fetch is None or fetch.code in (FetchCode.FETCHED, FetchCode.NO_MAMMOGRAMS):
        return ()
    return (Reason(fetch.code.value, fetch.code.meaning),)


def _without_images(facts: StudyFacts, missed: tuple[Reason, ...]) -> StudyVerdict:
    if missed:
        return StudyVerdict(State.FAILED, missed)
    if facts.fetch is not None:  # it ended well, and there was nothing for us
        return StudyVerdict(State.IGNORED, (NO_MAMMOGRAMS,))
    return StudyVerdict(State.UNKNOWN)


def _of_removed(facts: StudyFacts, missed: tuple[Reason, ...]) -> StudyVerdict:
    """State of a study whose images were removed, and maybe came again unchanged."""
    if not facts.has_result:
        return StudyVerdict(State.DONE, (*missed, REMOVED))
    verdict = _of_content(facts)
    gone = () if facts.n_instances else (IMAGES_REMOVED,)
    return StudyVerdict(verdict.state, (*missed, *gone, *verdict.reasons), verdict.deliveries)


def _of_content(facts: StudyFacts) -> StudyVerdict:
    """State of a study with images, from how far the reading of this content is."""
    last = facts.attempts[-1] if facts.attempts else None
    if last is not None and last.has_failed:
        return _of_failed(facts, _why_failed(facts.set_aside))
    if last is not None and last.is_open:
        if last.is_running:
            return StudyVerdict(State.READING)
        return StudyVerdict(State.QUEUED, (READING_DELAYED,) if len(facts.attempts) > 1 else ())
    if not facts.has_result:
        if last is not None and last.output == ProcessStatus.REPORTED:
            return _of_failed(facts, RESULT_GONE)
        if isinstance(facts.readiness, Wait):
            return StudyVerdict(State.RECEIVING, (waiting(facts.readiness),))
        return StudyVerdict(State.QUEUED)
    if last is None and not facts.tries:  # read, but by jobs that the database has forgotten
        return StudyVerdict(State.DONE, (JOBS_LOST,) if facts.deliveries else ())
    return _of_deliveries(facts)


def _of_failed(facts: StudyFacts, reason: Reason) -> StudyVerdict:
    """State of a study whose reading ended without a result: whether somebody gave it up since."""
    dropped = facts.dropped
    if dropped is None or not dropped.holds_for(facts.content, facts.attempts):
        return StudyVerdict(State.FAILED, (reason,))
    words = phrase("Given up by %(by)s: %(why)s", by=dropped.by, why=dropped.why)
    return StudyVerdict(State.DROPPED, (Reason("reading_dropped", words), reason))


def _why_failed(set_aside: SetAsideCode | None) -> Reason:
    return Reason(set_aside.value, set_aside.meaning) if set_aside else READING_FAILED


def waiting(wait: Wait) -> Reason:
    """What a study waits for, and for how long, in words."""
    views = [f"{side}{view}" for side, view in wait.for_what]
    values = {"quiet_s": f"{wait.quiet_s:g}", "seconds": ceil(wait.seconds)}
    if not views:
        then = phrase(
            "the study is read once nothing has come for %(quiet_s)s s, which is in %(seconds)s s",
            **values,
        )
        return Reason("waiting_for_quiet", then)
    names = views[0]
    if len(views) > 1:
        names = phrase("%(names)s and %(last)s", names=", ".join(views[:-1]), last=views[-1])
    return Reason(
        "waiting_for_views",
        phrase(
            "waiting for %(names)s; otherwise the study is read once nothing has come for "
            "%(quiet_s)s s, which is in %(seconds)s s",
            names=names, **values,
        ),
    )  # fmt: skip


def _of_deliveries(facts: StudyFacts) -> StudyVerdict:
    statuses = tuple(
        (name, word)
        for name, job in facts.deliveries
        if (word := delivery_word(job, facts.tries.get(name)))
    )
    words = {word for _, word in statuses}
    reasons = tuple(map(_missing, facts.missing.values()))
    if words & {"waiting", DeliveryStatus.AWAITING_COMMITMENT.value}:
        return StudyVerdict(State.DELIVERING, reasons, statuses)
    if facts.deliveries and not statuses:
        return StudyVerdict(State.DONE, (NOTHING_SENT,))
    return StudyVerdict(State.REFUSED if words - _SETTLED else State.DONE, reasons, statuses)


def _missing(entry: Undelivered) -> Reason:
    """Why a destination does not have the result, and when it is tried again."""
    when = phrase("it is not tried again by itself")
    if entry.next_at is not None:
        at = f"{datetime.fromtimestamp(entry.next_at):%Y-%m-%d %H:%M}"
        when = phrase("it is tried again at %(at)s", at=at)
    if entry.status is DeliveryStatus.AWAITING_COMMITMENT:
        said = phrase("%(why)s (storage commitment); %(when)s", why=entry.reason, when=when)
        return Reason("awaiting_commitment", said)
    said = phrase(
        "%(name)s does not have the result: %(why)s; %(when)s",
        name=entry.destination, why=entry.reason or entry.status.value, when=when,
    )  # fmt: skip
    return Reason("undelivered", said)


def delivery_word(job: Job | None, last: DeliveryTry | None = None) -> str:
    """How a delivery stands, a word of `web.study.DELIVERY_MEANINGS`; "" when there is none.

    `job` is the first try; what became of the last one is in the record beside the result.
    """
    if job is not None and job.is_open:
        return "waiting"
    if last is not None:
        return "waiting" if last.status is DeliveryStatus.RETRY else last.status.value
    if job is None:
        return ""
    if job.has_failed or job.output not in (*_SETTLED, *_OWED):
        return DeliveryStatus.GIVEN_UP.value
    return job.output
