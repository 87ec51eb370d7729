"""What there is of a patient, before anything is erased, and what speaks against it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cadnode.node import pins, readiness, results
from cadnode.node.erasure.elsewhere import delivered
from cadnode.node.erasure.patient import WantedPatient
from cadnode.node.erasure.plan import Plan, Plans
from cadnode.node.erasure.selection import Selection, StudyShare, select
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import JobLookup
from cadnode.node.results import Results
from cadnode.node.study_gate import StudyGate
from cadnode.node.undelivered import UndeliveredIndex
from cadnode.receive.spool import Spool
from cadnode.settings import Settings


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What of a study is not done yet: `not_read`, or destinations that lack a result."""

    study: str
    not_read: bool
    destinations: tuple[str, ...]


@dataclass(slots=True)
class Outlook:
    """What there is of a patient, and what speaks against erasing it.

    `resumed`: a crash has left the plan.
    """

    selection: Selection
    plan: Plan
    pinned: list[str] = field(default_factory=list)
    owed: list[Unfinished] = field(default_factory=list)
    resumed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of her, and nothing left to do."""
        return self.plan.is_empty


class PatientView:
    """One patient, as one node's folders show her."""

    def __init__(
        self, settings: Settings, spool: Spool, jobs: JobLookup, wanted: WantedPatient
    ) -> None:
        self._settings = settings
        self._storage = settings.storage.folder
        self._spool = spool
        self._results = Results.in_storage(self._storage)
        self._jobs = jobs
        self._wanted = wanted
        self._gate = StudyGate(self._storage)

    @property
    def name(self) -> str:
        """The keyed hash that stands for her."""
        return self._gate.hashed("patient", self._wanted.patient_id, self._wanted.issuer)

    def plan_file(self) -> Path | None:
        """The open plan, as long as there can be one."""
        return Plans(self._storage).path_of(self.name) if self._gate.has_key() else None

    def select(self, tick: Callable[[], None] = lambda: None) -> Selection:
        """What there is of her now. Raises `ErasureRefused` and `OSError`."""
        return select(self._storage, self._spool, self._wanted, tick)

    def look(self, tick: Callable[[], None] = lambda: None) -> Outlook:
        """What there is of her, with an erasure that a crash broke off; nothing is changed.

        Raises
        ------
        ErasureRefused
            Several patients have that ID.
        JobsUnavailable
            The job database does not answer.
        OSError
            The disk fails.
        """
        selection = self.select(tick)
        left = Plans(self._storage).load(self.name) if self._gate.has_key() else None
        outlook = Outlook(selection, left or Plan("", time.time()), resumed=left is not None)
        self.enter(outlook.plan, selection)
        outlook.pinned = [
            s.study for s in selection.shares if pins.is_pinned(self._storage, s.study)
        ]
        outlook.owed = self._owed(selection.shares)
        return outlook

    def enter(self, plan: Plan, selection: Selection) -> None:
        """Note in a plan what a look has found."""
        whole = {share.study for share in selection.shares if share.is_whole}
        shared = {share.study for share in selection.shares} - whole
        plan.shared = (plan.shared | shared) - whole
        plan.studies = (plan.studies | whole) - plan.shared
        for study in plan.studies:
            names = [path.name for path in self._results.of_study(study).glob("*")]
            plan.contents |= {(study, name) for name in names}
            if content := self.content(study):
                plan.contents |= {(study, content), (study, results.answer_to(content))}
        plan.identifiers.merge(selection.identifiers)
        plan.identifiers.add_keys(content for _, content in plan.contents)
        if not plan.elsewhere:
            plan.elsewhere = delivered(self._settings, self._contents(selection.shares))

    def content(self, study: str) -> str:
        """Fingerprint of what the spool holds of a study now, "" of nothing."""
        if not self._spool.instances(study):
            return ""
        files = HeaderIndex(self._spool, writes=False).files(study)
        return readiness.content_of(files, self._spool.removed(study))

    def _contents(self, shares: Sequence[StudyShare]) -> Iterator[tuple[Path, list[Path]]]:
        """Folders of contents, each with those of her exams in it."""
        for share in shares:
            of_study = self._results.of_study(share.study)
            for content in sorted({p if p.parent == of_study else p.parent for p in share.parts}):
                yield content, [p for p in share.parts if content in (p, p.parent)]

    def _owed(self, shares: Sequence[StudyShare]) -> list[Unfinished]:
        """What is not read, or waits for a destination, or was not taken by it."""
        index, found = UndeliveredIndex(self._storage), []
        waiting = [job.identifier.split("-", 3) for job in self._jobs.open_jobs("deliver")]
        for share in shares:
            lacking = {entry.destination for entry in index.of_study(share.study)}
            lacking |= {parts[3] for parts in waiting if parts[1] == share.study}
            content = self.content(share.study) if share.images else ""
            folder = self._results.of_content(share.study, content)
            not_read = bool(content) and not results.has_result(folder)
            if lacking or not_read:
                found.append(Unfinished(share.study, not_read, tuple(sorted(lacking))))
        return found
