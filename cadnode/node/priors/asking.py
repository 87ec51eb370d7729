"""The sources asked for a woman's studies: all at once, within a time, and not again and again."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.log import get_logger
from cadnode.node import source_kinds
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.studies import ListedStudy
from cadnode.settings import Settings, Source

WITHIN_S: Final = 15.0  # what has not answered by then is said to be missing
_FRESH_S: Final = 60.0
_FAILED_S: Final = 15.0
_AT_ONCE: Final = 4  # questions to one source; a page that is opened again waits for no more
_REMEMBERED: Final = 200
_WILD: Final = frozenset("*?\\")  # in a query they mean others' numbers, too (PS3.4 C.2.2.2)

log = get_logger("priors")


@dataclass(frozen=True, slots=True)
class Listing:
    """A source's answer; `problem` is "" where it has answered."""

    source: str
    studies: tuple[ListedStudy, ...] = field(default=(), repr=False)
    problem: str = ""


class PriorSources:
    """A node's sources, asked for studies. Threads may share it."""

    def __init__(self, settings: Settings, within_s: float = WITHIN_S) -> None:
        self._settings = settings
        self._within_s = within_s
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Listing]] = {}
        self._free = {s.name: threading.Semaphore(_AT_ONCE) for s in settings.sources}

    def listings(self, patient_id: str) -> list[Listing]:
        """What each source lists under a Patient ID, in their order."""
        asked = [
            _Question(self, source, patient_id)
            for source in self._settings.sources
            if self._remembered(source.name, patient_id) is None
        ]
        deadline = time.monotonic() + self._within_s
        for one in asked:
            one.wait(deadline)
        return [self._answer(source, patient_id, asked) for source in self._settings.sources]

    def forget(self, patient_id: str) -> None:
        """Ask again the next time."""
        with self._lock:
            self._known = {key: v for key, v in self._known.items() if key[1] != patient_id}

    def _remembered(self, source: str, patient_id: str) -> Listing | None:
        with self._lock:
            at, listing = self._known.get((source, patient_id), (0.0, Listing(source)))
        lasts_s = _FAILED_S if listing.problem else _FRESH_S
        return listing if at and time.monotonic() - at < lasts_s else None

    def _answer(self, source: Source, patient_id: str, asked: Sequence["_Question"]) -> Listing:
        for one in asked:
            if one.source is source and one.listing is not None:
                return one.listing
        found = self._remembered(source.name, patient_id)
        return found or Listing(source.name, problem=f"{source.name} did not answer in time")

    def ask(self, source: Source, patient_id: str) -> Listing:
        """Ask one source; nothing is raised."""
        if not self._free[source.name].acquire(blocking=False):
            return Listing(
                source.name, problem=f"{source.name} has yet to answer earlier questions"
            )
        try:
            listing = self._asked(source, patient_id)
        finally:
            self._free[source.name].release()
        with self._lock:
            while len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[source.name, patient_id] = (time.monotonic(), listing)
        return listing

    def _asked(self, source: Source, patient_id: str) -> Listing:
        if not _WILD.isdisjoint(patient_id):
            what = "cannot be asked for this Patient ID: it holds *, ? or a backslash"
            return Listing(source.name, problem=f"{source.name} {what}")
        try:
            with source_kinds.opened(source, self._settings.listener.ae_title) as opened:
                return Listing(source.name, tuple(opened.studies_of(patient_id)))
        except FetchFailure as failure:
            log.warning("prior_source_failed", where=source.name, status=failure.code.value)
            return Listing(source.name, problem=str(failure))
        except (CadnodeError, OSError) as error:
            log.warning("prior_source_failed", where=source.name, error=error)
            return Listing(source.name, problem=f"{source.name} cannot be asked")
        except Exception as error:
            # Whatever one source answers, the others are listed.
            log.error("prior_source_failed", where=source.name, error=error)
            return Listing(source.name, problem=f"{source.name} answered what is not understood")


class _Question:
    """A question in a thread of its own, which nobody waits for when it hangs."""

    def __init__(self, sources: PriorSources, source: Source, patient_id: str) -> None:
        self.source = source
        self.listing: Listing | None = None

        def ask() -> None:
            self.listing = sources.ask(source, patient_id)

        self._thread = threading.Thread(target=ask, name="priors", daemon=True)
        self._thread.start()

    def wait(self, until: float) -> None:
        self._thread.join(max(0.0, until - time.monotonic()))
