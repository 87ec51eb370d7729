"""The steps of the workflow: what is done of one study with the node's spool, models and peers."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.deliver.destination import kind_of
from cadnode.domain import Outcome, SkipReason
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam
from cadnode.exam.read import read_study
from cadnode.imaging import pixels
from cadnode.log import get_logger
from cadnode.node import (
    commitments,
    delivery_record,
    destination_profiles,
    priority,
    readiness,
    results,
    retry,
    shadow_process,
    tombstones,
    undelivered,
    verdict_documents,
)
from cadnode.node.active_models import ActiveModels
from cadnode.node.asked_regions import is_region
from cadnode.node.delivery_tries import DeliveryTries
from cadnode.node.fetching import Fetcher
from cadnode.node.gated_steps import confirmed, gated
from cadnode.node.header_index import HeaderIndex
from cadnode.node.heartbeat import Pulse
from cadnode.node.job_comparison import JobComparison
from cadnode.node.job_database import is_full
from cadnode.node.jobs import DeliveryStatus, ShadowEnd
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.node.metrics.exams import count_exam
from cadnode.node.outputs import cards_of, folders_of, installation_uid, write_outputs
from cadnode.node.poison import Casualties, StudySetAside
from cadnode.node.previews import write_previews
from cadnode.node.priors.desk import Priors
from cadnode.node.readers import choices_of
from cadnode.node.region_marks import RegionMarks
from cadnode.node.region_reading import RegionReading
from cadnode.node.remote.elsewhere import Elsewhere, OfferedStudy, ReadElsewhere
from cadnode.node.remote.reading_offer import ReadingOffer
from cadnode.node.results import Results
from cadnode.node.score_journal import ScoreJournal, facts_of
from cadnode.node.study_gate import StudyGate
from cadnode.node.tombstones import Tombstone
from cadnode.node.turns import Turns
from cadnode.node.undelivered import UndeliveredIndex
from cadnode.node.workflow_steps import DeliveryNote, Steps
from cadnode.reading import Readers, not_read, read_exam
from cadnode.receive.spool import Spool
from cadnode.receive.way_log import Passed, WayEntry, WayLog
from cadnode.settings import Settings

T = TypeVar("T")
_CONFIRM_WITHIN_S: Final = 20.0  # a reading that waits for longer would be taken for one that hangs

log = get_logger("worker")


class WorkerSteps:
    """The steps of the workflow, bound to one node's spool, models and destinations."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        models: ActiveModels,
        pulse: Pulse | None = None,
        casualties: Casualties | None = None,
        confirm: Callable[..., None] = lambda *_: None,
        counts: Counts | None = None,
    ) -> None:
        self._confirm = confirm
        self._counts = counts or Counts()
        self._pulse = pulse or Pulse()
        self._casualties = casualties or Casualties(settings.storage.folder)
        self.stopping = threading.Event()
        self._settings = settings
        self._trail = Trail.of(settings)
        self._way = WayLog(settings.storage.folder)
        self._journal = ScoreJournal(settings.storage.folder)
        self._spool = spool
        self._headers = HeaderIndex(spool)
        self._models = models
        self._images = pixels.ImageCache()
        self._results = Results.in_storage(settings.storage.folder)
        self._tries = DeliveryTries(settings, self._results, counts=self._counts)
        self._undelivered = UndeliveredIndex(settings.storage.folder)
        self.jobs = JobComparison(settings, self._results, self._undelivered)
        self.fetching = Fetcher(settings, self.stopping.is_set, self._counts)
        self.priors = Priors(settings, spool, self._trail, "worker")
        self._gate = StudyGate(settings.storage.folder)
        self._reporting = threading.Lock()  # a report, or one that there is none in time
        self._turns = Turns()  # one exam at a time has the processor and its memory
        self.elsewhere = Elsewhere(settings, self._turns, self.stopping, models)
        self.regions = RegionReading(
            settings,
            models,
            self._results,
            files=self._relevant,
            exams=self._exams,
            turns=self._turns,
            pulse=self._pulse,
            casualties=self._casualties,
        )
        self._marks = RegionMarks(self._results, files=self._relevant, exams=self._exams)

    def bound(self) -> Steps:
        """What the workflow asks for, bound to these."""
        steps = Steps(
            fetch=self.fetching.fetch,
            fingerprint=self.fingerprint,
            read=self.read,
            predecessor=self.predecessor,
            report=self.report,
            deliver=self.deliver,
            settled=self.settled,
            arrived_since=self.arrived_since,
            commitment_pause_s=self.commitment_pause_s,
            note=self.note,
            waiting=self.waiting,
            answer=self.answer,
            shadow=self.shadow,
            assess_region=self.regions.assess,
            give_up_region=self.regions.give_up,
            mark_regions=self._marks.take,
            answer_takers=tuple(
                d.name
                for d in self._settings.destinations
                if destination_profiles.takes_answers(self._settings, d)
            ),
            has_result=self.has_result,
            priority=self.priority,
            n_at_once=self.elsewhere.n_at_once,
            now=lambda: datetime.now(UTC),
            destinations=tuple(
                (d.name, retry.give_up_after_s(d)) for d in self._settings.destinations
            ),
            one_at_a_time=frozenset(
                d.name for d in self._settings.destinations if kind_of(d).serial
            ),
        )
        return confirmed(gated(steps, self._gate), self._confirm)

    def fingerprint(self, study: str) -> str:
        """What the spool holds of a study that concerns us; "" when nothing does.

        Nothing does, either, when it only holds again what had been reported before its result was
        removed.
        """
        removed = self._spool.removed(study)
        content = readiness.content_of(self._headers.files(study), removed)
        if content and not self.has_result(study, content) and self._tombstone(study).has(content):
            return ""
        return content

    def _tombstone(self, study: str) -> Tombstone:
        return tombstones.of_study(self._settings.storage.folder, study)

    def _relevant(self, study: str) -> list[Path]:
        return readiness.relevant(self._headers.files(study))

    def priority(self, study: str) -> int:
        """The place of a study in the queue, by what was said of it, its headers included."""
        paths = [file.path for file in self._headers.files(study) if file.is_mammogram]
        return priority.rank(priority.decided(self._settings, study, paths))

    def _exams(self, study: str, paths: Sequence[Path]) -> tuple[Exam, ...]:
        """The study's exams, one a patient."""
        return read_study(
            paths,
            replaced=self._replaced(study, paths),
            read_for_processing=self._settings.reading.for_processing,
            checks=pixels.CHECKS,
        )

    def _replaced(self, study: str, paths: Sequence[Path]) -> list[Path]:
        names = {path.stem for path in paths}
        return [p for p in self._spool.replaced(study) if p.name.split(".")[0] in names]

    def _folder(self, study: str, content: str) -> Path:
        return self._results.of_content(study, content)

    def has_result(self, study: str, content: str) -> bool:
        """Whether this content is reported."""
        return results.has_result(self._folder(study, content))

    def read(self, study: str, content: str) -> bool:
        """Read the study and save the result; False when its content has changed, or is finished.

        Raises
        ------
        WorkerDied
            The worker ended while it read this content: this attempt has failed.
        StudySetAside
            It did so again and again.
        """
        if self.jobs.is_finished(study, content):
            return False  # the job database has forgotten it: `JobComparison` has it delivered
        with self.elsewhere.turn(self._offered(study, content)) as brought:
            paths = self._relevant(study)
            if not paths or self._spool.fingerprint(paths) != content:
                log.info("content_changed", study=study)
                return False
            if self._settings.study.priors == "newest" and self._settings.sources:
                self.priors.bringer.begin_newest(study)  # for who looks; no reading waits for it
            try:
                self._casualties.admit(study, content)
                self._images.clear()
                self.regions.let_go()
                readers = self._models.current()  # these, to the study's end
                began = time.monotonic()
                self._with_room(
                    "reading",
                    study,
                    content,
                    len(paths),
                    lambda: self._read(paths, readers, study, content, brought),
                )
            except StudySetAside as error:
                self._counts.add(table.STUDIES, "set_aside")
                self._counts.add(table.FAILURES, "read", "set_aside")
                self._tell(Action.READ, EventOutcome.SERIOUS, study, str(error))
                self._way.record(study, WayEntry(time.time(), Passed.READ, how=str(error)))
                raise
            except Exception as error:
                self._tell(Action.READ, EventOutcome.FAILURE, study, "reading failed")
                how = type(error).__name__  # its text may be another library's
                self._count_failure("read", how)
                self._way.record(study, WayEntry(time.time(), Passed.READ, how=how))
                raise
            seconds = round(time.monotonic() - began, 2)
            if brought is not None:
                seconds = round(sum(took for _, took in brought.read), 2)
            self._counts.observe(table.READING, seconds)
            if not self.predecessor(study, content):  # a later one may be on demand
                arrived_at = max(results.changed_at(path) for path in paths)
                self._counts.observe(table.RECEIVED_TO_READ, max(0.0, time.time() - arrived_at))
            who = brought.machine if brought is not None else ""
            done = WayEntry(time.time(), Passed.READ, who, n=len(paths), seconds=seconds)
            self._way.record(study, done)
            return True

    def _offered(self, study: str, content: str) -> OfferedStudy:
        def offer(readers: Readers) -> ReadingOffer:
            paths = self._relevant(study)
            replaced, rank = self._replaced(study, paths), self.priority(study)
            return self.elsewhere.offer(study, content, paths, replaced, readers, rank)

        def exams() -> tuple[Exam, ...]:
            paths = self._relevant(study)
            is_same = paths and self._spool.fingerprint(paths) == content
            return self._exams(study, paths) if is_same else ()

        return OfferedStudy(offer, exams)

    def _count_failure(self, stage: str, reason: str) -> None:
        self._counts.add(table.STUDIES, "failed")
        self._counts.add(table.FAILURES, stage, reason)

    def _tell(
        self,
        action: Action,
        outcome: EventOutcome,
        study: str,
        detail: str,
        peer: str | None = None,
    ) -> None:
        """Have it in the audit trail."""
        self._trail.record(Event(action, outcome, this_node("worker"), study, peer, detail))

    def _with_room(
        self, step: str, study: str, content: str, n_images: int, do: Callable[[], T]
    ) -> T:
        """What `do` returns; while the disk is full, wait and do it again.

        It is done under the worker's eyes: in its hand, and within the time that so many images
        may take.
        """
        pause_s = 0.0
        within_s = self._settings.reading.longest_per_image_s * (n_images + 1)
        while True:
            try:
                with (
                    self._pulse.step(step, within_s),
                    self._casualties.in_hand(study, content),
                ):
                    return do()
            except OSError as error:
                if not is_full(error) or self.stopping.is_set():
                    raise
                pause_s = retry.ROOM.pause_after_s(pause_s)
                log.error("disk_full", study=study, seconds=pause_s)
                with self._pulse.waiting("the disk of storage.folder is full"):
                    self.stopping.wait(pause_s)

    def _read(
        self,
        paths: Sequence[Path],
        readers: Readers,
        study: str,
        content: str,
        brought: ReadElsewhere | None = None,
    ) -> None:
        started = time.monotonic()

        def before_a_view(_stage: str) -> None:
            if self._turns.give_way():
                self._casualties.take(study, content)

        if brought is not None and not brought.exams:
            brought = None
        exams = self._exams(study, paths) if brought is None else brought.exams
        where = self._folder(study, content)
        state = "not_read"
        is_again = bool(self.predecessor(study, content))
        folders = results.folders_for(where, len(exams))
        for patient, (exam, folder) in enumerate(zip(exams, folders, strict=True), start=1):
            began = time.monotonic()
            if brought is not None:
                result, read_s = brought.read[patient - 1]
            else:
                result = read_exam(
                    exam,
                    readers,
                    choices=choices_of(self._settings.reading),
                    load=self._images.load,
                    on_progress=before_a_view,
                )
                read_s = time.monotonic() - began
            self._confirm(_CONFIRM_WITHIN_S)
            is_kept = results.keep_reading(folder, result, read_s)
            facts = facts_of(study, content, patient, read_s, paths, is_again)
            self._journal.note(exam, result, facts, is_kept=is_kept)
            count_exam(self._counts, exam, result, read_s)
            log.info(
                "study_read", study=study, outcome=result.outcome.value,
                views=len(result.views), findings=len(result.findings),
                skipped=len(result.skipped), count=len(exams),
                seconds=round(time.monotonic() - started, 2),
            )  # fmt: skip
            is_read = result.outcome is not Outcome.NOT_READ
            state = "read" if is_read else state
            self._tell(
                Action.READ, EventOutcome.SUCCESS if is_read else EventOutcome.FAILURE, study,
                "read" if is_read else Outcome.NOT_READ.value,
                None if brought is None else brought.machine,
            )  # fmt: skip
        results.save_inputs(where, paths)
        self._counts.add(table.STUDIES, state)

    def predecessor(self, study: str, content: str) -> str:
        """Fingerprint of the study's last reported content before this one, or "".

        Its result may have been removed since: what a report needs of it is remembered.
        """
        return self._results.predecessor(study, content) or self._tombstone(study).newest()

    def report(self, study: str, content: str, predecessor: str, made_at: str) -> int:
        """Write the study's outputs; returns how many of them a destination may get.

        That is the DICOM objects, the FHIR bundle and the HL7 message: who gets which,
        `node.deliveries` decides. Headers that came after the reading are never put beside its
        scores.

        Raises
        ------
        ReportError
            The images changed since they were read: they are read again as new content.
        """
        self._casualties.admit(study, content)
        where = self._folder(study, content)
        names = results.inputs_of(where)
        try:
            # Where exams are read elsewhere, another one may be read here just now.
            with self._turns.exam() if self.elsewhere.n_at_once > 1 else nullcontext():
                n_outputs = self._with_room(
                    "reporting",
                    study,
                    content,
                    len(names),
                    lambda: self._report(study, content, predecessor, made_at),
                )
        except Exception as error:
            how = type(error).__name__
            self._count_failure("report", how)
            self._way.record(study, WayEntry(time.time(), Passed.REPORT, how=how))
            raise
        self._counts.add(table.STUDIES, "reported")
        self._way.record(study, WayEntry(time.time(), Passed.REPORT, n=n_outputs))
        return n_outputs

    def _report(self, study: str, content: str, predecessor: str, made_at: str) -> int:
        where = self._folder(study, content)
        names = results.inputs_of(where)
        paths = [p for p in self._spool.instances(study) if p.name in names]
        if names and Spool.fingerprint(paths) != content:
            raise ReportError("the study's images changed after they were read")
        exams = self._exams(study, paths)
        with self._reporting, self._gate.reporting(study):
            return self._write(study, content, exams, predecessor, made_at)

    def answer(self, study: str, content: str, has_failed: bool) -> str:
        """Report that a content is not read in the promised time, and why.

        Returns the name under which that is reported, "" when the content is reported or another
        one meanwhile. The report replaces none; the reading that follows replaces it.
        """
        late = results.answer_to(content)
        paths = self._relevant(study)
        if not paths or self._spool.fingerprint(paths) != content:
            return ""
        exams = self._exams(study, paths)
        where = self._folder(study, late)
        with self._reporting, self._gate.reporting(study):
            if self.has_result(study, content):
                return ""
            for exam, folder in zip(exams, results.folders_for(where, len(exams)), strict=True):
                if not results.has_result(folder):  # else it is on its way, as it is
                    results.keep_reading(folder, not_read(exam, self._why_late(has_failed)))
            results.save_inputs(where, paths)
            results.mark_answer(where)
            self._write(study, late, exams, "", datetime.now(UTC).isoformat())
        log.warning("study_not_in_time", study=study, reason=self._why_late(has_failed).value)
        return late

    def _why_late(self, has_failed: bool) -> SkipReason:
        if not self._models.are_loaded:
            return SkipReason.MODELS_MISSING
        return SkipReason.READING_FAILED if has_failed else SkipReason.NODE_BUSY

    def _write(
        self, study: str, content: str, exams: Sequence[Exam], predecessor: str, made_at: str
    ) -> int:
        """Write the outputs of a content that is read, or that is not read in time."""
        where = self._folder(study, content)
        is_answer = results.is_answer(where)
        answers = [] if is_answer else self._results.answers(study, but=content)
        old = self._folder(study, predecessor) if predecessor else None
        others = self._results.reported(study, but=content)
        earlier = [part for folder in others for part in results.exam_folders(folder)]
        gone = self._tombstone(study)
        n_outputs = 0
        for exam, folder in zip(exams, results.exam_folders(where), strict=True):
            result = results.load_reading(folder)
            objects = write_outputs(
                exam,
                result,
                folder,
                self._settings.report,
                made_at=datetime.fromisoformat(results.first_made_at(folder, made_at)),
                predecessors=[
                    part
                    for replaced in (*([old] if old else []), *answers)
                    for part in results.reported_before(replaced, exam.headers.keys())
                ],
                removed_reports=gone.reports(predecessor, exam.headers.keys()),
                times_removed=gone.times_removed,
                profiles=destination_profiles.profiles_of(self._settings),
                cards=cards_of(folders_of(self._settings, result), result),
                earlier=earlier,
                observer_uid=installation_uid(self._settings.storage.folder),
                load=self._images.load,
                timings=results.timings_of(folder),
                priority=priority.priority_of(self._settings.storage.folder, study),
            )
            if self._settings.web.enabled and not is_answer:
                write_previews(folder, exam, self._images.load)
            documents = sum((folder / name).is_file() for name in results.DOCUMENTS)
            n_outputs += len(objects) + documents
        self._images.clear()
        self._casualties.forget_study(study)
        log.info("study_reported", study=study, count=n_outputs)
        return n_outputs

    def deliver(self, study: str, content: str, destination: str) -> str:
        """One try to deliver: the value of a `DeliveryStatus`, plain text for the job database.

        What an older copy of the job database takes for undelivered is not sent again.
        """
        if known := self.jobs.arrived(study, content, destination):
            return known.value
        return self._tries.deliver(study, content, destination).status.value

    def arrived_since(self, study: str, content: str, destination: str, since: float) -> str:
        """How a try of a delivery ended, at `since` (epoch, s) or later, that arrived; else ""."""
        last = delivery_record.last_tries(self._folder(study, content)).get(destination)
        is_new = last is not None and last.status.has_arrived and last.at >= since
        return last.status.value if last is not None and is_new else ""

    def settled(self, study: str, content: str, destination: str) -> str:
        """How a delivery is known to have ended, so that no further try is needed; else ""."""
        last = delivery_record.last_tries(self._folder(study, content)).get(destination)
        return last.status.value if last is not None and last.status.is_settled else ""

    def waiting(self, study: str, content: str) -> dict[str, str]:
        """Jobs of the further tries of what did not arrive, by destination."""
        entries = self._undelivered.of_study(study)
        return {
            e.destination: e.job
            for e in entries
            if e.content == content and e.status is not DeliveryStatus.AWAITING_COMMITMENT
        }

    def commitment_pause_s(self, study: str, content: str, destination: str) -> float | None:
        """Seconds until a destination is asked again to confirm what it stored; None: never."""
        state = commitments.progress(self._folder(study, content), destination)
        return state.next_question_s(self._commit_within_s(destination))

    def _commit_within_s(self, destination: str) -> float:
        return self._settings.destination(destination).commit_within_h * 3600

    def note(self, note: DeliveryNote) -> None:
        """Keep what followed a try where it is counted; a full disk delays no delivery."""
        try:
            folder = self._folder(note.study, note.content)
            if note.status is DeliveryStatus.GIVEN_UP:
                self._tell_given_up(folder, note)
            overdue_at = None
            if note.status is DeliveryStatus.AWAITING_COMMITMENT:
                asked_at = commitments.progress(folder, note.destination).unanswered_since
                overdue_at = (asked_at or time.time()) + self._commit_within_s(note.destination)
            undelivered.note(self._undelivered, folder, note, time.time(), overdue_at)
        except OSError as error:
            log.warning("delivery_not_noted", destination=note.destination, error=error)

    def _tell_given_up(self, folder: Path, note: DeliveryNote) -> None:
        """Have in the audit trail that no further try follows, where a last one did not say so."""
        last = delivery_record.last_tries(folder).get(note.destination)
        if last and last.status != note.status:
            given_up = note.status.value
            self._tell(
                Action.NOT_DELIVERED, EventOutcome.SERIOUS, note.study, given_up, note.destination
            )

    def shadow(self, study: str, content: str) -> str:
        """Have other versions read the study as well; see `shadow_process.run`.

        No region that somebody asked about: it is assessed by the active versions alone. No
        readers' verdicts, which nothing reads.
        """
        folder = self._folder(study, content)
        if is_region(folder) or verdict_documents.is_one(folder):
            return ShadowEnd.OFF.value
        return shadow_process.run(self._settings, study, folder, self.stopping.is_set)
