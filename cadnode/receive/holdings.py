"""Which objects are safe in the spool: what storage commitment may say of each (PS3.4 J.3.2.1.3).

An object is held when its file is in the spool under its name, synced, and its data set states
exactly that SOP class and instance. Of what was removed nothing is held, whatever was once said.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from cadnode.errors import NotProcessable
from cadnode.log import get_logger, hashed
from cadnode.receive.commitment_data import CommitmentReport, FailureReason, Reference
from cadnode.receive.identity import read_file_identity
from cadnode.receive.spool import Spool, StoredInstance

LOOKS_AGAIN_AFTER_S: Final = 10.0  # whatever is asked, the spool is not searched more often
LOOKS_AT_OTHERS_AFTER_S: Final = 0.5  # nor for what other listeners received
_LONGEST_REST_S: Final = 5.0
_TICK_S: Final = (
    2.0  # within which a folder may have changed once more: the coarsest clock of disks
)
MOST_NOTED: Final = 100_000  # received since the last search, held in memory

log = get_logger("receive")


class Holdings:
    """What a spool holds, by instance. Threads may share it; one judges, one searches at a time.

    `supported` are the SOP classes that are stored here. Where it `shares` the spool with other
    listeners, what they have received is looked for whenever something is not known.
    """

    def __init__(
        self,
        spool: Spool,
        supported: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        *,
        shares: bool = False,
    ) -> None:
        self._spool = spool
        self._supported = frozenset(supported)
        self._clock, self._shares = clock, shares
        self._judging = threading.Lock()
        self._changing = threading.Lock()
        self._found: dict[str, tuple[str, ...]] = {}  # by instance key, where it was at a search
        self._noted: dict[str, tuple[str, ...]] = {}  # and what was received since
        self._searched_at: float | None = None
        self._searching = threading.Lock()
        self._n_searches = 0  # begun
        self._rests_until = 0.0  # after a search
        self._changed_at = 0.0  # the newest folder that a search has seen

    def has_room(self) -> bool:
        """Whether the disk has the configured minimum of free bytes."""
        return self._spool.has_room()

    def note(self, stored: StoredInstance) -> None:
        """Know where an instance is that was received just now."""
        with self._changing:
            if len(self._noted) >= MOST_NOTED:
                self._noted.clear()
                self._searched_at = None
            known = self._noted.get(stored.instance_key, ())
            if stored.study_key not in known:
                self._noted[stored.instance_key] = (*known, stored.study_key)

    def _studies(self, reference: Reference) -> tuple[str, ...]:
        """Studies in whose folders the object may be."""
        instance = hashed(reference.sop_instance_uid)
        with self._changing:
            found = (*self._noted.get(instance, ()), *self._found.get(instance, ()))
        return tuple(dict.fromkeys(found))

    def report(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport:
        """Of each object whether it is held at this moment, or why not."""
        self._search_for(references)
        with self._judging:
            synced: dict[str, bool] = {}
            reasons = {one: self._why_not(one, synced) for one in references}
        return CommitmentReport(
            transaction_uid,
            tuple(one for one, reason in reasons.items() if reason is None),
            tuple((one, reason) for one, reason in reasons.items() if reason is not None),
        )

    def _search_for(self, references: Sequence[Reference]) -> None:
        """Search the spool where one of these is not known: it came before, or by another way.

        Whoever waits for a search uses one that began after he came: however many ask for what
        was never received, the folders are not looked through more often for it.
        """
        if all(map(self._studies, references)):
            return
        begun = self._n_searches
        with self._searching:
            if self._n_searches > begun:
                return
            now, searched_at = self._clock(), self._searched_at
            if searched_at is None or now - searched_at >= LOOKS_AGAIN_AFTER_S:
                self._search_all()
            elif self._shares:
                self._look_at_others()

    def _search_all(self) -> None:
        self._n_searches += 1
        with self._changing:
            self._searched_at = self._clock()
            self._noted = {}  # all of that is found now; what comes from now on may not be
        found, changed_at = self._spool.whereabouts()
        with self._changing:
            self._found, self._changed_at = found, changed_at
        self._rests_until = self._clock() + LOOKS_AT_OTHERS_AFTER_S

    def _look_at_others(self) -> None:
        """Search what has changed since the last search, after a moment at most.

        It begins now: what another listener has answered with Success is found. Where a look takes
        long, as on a network file system with many studies, as long a pause follows it.
        """
        wait_s = self._rests_until - self._clock()
        if 0.0 < wait_s <= _LONGEST_REST_S:
            time.sleep(wait_s)
        self._n_searches += 1
        began_at = self._clock()
        found, changed_at = self._spool.whereabouts(self._changed_at - _TICK_S)
        with self._changing:
            for instance, studies in found.items():
                known = self._found.get(instance, ())
                self._found[instance] = tuple(dict.fromkeys((*known, *studies)))
            self._changed_at = max(self._changed_at, changed_at)
        now = self._clock()
        self._rests_until = now + min(max(LOOKS_AT_OTHERS_AFTER_S, now - began_at), _LONGEST_REST_S)

    def _why_not(self, reference: Reference, synced: dict[str, bool]) -> FailureReason | None:
        """Why the object is not committed; None: it is held."""
        instance = hashed(reference.sop_instance_uid)
        conflicts = False
        try:
            for study in self._studies(reference):
                path = self._spool.folder_of(study) / f"{instance}.dcm"
                try:
                    identity = read_file_identity(path)
                except (FileNotFoundError, NotProcessable):
                    continue
                if identity.sop_instance_uid != reference.sop_instance_uid:
                    continue
                if identity.sop_class_uid != reference.sop_class_uid:
                    conflicts = True
                elif self._is_synced(study, synced):
                    return None
        except OSError as error:
            log.error("spool_failed", error=error)
            return FailureReason.PROCESSING_FAILURE
        if conflicts:
            return FailureReason.CLASS_INSTANCE_CONFLICT
        if reference.sop_class_uid not in self._supported:
            return FailureReason.SOP_CLASS_NOT_SUPPORTED
        return FailureReason.NO_SUCH_OBJECT_INSTANCE

    def _is_synced(self, study: str, synced: dict[str, bool]) -> bool:
        """Whether the study's names are on the disk: a file may have got its own just now."""
        if study not in synced:
            synced[study] = self._spool.sync(study)
        return synced[study]
