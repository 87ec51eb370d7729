"""A prior exam fetched from a source into a folder beside the study: not read, not delivered."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
)

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome, Recorder
from cadnode.errors import NotProcessable, SettingsError
from cadnode.exam.dicom_file import open_file
from cadnode.exam.identification import Identification, identify
from cadnode.exam.partition import stated_by
from cadnode.log import get_logger, hashed
from cadnode.node import source_kinds
from cadnode.node.priors.finding import Prior, PriorFinder
from cadnode.node.study_gate import StudyGate
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import FetchFailure, Sink, Stopped, StudySource, fetch
from cadnode.receive.fetch.listing import Listed, is_mammogram
from cadnode.receive.fetch.requests import FetchCode, Request
from cadnode.receive.fetch.studies import ListedStudy
from cadnode.receive.prior_store import PriorNote, PriorShelf, PriorStore
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.terminal import counted

ANOTHER_PATIENT: Final = "another_patient"
MOST_IMAGES: Final = 64  # of one prior; an exam with additional views has some twelve
AT_ONCE: Final = 2
MOST_WAITING: Final = 20
_MOVED_WITHIN_S: Final = 900.0
_LATE_S: Final = 300.0  # an archive may still send when its C-MOVE has ended
_LOOK_EVERY_S: Final = 0.5

log = get_logger("priors")


def shown(listed: Sequence[Listed]) -> list[Listed]:
    """What of a study is fetched as a prior: its mammograms, not what nobody can look at here.

    No tomosynthesis; For Processing images only where there are no others.
    """
    views = [
        one for one in listed
        if one.sop_instance_uid and is_mammogram(one)
        and one.sop_class_uid != BreastTomosynthesisImageStorage
    ]  # fmt: skip
    processing = DigitalMammographyXRayImageStorageForProcessing
    for_presentation = [one for one in views if one.sop_class_uid != processing]
    return (for_presentation or views)[:MOST_IMAGES]


@dataclass(frozen=True, slots=True)
class _ViewsAlone:
    """A source that lists of a study what is shown of a prior."""

    source: StudySource

    def check(self) -> str:
        return self.source.check()

    def instances(self, request: Request) -> list[Listed]:
        return shown(self.source.instances(request))

    def stream(self, instance: Listed, sink: Sink) -> bool:
        return self.source.stream(instance, sink)

    def studies_of(self, value: str, keyword: str = "PatientID") -> Sequence[ListedStudy]:
        return self.source.studies_of(value, keyword)


class PriorBringer:
    """Fetches priors, two at a time, each in a thread that nobody waits for."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        store: PriorStore,
        finder: PriorFinder,
        recorder: Recorder,
        role: str,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._store = store
        self._finder = finder
        self._recorder = recorder
        self._role = role
        self._gate = StudyGate(settings.storage.folder)
        self._stopping = threading.Event()
        self._places = threading.Semaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._waiting: set[tuple[str, str]] = set()

    def is_waiting(self, study: str, prior: str) -> bool:
        """Whether it is being fetched, or waits for its turn."""
        return (study, prior) in self._waiting or self._store.is_fetching(study, prior)

    def begin(self, study: str, prior: Prior) -> bool:
        """Have a prior fetched soon; False where too many wait. One on its way is left alone."""
        return self._begin((study, prior.key), lambda: self.bring(study, prior))

    def begin_newest(self, study: str) -> bool:
        """Have the newest prior of a study sought and fetched soon, unless it is here."""
        return self._begin((study, ""), lambda: self._bring_newest(study))

    def stop(self) -> None:
        """Begin nothing more, and end what is fetched by HTTP."""
        self._stopping.set()

    def _begin(self, key: tuple[str, str], do: Callable[[], None]) -> bool:
        with self._lock:
            if key in self._waiting:
                return True
            if len(self._waiting) >= MOST_WAITING or self._stopping.is_set():
                log.warning("prior_left_out", study=key[0], count=len(self._waiting))
                return False
            self._waiting.add(key)

        def run() -> None:
            try:
                with self._places:
                    if not self._stopping.is_set():
                        do()
            except Exception as error:
                # A thread's end: whatever failed with one prior, the node goes on.
                log.error("prior_failed", study=key[0], error=error)
            finally:
                with self._lock:
                    self._waiting.discard(key)

        threading.Thread(target=run, name="prior", daemon=True).start()
        return True

    def _bring_newest(self, study: str) -> None:
        dated = [one for one in self._finder.find(study).priors if one.study_date is not None]
        if dated and not dated[0].is_here:
            self.bring(study, dated[0])

    def bring(self, study: str, prior: Prior) -> None:
        """Fetch a prior from the first source that gives it; how it ended is noted beside it.

        Raises
        ------
        OSError
            The note cannot be written.
        """
        with ExitStack() as held:
            held.enter_context(self._gate.passing(study))
            if not self._spool.instances(study):  # erased meanwhile: not even a folder names it
                return
            if not held.enter_context(self._store.fetching(study, prior.key)):
                return
            for source, source_id in prior.at:
                code, n_images = self._from(study, prior, source, source_id)
                self._store.note(study, prior.key, PriorNote(code, source, time.time()))
                good = code == FetchCode.FETCHED
                (log.info if good else log.warning)(
                    "prior_fetched", study=study, status=code, count=n_images, where=source
                )
                if n_images:
                    outcome = EventOutcome.SUCCESS if good else EventOutcome.FAILURE
                    actor = this_node(self._role)
                    self._recorder.record(
                        Event(Action.RECEIVED, outcome, actor, prior.key, source, f"prior, {code}")
                    )
                if good:
                    break
            if not self._spool.instances(study):  # removed meanwhile
                self._store.remove(study)

    def _from(self, study: str, prior: Prior, name: str, source_id: str) -> tuple[str, int]:
        """How a try ended, and how many images are here now."""
        request = Request(prior.study_instance_uid, name, source_id)
        try:
            source = self._settings.source(name)
            with source_kinds.opened(source, self._settings.listener.ae_title) as opened:
                if isinstance(opened, DimseSource):
                    self._move(study, prior.key, opened, request)
                else:
                    shelf = PriorShelf(self._store, self._spool, study, prior.key)
                    fetch(request, _ViewsAlone(opened), shelf, self._stopping.is_set)
            code = FetchCode.FETCHED.value
        except FetchFailure as failure:
            code = failure.code.value
        except Stopped:
            code = FetchCode.INTERRUPTED.value
        except SettingsError:
            code = FetchCode.UNKNOWN_SOURCE.value
        except Exception as error:
            # Whatever failed, the page is to say that it did.
            log.error("prior_failed", study=study, error=error)
            code = FetchCode.FETCH_FAILED.value
        n_strangers = self._remove_strangers(study, prior.key)
        n_images = len(self._store.images(study, prior.key))
        return (ANOTHER_PATIENT if n_strangers and not n_images else code), n_images

    def _move(self, study: str, prior: str, source: DimseSource, request: Request) -> None:
        """Have an archive send the prior to the listener, which puts it beside the study."""
        listed = source.instances(request)
        if not listed:
            raise FetchFailure(FetchCode.UNKNOWN_STUDY, "unknown study", retryable=False)
        ours = {hashed(one.sop_instance_uid): one for one in shown(listed)}
        if not ours:
            raise FetchFailure(FetchCode.NO_MAMMOGRAMS, "no mammograms", retryable=False)
        if not self._spool.has_room():
            raise FetchFailure(FetchCode.NO_ROOM, "no room", retryable=True)

        def lacking() -> list[str]:
            here = {path.stem for path in self._store.images(study, prior)}
            return [key for key in ours if key not in here]

        self._wait_for_turn(study, prior)
        missing = lacking()
        self._store.expect(study, prior, _MOVED_WITHIN_S, missing)
        try:
            source.move(request, [ours[key] for key in missing], _MOVED_WITHIN_S)
        finally:
            self._store.expect(study, prior, _LATE_S, lacking())
        if n_lacking := len(lacking()):
            text = f"{counted(n_lacking, 'image')} did not arrive"
            raise FetchFailure(FetchCode.INSTANCE_MISSING, text, retryable=True)

    def _wait_for_turn(self, study: str, prior: str) -> None:
        """Until no other study waits for the same prior: what arrives is for one of them."""
        deadline = time.monotonic() + _MOVED_WITHIN_S
        while self._store.expected_by(prior) not in (None, study):
            if self._stopping.wait(_LOOK_EVERY_S) or time.monotonic() > deadline:
                raise Stopped

    def _remove_strangers(self, study: str, prior: str) -> int:
        """Number of files removed whose header does not say that they are hers."""
        facts, count = self._finder.studies.facts(study), 0
        for path in self._store.images(study, prior):
            try:
                other = stated_by(open_file(path).header)
            except (NotProcessable, OSError):
                other = None
            hers = facts is not None and facts.stated is not None and other is not None
            if not hers or identify(facts.stated, other) is not Identification.SAME:  # type: ignore[union-attr, arg-type]
                path.unlink(missing_ok=True)
                count += 1
        return count
