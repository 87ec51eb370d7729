"""A study read once more on request, though it is read: with the models that are active now.

Its images count as if they had just come, so that they are another content: it is read, reported
and delivered as every other, and the new reports name those that they replace. What was made before
stays in the archives as it is, under UIDs of its own.
"""

import time
from typing import Any

from dbos import DBOSClient
from sqlalchemy.exc import SQLAlchemyError

from cadnode.node import readiness, tombstones
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import JobLookup, JobsUnavailable, process_ids
from cadnode.node.study_gate import StudyGate
from cadnode.node.workflow import ARRIVALS
from cadnode.phrases import N_
from cadnode.receive.spool import Spool
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.settings import Settings
from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import jobs_away


class Rereading:
    """Has studies of one node read once more. Threads may share it."""

    def __init__(self, settings: Settings, progress: JobLookup, client: DBOSClient) -> None:
        self._storage = settings.storage.folder
        self._spool = Spool(self._storage / "spool", min_free_bytes=0)
        self._headers = HeaderIndex(self._spool)
        self._gate = StudyGate(self._storage)
        self._way = WayLog(self._storage)
        self._progress = progress
        self._client = client

    def order(self, study: str, by: str) -> None:
        """Have the study of that key read once more; `by` is who wants it.

        Raises
        ------
        OrderRefused
            Its images are not here, none is a mammogram, or it is being read just now.
        Unavailable
            The job database does not answer.
        """
        try:
            with self._gate.passing(study):
                self._check(study)
                tombstones.renew(self._storage, study)
                self._spool.renew(study)
            options: Any = {"workflow_name": "consider", "queue_name": ARRIVALS}
            self._client.enqueue(options, study, False)
        except (SQLAlchemyError, JobsUnavailable) as error:
            raise jobs_away() from error
        self._way.record(study, WayEntry(time.time(), Passed.REREAD, by))

    def _check(self, study: str) -> None:
        files = self._headers.files(study)
        if not files:
            raise OrderRefused(
                N_("the study's images are not on this node any more"),
                N_("send them again, or press Read with cadnode in Orthanc"),
            )
        content = readiness.content_of(files, self._spool.removed(study))
        if not content:
            raise OrderRefused(N_("the study holds no mammograms"), N_("there is nothing to read"))
        jobs = self._progress.find(process_ids(study, content))
        if any(job.is_open for job in jobs.values()):
            raise OrderRefused(
                N_("the study is being read already, or waits for its turn"),
                N_("its page shows how far"),
            )
