"""The worker's answer to a region: its view decoded, every system asked, an SR written."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

from cadnode.audit.actors import this_node
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.trail import Trail
from cadnode.domain import SKIP_MEANINGS, ExamResult, RoiReference, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.exam.markings.regions import region_of
from cadnode.imaging import pixels
from cadnode.log import get_logger, hashed
from cadnode.node import results
from cadnode.node.active_models import ActiveModels
from cadnode.node.asked_regions import AskedRegions, RegionAnswer, RegionOrder
from cadnode.node.heartbeat import Pulse
from cadnode.node.jobs import RegionStatus
from cadnode.node.outputs import installation_uid
from cadnode.node.poison import Casualties, StudySetAside
from cadnode.node.readers import choices_of
from cadnode.node.results import Results
from cadnode.node.turns import Turns
from cadnode.reading import Readers
from cadnode.reading.asked_region import assess_region, threshold_of
from cadnode.report.answer import write_answer
from cadnode.report.edition import Edition
from cadnode.report.profiles import ANSWER
from cadnode.report.scores import assessment_scorer, took_part
from cadnode.report.wording import plain
from cadnode.settings import Settings
from cadnode.web.regions import RegionScore

_CACHED_BYTES: Final = 256 << 20
_BROKE: Final = ("region_failed", "The assessment failed each time it was tried; the log says how")

log = get_logger("worker")
Files = Callable[[str], Sequence[Path]]
Exams = Callable[[str, Sequence[Path]], tuple[Exam, ...]]


@dataclass(slots=True)
class _Kept:
    """What the last region needed: the next one is most often of the same exam."""

    files: tuple[tuple[str, int], ...] = ()
    exams: tuple[Exam, ...] = ()
    reading: tuple[Path, float] | None = None
    finished: ExamResult | None = None


class RegionReading:
    """Assesses regions that people ask about. One thread at a time uses it (`turns`).

    `files(study)` are the spool's files that concern us, `exams(study, files)` what they make.
    """

    def __init__(
        self,
        settings: Settings,
        models: ActiveModels,
        kept: Results,
        *,
        files: Files,
        exams: Exams,
        turns: Turns,
        pulse: Pulse,
        casualties: Casualties,
    ) -> None:
        self._settings = settings
        self._models = models
        self._results = kept
        self._regions = AskedRegions(kept)
        self._files, self._exams = files, exams
        self._turns, self._pulse, self._casualties = turns, pulse, casualties
        self._trail = Trail.of(settings)
        self._images = pixels.ImageCache(_CACHED_BYTES)
        self._kept = _Kept()

    def assess(self, study: str, region: str) -> str:
        """Assess a region and keep the answer; "assessed", "failed", or "gone" with its study.

        Raises
        ------
        WorkerDied
            The worker ended while it assessed this region: this attempt has failed.
        """
        order = self._regions.order(study, region)
        if order is None:
            return RegionStatus.GONE.value
        if (known := self._regions.answer(study, region)) is not None:
            return _status(known).value
        began = time.monotonic()
        try:
            self._casualties.admit(study, region)
            answer = self._answered_in_turn(study, order)
        except NotProcessable as error:
            answer = RegionAnswer(time.time(), code=error.reason.value, meaning=_why(error))
        except StudySetAside as error:
            answer = RegionAnswer(time.time(), code=str(error), meaning=_BROKE[1])
        self._keep(study, region, answer)
        log.info(
            "region_assessed", study=study, status=_status(answer).value,
            reason=answer.code, count=len(answer.scores),
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        return _status(answer).value

    def give_up(self, study: str, region: str) -> None:
        """Answer that every attempt to assess a region broke."""
        if self._regions.answer(study, region) is None:
            code, meaning = _BROKE
            self._keep(study, region, RegionAnswer(time.time(), code=code, meaning=meaning))

    def let_go(self) -> None:
        """Let go of what is in memory: another exam is read, by whoever has the turn."""
        self._images.clear()
        self._kept = _Kept()

    def _keep(self, study: str, region: str, answer: RegionAnswer) -> None:
        self._regions.keep_answer(study, region, answer)
        outcome = EventOutcome.FAILURE if answer.code else EventOutcome.SUCCESS
        detail = answer.code or "region assessed"
        self._trail.record(Event(Action.READ, outcome, this_node("worker"), study, None, detail))

    def _answered_in_turn(self, study: str, order: RegionOrder) -> RegionAnswer:
        within_s = 2 * self._settings.reading.longest_per_image_s
        with (
            self._turns.region(),
            self._pulse.step("assessing a region", within_s),
            self._casualties.in_hand(study, order.region),
        ):
            return self._answered(study, order)

    def _answered(self, study: str, order: RegionOrder) -> RegionAnswer:
        exam, mammogram = self._view(study, order)
        readers = self._models.current()
        region = _region(exam, mammogram, order)
        alone = replace(exam, mammograms=(mammogram,), skipped=(), regions=(region,))
        result = assess_region(
            alone,
            region,
            readers,
            self._finished(study, order),
            choices=choices_of(self._settings.reading),
            load=self._images.load,
        )
        answered_at = datetime.now(UTC)
        edition = Edition(
            alone,
            result,
            answered_at,
            self._settings.report.disclaimer,
            observer_uid=installation_uid(self._settings.storage.folder),
        )
        folder = self._regions.folder(study, order.region)
        (folder / ANSWER).unlink(missing_ok=True)  # of an attempt that broke: nobody has it
        write_answer(edition, order.region, folder)
        scores = _scores(result, mammogram, readers)
        return RegionAnswer(answered_at.timestamp(), scores, _absent(result))

    def _view(self, study: str, order: RegionOrder) -> tuple[Exam, Mammogram]:
        """The exam that the region belongs to, and its view."""
        paths = self._files(study)
        if order.view not in {path.stem for path in paths}:
            raise NotProcessable(SkipReason.ROI_UNUSABLE, "its images were removed from this node")
        stamps = tuple((str(path), path.stat().st_mtime_ns) for path in paths)
        if stamps != self._kept.files:
            self._kept = _Kept(stamps, self._exams(study, paths))
        for exam in self._kept.exams:
            for mammogram in exam.mammograms:
                if mammogram.path.stem == order.view:
                    return exam, mammogram
            for skipped in exam.skipped:
                if hashed(skipped.sop_instance_uid) == order.view:
                    raise NotProcessable(skipped.reason, skipped.detail)
        raise NotProcessable(SkipReason.ROI_UNUSABLE, "its image is not read")

    def _finished(self, study: str, order: RegionOrder) -> ExamResult | None:
        """The reading of the exam; None where it is not to be had: its maps are made again."""
        folder = self._results.of_study(study) / order.exam
        stamp = (folder, results.changed_at(folder / results.READING))
        if stamp != self._kept.reading:
            try:
                self._kept.finished = results.load_reading(folder)
            except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile):
                self._kept.finished = None
            self._kept.reading = stamp
        return self._kept.finished


def _status(answer: RegionAnswer) -> RegionStatus:
    return RegionStatus.FAILED if answer.code else RegionStatus.ASSESSED


def _why(error: NotProcessable) -> str:
    if error.reason is SkipReason.ROI_UNUSABLE and error.detail:
        return f"The region cannot be assessed: {error.detail}"
    return SKIP_MEANINGS[error.reason]


def _region(exam: Exam, mammogram: Mammogram, order: RegionOrder) -> PersonRegion:
    """The region in whole pixels; of one that a viewer sent, with the object it was drawn in."""
    for region in exam.regions if order.source else ():
        outline = tuple((row, col) for col, row in order.points)
        is_here = region.sop_instance_uid == mammogram.sop_instance_uid
        is_source = hashed(region.reference.sop_instance_uid) == order.source
        if is_here and is_source and _close(region.outline, outline):
            return region
    outline = tuple((row, col) for col, row in order.points)
    made = region_of(outline, mammogram, RoiReference("", ""))
    if isinstance(made, str):
        raise NotProcessable(SkipReason.ROI_UNUSABLE, made)
    return made


def _close(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> bool:
    return len(one) == len(other) and all(
        abs(a - c) < 0.02 and abs(b - d) < 0.02 for (a, b), (c, d) in zip(one, other, strict=True)
    )


def _scores(result: ExamResult, mammogram: Mammogram, readers: Readers) -> tuple[RegionScore, ...]:
    return tuple(
        RegionScore(
            found.system.value,
            found.algorithm,
            round(found.probability, 6),
            threshold_of(found, mammogram, readers),
            found.suspicious,
            assessment_scorer(result, found).phantoms_only,
        )
        for found in result.findings[0].assessments
    )


def _absent(result: ExamResult) -> tuple[tuple[str, str], ...]:
    """The systems without a score, and why, as far as it is known."""
    idle = "it found nothing in the region that it reads"
    none = "no model of it is active"
    return tuple(
        (status.system.value, plain(status.reason) or (idle if status.active else none))
        for status in result.systems
        if not took_part(result, status)
    )
