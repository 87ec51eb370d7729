"""The node's side of remote workers: an exam is offered, and read by whichever is free first.

The exam waits for its turn in this worker (`node.turns`) and is offered meanwhile. Where the turn
comes first, it is read here as ever. Where another machine brings its reading, that is checked and
taken over within a turn: written, journalled and reported by this worker, as if it had read it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.exam.exam import Exam
from cadnode.log import get_logger
from cadnode.node.active_models import ActiveModels
from cadnode.node.job_database import is_full
from cadnode.node.readers import choices_of
from cadnode.node.remote.acceptance import problem_of
from cadnode.node.remote.offers import Offers
from cadnode.node.remote.parcel import ParcelWrong, Read, unpacked
from cadnode.node.remote.reading_offer import OfferState, ReadingOffer
from cadnode.node.remote.waiting_line import WaitingLine
from cadnode.node.turns import Turns
from cadnode.reading import Readers
from cadnode.settings import Settings

_LOOK_EVERY_S: Final = 0.2
_FULL_S: Final = 5.0  # until the next look at a disk that takes nothing

log = get_logger("worker")


@dataclass(frozen=True, eq=False, slots=True)
class ReadElsewhere:
    """The readings of a study's exams, one a patient, and the machine that made them.

    `exams` are those of this node's own look at the images; none where these have changed.
    """

    machine: str
    read: tuple[Read, ...]
    exams: tuple[Exam, ...]


@dataclass(frozen=True, slots=True)
class OfferedStudy:
    """How a content is offered: what is read of it with some models, and its exams as they are.

    `exams` gives none where the study holds another content by now.
    """

    offer: Callable[[Readers], ReadingOffer]
    exams: Callable[[], tuple[Exam, ...]]


class Elsewhere:
    """Offers this node's exams to remote workers, where `remote.workers` wants that."""

    def __init__(
        self, settings: Settings, turns: Turns, stopping: threading.Event, models: ActiveModels
    ) -> None:
        self._settings, self._turns, self._stopping = settings, turns, stopping
        self._models = models
        self._offers = Offers(settings.storage.folder)
        self._line = WaitingLine()
        self._digest_of: tuple[Readers | None, str] = None, ""

    @property
    def n_at_once(self) -> int:
        """How many exams may be under way at the same time, the one that is read here included."""
        return 1 + self._settings.remote.workers

    def begin(self, readers: Readers) -> None:
        """Say with what this node reads. Raises `OSError`."""
        if self._settings.remote.workers:
            self._offers.tidy()
            self._offers.note_digest(self._digest(readers))

    def offer(
        self,
        study: str,
        content: str,
        paths: Sequence[Path],
        replaced: Sequence[Path],
        readers: Readers,
        rank: int,
    ) -> ReadingOffer:
        """What is offered of a content. `paths` are the files that are read of it."""
        reading = self._settings.reading
        return ReadingOffer(
            study=study, content=content, digest=self._digest(readers), rank=rank,
            at=time.time(), files=tuple(path.name for path in paths),
            replaced=tuple(path.name for path in replaced),
            for_processing=reading.for_processing,
            within_s=reading.longest_per_image_s * (len(paths) + 1),
        )  # fmt: skip

    @contextmanager
    def turn(self, study: OfferedStudy) -> Iterator[ReadElsewhere | None]:
        """Within the block this worker has its turn; gives what another machine has read, or None.

        A worker that stops leaves the offer as it is, and the job for its next start. Where the
        disk takes no offer, there is none.
        """
        if not self._settings.remote.workers:
            with self._turns.exam():
                yield None
            return
        offered = study.offer(self._models.loaded or self._models.current())
        if not self._is_made(offered):
            with self._turns.exam():
                yield None
            return
        with ExitStack() as turn:
            found = self._wait(study, offered, turn)
            try:
                yield found
            finally:
                self._offers.withdraw(offered.key)

    def _is_made(self, offer: ReadingOffer) -> bool:
        try:
            self._offers.note_digest(offer.digest)
            self._offers.make(offer)
        except OSError as error:
            log.warning("not_offered", study=offer.study, error=error)
            return False
        return True

    def _wait(
        self, study: OfferedStudy, offer: ReadingOffer, turn: ExitStack
    ) -> ReadElsewhere | None:
        """Return within a turn: what was brought, or None where the offer is this worker's now."""
        began = time.monotonic()
        with self._line.leaving(offer.key):
            while True:
                if self._stopping.is_set():
                    # No error of the job's, which would end this attempt: the next start goes on.
                    raise SystemExit
                try:
                    if self._is_outdated(offer):
                        offer = self._renewed(study, offer)
                    state = self._offers.state(offer.key)
                    if state is OfferState.ENDED:
                        self._line.leave(offer.key)
                        turn.enter_context(self._turns.exam())
                        if (found := self._brought(study, offer)) is not None:
                            return found
                        turn.close()
                    elif state is OfferState.TAKEN or self._others_first(offer, state, began):
                        self._line.leave(offer.key)
                        time.sleep(_LOOK_EVERY_S)
                    elif self._is_ours(offer, turn):
                        return None
                except OSError as error:
                    turn.close()
                    self._line.leave(offer.key)
                    if not is_full(error):
                        raise
                    log.error("disk_full", study=offer.study, seconds=_FULL_S)
                    self._stopping.wait(_FULL_S)

    def _is_ours(self, offer: ReadingOffer, turn: ExitStack) -> bool:
        """Whether this worker's turn has come within a moment: to the most urgent that waits."""
        place = (offer.rank, offer.at, offer.key)
        if not self._line.is_first(offer.key, place, within_s=_LOOK_EVERY_S):
            return False
        has_turn = turn.enter_context(self._turns.exam_within(_LOOK_EVERY_S))
        if has_turn and not self._is_outdated(offer):
            still_first = self._line.is_first(offer.key, place, within_s=0.0)
            if still_first and self._offers.take(offer.key):
                return True
        turn.close()
        return False

    def _others_first(self, offer: ReadingOffer, state: OfferState, began: float) -> bool:
        head_start_s = self._settings.remote.head_start_s
        if state is OfferState.OURS or time.monotonic() - began > head_start_s:
            return False
        return self._offers.is_wanted(offer)

    def _is_outdated(self, offer: ReadingOffer) -> bool:
        """Whether other models are active than those that it is offered for."""
        loaded = self._models.loaded
        is_other = loaded is not None and self._digest(loaded) != offer.digest
        return self._models.is_changed or is_other

    def _renewed(self, study: OfferedStudy, offer: ReadingOffer) -> ReadingOffer:
        """The offer for the models that are active now; what was made with others is not taken."""
        self._offers.withdraw(offer.key)
        with self._turns.exam():  # to load them takes memory
            readers = self._models.current()
        renewed = study.offer(readers)
        self._is_made(renewed)  # else nobody but this worker sees it
        return renewed

    def _brought(self, study: OfferedStudy, offer: ReadingOffer) -> ReadElsewhere | None:
        """What a machine has brought; None where it is no whole reading with these models."""
        if self._is_outdated(offer):
            return None
        machine, parcel = self._offers.ended(offer.key)
        try:
            read = unpacked(parcel)
            if not read:
                raise ParcelWrong("it has no exam")
            if any(result.read_with != offer.digest for result, _ in read):
                raise ParcelWrong("it was read with other models")
            exams = study.exams()
            if exams and (problem := problem_of(exams, read, self._models.current())):
                raise ParcelWrong(problem)
        except ParcelWrong as error:
            log.error("remote_reading_refused", study=offer.study, peer=machine, reason=str(error))
            self._offers.fail(offer.key)
            return None
        self._offers.machines.note_read(machine)
        return ReadElsewhere(machine, tuple(read), exams)

    def _digest(self, readers: Readers) -> str:
        known, digest = self._digest_of
        if known is not readers:  # cards are not computed through at each look
            digest = readers.digest(choices_of(self._settings.reading))
            self._digest_of = readers, digest
        return digest
