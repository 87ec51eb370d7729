"""Requested studies, fetched from their source into the spool."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.errors import SettingsError
from cadnode.log import get_logger
from cadnode.node import readiness, retry, source_kinds
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import FetchStatus
from cadnode.node.listener import open_spool
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.node.results import Results, has_result
from cadnode.node.workflow_steps import FetchAnswer
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import Fetched, FetchFailure, Stopped, fetch
from cadnode.receive.fetch.moving import moved
from cadnode.receive.fetch.requests import GOOD, Ended, FetchCode, Request, Taken
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.settings import Settings

log = get_logger("fetch")


def spool_folder(settings: Settings) -> Path:
    """Where the spool and the requests are."""
    return settings.storage.folder / "spool"


@dataclass(frozen=True, slots=True)
class _Try:
    """The outcome of one query to the source. `study_is_here`: there is a study to consider."""

    how: Ended
    study_is_here: bool = False


class Fetcher:
    """The fetch step of the workflow, bound to one node's spool and sources."""

    def __init__(
        self, settings: Settings, stopping: Callable[[], bool], counts: Counts | None = None
    ) -> None:
        self._settings = settings
        self._counts = counts or Counts()
        self._stopping = stopping
        self._trail = Trail.of(settings)
        self._way = WayLog(settings.storage.folder)
        self._folder = spool_folder(settings)
        self._spool = open_spool(settings)
        self._headers = HeaderIndex(self._spool)
        self._seen: set[str] = set()  # tickets of tries that are known to be on their way
        self._postponing = threading.Lock()

    def fetch(self, study: str, ticket: str, waited_s: float) -> FetchAnswer:
        """Try once to fetch a study; see `FetchAnswer`.

        With a ticket that is no longer valid nothing is done: another try is on its way.
        """
        taken = requests.take(self._folder, study)
        if taken is None:
            return FetchAnswer(FetchStatus.NOTHING_ASKED)
        try:
            if ticket and taken.ticket != ticket:
                return FetchAnswer(FetchStatus.NOTHING_ASKED)
            return self._serve(study, taken, waited_s)
        except Stopped:
            stopped = Ended(FetchCode.INTERRUPTED, is_final=False, n_instances=self._n_here(study))
            return FetchAnswer(FetchStatus.INTERRUPTED, self._postpone(taken, stopped))
        except Exception:  # the outcome could not be written: the next sweep restarts it
            with self._postponing:
                self._seen.discard(taken.ticket)
            raise
        finally:
            taken.release()

    def sweep(self, start: Callable[[str], None]) -> None:
        """Start every waiting request once in this process's life.

        Finds those that were not announced: a crash between writing a request and its job, or a
        job database that was lost. One that is under way already is not hurt by it.
        """
        with self._postponing:
            waiting = {
                study: requests.ticket(self._folder, study)
                for study in requests.waiting(self._folder)
            }
            new = [study for study, ticket in waiting.items() if ticket not in {"", *self._seen}]
            self._seen = set(waiting.values())
        for study in new:
            start(study)

    def _postpone(self, taken: Taken, how: Ended) -> str:
        """The next try's ticket, which the sweep is not to start as well."""
        with self._postponing:
            ticket = taken.postpone(how)
            self._seen.add(ticket)
        return ticket

    def _serve(self, study: str, taken: Taken, waited_s: float) -> FetchAnswer:
        """Fetch until no new request arrived meanwhile, or it fails."""
        while True:
            request = taken.request
            if request.at_once:
                self._take_as_new(study)
            one = self._try(study, request, waited_s)
            if not one.how.is_final:
                return FetchAnswer(FetchStatus.RETRY, self._postpone(taken, one.how))
            if taken.finish(one.how):
                break
        status = FetchStatus.FETCHED if one.how.code in GOOD else FetchStatus.FAILED
        wait_s = self._wait_s(study, request) if one.study_is_here else -1.0
        return FetchAnswer(status, taken.ticket, wait_s, request.at_once)

    def _take_as_new(self, study: str) -> None:
        """Have a study read once more that somebody wants read now and whose result was removed."""
        removed = self._spool.removed(study)
        if removed is not None:
            results = Results.in_storage(self._settings.storage.folder)
            if not has_result(results.of_content(study, removed.content)):
                self._spool.forget_removed(study)

    def _try(self, study: str, request: Request, waited_s: float) -> _Try:
        try:
            fetched = self._from_source(request)
        except FetchFailure as failure:
            return self._failed(study, request, waited_s, failure)
        except Stopped:
            raise
        except Exception as error:
            # Whatever failed with one study, it is retried, and the next one is fetched.
            log.error("fetch_failed", study=study, error=error)
            broken = FetchFailure(FetchCode.FETCH_FAILED, type(error).__name__, retryable=True)
            return self._failed(study, request, waited_s, broken)
        self._tell(study, request, FetchCode.FETCHED, fetched.n_new)
        return _Try(Ended(FetchCode.FETCHED, True, fetched.n_instances, fetched.n_new), True)

    def _tell(self, study: str, request: Request, code: FetchCode, n_new: int) -> None:
        """Have a try on the study's way, and images that came in the audit trail."""
        known = {source.name for source in self._settings.sources}
        source = request.source if request.source in known else table.OTHER
        self._counts.add(table.FETCHES, source, code.value)
        if code not in GOOD:
            self._counts.add(table.FAILURES, "fetch", code.value)
        how = "" if code is FetchCode.FETCHED else code.value
        self._way.record(study, WayEntry(time.time(), Passed.FETCH, request.source, how, n_new))
        if n_new:
            outcome = EventOutcome.SUCCESS if code is FetchCode.FETCHED else EventOutcome.FAILURE
            self._trail.record(
                Event(
                    Action.RECEIVED, outcome, this_node("worker"), study, request.source, code.value
                )
            )

    def _failed(self, study: str, request: Request, waited_s: float, failure: FetchFailure) -> _Try:
        code, is_final = failure.code, not failure.retryable
        if not is_final and self._strategy(request).is_over(waited_s=waited_s):
            code, is_final = FetchCode.GIVEN_UP, True
        log.warning(
            "study_not_fetched", study=study, status=code.value, reason=str(failure),
            count=failure.n_new,
        )  # fmt: skip
        self._tell(study, request, code, failure.n_new)
        n_here = self._n_here(study)
        return _Try(Ended(code, is_final, n_here, failure.n_new), n_here > 0)

    def _n_here(self, study: str) -> int:
        """The number of relevant instances in the spool."""
        try:
            return len(readiness.relevant(self._headers.files(study)))
        except OSError:  # a file or the disk disappeared in this moment
            return 0

    def _from_source(self, request: Request) -> Fetched:
        try:
            source = self._settings.source(request.source)
        except SettingsError:
            raise FetchFailure(
                FetchCode.UNKNOWN_SOURCE, "no such source", retryable=False
            ) from None
        with source_kinds.opened(source, self._settings.listener.ae_title) as opened:
            if isinstance(opened, DimseSource):
                return moved(request, opened, self._spool)
            return fetch(request, opened, self._spool, self._stopping)

    def _strategy(self, request: Request) -> retry.RetryStrategy:
        source = self._settings.source(request.source)
        return retry.FETCH.until(retry.give_up_after_s(source))

    def _wait_s(self, study: str, request: Request) -> float:
        """Quiet time after which the study is read, as for one that was sent to the node."""
        present = readiness.views_of(self._headers.files(study))
        rules = readiness.rules_of(self._settings)
        return readiness.debounce_s(present, rules, at_once=request.at_once)
