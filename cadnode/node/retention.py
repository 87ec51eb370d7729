"""Removal of what has had its time: what goes next, what stays and why, and the removal itself.

Images go when they are read and delivered and their time is over (`retention.images_days`), results
later; sooner, the oldest first, where there are too many of them or the disk is nearly full. What
may not go is decided in `node.retention_rules`. A removal is a rename into a trash folder: a crash
leaves a study whole, or nothing of it that anybody reads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Actor, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.files import locked
from cadnode.log import get_logger
from cadnode.node import delivery_record, pins, priority, readiness, results, tombstones
from cadnode.node.delivered import Deliveries
from cadnode.node.fetching import spool_folder
from cadnode.node.header_index import HeaderIndex
from cadnode.node.job_rows import JobRows, rows_of, study_of
from cadnode.node.jobs import JobLookup
from cadnode.node.results import Results
from cadnode.node.retention_rules import (
    Because,
    KeptBecause,
    Part,
    RetentionFacts,
    due_at,
    is_old,
    is_young,
    kept,
)
from cadnode.node.storage_account import DiskUse, FolderSize, StorageAccount, disk_use
from cadnode.receive.fetch import requests
from cadnode.receive.prior_store import PriorStore
from cadnode.receive.spool import Spool
from cadnode.receive.way_log import WayLog
from cadnode.settings import Settings

LOCK: Final = "retention.lock"
_DEEP: Final = frozenset({"spool", "results"})
_BATCHES: Final = 20  # of rows of finished jobs, a round

log = get_logger("retention")


@dataclass(frozen=True, slots=True)
class Due:
    """A part of a study that is due to go, and what is decided: `kept` None, it may go."""

    study: str
    part: Part
    because: Because
    n_bytes: int
    kept: KeptBecause | None
    facts: RetentionFacts


@dataclass(slots=True)
class _Excess:
    """Bytes that are too many, of each part and on the disk; less with every removal."""

    of_part: dict[Part, int] = field(default_factory=dict)
    on_disk: int = 0

    def because(self, part: Part) -> Because | None:
        """Why the oldest of a part is due although its time is not over."""
        if self.on_disk > 0:
            return Because.DISK
        return Because.SIZE if self.of_part.get(part, 0) > 0 else None

    def less(self, part: Part, n_bytes: int) -> None:
        self.on_disk -= n_bytes
        self.of_part[part] = self.of_part.get(part, 0) - n_bytes


@dataclass(slots=True)
class _Look:
    """One look at the studies: what is asked once for all, and whose images have gone in it."""

    deliveries: Deliveries
    now: float
    pinned: set[str] = field(default_factory=set)
    without_images: set[str] = field(default_factory=set)


class Retention:
    """The studies of one storage folder, as retention sees them. One thread uses it.

    `by` is who removes, for the audit trail.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        jobs: JobLookup,
        rows: JobRows | None = None,
        by: Actor | None = None,
    ) -> None:
        self._by = by or this_node("retention")
        self._trail = Trail.of(settings)
        self._settings = settings
        self._rules = settings.retention
        self._storage = settings.storage.folder
        self._spool = spool
        self._headers = HeaderIndex(spool)
        self._priors = PriorStore(self._storage)
        self._results = Results.in_storage(self._storage)
        self._jobs = jobs
        self._rows = rows
        self.account = StorageAccount(self._storage)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block no other process removes anything here; waits for it."""
        with locked(self._storage / LOCK, mode=0o640):
            yield

    def disk(self) -> DiskUse:
        """The disk now, with the node's part as last looked at. Raises `OSError`."""
        min_free = int(self._settings.storage.min_free_gb * 1e9)
        return disk_use(self._storage, self.account.held, min_free)

    def due(
        self,
        now: float,
        *,
        may_go: Callable[[Due], bool] = lambda one: True,
        everything: bool = False,
    ) -> Iterator[Due]:
        """What is due to go, the oldest first, images before results; and what of it stays.

        What goes lessens what is too much, so that no more is due than need be: `may_go` says
        whether it went (a removal) or would go. `everything`: also what is not due, and why it
        stays. Raises `JobsUnavailable` and `OSError`.
        """
        excess, look = self._excess(), _Look(Deliveries(self._settings, self._jobs), now)
        look.pinned |= pins.pinned(self._storage, now).keys()
        for part in Part:
            for study, held in sorted(self._held(part).items(), key=self._age_of):
                because = self._because(study, part, excess, now)
                if because is None and not everything:
                    break
                because = because or Because.AGE
                facts = self._facts(study, look)
                why_not = kept(facts, part, because, self._rules, now)
                if why_not is None and self._has_open_job(study):
                    why_not = KeptBecause.UNDER_WAY
                found = Due(study, part, because, held.n_bytes, why_not, facts)
                if why_not is None and may_go(found):
                    excess.less(part, held.n_bytes)
                    look.without_images |= {study} if part is Part.IMAGES else set()
                yield found

    def _held(self, part: Part) -> dict[str, FolderSize]:
        return self.account.images if part is Part.IMAGES else self.account.results

    def _age_of(self, item: tuple[str, FolderSize]) -> float:
        return self._ended_at(item[0])

    def upcoming(self, part: Part) -> Iterator[tuple[float, str, FolderSize]]:
        """When (epoch, s) each study's part has had its time, the next one first; none by age."""
        held = self._held(part)
        for study in sorted(held, key=self._ended_at):
            at = due_at(self._ended_at(study), part, self._rules)
            if at is None:
                return
            yield at, study, held[study]

    def _facts(self, study: str, look: _Look) -> RetentionFacts:
        """What is known of a study, its jobs excepted. Raises `JobsUnavailable`, `OSError`.

        Of one that is pinned, or got an image a short while ago, no more is asked.
        """
        images = None if study in look.without_images else self.account.images.get(study)
        seen = RetentionFacts(
            study,
            None if images is None else images.changed_at,
            self._ended_at(study),
            is_pinned=study in look.pinned,
        )
        if seen.is_pinned or is_young(seen, self._rules, look.now):
            return seen
        return self._asked(study, look)

    def _asked(self, study: str, look: _Look) -> RetentionFacts:
        changed_at: float | None = self._spool.changed_at(study)  # before what it stands for
        paths = self._spool.instances(study)
        changed_at = changed_at if paths else None
        removed = self._spool.removed(study)
        content = readiness.content_of(self._headers.files(study), removed) if paths else ""
        delivered = look.deliveries.of(study, self._results.reported(study))
        is_read = (
            not content
            or results.has_result(self._results.of_content(study, content))
            or tombstones.of_study(self._storage, study).has(content)
        )
        return RetentionFacts(
            study,
            None if study in look.without_images else changed_at,
            max(delivered.at, changed_at or 0.0, self._ended_at(study)),
            content,
            is_requested=requests.load(spool_folder(self._settings), study) is not None,
            is_read=is_read,
            is_delivered=delivered.is_all,
            has_destination=delivered.has_destination,
        )

    def remove(self, due: Due) -> bool:
        """Whether that part of the study is removed now; not when it has changed meanwhile.

        Raises `OSError` and `JobsUnavailable`; the study is then as it was.
        """
        remove = self._remove_images if due.part is Part.IMAGES else self._remove_results
        is_gone = remove(due)
        if is_gone:
            log.info(
                f"{due.part}_removed", study=due.study, bytes=due.n_bytes, reason=due.because.value
            )
            detail = f"{due.part.value}, {due.because.value}"
            self._trail.record(
                Event(Action.REMOVED, EventOutcome.SUCCESS, self._by, due.study, detail=detail)
            )
        return is_gone

    def tidy(self, now: float) -> None:
        """Delete what crashed writers left and what nobody asks for. Raises `JobsUnavailable`."""
        self._spool.empty_trash()
        self._results.empty_trash()
        self._spool.clear_incoming(older_than_s=3600.0)
        spool = spool_folder(self._settings)
        # The spool's studies and the results are looked through by the account.
        own = [f for f in self._storage.iterdir() if f.is_dir() and f.name not in _DEEP]
        asked = (self._storage / "commitments").glob("*")
        flat = [self._storage, *own, *asked, spool / "removed", spool / "requests"]
        left = [path for folder in flat for path in folder.glob(".*.part")]
        for path in (*left, *self.account.leftovers):
            if 0 < results.changed_at(path) < now - 3600.0:
                path.unlink(missing_ok=True)
        for study in self._priors.studies():
            if not self._spool.instances(study):
                self._priors.remove(study)
        for path in (spool / "headers").glob("*.jsonl"):
            if path.stem not in self.account.images:
                path.unlink(missing_ok=True)
        known = {*self.account.images, *self.account.results, *requests.known(spool)}
        WayLog(self._storage).forget_others(known, now - 3600.0)
        if self._rules.results_days > 0:
            requests.forget_ended(spool, now - self._rules.results_days * 86400.0)
            priority.forget_old(
                self._storage, now - self._rules.results_days * 86400.0, self._spool.studies()
            )
        if self._rows is not None:
            before = now - self._rules.jobs_days * 86400.0
            for _ in range(_BATCHES):
                if not self._rows.delete_ended(before, self._is_known):
                    break

    def _is_known(self, study: str) -> bool:
        return study in self.account.results or study in self.account.images

    def _remove_images(self, due: Due) -> bool:
        """Nothing is looked at once more but the folder: jobs of images begin with a new one."""
        study, changed_at = due.study, due.facts.changed_at
        if changed_at is None or pins.is_pinned(self._storage, study):
            return False
        if not self._spool.remove(study, due.facts.content, as_of=changed_at):
            return False
        self.account.images.pop(study, None)
        self._priors.remove(study)
        return True

    def _remove_results(self, due: Due) -> bool:
        """Nothing of the study is received meanwhile: a job that begins now finds what is left."""
        study = due.study
        with self._spool.kept_out(study) as has_no_images:
            if not has_no_images or pins.is_pinned(self._storage, study):
                return False
            rows = self._rows_of(study)
            tombstones.bury(self._storage, study)
            self._results.remove(study)
        self.account.results.pop(study, None)
        if self._rows is not None:
            self._rows.delete(rows)
        return True

    def _rows_of(self, study: str) -> list[str]:
        names = [d.name for d in self._settings.destinations]
        rows: list[str] = []
        for folder in self._results.of_study(study).iterdir():
            known = {*names, *delivery_record.last_tries(folder)}
            rows += rows_of(study, folder.name, sorted(known))
        return rows

    def _has_open_job(self, study: str) -> bool:
        """Whether a job of the study waits or runs now.

        Asked after the deliveries: the last of them starts what follows it before it ends.
        """
        open_jobs = self._jobs.open_jobs("process", "deliver", "shadow", "answer", "region")
        return any(study_of(job.identifier) == study for job in open_jobs)

    def _ended_at(self, study: str) -> float:
        """When the study last changed, as its folders state it."""
        nothing = FolderSize()
        images = self.account.images.get(study, nothing)
        return max(images.changed_at, self.account.results.get(study, nothing).newest_at)

    def _because(self, study: str, part: Part, excess: _Excess, now: float) -> Because | None:
        if is_old(self._ended_at(study), part, self._rules, now):
            return Because.AGE
        return excess.because(part)

    def _excess(self) -> _Excess:
        rules, disk = self._rules, self.disk()
        most = {Part.IMAGES: rules.images_gb, Part.RESULTS: rules.results_gb}
        held = {Part.IMAGES: self.account.images_bytes, Part.RESULTS: self.account.results_bytes}
        of_part = {p: held[p] - int(gb * 1e9) for p, gb in most.items() if gb > 0}
        is_full = disk.percent >= rules.high_mark_percent
        return _Excess(of_part, disk.above(rules.low_mark_percent) if is_full else 0)
