"""What is ordered of studies: retry, redeliver, reread, drop; and which deliveries there are.

An order works through the job database and the storage folder, so on a running node (its worker
carries it out within a second or two) as on a stopped one (then at its next start). Nothing here
deletes an image or a result.
"""

import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import SettingsError
from cadnode.node import commitments, delivery_record, retry, role_status
from cadnode.node.commitments import Transactions
from cadnode.node.delivery_list import DeliveryList, of_entry
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.delivery_workflow import delivery_queue
from cadnode.node.failed_fetches import FailedFetches
from cadnode.node.failed_readings import FailedReadings
from cadnode.node.job_database import client_of
from cadnode.node.jobs import (
    DeliveryStatus,
    Job,
    JobLookup,
    JobsUnavailable,
    again_id,
    deliver_id,
)
from cadnode.node.rereading import Rereading
from cadnode.node.results import Results
from cadnode.node.several_orders import SeveralOrders
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.node.workflow import ARRIVALS
from cadnode.phrases import N_, phrase
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.deliveries import Delivery, DeliveryFilter, Ordered, OrderRefused, Orders
from cadnode.web.node import jobs_away
from cadnode.web.study import key_of

MOST_WORDS: Final = 200
_WAITING: Final = ("undelivered", "waiting")


class DeliveryDesk:
    """Takes orders for one node's studies. Threads may share it."""

    def __init__(self, settings: Settings, progress: JobLookup) -> None:
        self._settings = settings
        self._storage = settings.storage.folder
        self._results = Results.in_storage(self._storage)
        self._spool = Spool(self._storage / "spool", min_free_bytes=0)
        self._index = UndeliveredIndex(self._storage)
        self._progress = progress
        self._client = client_of(settings.database_url)
        self._fetches = FailedFetches(self._storage)
        self._readings = FailedReadings(self._storage, progress)
        self._list = DeliveryList(self._results, self._index, progress)
        self._rereading = Rereading(settings, progress, self._client)

    def orders(self) -> Orders:
        """The orders, for those who pass them on."""
        several = SeveralOrders(self, self._index)
        return Orders(
            self.retry,
            self.redeliver,
            self.drop,
            self.listed,
            self.reread,
            several.retry,
            several.drop,
            several.redeliver,
            several.reread,
        )

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()

    def retry(self, name: str, destination: str = "") -> Ordered:
        """Deliver now what is undelivered of a study; fetch and read again what failed.

        Raises
        ------
        OrderRefused
            The node does not know the study, or the destination.
        Unavailable
            The job database does not answer.
        """
        study = key_of(name)
        return self.retry_owed(study, destination, self._index.of_study(study))

    def retry_owed(
        self, name: str, destination: str, owed: Sequence[Undelivered], *, only_failed: bool = False
    ) -> Ordered:
        """The same, where it is known what is owed; `only_failed`: nothing is read early."""
        study = self._known(name)
        entries = _of(destination, owed)
        for entry in entries:
            self._configured(entry.destination)
        try:
            jobs = self._progress.find(entry.job for entry in entries if entry.job)
            for entry in entries:
                self._send_now(entry, jobs.get(entry.job))
            is_fetching = self._fetches.ask_again(study, self._client)
            is_here = bool(self._spool.instances(study))
            is_reading = not entries and is_here
            is_reading = is_reading and (not only_failed or self._readings.has_failed(study))
            if not (entries or is_here or is_fetching) and self._fetches.is_unknown(study):
                raise OrderRefused(
                    N_("it is not known any more from where the study was asked for"),
                    N_("press Read with cadnode in Orthanc, or send it"),
                )
            if is_reading:
                options: Any = {"workflow_name": "consider", "queue_name": ARRIVALS}
                self._client.enqueue(options, study, True)
        except (SQLAlchemyError, JobsUnavailable) as error:
            raise jobs_away() from error
        ordered = self._ordered(map(of_entry, entries), is_read_again=is_reading)
        return replace(ordered, is_fetched_again=is_fetching)

    def reread(self, name: str, by: str) -> Ordered:
        """Read a study once more that is read already; `by` is who wants it.

        Raises
        ------
        OrderRefused
            The node does not know the study, its images are not here, or it is being read.
        Unavailable
            The job database does not answer.
        """
        self._rereading.order(self._known(name), by)
        return self._ordered((), is_read_again=True)

    def redeliver(self, name: str, destination: str) -> Ordered:
        """Send a study's newest result again to a destination that may have it.

        Raises
        ------
        OrderRefused
            The node does not know the study or the destination, or there is no result.
        Unavailable
            The job database does not answer.
        """
        study = self._known(name)
        self._configured(destination)
        content = self._newest(study)
        result = self._results.of_content(study, content)
        commitments.forget(result, destination, Transactions(self._storage))
        job = again_id(secrets.token_hex(6), study, content, destination)
        try:
            self._enqueue(job, study, content, destination)
        except SQLAlchemyError as error:
            raise jobs_away() from error
        now = time.time()
        waiting = Delivery(study, content, destination, "waiting", "", now, 0)
        return self._ordered([waiting])

    def drop(self, name: str, destination: str, by: str, why: str) -> Ordered:
        """Give up what is undelivered of a study; the record beside the result says who and why.

        Of a study that was never fetched, and of which nothing is here, the request is forgotten.
        With no destination, a reading that failed is given up, too: its images stay.

        Raises
        ------
        OrderRefused
            There is nothing undelivered and no reading has failed, or no reason is given.
        Unavailable
            The job database does not answer, or the disk is full.
        """
        study = key_of(name)
        return self.drop_owed(study, destination, by, why, self._index.of_study(study))

    def drop_owed(
        self, name: str, destination: str, by: str, why: str, owed: Sequence[Undelivered]
    ) -> Ordered:
        """The same, where it is known what is owed of the study."""
        words = reason_of(why)
        study = self._known(name)
        if self._forget_fetch(study):
            return self._ordered(())
        entries = [*_of(destination, owed), *self._untried(study, destination)]
        # A reading is no matter of one destination.
        has_dropped = not destination and self._readings.drop(study, by, words)
        if not (entries or has_dropped):
            raise OrderRefused(
                N_("nothing of this study is undelivered, and no reading of it has failed"),
                N_("`cadnode deliveries list` shows what is undelivered"),
            )
        for entry in entries:
            reason = f"dropped by {by}: {words}"
            one = DeliveryTry(entry.destination, DeliveryStatus.DROPPED, time.time(), reason)
            with suppress(FileNotFoundError):  # the result was removed, and its record with it
                delivery_record.record(self._results.of_content(study, entry.content), one)
            self._index.settle(*entry.key)
            self._forget(entry.job)
        dropped = (
            Delivery(*entry.key, DeliveryStatus.DROPPED.value, words, entry.since, entry.n_tries)
            for entry in entries
        )
        return self._ordered(dropped)

    def listed(self, wanted: DeliveryFilter) -> list[Delivery]:
        """See `DeliveryList.listed`."""
        return self._list.listed(wanted)

    def _known(self, name: str) -> str:
        study = key_of(name)
        is_here = bool(self._spool.instances(study)) or self._results.of_study(study).is_dir()
        if not is_here and not self._fetches.has_failed(study):
            raise OrderRefused(
                N_("the node has never received anything of this study"),
                N_("`cadnode studies list` shows the studies; name one by its key or UID"),
            )
        return study

    def _forget_fetch(self, study: str) -> bool:
        """Whether all that is known of the study is a fetch that failed; it is forgotten."""
        is_here = bool(self._spool.instances(study)) or self._results.of_study(study).is_dir()
        return not is_here and self._fetches.forget(study)

    def _configured(self, destination: str) -> None:
        try:
            self._settings.destination(destination)
        except SettingsError:
            names = ", ".join(d.name for d in self._settings.destinations) or "none"
            raise OrderRefused(
                phrase(
                    "no destination %(destination)s is configured", destination=repr(destination)
                ),
                phrase(
                    "configured: %(names)s; what is owed to another one can only be dropped",
                    names=names,
                ),
            ) from None

    def _newest(self, study: str) -> str:
        newest = self._results.predecessor(study, "")
        if not newest:
            raise OrderRefused(N_("the study has no result"), N_("`cadnode studies show` says why"))
        return newest

    def _untried(self, study: str, destination: str) -> list[Undelivered]:
        """What waits for a first try, of the newest result: a destination's queue may be long."""
        content = self._results.predecessor(study, "")
        names = [destination] if destination else [d.name for d in self._settings.destinations]
        ids = {deliver_id(study, content, name): name for name in names}
        try:
            jobs = self._progress.find(ids)
        except JobsUnavailable:
            return []
        return [
            Undelivered(
                study, content, ids[i], DeliveryStatus.RETRY, "", job.created_at, job.created_at, 0,
                job=i,
            )
            for i, job in jobs.items()
            if job.status == "ENQUEUED"
        ]  # fmt: skip

    def _send_now(self, entry: Undelivered, job: Job | None) -> None:
        """Have the next try made at once: the one that waits, or a new one."""
        if job is None or not job.is_open:
            job_id = again_id(secrets.token_hex(6), *entry.key)
            self._enqueue(job_id, *entry.key)
        elif job.status == "DELAYED":
            self._client.set_workflow_delay(entry.job, delay_seconds=0.0)

    def _enqueue(self, job: str, study: str, content: str, destination: str) -> None:
        limit_s = retry.give_up_after_s(self._settings.destination(destination))
        options: Any = {
            "workflow_name": "deliver",
            "queue_name": delivery_queue(destination),
            "workflow_id": job,
        }
        self._client.enqueue(options, study, content, destination, limit_s)

    def _forget(self, job: str) -> None:
        """A try that waits is not made; where it cannot be forgotten, it finds the record."""
        try:
            jobs = self._progress.find([job] if job else [])
            if job in jobs and jobs[job].status in ("DELAYED", "ENQUEUED"):
                self._client.delete_workflows([job])
        except (SQLAlchemyError, JobsUnavailable):
            return

    def _ordered(self, deliveries: Iterable[Delivery], *, is_read_again: bool = False) -> Ordered:
        is_running = role_status.look(self._storage, "worker").is_up
        return Ordered(tuple(deliveries), is_read_again, is_running)


def reason_of(why: str) -> str:
    """Why something is given up, as it is kept. Raises `OrderRefused` where nothing is said."""
    words = " ".join(why.split())
    if not words.isprintable() or not words or len(words) > MOST_WORDS:
        hint = phrase(
            "say in one line of at most %(n)s characters why, without patient data", n=MOST_WORDS
        )
        raise OrderRefused(N_("a delivery is not dropped without a reason"), hint)
    return words


def _of(destination: str, owed: Sequence[Undelivered]) -> list[Undelivered]:
    return [entry for entry in owed if destination in ("", entry.destination)]
