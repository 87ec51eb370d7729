"""Where each study is: what spool, results and job database hold, gathered for the HTTP side."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import open_file
from cadnode.exam.mammogram import Instance
from cadnode.exam.partition import by_patient
from cadnode.exam.patient import Patient, patient_of
from cadnode.node import delivery_record, failed_readings, readiness, results
from cadnode.node.failed_readings import DroppedReadings
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import Job, JobLookup, JobsUnavailable, deliver_id, process_ids
from cadnode.node.poison import Casualties
from cadnode.node.priority import priority_of
from cadnode.node.readiness import ArrivalFacts, Readiness, Views
from cadnode.node.results import Results
from cadnode.node.study_state import StudyFacts, decide
from cadnode.node.undelivered import UndeliveredIndex
from cadnode.phrases import phrase
from cadnode.receive.fetch import requests
from cadnode.receive.identity import read_file_identity
from cadnode.receive.removed import Removed
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.node import StudyReport, jobs_away
from cadnode.web.study import KEY, Reason, StudyState, key_of

_ASKED: Final = ("json", "ended")  # a request for a study, and how its last fetch went
_REMEMBERED: Final = 4096  # studies whose headers need not be read again
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """What the spool holds of a study.

    `content` is the fingerprint of what is to be read, `present` are its views; they are not looked
    for where a result was made of all its files. `was_removed`: `content` is what was removed.
    """

    key: str
    changed_at: float
    n_instances: int
    content: str
    study_instance_uid: str
    present: Views = frozenset()
    was_removed: bool = False


class Studies:
    """The node's studies. Threads may share it; it only reads."""

    def __init__(self, settings: Settings, spool: Spool, progress: JobLookup) -> None:
        self._settings = settings
        self._spool = spool
        self._headers = HeaderIndex(spool)
        self._spool_folder = settings.storage.folder / "spool"
        self._requests = self._spool_folder / "requests"
        self._results = Results.in_storage(settings.storage.folder)
        self._undelivered = UndeliveredIndex(settings.storage.folder)
        self._casualties = Casualties(settings.storage.folder)
        self._dropped = DroppedReadings(settings.storage.folder)
        self._dropped_notes = settings.storage.folder / failed_readings.FOLDER
        self._progress = progress
        self._rules = readiness.rules_of(settings)
        self._held: dict[str, HeldStudy] = {}
        self._patients: dict[str, tuple[float, Patient]] = {}

    def state_of(self, name: str) -> StudyState:
        """State of the study with that UID or key. Raises `Unavailable`."""
        (state,) = self._states([self._held_of(key_of(name))])
        uid = "" if KEY.fullmatch(name) else name
        return replace(state, study_instance_uid=state.study_instance_uid or uid)

    def states_of(self, keys: Iterable[str]) -> list[StudyState]:
        """The states of the studies with these keys, in that order. Raises `Unavailable`."""
        return self._states([self._held_of(key) for key in keys])

    def content_of(self, key: str) -> str:
        """Fingerprint of what is to be read of a study now, "" when there is nothing."""
        return self._held_of(key).content

    def patient_of(self, name: str) -> Patient:
        """Whose study it is, from its files."""
        key = key_of(name)
        changed_at = self._spool.changed_at(key)
        known = self._patients.get(key)
        if known is None or known[0] != changed_at:
            known = (changed_at, _patient_of(self._spool.instances(key)))
            _remember(self._patients, key, known)
        return known[1]

    def present_content(self, name: str) -> str:
        """Fingerprint of what is to be read of the study, or was; "" where there is nothing."""
        return self._held_of(key_of(name)).content

    def page_of(self, name: str) -> StudyReport | None:
        """The rendered report of the study's present content, else the newest of an earlier one."""
        key = key_of(name)
        content = self._held_of(key).content
        pages = results.pages_in(self._results.of_content(key, content)) if content else []
        if pages:
            return StudyReport(pages[0], others=tuple(pages[1:]))
        earlier = self._results.newest_pages(key)
        if not earlier:
            return None
        return StudyReport(earlier[0], is_current=False, others=tuple(earlier[1:]))

    def folders_of(self, name: str) -> tuple[list[Path], bool]:
        """Where the exams of the study's result are, and whether it is of its present content.

        Where that was not read (yet) it is the newest of an earlier one.
        """
        key = key_of(name)
        content = self._held_of(key).content
        if content and results.has_result(folder := self._results.of_content(key, content)):
            return results.exam_folders(folder), True
        newest = max(self._results.reported(key), key=results.reported_at, default=None)
        return ([], True) if newest is None else (results.exam_folders(newest), False)

    def changes(self) -> dict[str, float]:
        """When each study last changed: one look at each folder, none at a file in it."""
        found: dict[str, float] = {}
        folders = (self._spool_folder / "studies", self._requests, self._dropped_notes)
        spooled = map(_changes_in, folders)
        for name, at in chain(self._results.studies(), *spooled):
            key, _, kind = name.partition(".")
            if KEY.fullmatch(key) and kind in ("", *_ASKED):
                found[key] = max(at, found.get(key, 0.0))
        return found

    def changed_at(self, key: str) -> float:
        """The same of one study; 0 when nothing of it is here (any more)."""
        places = (self._results.of_study(key), self._spool.folder_of(key), *self._notes_of(key))
        return max(map(results.changed_at, places))

    def _notes_of(self, key: str) -> list[Path]:
        """Files of what is asked for of a study, and of what was given up."""
        asked = [self._requests / f"{key}.{kind}" for kind in _ASKED]
        return [*asked, self._dropped_notes / f"{key}.json"]

    def _held_of(self, key: str) -> HeldStudy:
        """What the spool holds of a study; headers are read again only after a change."""
        try:
            return self._look(key)
        except FileNotFoundError:  # the study was removed in this moment
            return HeldStudy(key, 0.0, 0, "", self._requested_uid(key))

    def _look(self, key: str) -> HeldStudy:
        """Raises FileNotFoundError when a file is removed meanwhile."""
        paths = self._spool.instances(key)
        removed = self._spool.removed(key)
        if not paths:
            content = removed.content if removed else ""
            uid = self._requested_uid(key)
            return HeldStudy(key, 0.0, 0, content, uid, was_removed=bool(content))
        changed_at = self._spool.changed_at(key)
        known = self._held.get(key)
        if known is not None and (known.changed_at, known.n_instances) == (changed_at, len(paths)):
            return known
        content, present = self._content(key, paths, removed)
        was_removed = removed is not None and content != "" and removed.content == content
        held = HeldStudy(key, changed_at, len(paths), content, _uid_of(paths), present, was_removed)
        _remember(self._held, key, held)
        return held

    def _content(self, key: str, paths: list[Path], removed: Removed | None) -> tuple[str, Views]:
        """Fingerprint of what is to be read, as the worker's, and its views.

        A result that was made of all these files, as they are, spares the look into them.
        """
        everything = self._spool.fingerprint(paths)
        if results.n_inputs(self._results.of_content(key, everything)) == len(paths):
            return everything, frozenset()
        files = self._headers.files(key)
        return readiness.content_of(files, removed), readiness.views_of(files)

    def _requested_uid(self, key: str) -> str:
        request = requests.load(self._spool_folder, key)
        return request.study_instance_uid if request else ""

    def _states(self, held: list[HeldStudy]) -> list[StudyState]:
        """States of these studies, with one question to the job database.

        Results are read before jobs: what ends in between is reported as not ended yet.
        """
        documents = [self._result(study) for study in held]
        names = [d.name for d in self._settings.destinations]
        wanted: list[str] = []
        for study in held:
            if study.content:
                wanted += process_ids(study.key, study.content)
                wanted += [deliver_id(study.key, study.content, name) for name in names]
        jobs = self._find(wanted)
        return [
            self._state(study, result, jobs, names)
            for study, result in zip(held, documents, strict=True)
        ]

    def _find(self, identifiers: Iterable[str]) -> dict[str, Job]:
        try:
            return self._progress.find(identifiers)
        except JobsUnavailable as error:
            raise jobs_away() from error

    def _state(
        self, held: HeldStudy, result: dict[str, Any], jobs: dict[str, Job], names: list[str]
    ) -> StudyState:
        if not result:  # it may have been written since: a job that reports it was read later
            result = self._result(held)
        facts = self._facts(held, jobs, names, has_result=bool(result))
        verdict = decide(facts)
        notes = map(results.changed_at, self._notes_of(held.key))
        times = [held.changed_at, result.get("written_at", 0.0), *notes]
        times += [j.updated_at for j in facts.attempts]
        times += [job.updated_at for _, job in facts.deliveries if job is not None]
        times += [one.at for one in facts.tries.values()]
        latest = max(times)
        return StudyState(
            key=held.key,
            study_instance_uid=held.study_instance_uid,
            state=verdict.state,
            outcome=result.get("outcome"),
            is_complete=result.get("complete"),
            n_findings=len(result["findings"]) if result else None,
            exam_score=result["exam"]["score"] if result else None,
            scored_by=tuple(sorted({v["algorithm"] for v in result.get("views", ())})),
            reasons=(*verdict.reasons, *_skipped(result)),
            deliveries=verdict.deliveries,
            n_instances=held.n_instances,
            updated_at=_moment(latest) if latest else None,
            priority=priority_of(self._settings.storage.folder, held.key),
        )

    def _facts(
        self, held: HeldStudy, jobs: dict[str, Job], names: list[str], *, has_result: bool
    ) -> StudyFacts:
        attempts = [jobs.get(i) for i in process_ids(held.key, held.content)]
        where = self._results.of_content(held.key, held.content)
        return StudyFacts(
            n_instances=held.n_instances,
            readiness=self._readiness(held),
            fetch=requests.ended(self._spool_folder, held.key),
            attempts=tuple(job for job in attempts if job is not None),
            has_result=has_result,
            set_aside=self._casualties.set_aside(held.key, held.content),
            was_removed=held.was_removed,
            content=held.content,
            dropped=self._dropped.of_study(held.key),
            deliveries=tuple(
                (name, jobs.get(deliver_id(held.key, held.content, name))) for name in names
            ),
            tries=delivery_record.last_tries(where) if has_result else {},
            missing={
                entry.destination: entry
                for entry in self._undelivered.of_study(held.key)
                if has_result and entry.content == held.content
            },
        )

    def _readiness(self, held: HeldStudy) -> Readiness:
        facts = ArrivalFacts(
            held.present,
            quiet_for_s=self._spool.quiet_s(held.key),
            content=held.content,
            is_requested=requests.load(self._spool_folder, held.key) is not None,
        )
        return readiness.decide(facts, self._rules)

    def _result(self, held: HeldStudy) -> dict[str, Any]:
        """`result.json` of the study's present content, {} when it is not there yet."""
        if not held.content:
            return {}
        folder = self._results.of_content(held.key, held.content)
        documents = results.documents(folder)
        if not documents:
            return {}
        return {**_together(documents), "written_at": results.reported_at(folder)}


def _together(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of a study's patients together; the result itself when there is one patient.

    Several have no common score; what must be reviewed in one of them must be in the study.
    """
    if len(documents) == 1:
        return documents[0]
    outcomes = [d["outcome"] for d in documents]
    ranked = ("findings", "not_read", "no_findings")
    return {
        "outcome": min(outcomes, key=ranked.index),
        "complete": all(d["complete"] for d in documents),
        "findings": [f for d in documents for f in d["findings"]],
        "exam": {"score": None},
        "skipped": [s for d in documents for s in d["skipped"]],
        "n_patients": len(documents),
    }


def _skipped(result: dict[str, Any]) -> tuple[Reason, ...]:
    """Why images of the study were not scored, each reason once."""
    meanings = {s["reason"]: s["meaning"] for s in result.get("skipped", ())}
    reasons = tuple(Reason(code, meaning) for code, meaning in meanings.items())
    n_patients = result.get("n_patients", 1)
    return reasons if n_patients == 1 else (_several(n_patients), *reasons)


def _several(n_patients: int) -> Reason:
    return Reason(
        "several_patients",
        phrase(
            "The study holds images of %(n_patients)s patients: each has a report of her own",
            n_patients=n_patients,
        ),
    )


def _uid_of(paths: list[Path]) -> str:
    """Study Instance UID that the first readable file states."""
    for path in paths:
        try:
            return read_file_identity(path).study_instance_uid
        except (NotProcessable, OSError):
            continue
    return ""


def _patient_of(paths: list[Path]) -> Patient:
    """The patient, from the first readable file; of several patients only their number."""
    found: list[Instance] = []
    for path in paths:
        try:
            found.append(Instance(path, open_file(path).header, None, None))
        except (NotProcessable, OSError):
            continue
    shares = by_patient(found)
    if len(shares) > 1:
        return Patient(names=(f"{len(shares)} patients in one study",))
    return patient_of(found[0].header) if found else Patient()


def _remember(known: dict[str, V], key: str, value: V) -> None:
    """Keep a value, and of earlier ones as many as fit."""
    while len(known) >= _REMEMBERED:
        known.pop(next(iter(known)), None)
    known[key] = value


def _changes_in(folder: Path) -> Iterator[tuple[str, float]]:
    """Names in a folder, and when each last changed; none where there is no folder."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, results.changed_at(entry)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
