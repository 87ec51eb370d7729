"""What an older, empty or other job database does not know: compared before its jobs run.

`node.rebuild` decides; here its answer is kept while the worker runs.
"""

from datetime import UTC, datetime

from cadnode.log import get_logger
from cadnode.node import delivery_record, rebuild, worker_state
from cadnode.node.asked_regions import AskedRegions
from cadnode.node.destination_profiles import takes_answers
from cadnode.node.jobs import DeliveryStatus, JobLookup, JobsUnavailable, deliver_id
from cadnode.node.rebuild import Lost
from cadnode.node.results import Results
from cadnode.node.undelivered import Undelivered, UndeliveredIndex
from cadnode.node.workflow_steps import Start
from cadnode.settings import Settings

log = get_logger("worker")


class JobComparison:
    """Results and records on one side, the job database on the other."""

    def __init__(self, settings: Settings, results: Results, undelivered: UndeliveredIndex) -> None:
        self._settings = settings
        self._results = results
        self._undelivered = undelivered
        self._lost = Lost()
        self._begun: dict[str, float] = {}  # when the jobs were made that `Lost.arrived` speaks of
        self._forgotten: list[Undelivered] = []
        self._regions = AskedRegions(results)

    def is_finished(self, study: str, content: str) -> bool:
        """Whether the content is read and reported, though the job database takes it for open."""
        return (study, content) in self._lost.finished

    def arrived(self, study: str, content: str, destination: str) -> DeliveryStatus | None:
        """How a delivery ended that is open in the job database: said once; None for others.

        Of several workers another may have said it: then that job has ended, or is gone, and what
        is asked of this one is sent.
        """
        job = deliver_id(study, content, destination)
        arrived = self._lost.arrived.pop(job, None)
        return arrived if arrived is not None and self._is_as_found(job) else None

    def _is_as_found(self, identifier: str) -> bool:
        lookup = JobLookup(self._settings.database_url)
        try:
            job = lookup.find([identifier]).get(identifier)
        except JobsUnavailable:
            return True
        finally:
            lookup.close()
        found_at = self._begun.get(identifier)
        return job is not None and job.is_open and found_at in (None, job.created_at)

    def compare(self) -> None:
        """Find what the job database has lost, before a job of it runs.

        Raises
        ------
        JobsUnavailable
            It does not answer.
        """
        lookup = JobLookup(self._settings.database_url)
        names = [d.name for d in self._settings.destinations]
        try:
            self._index_undelivered(lookup)
            self._lost = rebuild.lost(self._results, names, lookup.find)
            open_jobs = lookup.find(self._lost.arrived)
            self._begun = {name: job.created_at for name, job in open_jobs.items()}
            self._forgotten = rebuild.forgotten(self._undelivered.all(), lookup.find)
        finally:
            lookup.close()

    def _index_undelivered(self, lookup: JobLookup) -> None:
        """Have the index agree with the records; after an older version, with its jobs, too."""
        try:
            if self._undelivered.is_built():
                self._undelivered.tidy(self._results)
                return
            since = datetime.fromtimestamp(0, UTC)
            ended = lookup.ended_since(since, "deliver") + lookup.failed_since(since, "deliver")
            count = self._undelivered.build(self._results, ended)
            log.info("undelivered_indexed", count=count)
        except OSError as error:  # at the next start, then
            log.warning("undelivered_not_indexed", error=error)

    def take_up(self, start: Start, *, is_first: bool = True) -> None:
        """Have delivered what the job database has lost.

        Further tries have no name of their own: the first of several workers has them made. Beside
        others a try may be about to be entered that another has just noted.
        """
        count = rebuild.take_up(self._lost, start.deliver)
        forgotten = self._forgotten if is_first else []
        for entry in forgotten:
            start.deliver_again(*entry.key)
        self._take_up_regions(start)
        if forgotten:
            log.warning("tries_taken_up", count=len(forgotten))
        worker_state.note_taken_up(self._settings.storage.folder, count)

    def _take_up_regions(self, start: Start) -> None:
        """Have assessed and delivered what is not by its own files; jobs that exist stay as is."""
        takers = [d.name for d in self._settings.destinations if takes_answers(self._settings, d)]
        for study, order in self._regions.all():
            answer = self._regions.answer(study, order.region)
            if answer is None:
                start.region(study, order.region, order.tries)
            elif self._regions.has_object(study, order.region):
                folder = self._regions.folder(study, order.region)
                tried = delivery_record.last_tries(folder)
                start.deliver(study, order.region, [n for n in takers if n not in tried])
