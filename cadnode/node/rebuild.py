"""What a lost, replaced or restored job database does not know, taken up from the results.

The spool says what is to be read (the worker's sweep), the results say what was read, and the
record beside each result (`node.delivery_record`) which destination has it. At each launch:

- a result of which the database knows no job, and that a destination has not taken, is delivered;
  without any record it may have been delivered by an older version: destinations compare what
  they hold, and the UIDs are the same;
- what is finished by the record is not done again by a job that an older copy of the database
  takes for unfinished;
- a further try of a delivery (`node.undelivered` knows its job) that an older copy has not heard of
  is made now.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cadnode.log import get_logger
from cadnode.node import delivery_record
from cadnode.node.jobs import DeliveryStatus, Job, deliver_id, process_ids
from cadnode.node.results import Results, reported_at
from cadnode.node.undelivered import Undelivered

_AT_ONCE = 100  # contents for each question to the database

Find = Callable[[Iterable[str]], dict[str, Job]]
Content = tuple[str, str]  # study, fingerprint
T = TypeVar("T")

log = get_logger("jobs")


@dataclass(frozen=True, slots=True)
class Lost:
    """What the database lacks.

    `to_deliver` are contents with the destinations that have not taken them; `finished` contents
    are read and reported, whatever a job says; `arrived` are deliveries, by their job's
    identifier, that are open in the database and were taken.
    """

    to_deliver: tuple[tuple[Content, tuple[str, ...]], ...] = ()
    finished: frozenset[Content] = frozenset()
    arrived: dict[str, DeliveryStatus] = field(default_factory=dict)


def lost(results: Results, destinations: Sequence[str], find: Find) -> Lost:
    """Compare results, records and jobs. `find` gives those jobs that exist, by identifier."""
    to_deliver: list[tuple[Content, tuple[str, ...]]] = []
    finished: set[Content] = set()
    arrived: dict[str, DeliveryStatus] = {}
    for some in _in_parts(_reported(results)):
        wanted = [i for content in some for i in _job_ids(content, destinations)]
        jobs = find(wanted)
        for content in some:
            last = delivery_record.last_tries(results.of_content(*content))
            attempts = [jobs[i] for i in process_ids(*content) if i in jobs]
            is_open = any(job.is_open for job in attempts)
            if attempts and not (is_open and last):
                open_deliveries = [n for n in destinations if _is_open(jobs, content, n)]
            else:
                finished.add(content)
                open_deliveries = list(destinations)
                if names := tuple(n for n in destinations if _is_missing(jobs, content, n, last)):
                    to_deliver.append((content, names))
            for name in open_deliveries:
                if name in last and last[name].status.is_settled:
                    arrived[deliver_id(*content, name)] = last[name].status
    return Lost(tuple(to_deliver), frozenset(finished), arrived)


def take_up(found: Lost, deliver: Callable[[str, str, Sequence[str]], None]) -> int:
    """Have what was lost delivered; returns how many results."""
    for (study, content), names in found.to_deliver:
        deliver(study, content, names)
    if found.to_deliver:
        log.warning("deliveries_taken_up", count=len(found.to_deliver))
    return len(found.to_deliver)


def forgotten(entries: Iterable[Undelivered], find: Find) -> list[Undelivered]:
    """Deliveries of which the database knows the first try, and not the one that was to follow.

    Of one whose first try it does not know either, everything is lost: see `lost`.
    """
    found: list[Undelivered] = []
    for some in _in_parts([e for e in entries if e.next_at is not None]):
        jobs = find([i for e in some for i in (e.job, deliver_id(*e.key))])
        for entry in some:
            first = jobs.get(deliver_id(*entry.key))
            if first is not None and not first.is_open and entry.job not in jobs:
                found.append(entry)
    return found


def _reported(results: Results) -> list[Content]:
    """Every reported content, in the order in which they were reported."""
    folders = [folder for study, _ in results.studies() for folder in results.reported(study)]
    return [(f.parent.name, f.name) for f in sorted(folders, key=reported_at)]


def _in_parts(contents: list[T]) -> Iterable[list[T]]:
    return (contents[n : n + _AT_ONCE] for n in range(0, len(contents), _AT_ONCE))


def _job_ids(content: Content, destinations: Sequence[str]) -> list[str]:
    return [*process_ids(*content), *(deliver_id(*content, name) for name in destinations)]


def _is_open(jobs: dict[str, Job], content: Content, name: str) -> bool:
    job = jobs.get(deliver_id(*content, name))
    return job is not None and job.is_open


def _is_missing(
    jobs: dict[str, Job],
    content: Content,
    name: str,
    last: dict[str, delivery_record.DeliveryTry],
) -> bool:
    """Whether nothing delivers this content there, and nothing ended its delivery."""
    if deliver_id(*content, name) in jobs:
        return False
    return name not in last or not last[name].status.is_settled
