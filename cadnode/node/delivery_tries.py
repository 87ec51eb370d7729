"""One try to deliver: for a bounded time, one at a time of a study, and recorded.

Whatever a destination does (it hangs, drips, or is a share whose server is gone), a try that takes
longer than `retry.longest_try_s` is abandoned: its thread is left to end by itself, and until it
does, nothing else of that study is sent there. So an older result never overtakes a newer one.
Workers that share a database keep to that by locks, each for some studies and a destination:

    STORAGE/roles/sending/<destination>.<2 digits of the study's key>.lock
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.files import locked, make_folder
from cadnode.log import get_logger
from cadnode.node import (
    commitments,
    delivery_record,
    job_database,
    results,
    retry,
    verdict_documents,
)
from cadnode.node.commitments import Transactions
from cadnode.node.deliveries import TryEnd, attempt
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.destination_tally import Tallies
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.settings import Settings

MOST_ABANDONED: Final = 8  # threads that a destination may hold before nothing more is tried there

_FAILED: Final = frozenset({DeliveryStatus.RETRY, DeliveryStatus.REFUSED, DeliveryStatus.GIVEN_UP})
_NOT_THERE: Final = _FAILED | {DeliveryStatus.REFUSED_FOR_NOW}

log = get_logger("worker")
Clock = Callable[[], float]


def is_superseded(kept: Results, study: str, content: str) -> bool:
    """Whether the study was read again since: its newer result is sent, and this one no more.

    A radiologist is to see the newest reading, and no archive is to get an older one after it. So
    it is with readers' verdicts of which a later document is made.
    """
    if verdict_documents.is_one(kept.of_content(study, content)):
        return verdict_documents.is_replaced(kept, study, content)
    own = results.reported_at(kept.of_content(study, content))
    others = kept.reported(study, but=content)
    return bool(own) and any(results.reported_at(folder) > own for folder in others)


@dataclass(frozen=True, slots=True)
class _Running:
    study: str
    destination: str


class DeliveryTries:
    """Tries to deliver the results of one node. Threads share it."""

    def __init__(
        self,
        settings: Settings,
        kept: Results,
        clock: Clock = time.time,
        counts: Counts | None = None,
    ) -> None:
        self._settings = settings
        self._counts = counts or Counts()
        self._results = kept
        self._clock = clock
        self._trail = Trail.of(settings)
        self._tallies = Tallies(settings.storage.folder)
        self._transactions = Transactions(settings.storage.folder)
        self._gate = StudyGate(settings.storage.folder)
        several = job_database.is_shared(settings.database_url)
        self._locks = settings.storage.folder / "roles" / "sending" if several else None
        self._changed = threading.Condition()
        self._running: set[_Running] = set()

    def deliver(self, study: str, content: str, destination: str) -> TryEnd:
        """How one try ended; it is in the record beside the result."""
        folder = self._results.of_content(study, content)
        running = _Running(study, destination)
        bound_s = self._bound_s(folder, destination)
        before = delivery_record.last_tries(folder).get(destination)
        if (refusal := self._begin(running, bound_s)) is not None:
            return self._recorded(folder, destination, refusal, before)
        ends: list[TryEnd | Exception] = []
        ended = threading.Event()

        def work() -> None:
            try:
                ends.append(self._try(study, content, folder, destination, before))
            except Exception as error:
                ends.append(error)  # raised below, by whoever waits
            finally:
                self._end(running)
                ended.set()

        threading.Thread(target=work, name=f"deliver-{destination}", daemon=True).start()
        if not ended.wait(bound_s):
            text = f"{destination} did not finish within {bound_s:.0f} s"
            log.warning("delivery_abandoned", study=study, destination=destination, reason=text)
            abandoned = TryEnd(DeliveryStatus.RETRY, text)
            return self._recorded(folder, destination, abandoned, before)
        (end,) = ends
        if isinstance(end, Exception):
            raise end
        return end

    def _try(
        self, study: str, content: str, folder: Path, destination: str, before: DeliveryTry | None
    ) -> TryEnd:
        """One try, while which the study is not erased, also when nobody waits for it any more."""
        with self._alone(study, destination), self._gate.passing(study):
            if self._gate.is_erased(study, content):
                return TryEnd(DeliveryStatus.DROPPED, "the patient was erased")
            return self._tried(study, content, folder, destination, before)

    @contextmanager
    def _alone(self, study: str, destination: str) -> Iterator[None]:
        """Within the block no other worker sends anything of the study there."""
        if self._locks is None:
            yield
            return
        with ExitStack() as held:
            with suppress(OSError):  # a full disk keeps no result from its place
                make_folder(self._locks)
                lock = self._locks / f"{destination}.{study[:2]}.lock"
                held.enter_context(locked(lock, mode=0o640))
            yield

    def _tried(
        self, study: str, content: str, folder: Path, destination: str, before: DeliveryTry | None
    ) -> TryEnd:
        if is_superseded(self._results, study, content):
            commitments.forget(folder, destination, self._transactions)
            is_verdict = verdict_documents.is_one(folder)
            why = "later verdicts were given" if is_verdict else "the study was read again since"
            end = TryEnd(DeliveryStatus.SUPERSEDED, why)
            log.info("delivery_superseded", study=study, destination=destination)
        else:
            began = time.monotonic()
            end = attempt(self._settings, study, folder, destination)
            self._counts.observe(table.TRY, time.monotonic() - began, destination)
        return self._recorded(folder, destination, end, before)

    def _recorded(
        self, folder: Path, destination: str, end: TryEnd, before: DeliveryTry | None
    ) -> TryEnd:
        """The same, after it was noted; a disk that is full keeps no result from its place.

        `before` is the last try that was recorded when this one began. What was dropped since then
        stays dropped, unless the destination has it by now.
        """
        last = delivery_record.last_tries(folder).get(destination)
        if (
            last is not None
            and last != before
            and last.status is DeliveryStatus.DROPPED
            and end.status in _NOT_THERE
        ):
            return TryEnd(last.status, last.reason)
        status = end.status
        if status is DeliveryStatus.REFUSED_FOR_NOW:
            status = DeliveryStatus.REFUSED
        self._tell(folder, destination, status)
        self._count(folder, destination, status)
        try:
            one = DeliveryTry(destination, status, self._clock(), end.reason)
            delivery_record.record(folder, one)
            self._tallies.count(one)
        except OSError as error:
            log.warning("delivery_not_recorded", destination=destination, error=error)
        return end

    def _count(self, folder: Path, destination: str, status: DeliveryStatus) -> None:
        """Count a try that is not recorded yet; the first that arrives ends the result's way."""
        self._counts.add(table.DELIVERIES, destination, status.value)
        if status in _FAILED:
            self._counts.add(table.FAILURES, "deliver", status.value)
        if status.has_arrived:
            reported_at = results.reported_at(folder)
            before = [t for t in delivery_record.tries(folder) if t.destination == destination]
            if reported_at and not any(one.status.has_arrived for one in before):
                took_s = max(0.0, self._clock() - reported_at)
                self._counts.observe(table.READ_TO_DELIVERED, took_s, destination)

    def _tell(self, folder: Path, destination: str, status: DeliveryStatus) -> None:
        """Have it in the audit trail; of tries that all end alike, the first."""
        is_stored = status.has_arrived or status is DeliveryStatus.AWAITING_COMMITMENT
        if not is_stored:
            last = delivery_record.last_tries(folder).get(destination)
            if last is not None and last.status is status:
                return
        action = Action.DELIVERED if is_stored else Action.NOT_DELIVERED
        is_well = is_stored or status is DeliveryStatus.SUPERSEDED
        outcome = EventOutcome.SUCCESS if is_well else EventOutcome.FAILURE
        study = folder.parent.name
        self._trail.record(
            Event(action, outcome, this_node("worker"), study, destination, status.value)
        )

    def _begin(self, running: _Running, within_s: float) -> TryEnd | None:
        """Wait for an earlier try of this study; why this one cannot begin, or None."""
        deadline = time.monotonic() + within_s
        with self._changed:
            n_here = sum(r.destination == running.destination for r in self._running)
            if n_here >= MOST_ABANDONED:
                text = f"{running.destination} has not finished {n_here} earlier tries"
                return TryEnd(DeliveryStatus.RETRY, text)
            while running in self._running:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    text = f"{running.destination} has not finished an earlier try of this study"
                    return TryEnd(DeliveryStatus.RETRY, text)
            self._running.add(running)
        return None

    def _end(self, running: _Running) -> None:
        with self._changed:
            self._running.discard(running)
            self._changed.notify_all()

    def _bound_s(self, folder: Path, destination: str) -> float:
        timeout_s = next(
            (d.timeout_s for d in self._settings.destinations if d.name == destination), 30.0
        )
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*.dcm"))
        return retry.longest_try_s(timeout_s, n_bytes)
