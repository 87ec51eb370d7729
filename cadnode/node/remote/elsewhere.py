"""The node's side of remote workers: an exam is offered, and read by whoever is free first.

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
from cadnode.node.job_database import is_full
from cadnode.node.readers import choices_of
from cadnode.node.remote.offers import Offers, OfferState, ReadingOffer
from cadnode.node.remote.parcel import ParcelWrong, Read, unpacked
from cadnode.node.turns import Turns
from cadnode.reading import Readers
from cadnode.settings import Settings

_LOOK_EVERY_S: Final = 0.2
_FULL_S: Final = 5.0  # until the next look at a disk that takes nothing

log = get_logger("worker")


@dataclass(frozen=True, eq=False, slots=True)
class ReadElsewhere:
    """The readings of a study's exams, one a patient, and the machine that made them."""

    machine: str
    read: tuple[Read, ...]

    def of(self, exams: Sequence[Exam]) -> bool:
        """Whether these are readings of exactly these exams."""
        return len(exams) == len(self.read) and all(
            exam.study_instance_uid == result.study_instance_uid
            and {view.sop_instance_uid for view in result.views} <= exam.headers.keys()
            for exam, (result, _) in zip(exams, self.read, strict=True)
        )


class Elsewhere:
    """Offers this node's exams to remote workers, where `remote.workers` wants that."""

    def __init__(self, settings: Settings, turns: Turns, stopping: threading.Event) -> None:
        self._settings, self._turns, self._stopping = settings, turns, stopping
        self._offers = Offers(settings.storage.folder)

    @property
    def n_at_once(self) -> int:
        """How many exams may be under way at the same time, the one that is read here included."""
        return 1 + self._settings.remote.workers

    def begin(self, readers: Readers) -> None:
        """Say with what this node reads. Raises `OSError`."""
        if self._settings.remote.workers:
            self._offers.tidy()
            self._offers.note_digest(readers.digest(choices_of(self._settings.reading)))

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
            study=study, content=content, digest=readers.digest(choices_of(reading)), rank=rank,
            at=time.time(), files=tuple(path.name for path in paths),
            replaced=tuple(path.name for path in replaced),
            for_processing=reading.for_processing,
            within_s=reading.longest_per_image_s * (len(paths) + 1),
        )  # fmt: skip

    @contextmanager
    def turn(self, offer: Callable[[], ReadingOffer]) -> Iterator[ReadElsewhere | None]:
        """Within the block this worker has its turn; gives what another machine has read, or None.

        A worker that stops leaves the offer as it is, and the job for its next start. Where the
        disk takes no offer, there is none.
        """
        offered = offer() if self._settings.remote.workers else None
        if offered is None or not self._is_made(offered):
            with self._turns.exam():
                yield None
            return
        with ExitStack() as turn:
            found = self._wait(offered, turn)
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

    def _wait(self, offer: ReadingOffer, turn: ExitStack) -> ReadElsewhere | None:
        """Return within a turn: what was brought, or None where the offer is this worker's now."""
        began = time.monotonic()
        while True:
            if self._stopping.is_set():
                # No error of the job's, which would end this attempt: the next start goes on.
                raise SystemExit
            try:
                state = self._offers.state(offer.key)
                if state is OfferState.ENDED:
                    turn.enter_context(self._turns.exam())
                    if (found := self._brought(offer)) is not None:
                        return found
                    turn.close()
                elif state is OfferState.TAKEN or self._others_first(offer, state, began):
                    time.sleep(_LOOK_EVERY_S)
                else:
                    is_our_turn = turn.enter_context(self._turns.exam_within(_LOOK_EVERY_S))
                    if is_our_turn and self._offers.take(offer.key):
                        return None
                    turn.close()
            except OSError as error:
                turn.close()
                if not is_full(error):
                    raise
                log.error("disk_full", study=offer.study, seconds=_FULL_S)
                self._stopping.wait(_FULL_S)

    def _others_first(self, offer: ReadingOffer, state: OfferState, began: float) -> bool:
        head_start_s = self._settings.remote.head_start_s
        if state is OfferState.OURS or time.monotonic() - began > head_start_s:
            return False
        return self._offers.is_anybody_around(offer.digest)

    def _brought(self, offer: ReadingOffer) -> ReadElsewhere | None:
        """What a machine has brought; None where it is no reading with these models."""
        machine, parcel = self._offers.ended(offer.key)
        try:
            read = unpacked(parcel)
            if not read:
                raise ParcelWrong("it has no exam")
            if any(result.read_with != offer.digest for result, _ in read):
                raise ParcelWrong("it was read with other models")
        except ParcelWrong as error:
            log.error("remote_reading_refused", study=offer.study, peer=machine, reason=str(error))
            self._offers.fail(offer.key)
            return None
        return ReadElsewhere(machine, tuple(read))
