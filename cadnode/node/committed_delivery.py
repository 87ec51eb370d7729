"""One try to deliver to an archive with `commit = true`: store, ask, and what its answer means.

Each try goes on where the last one was left (`node.commitments`): it takes up the answers that have
come, stores what the archive lacks, and asks it to commit what it has not confirmed. A result has
arrived when all of it is confirmed (DICOM PS3.4 annex J), however long that takes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import generate_uid

from cadnode.deliver import commitment as asking
from cadnode.deliver.answers import most_hopeful, of_status
from cadnode.deliver.dicom import DicomPeer
from cadnode.deliver.outcome import Delivered
from cadnode.errors import Again, DeliveryError, not_taken
from cadnode.node import commitments
from cadnode.node.commitments import Key, Progress, Transactions
from cadnode.node.jobs import DeliveryStatus
from cadnode.receive.commitment_data import (
    CommitmentRequest,
    MalformedCommitment,
    Reference,
    TooManyReferences,
    report_in,
    request_of,
)

ANSWER_WITHIN_S: Final = 2.0  # on the association of the request; a later one comes on its own
_MOST_OPEN: Final = 20  # transactions of one delivery whose answer is still taken

Objects = Mapping[Reference, Path]
Store = Callable[[list[Path]], Delivered]


@dataclass(frozen=True, slots=True)
class CommittedDelivery:
    """A delivery of the result in a folder to an archive.

    `store` sends files by C-STORE and raises `DeliveryError` unless all were taken.
    """

    key: Key
    result: Path
    archive: DicomPeer
    transactions: Transactions
    store: Store
    clock: Callable[[], float] = time.time

    def attempt(self, objects: Objects) -> DeliveryStatus:
        """How one try ended.

        Raises
        ------
        DeliveryError
            The archive cannot be reached, refused, or did not commit everything.
        OSError
            The disk fails, or the result is gone.
        """
        before = commitments.progress(self.result, self.archive.name)
        state = self._take_up(before, objects)
        if state.has_committed(objects):
            return self._arrived(state)
        if state.n_failures > before.n_failures and not self._may_go_on(state):
            raise self._not_committed(state)
        state = self._take_up(self._ask(self._store(state, objects), objects), objects)
        if state.has_committed(objects):
            return self._arrived(state)
        if not state.n_unanswered:
            raise self._not_committed(state)
        return DeliveryStatus.AWAITING_COMMITMENT

    def _take_up(self, state: Progress, objects: Objects) -> Progress:
        """The progress with the answers that have come meanwhile."""
        found = ((uid, self.transactions.answer(uid)) for uid in state.transactions)
        answers = [(answer.at, uid, answer) for uid, answer in found if answer is not None]
        for _, uid, answer in sorted(answers, key=lambda one: one[:2]):
            state = state.answered(answer, state.to_commit(objects))
            rest = tuple(one for one in state.transactions if one != uid)
            state = replace(state, transactions=rest)
            commitments.save(self.result, self.archive.name, state)
            self.transactions.settle(uid)
        return state

    def _arrived(self, state: Progress) -> DeliveryStatus:
        for uid in state.transactions:
            self.transactions.settle(uid)
        commitments.save(self.result, self.archive.name, replace(state, transactions=()))
        return DeliveryStatus.UNVERIFIED if state.n_unverified else DeliveryStatus.DELIVERED

    def _store(self, state: Progress, objects: Objects) -> Progress:
        """The progress after the archive took what it lacks."""
        lacking = state.to_store(objects)
        if lacking:
            sent = self.store([objects[one] for one in lacking])
            state = state.having_stored(lacking, sent.n_unverified)
            commitments.save(self.result, self.archive.name, state)
        return state

    def _ask(self, state: Progress, objects: Objects) -> Progress:
        """The progress after the archive was asked to commit what it has not confirmed."""
        uid = str(generate_uid(prefix=None))  # of random bits: nobody guesses it (PS3.5 B.2)
        for old in state.transactions[: 1 - _MOST_OPEN]:
            self.transactions.settle(old)
        state = replace(state, transactions=(*state.transactions[1 - _MOST_OPEN :], uid))
        self.transactions.begin(uid, self.key)
        commitments.save(self.result, self.archive.name, state)
        request = CommitmentRequest(uid, tuple(state.to_commit(objects)))
        asking.ask(
            request_of(request), self.archive, self._on_report,
            lambda: self.transactions.answer(uid) is not None, ANSWER_WITHIN_S,
        )  # fmt: skip
        state = state.having_asked(self.clock())
        commitments.save(self.result, self.archive.name, state)
        return state

    def _on_report(self, ds: Dataset) -> bool:
        """Take a report that came on our own association; whether it is of this delivery."""
        try:
            report = report_in(ds)
        except (MalformedCommitment, TooManyReferences):
            return False
        asked = self.transactions.find(report.transaction_uid)
        if asked is None or asked.key != self.key:
            return False
        self.transactions.take(report)
        return True

    def _may_go_on(self, state: Progress) -> bool:
        """Whether what was not committed is stored again at once: once, if it can help."""
        return state.n_failures == 1 and self._again(state) is not Again.NEVER

    @staticmethod
    def _again(state: Progress) -> Again:
        return most_hopeful(of_status(reason).again for reason in state.failed.values())

    def _not_committed(self, state: Progress) -> DeliveryError:
        again = Again.SOON if self._may_go_on(state) else self._again(state)
        codes = sorted(set(state.failed.values()))
        reasons = (f"{code:04X}, {of_status(code).words}" for code in codes)
        n_objects = len(state.committed) + len(state.failed)
        text = (
            f"{self.archive.name} committed {len(state.committed)} of {n_objects} objects: "
            f"{'; '.join(reasons)}"
        )
        return not_taken(again, text)
