"""Does every destination have a study's results? Asked before anything of it is removed.

The record beside a result (`node.delivery_record`) is asked first, then the job database. What only
that one knows is written beside the result, so that it is known when the database is lost.

    STORAGE/destinations.json   since when the node has known each destination: what was reported
                                before was never meant for it
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.files import write_whole
from cadnode.node import delivery_record, results
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus, JobLookup, deliver_id
from cadnode.settings import Settings

FILE: Final = "destinations.json"
_ARRIVED: Final = frozenset(status.value for status in DeliveryStatus if status.has_arrived)


@dataclass(frozen=True, slots=True)
class DeliveredSince:
    """Whether a study's results are where they belong, and since when (epoch, s).

    `has_destination`: there is, or was, somebody else to get them.
    """

    is_all: bool
    at: float
    has_destination: bool


class Deliveries:
    """The deliveries of one node's results. Raises `JobsUnavailable` where it must ask the jobs."""

    def __init__(self, settings: Settings, jobs: JobLookup) -> None:
        self._jobs = jobs
        names = [d.name for d in settings.destinations]
        self._known_since = known_since(settings.storage.folder, names)

    def of(self, study: str, contents: Sequence[Path]) -> DeliveredSince:
        """Of the reported contents of a study, all of them."""
        found = [self._of_content(study, folder) for folder in contents]
        return DeliveredSince(
            all(one.is_all for one in found),
            max((one.at for one in found), default=0.0),
            any(one.has_destination for one in found) or not found,
        )

    def _of_content(self, study: str, folder: Path) -> DeliveredSince:
        reported_at = results.reported_at(folder)
        if not any(results.has_outputs(part) for part in results.exam_folders(folder)):
            return DeliveredSince(True, reported_at, bool(self._known_since))  # nothing to send
        last = delivery_record.last_tries(folder)
        names = {*last, *(n for n, since in self._known_since.items() if reported_at >= since)}
        open_names = [n for n in names if n not in last or not last[n].status.is_settled]
        last |= self._by_jobs(study, folder, open_names)
        settled = [one for one in last.values() if one.status.is_settled]
        return DeliveredSince(
            len(settled) == len(names),
            max([reported_at, *(one.at for one in settled)]),
            bool(names) or bool(self._known_since),
        )

    def _by_jobs(self, study: str, folder: Path, names: Iterable[str]) -> dict[str, DeliveryTry]:
        """The deliveries that the job database alone knows; now they are recorded as well."""
        wanted = {deliver_id(study, folder.name, name): name for name in names}
        found: dict[str, DeliveryTry] = {}
        for identifier, job in self._jobs.find(wanted).items():
            if job.output in _ARRIVED and not job.is_open:
                name = wanted[identifier]
                one = DeliveryTry(name, DeliveryStatus(job.output), job.updated_at)
                delivery_record.record(folder, one)
                found[name] = one
        return found


def known_since(storage: Path, names: Iterable[str]) -> dict[str, float]:
    """Since when (epoch, s) the node has known each of these destinations; new ones are noted.

    All of the first time are taken for as old as the node: nobody noted them before.
    """
    return noted_since(storage / FILE, names, first=0.0)


def noted_since(path: Path, names: Iterable[str], first: float | None = None) -> dict[str, float]:
    """Since when (epoch, s) each of these names was given; new ones are noted in that file.

    `first` is what those of the first time get, None: now.
    """
    noted = _read(path)
    now = first if noted is None and first is not None else time.time()
    all_names = list(names)
    new = {name: now for name in all_names if name not in (noted or {})}
    known = {**(noted or {}), **new}
    if new or noted is None:
        with suppress(OSError):  # the disk is full: noted next time
            write_whole(path, json.dumps(known).encode())
    return {name: known[name] for name in all_names}


def _read(path: Path) -> dict[str, float] | None:
    try:
        document: Any = json.loads(path.read_bytes())
        return dict(_pairs(document.items()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _pairs(items: Iterable[tuple[object, Any]]) -> Iterator[tuple[str, float]]:
    for name, since in items:
        yield str(name), float(since)
