"""`Exam` → `ExamResult`: views scored, regions found and assessed, or the reason why not."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import torch

from cadnode.beside import beside
from cadnode.domain import (
    Assessment,
    ExamResult,
    Finding,
    FloatImage,
    HeatMap,
    ImageEvidence,
    ModelUse,
    Skipped,
    SkipReason,
    System,
    SystemStatus,
    TrainingMaterial,
)
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.explain.maps import ensemble_map
from cadnode.imaging import pixels
from cadnode.reading.age import image_and_age
from cadnode.reading.assessment import Assessor, SystemMaps
from cadnode.reading.correspondence import Point, correspondences, nipple_of
from cadnode.reading.readers import Choices, Readers, use_of
from cadnode.reading.regions import Candidate, candidates, usable
from cadnode.reading.verdict import ScoredView, scoring_by, verdict
from cadnode.reading.views import PixelLoader, hanging_order, read_view, skipped_view

Progress = Callable[[str], None]
_VIEWS_AT_ONCE: Final = 2


@dataclass(frozen=True, eq=False, slots=True)
class _Looked:
    """A scored view and its candidates; its pixels are no longer in memory.

    `unusable` are the regions that people marked on it and that cannot be scored.
    """

    view: ScoredView
    candidates: tuple[Candidate, ...]
    nipple: Point | None
    unusable: tuple[Skipped, ...] = ()


def read_exam(
    exam: Exam,
    readers: Readers,
    *,
    choices: Choices | None = None,
    load: PixelLoader = pixels.load,
    on_progress: Progress = lambda stage: None,
) -> ExamResult:
    """Result of one exam: scores, findings, maps, and what was skipped and why.

    A view is read by the first view model whose card applies to its acquisition (digital or
    film). `verdict.verdict` combines views into the breasts' and the exam's scores. Findings are
    the regions that detection marks, those that people marked, and the peaks of the map in
    suspicious breasts; every active system assesses each of them.
    """
    choices = choices or Choices()
    skipped = list(exam.skipped)
    looked = _look(exam, readers, choices, load, skipped, on_progress)
    looked.sort(key=lambda it: hanging_order(it.view.mammogram))
    scored = [it.view for it in looked]
    combined = verdict(scored)
    assessor = Assessor(readers, flips=choices.flips)
    findings: list[Finding] = []
    maps = [m for s in scored if (m := s.heat_map) is not None]
    for number, it in enumerate(looked, start=1):
        on_progress(f"regions of view {number} of {len(looked)}")
        suspicious = it.view.mammogram.laterality in combined.suspicious
        found, shown = _assessed(it, assessor, choices, suspicious)
        findings += found
        maps += [m for by in shown for m in (*by.members, *by.mean)]
        maps += _ensemble(it.view, [m for by in shown for m in by.mean])
    findings = in_reading_order(findings, readers)
    nipples = {it.view.mammogram.sop_instance_uid: it.nipple for it in looked if it.nipple}
    return ExamResult(
        study_instance_uid=exam.study_instance_uid,
        exam_score=combined.exam_score,
        breasts=combined.breasts,
        views=tuple(s.score for s in scored),
        findings=tuple(findings),
        skipped=tuple(skipped),
        models=models_used(scored, findings, readers),
        operating_point=combined.operating_point,
        heat_maps=tuple(maps),
        systems=failed_on_exam(readers.systems, assessor.failed),
        correspondences=correspondences(findings, exam.mammograms, nipples),
        evidence=tuple(ImageEvidence(uid, found) for uid, found in exam.evidence.items()),
        read_with=readers.digest(choices),
        image_and_age=image_and_age(scored, combined.breasts) if choices.age_prior else None,
    )


def not_read(exam: Exam, reason: SkipReason) -> ExamResult:
    """Result of an exam of which nothing was read, for one reason that none of its images has."""
    unread = [Skipped(m.sop_instance_uid, reason) for m in exam.mammograms]
    return ExamResult(
        study_instance_uid=exam.study_instance_uid,
        exam_score=None,
        breasts=(),
        views=(),
        findings=(),
        skipped=(*exam.skipped, *unread),
        models=(),
        evidence=tuple(ImageEvidence(uid, found) for uid, found in exam.evidence.items()),
    )


def _look(
    exam: Exam,
    readers: Readers,
    choices: Choices,
    load: PixelLoader,
    skipped: list[Skipped],
    on_progress: Progress,
) -> list[_Looked]:
    """Views that could be decoded and scored, with their candidates; the others go to `skipped`.

    Two at a time where two threads may be used: detection computes on one. The reading of one view
    never depends on the others, and no more than two full-resolution images are in memory. While
    progress is reported none is under way: the node reads somebody's region then (`node.turns`).
    """
    decoding = threading.Lock()  # pydicom's settings, which decoding changes, are all threads'

    def load_alone(mammogram: Mammogram) -> FloatImage:
        with decoding:
            return load(mammogram)

    looked: list[_Looked] = []

    def take(mammogram: Mammogram, future: Future[_Looked]) -> None:
        try:
            seen = future.result()
            looked.append(seen)
            skipped.extend(why for why in seen.unusable if why not in skipped)
        except (NotProcessable, ModelError) as error:
            skipped.append(skipped_view(mammogram, error))

    at_once = min(_VIEWS_AT_ONCE, torch.get_num_threads())
    with beside("view", threads=at_once) as pool:
        for start in range(0, len(exam.mammograms), at_once):
            together = exam.mammograms[start : start + at_once]
            for mammogram in together:
                on_progress(f"{mammogram.laterality} {mammogram.view}")
            under_way = [
                (mammogram, pool.submit(_look_at, mammogram, exam, readers, choices, load_alone))
                for mammogram in together
            ]
            for mammogram, future in under_way:
                take(mammogram, future)
    return looked


def _look_at(
    mammogram: Mammogram, exam: Exam, readers: Readers, choices: Choices, load: PixelLoader
) -> _Looked:
    view, scored = read_view(mammogram, readers.views, load)
    uid = mammogram.sop_instance_uid
    marked, unusable = usable(view, [r for r in exam.regions if r.sop_instance_uid == uid])
    found = candidates(
        view,
        scored.reading.hot_regions,
        marked,
        detector=readers.detector,
        masses=readers.masses,
        specs=readers.roi_specs,
        most=choices.most_regions,
    )
    nipple = nipple_of(view.image, mammogram, view.mask)
    return _Looked(scored, tuple(found), nipple, tuple(unusable))


def _assessed(
    looked: _Looked, assessor: Assessor, choices: Choices, suspicious: bool
) -> tuple[list[Finding], list[SystemMaps]]:
    """The findings of a view and the systems' maps of them."""
    findings: list[Finding] = []
    maps: list[SystemMaps] = []
    for candidate in looked.candidates:
        if candidate.is_peak and not suspicious:
            continue
        assessments, shown = assessor.assess(candidate, looked.view, suspicious_breast=suspicious)
        if not assessments:  # no active system reads regions
            continue
        findings.append(_finding(candidate, looked.view, assessments, choices.counts))
        maps += shown
    return findings, maps


def _finding(
    candidate: Candidate,
    view: ScoredView,
    assessments: Sequence[Assessment],
    counts: Sequence[System],
) -> Finding:
    by_system = {a.system: a for a in assessments}
    order = [s for s in (*counts, *by_system) if s in by_system]
    counting = by_system[order[0]]
    return Finding(
        sop_instance_uid=view.mammogram.sop_instance_uid,
        box=candidate.box,
        outline=candidate.outline,
        kind=candidate.kind,
        probability=counting.probability,
        algorithm=counting.algorithm,
        assessments=tuple(assessments),
        certainty=candidate.certainty,
        cluster=candidate.cluster,
        calcifications=candidate.calcifications,
        marked_by=candidate.marked_by,
    )


def _ensemble(view: ScoredView, means: Sequence[HeatMap]) -> list[HeatMap]:
    """One map of all systems that read the view; none where the view's own model alone did."""
    if not means or (whole := view.heat_map) is None:
        return []
    shape = (view.mammogram.rows, view.mammogram.columns)
    together = ensemble_map(shape, whole, means)
    return [] if together is None else [together]


def models_used(
    scored: Sequence[ScoredView], findings: Sequence[Finding], readers: Readers
) -> tuple[ModelUse, ...]:
    """The models that took part, each once."""
    names = [s.model.card.name for s in scored]
    names += [d.card.name for d in (readers.detector, readers.masses) if scored and d is not None]
    for assessment in (a for f in findings for a in f.assessments):
        names += [assessment.algorithm, *(name for name, _ in assessment.members)]
    local = locally_scored(scored)
    used = (local.get(name) or readers.use(name) for name in dict.fromkeys(names))
    return tuple(use for use in used if use is not None)


def locally_scored(scored: Sequence[ScoredView]) -> dict[str, ModelUse]:
    """The view models that scored this exam by the calibration of its scanner, by name."""
    found = {}
    for model in {id(s.model): s.model for s in scored}.values():
        scoring = scoring_by(model, scored)
        if scoring.local is not None:
            found[model.card.name] = use_of(model, scoring)
    return found


def failed_on_exam(
    systems: Sequence[SystemStatus], failed: set[System]
) -> tuple[SystemStatus, ...]:
    """The systems' states; one whose model failed on this exam has that as its reason."""
    return tuple(
        replace(s, failed=True, reason=f"{s.reason}; a model failed on this exam".lstrip("; "))
        if s.system in failed
        else s
        for s in systems
    )


class _Group(IntEnum):
    """What a reader must see first comes first."""

    SUSPICIOUS = 0  # to a system that did not learn from phantoms alone
    DRAWN = 1  # by a person, who asked about it
    MARKED = 2  # by a device or an unnamed person
    SUSPICIOUS_TO_PHANTOMS = 3  # to systems alone that never saw a woman's mammogram
    REST = 4


def in_reading_order(findings: Sequence[Finding], readers: Readers) -> list[Finding]:
    """The findings as a reader is to see them.

    First what a system that was trained on women's mammograms calls suspicious, then what people
    marked, what somebody unnamed marked, what is suspicious to phantom-trained systems alone, and
    the rest. Within each: the higher score of a system trained on women's mammograms first, then
    the higher score that counts, then the detector's certainty; what is equal stays as it was.
    """
    return sorted(findings, key=lambda finding: _rank(finding, readers))


def _rank(finding: Finding, readers: Readers) -> tuple[_Group, float, float, float]:
    women = [a for a in finding.assessments if not _is_of_phantoms(a, readers)]
    best = max((a.probability for a in women), default=-1.0)
    return _group(finding, women), -best, -finding.probability, -(finding.certainty or 0.0)


def _group(finding: Finding, women: Sequence[Assessment]) -> _Group:
    if any(a.suspicious for a in women):
        return _Group.SUSPICIOUS
    if finding.marked_by is not None:
        return _Group.DRAWN if finding.marked_by.by_person else _Group.MARKED
    if any(a.suspicious for a in finding.assessments):
        return _Group.SUSPICIOUS_TO_PHANTOMS
    return _Group.REST


def _is_of_phantoms(assessment: Assessment, readers: Readers) -> bool:
    """Whether the assessing models were trained on phantoms alone."""
    names = [assessment.algorithm, *(name for name, _ in assessment.members)]
    used = [use for name in names if (use := readers.use(name)) is not None]
    materials = {material for use in used for material in use.trained_on}
    return materials == {TrainingMaterial.PHANTOMS}
