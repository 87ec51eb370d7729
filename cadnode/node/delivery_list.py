"""Which deliveries there are: what waits, what did not arrive and why, what did."""

import time
from collections.abc import Iterator
from typing import Final

from cadnode.node import delivery_record
from cadnode.node.jobs import DeliveryStatus, JobLookup, JobsUnavailable, delivery_of
from cadnode.node.results import Results
from cadnode.node.study_state import delivery_word
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.web.deliveries import OWED, Delivery, DeliveryFilter
from cadnode.web.node import jobs_away
from cadnode.web.study import key_of

_WAITING: Final = ("undelivered", "waiting")


class DeliveryList:
    """The deliveries of one node. Threads may share it; it only reads."""

    def __init__(self, results: Results, index: UndeliveredIndex, progress: JobLookup) -> None:
        self._results = results
        self._index = index
        self._progress = progress

    def listed(self, wanted: DeliveryFilter) -> list[Delivery]:
        """The deliveries that a filter lets pass, the oldest first.

        Raises
        ------
        Unavailable
            The job database does not answer, and what waits is asked for.
        """
        study = key_of(wanted.study) if wanted.study else ""
        found = {(d.study, d.content, d.destination): d for d in self._all(wanted.state, study)}
        latest = time.time() - wanted.older_than_s
        rows = (
            one
            for one in found.values()
            if one.since <= latest
            and wanted.destination in ("", one.destination)
            and study in ("", one.study)
            and _is_of(wanted.state, one.state)
        )
        return sorted(rows, key=lambda one: (one.since, one.study, one.destination))

    def _all(self, state: str, study: str) -> Iterator[Delivery]:
        if state not in ("undelivered", *OWED):
            yield from self._recorded(study)
        if state in (*_WAITING, "all"):
            try:
                for job in self._progress.open_jobs("deliver"):
                    key = delivery_of(job.identifier)
                    yield Delivery(*key, "waiting", "", job.created_at, 0)
            except JobsUnavailable as error:
                raise jobs_away() from error
        yield from map(of_entry, self._index.all())

    def _recorded(self, study: str) -> Iterator[Delivery]:
        """Every recorded delivery: a look at each result, for those who ask for it."""
        for file in self._results.folder.glob(f"{study or '*'}/*/{delivery_record.FILE}"):
            found = delivery_record.tries(file.parent)
            for name, last in delivery_record.last_tries(file.parent).items():
                ours = [one for one in found if one.destination == name]
                word = delivery_word(None, last)
                place = (file.parent.parent.name, file.parent.name, name)
                n_tries = sum(1 + one.n_left_out for one in ours)
                yield Delivery(*place, word, last.reason, ours[0].at, n_tries)


def _is_of(wanted: str, state: str) -> bool:
    if wanted == "undelivered":
        return state in OWED
    if wanted == "delivered":
        return state in ("delivered", "unverified")
    return wanted in ("all", state)


def of_entry(entry: Undelivered) -> Delivery:
    """The delivery that an entry of the index is about."""
    word = "waiting" if entry.status is DeliveryStatus.RETRY else entry.status.value
    return Delivery(*entry.key, word, entry.reason, entry.since, entry.n_tries, entry.next_at)
