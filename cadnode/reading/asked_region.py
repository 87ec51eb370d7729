"""One region that a person asks about, assessed by every system: a view is decoded, not an exam."""

from collections.abc import Sequence
from dataclasses import dataclass

from cadnode.domain import (
    Assessment,
    ExamResult,
    Finding,
    FindingKind,
    HeatMap,
    SkipReason,
)
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.imaging import pixels
from cadnode.models.ensemble import operating_point
from cadnode.models.view import ViewModel, assesses_regions
from cadnode.reading.assessment import Assessor, by_map, cnns_of
from cadnode.reading.exam import failed_on_exam, models_used
from cadnode.reading.readers import Choices, Readers
from cadnode.reading.regions import cutter_of, usable
from cadnode.reading.verdict import model_for
from cadnode.reading.views import LoadedView, PixelLoader, load_view, score_view


@dataclass(frozen=True, eq=False, slots=True)
class ViewMap:
    """A view's map that exists already, and whether its breast reached the operating point."""

    heat_map: HeatMap
    suspicious_breast: bool


def view_map(finished: ExamResult, mammogram: Mammogram, readers: Readers) -> ViewMap | None:
    """The map that the view's model made of it; None unless the active model is that very one."""
    model = model_for(mammogram, readers.views)
    if model is None or readers.use(model.card.name) not in finished.models:
        return None
    uid, name = mammogram.sop_instance_uid, model.card.name
    maps = [m for m in finished.heat_maps if (m.sop_instance_uid, m.algorithm) == (uid, name)]
    scores = [b.score for b in finished.breasts if b.laterality is mammogram.laterality]
    if not maps or not scores:
        return None
    point = model.operating_point.threshold
    return ViewMap(maps[0], suspicious_breast=max(scores) >= point)


def assess_region(
    exam: Exam,
    region: PersonRegion,
    readers: Readers,
    finished: ExamResult | None = None,
    *,
    choices: Choices | None = None,
    load: PixelLoader = pixels.load,
) -> ExamResult:
    """A result with one finding: the region, as every system that can read it assesses it.

    The view's model reads it by its map of the `finished` reading; where there is none of the
    active model, the view is scored. A model whose map holds no scores does not assess it. The
    result has no views, breasts or maps of its own.

    Raises
    ------
    NotProcessable
        The exam has no such view, it cannot be decoded, the region cannot be scored, or no
        system reads such an image.
    """
    choices = choices or Choices()
    mammogram = _view(exam, region.sop_instance_uid)
    view = load_view(mammogram, load)
    _, unusable = usable(view, [region])
    if unusable:
        raise NotProcessable(unusable[0].reason, unusable[0].detail)
    candidate = cutter_of(view, readers.roi_specs).candidate(
        FindingKind.MARKED_REGION, region.box, region.outline, marked_by=region.reference
    )
    assessor = Assessor(readers, flips=choices.flips)
    of_region, _ = assessor.of_region(candidate, mammogram)
    assessments = (*_of_view_model(view, region, readers, finished), *of_region)
    if not assessments:
        raise NotProcessable(
            SkipReason.MODEL_FAILED if assessor.failed else SkipReason.NO_MODEL_APPLIES
        )
    counting = _counting(assessments, choices)
    finding = Finding(
        sop_instance_uid=region.sop_instance_uid,
        box=region.box,
        outline=region.outline,
        kind=FindingKind.MARKED_REGION,
        probability=counting.probability,
        algorithm=counting.algorithm,
        assessments=assessments,
        marked_by=region.reference,
    )
    return ExamResult(
        study_instance_uid=exam.study_instance_uid,
        exam_score=None,
        breasts=(),
        views=(),
        findings=(finding,),
        skipped=(),
        models=models_used([], [finding], readers),
        systems=failed_on_exam(readers.systems, assessor.failed),
        read_with=readers.digest(choices),
    )


def threshold_of(assessment: Assessment, mammogram: Mammogram, readers: Readers) -> float | None:
    """The score in [0, 1] from which on a system calls a region suspicious; None: it has none."""
    for view_model in readers.views:
        if view_model.card.name == assessment.algorithm:
            rule = view_model.card.hot_region
            return None if rule is None else rule.threshold
    members = cnns_of(assessment.system, readers, mammogram.acquisition)
    if members:
        return operating_point([m.card for m in members], members[0].choice).threshold
    features = (m for m in readers.features if m.card.name == assessment.algorithm)
    return next((m.operating_point.threshold for m in features), None)


def _view(exam: Exam, uid: str) -> Mammogram:
    for mammogram in exam.mammograms:
        if mammogram.sop_instance_uid == uid:
            return mammogram
    why = next((s for s in exam.skipped if s.sop_instance_uid == uid), None)
    if why is not None:
        raise NotProcessable(why.reason, why.detail)
    raise NotProcessable(SkipReason.ROI_UNUSABLE, "its image is not read")


def _of_view_model(
    view: LoadedView, region: PersonRegion, readers: Readers, finished: ExamResult | None
) -> list[Assessment]:
    model = model_for(view.mammogram, readers.views)
    if model is None or not assesses_regions(model.card):
        return []
    known = None if finished is None else view_map(finished, view.mammogram, readers)
    known = known or _scored_now(view, model)
    return [] if known is None else [
        by_map(region.box, known.heat_map, model, suspicious_breast=known.suspicious_breast)
    ]  # fmt: skip


def _scored_now(view: LoadedView, model: ViewModel) -> ViewMap | None:
    """The view as its model reads it alone; None where no breast is found in it."""
    try:
        scored = score_view(view, model)
    except NotProcessable:
        return None
    if scored.heat_map is None:
        return None
    suspicious = scored.score.score >= model.operating_point.threshold
    return ViewMap(scored.heat_map, suspicious_breast=suspicious)


def _counting(assessments: Sequence[Assessment], choices: Choices) -> Assessment:
    by_system = {a.system: a for a in assessments}
    return next((by_system[s] for s in choices.counts if s in by_system), assessments[0])
