"""Which results a destination does not have, and why: counted in a moment, however many were sent.

    STORAGE/undelivered/<study>.<content>.<destination>.json   one a delivery that has not arrived

An entry is made when a try does not arrive, and removed when a later one does, or when the delivery
is dropped. It is an index of what `node.delivery_record` keeps beside each result: lost, it is made
of that again. It names destinations, keys, jobs and our own reasons, nothing of the patient.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.files import write_whole
from cadnode.node import delivery_record
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus, Job, delivery_of
from cadnode.node.results import Results
from cadnode.node.workflow_steps import DeliveryNote

FOLDER: Final = "undelivered"
_BUILT: Final = ".built"


@dataclass(frozen=True, slots=True)
class Undelivered:
    """One result that a destination does not have.

    `since` is when the first try failed, `at` when the last one did, both in seconds since the
    epoch. `next_at` is when it is tried again by itself, by the job `job`; None: never. Of one that
    waits for a commitment, `overdue_at` is when its destination should have answered.
    """

    study: str
    content: str
    destination: str
    status: DeliveryStatus
    reason: str
    since: float
    at: float
    n_tries: int = 1
    next_at: float | None = None
    job: str = ""
    overdue_at: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Which delivery it is."""
        return self.study, self.content, self.destination


class UndeliveredIndex:
    """The index of a node. Threads and processes may share it."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._folder = storage / FOLDER
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Undelivered]] = {}

    def put(self, entry: Undelivered) -> None:
        """Note that a result did not arrive; `since` stays that of the first time.

        Raises
        ------
        OSError
            The disk is full.
        """
        before = self.find(*entry.key)
        if before is not None:
            entry = replace(entry, since=before.since, n_tries=before.n_tries + 1)
        document = {k: v for k, v in asdict(entry).items() if k not in _IN_NAME}
        write_whole(self._path(*entry.key), json.dumps(document).encode())

    def settle(self, study: str, content: str, destination: str) -> None:
        """Nothing is owed any more."""
        self._path(study, content, destination).unlink(missing_ok=True)

    def find(self, study: str, content: str, destination: str) -> Undelivered | None:
        """The entry of a delivery; None when nothing is known to be missing."""
        return _loaded(self._path(study, content, destination))

    def of_study(self, study: str) -> list[Undelivered]:
        """What is missing of one study, in order of destinations."""
        found = map(_loaded, sorted(self._folder.glob(f"{study}.*.json")))
        return [entry for entry in found if entry is not None]

    def all(self) -> list[Undelivered]:
        """Everything that is missing, the oldest first; a file that did not change is read once."""
        with self._lock:
            seen: dict[str, tuple[int, Undelivered]] = {}
            for name, changed_ns, path in self._files():
                known = self._known.get(name)
                if known is not None and known[0] == changed_ns:
                    seen[name] = known
                elif (entry := _loaded(path)) is not None:
                    seen[name] = (changed_ns, entry)
            self._known = seen
        return sorted((entry for _, entry in seen.values()), key=lambda e: (e.since, e.key))

    def tidy(self, results: Results) -> None:
        """After a crash: settle what has arrived by its record.

        Raises
        ------
        OSError
            The folder cannot be changed.
        """
        for entry in self.all():
            recorded = delivery_record.last_tries(results.of_content(entry.study, entry.content))
            last = recorded.get(entry.destination)
            if last is not None and last.status.is_settled:
                self.settle(*entry.key)

    def is_built(self) -> bool:
        """Whether the index covers all results: a node that was updated has none yet."""
        return (self._folder / _BUILT).exists()

    def build(self, results: Results, ended: Iterable[Job] = ()) -> int:
        """Make the index of the records beside the results; how many entries were added.

        `ended` are jobs of deliveries that an older version, which kept no record, has left.
        """
        n_added = 0
        for job in ended:
            place = delivery_of(job.identifier)
            has_failed = job.has_failed or job.output in _LEFT
            recorded = delivery_record.last_tries(results.of_content(*place[:2]))
            if has_failed and place[2] not in recorded and self.find(*place) is None:
                word = DeliveryStatus.GIVEN_UP.value if job.has_failed else job.output
                status = DeliveryStatus(word or DeliveryStatus.GIVEN_UP)
                at = job.updated_at
                self.put(Undelivered(*place, status, "", at, at))
                n_added += 1
        for record in results.folder.glob(f"*/*/{delivery_record.FILE}"):
            content = record.parent
            for one in delivery_record.last_tries(content).values():
                place = (content.parent.name, content.name, one.destination)
                if not one.status.is_settled and self.find(*place) is None:
                    self.put(Undelivered(*place, one.status, one.reason, one.at, one.at))
                    n_added += 1
        self.note_built()
        return n_added

    def note_built(self) -> None:
        """From now on the index covers all results."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _BUILT).touch()

    def _path(self, study: str, content: str, destination: str) -> Path:
        return self._folder / f"{study}.{content}.{destination}.json"

    def _files(self) -> Iterator[tuple[str, int, Path]]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    with suppress(FileNotFoundError):
                        yield entry.name, entry.stat().st_mtime_ns, Path(entry.path)


_LEFT: Final = (DeliveryStatus.REFUSED, DeliveryStatus.GIVEN_UP)
_IN_NAME: Final = ("study", "content", "destination")


def _loaded(path: Path) -> Undelivered | None:
    """An entry; None when it is gone or damaged."""
    try:
        study, content, destination = path.name.removesuffix(".json").split(".", 2)
        found = json.loads(path.read_bytes())
        return Undelivered(
            study, content, destination, **{**found, "status": DeliveryStatus(found["status"])}
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def note(
    index: UndeliveredIndex,
    result: Path,
    what: DeliveryNote,
    now: float,
    overdue_at: float | None = None,
) -> None:
    """Enter what followed a try, of the result in that folder.

    Raises
    ------
    OSError
        The disk is full.
    """
    place = (what.study, what.content, what.destination)
    last = delivery_record.last_tries(result).get(what.destination)
    if what.status.is_settled or (last is not None and last.status is DeliveryStatus.DROPPED):
        index.settle(*place)
        return
    if what.status is DeliveryStatus.GIVEN_UP and last is not None and last.status != what.status:
        given_up = DeliveryTry(what.destination, what.status, now, last.reason)
        delivery_record.record(result, given_up)
    next_at = None if what.pause_s is None else now + what.pause_s
    reason = last.reason if last is not None else ""
    index.put(
        Undelivered(
            *place, what.status, reason, now, now, next_at=next_at, job=what.job,
            overdue_at=overdue_at,
        )
    )  # fmt: skip
