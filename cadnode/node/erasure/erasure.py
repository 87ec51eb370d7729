"""One patient taken out of everything that this node keeps, while it runs; and the proof of it.

    look ─> plan on the disk ─> jobs cancelled ─> study by study: results, images, notes
    ─> what arrived meanwhile ─> half-written files, trash ─> job database ─> what lies beyond
    ─> search ─> record; the plan goes

A crash leaves the plan, and the same command does what is left: every step may be repeated. What
is renamed into a trash folder is nobody's any more, then it is deleted, and folders are synced.
What arrives before the end is erased, too; what is sent later is received as new.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from cadnode.files import is_locked, locked
from cadnode.log import get_logger
from cadnode.node.erasure import traces
from cadnode.node.erasure.elsewhere import REMAINS
from cadnode.node.erasure.jobs import PatientJobs
from cadnode.node.erasure.outlook import Outlook, PatientView
from cadnode.node.erasure.patient import IdentifierKind, WantedPatient
from cadnode.node.erasure.places import files_below, place_of
from cadnode.node.erasure.plan import Plan, Plans
from cadnode.node.erasure.removal import PatientRemoval, Step
from cadnode.node.erasure.search import Hit, PatientSearch, SearchReport
from cadnode.node.erasure.selection import StudyShare
from cadnode.node.jobs import JobLookup
from cadnode.node.retention import LOCK
from cadnode.node.study_gate import StudyGate
from cadnode.receive.spool import Spool
from cadnode.settings import Settings

_PASSES: Final = 5  # looks for what arrived meanwhile, and for rows that a job's end has left
ROWS: Final = Path("rows of the job database")

log = get_logger("erasure")


class Beyond(Protocol):
    """Files outside of the storage folder, such as a training set's manifest."""

    def remove(self, search: PatientSearch) -> dict[str, int]:
        """Take the patient out; how many of what were removed."""

    def pseudonyms(self) -> set[str]:
        """Hashes that stood for the patient there: they are searched for, too."""

    def files(self) -> Sequence[Path]:
        """All that is searched then."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done. `record` is None while something was found: the plan stays open then."""

    plan: Plan
    search: SearchReport
    record: Path | None


Told = Callable[[str, bool], None]  # a study's key, and whether nothing of the patient was found


class Erasure:
    """Erases one patient from one node's storage folder. One thread uses it.

    `by` is who does it, for the record; `told` is called for each study at the end.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        jobs: JobLookup,
        wanted: WantedPatient,
        *,
        by: str,
        wait_s: float = 300.0,
        told: Told = lambda study, clean: None,
    ) -> None:
        self._storage = settings.storage.folder
        self._spool = spool
        self._jobs = PatientJobs(settings.database_url)
        self._by = by
        self._wait_s = wait_s
        self._told = told
        self._gate = StudyGate(self._storage)
        self._plans = Plans(self._storage)
        self.view = PatientView(settings, spool, jobs, wanted)

    def run(
        self,
        outlook: Outlook,
        beyond: Sequence[Beyond] = (),
        *,
        before: Callable[[str], None] = lambda step: None,
        tick: Callable[[], None] = lambda: None,
    ) -> Erased:
        """Erase what a look (`view`) has found, and search; `before` is called before each step.

        `tick` is called after each file that is searched.

        Raises
        ------
        StudyBusy
            A study is still at work; the same command goes on later.
        JobsUnavailable, OSError
            The job database or the disk fails; so it does then.
        """
        plan = outlook.plan
        with locked(self._storage / LOCK, mode=0o640):  # retention removes nothing meanwhile
            for name, step in self._steps(outlook, beyond):
                before(name)
                step()
            before("search")
            search = self._searched(plan, beyond, tick)
            before("record")
            return Erased(plan, search.report, self._end(plan, search.report))

    def files(self) -> list[Path]:
        """All of this node that is searched."""
        plan = self.view.plan_file()
        own = [path for path in files_below(self._storage) if path != plan]
        return [*own, *(path for path in self._jobs.files() if path not in set(own))]

    def _steps(self, outlook: Outlook, beyond: Sequence[Beyond]) -> Iterator[Step]:
        plan = outlook.plan
        removal = PatientRemoval(self._storage, self._spool, self.view, plan, self._wait_s)
        yield "plan", lambda: self._begin(plan)
        yield "jobs cancelled", lambda: self._keep_out(plan)
        shares = {share.study: share for share in outlook.selection.shares}
        for study in sorted({*plan.studies, *plan.shared}):
            yield from removal.of_study(shares.get(study, StudyShare(study)))
        yield "what arrived meanwhile", lambda: self._once_more(plan, removal)
        yield "commitments", removal.strip_commitments
        yield "half-written files", removal.tidy
        yield "job database", lambda: self._forget_jobs(plan)
        for one in beyond:
            yield "beyond", lambda one=one: self._beyond(plan, one)  # type: ignore[misc]
        yield "log", lambda: self._blank_log(plan)  # last: the steps before may be logged

    def _begin(self, plan: Plan) -> None:
        self._gate.prepare()
        plan.patient = self.view.name
        self._plans.save(plan)

    def _keep_out(self, plan: Plan) -> None:
        """No job of these studies begins any more; one that runs ends with its step."""
        self._jobs.cancel(plan.studies)
        for study in plan.studies:
            self._gate.mark_study_erased(study)
        for study, content in plan.contents:
            self._gate.mark_erased(study, content)

    def _once_more(self, plan: Plan, removal: PatientRemoval) -> None:
        """Erase what was received, read or written since; a reception that is under way may end."""
        deadline = time.monotonic() + self._wait_s
        for _ in range(_PASSES):
            self._wait_for_incoming(plan, deadline)
            selection = self.view.select()
            if not selection.shares:
                return
            self.view.enter(plan, selection)
            self._plans.save(plan)
            self._keep_out(plan)
            for share in selection.shares:
                for _, step in removal.of_study(share):
                    step()

    def _wait_for_incoming(self, plan: Plan, deadline: float) -> None:
        search = PatientSearch(plan.identifiers)
        coming = files_below(self._storage / "spool" / "incoming")
        for path in [one for one in coming if search.holds(one)]:
            while is_locked(path, when_missing=False) and time.monotonic() < deadline:
                time.sleep(0.1)

    def _forget_jobs(self, plan: Plan) -> None:
        """What ends just now may note its end once more."""
        for _ in range(_PASSES):
            plan.count("jobs", self._jobs.delete(plan.studies))
            time.sleep(0.2)
            if not self._jobs.has_any(plan.studies):
                break
        self._jobs.compact()
        n_damaged = self._jobs.remove_damaged_copies(plan.studies)
        plan.count("damaged job databases", n_damaged)

    def _blank_log(self, plan: Plan) -> None:
        search = PatientSearch(plan.identifiers)
        plan.count("lines of the log", traces.blank_log(self._storage, search))

    def _beyond(self, plan: Plan, one: Beyond) -> None:
        for what, n in one.remove(PatientSearch(plan.identifiers)).items():
            plan.count(what, n)
        plan.identifiers.add_keys(one.pseudonyms())

    def _searched(
        self, plan: Plan, beyond: Sequence[Beyond], tick: Callable[[], None]
    ) -> PatientSearch:
        search = PatientSearch(plan.identifiers)
        for path in self.files():
            is_own = path.is_relative_to(self._storage)
            place = place_of(path.relative_to(self._storage)) if is_own else None
            search.look([path], tick, keys=place is None or not place.stays)
        for one in beyond:
            search.look(one.files(), tick)
        if not self._jobs.is_file and (n := self._jobs.n_rows_with(search.keys)):
            search.report.hits.append(Hit(ROWS, (IdentifierKind.KEY.value,), n))
        return search

    def _end(self, plan: Plan, found: SearchReport) -> Path | None:
        for study in sorted({*plan.studies, *plan.shared}):
            self._told(study, found.is_clean)
        log.info("patient_erased", count=len(plan.studies), skipped=len(found.hits))
        if not found.is_clean:
            self._plans.save(plan)
            return None
        now = datetime.now(UTC)
        record = {
            "schema_version": 1,
            "at": now.isoformat(timespec="seconds"),
            "by": self._by,
            "patient": plan.patient,
            "studies": len(plan.studies),
            "shared_studies": len(plan.shared),
            "removed": dict(sorted(plan.removed.items())),
            "elsewhere": plan.elsewhere,
            "remains": list(REMAINS),
            "search": summary(found, plan),
        }
        return self._plans.close(plan, record, now.strftime("%Y%m%dT%H%M%SZ"))


def summary(found: SearchReport, plan: Plan) -> dict[str, Any]:
    """What was searched, in numbers."""
    return {
        "files": found.n_files,
        "bytes": found.n_bytes,
        "identifiers": found.n_identifiers,
        "shared_with_others": plan.identifiers.n_shared,
        "found": sum(hit.count for hit in found.hits),
        "not_read": len(found.unread),
    }
