"""Other models' scores of an exam that is read already: of its views, of the regions found.

Regions are not detected again: they are those of the finished reading. A region's squares and
features are a function of its view and its box, so that each is cut exactly as it was.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from cadnode.domain import ExamResult, Finding, System
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.exam import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.models.view import view_system
from cadnode.reading.assessment import Assessor
from cadnode.reading.exam import failed_on_exam, models_used
from cadnode.reading.readers import Choices, Readers
from cadnode.reading.regions import cutter_of
from cadnode.reading.verdict import ScoredView, verdict
from cadnode.reading.views import PixelLoader, hanging_order, load_view, read_view


def reread_exam(
    exam: Exam,
    finished: ExamResult,
    readers: Readers,
    *,
    only: Collection[System],
    choices: Choices | None = None,
    load: PixelLoader = pixels.load,
) -> ExamResult:
    """The finished reading, with the scores of the systems in `only` computed by `readers`.

    View models (`kim2018`) score whole views, and so the breasts and the exam; their assessments of
    regions stay. The other systems assess each region of the finished reading. There are no maps.
    `models` are those that took part in this.
    """
    choices = choices or Choices()
    chosen = readers.of(only)
    result, scored = finished, list[ScoredView]()
    of_views = {view_system(model.card) for model in chosen.views}
    if of_views or System.KIM2018 in only:
        scored = _scored(exam, chosen, load)
        result = _with_scores(result, scored)
    assessor = Assessor(chosen, flips=choices.flips)
    if of_regions := set(only) - of_views - {System.KIM2018}:
        result = replace(result, findings=_assessed(exam, result, assessor, of_regions, load))
    return replace(
        result,
        models=models_used(scored, result.findings, chosen),
        heat_maps=(),
        systems=failed_on_exam(result.systems, assessor.failed),
        read_with="",  # by two sets of models
    )


def _scored(exam: Exam, readers: Readers, load: PixelLoader) -> list[ScoredView]:
    """The views that can be read, as a whole reading orders and scores them."""
    scored = []
    for mammogram in sorted(exam.mammograms, key=hanging_order):
        try:
            scored.append(read_view(mammogram, readers.views, load)[1])
        except (NotProcessable, ModelError):
            continue
    return scored


def _with_scores(finished: ExamResult, scored: Sequence[ScoredView]) -> ExamResult:
    found = verdict(scored)
    return replace(
        finished,
        exam_score=found.exam_score,
        breasts=found.breasts,
        views=tuple(s.score for s in scored),
        operating_point=found.operating_point,
        image_and_age=None,  # of the finished reading's scores
    )


def _assessed(
    exam: Exam,
    finished: ExamResult,
    assessor: Assessor,
    systems: Collection[System],
    load: PixelLoader,
) -> tuple[Finding, ...]:
    """The findings in their order, those systems' assessments made again."""
    of_view: dict[str, list[int]] = defaultdict(list)
    for number, finding in enumerate(finished.findings):
        of_view[finding.sop_instance_uid].append(number)
    findings = [
        replace(f, assessments=tuple(a for a in f.assessments if a.system not in systems))
        for f in finished.findings
    ]
    for mammogram in exam.mammograms:
        numbers = of_view[mammogram.sop_instance_uid]
        again = _of_view(mammogram, [findings[n] for n in numbers], assessor, load)
        for number, finding in zip(numbers, again, strict=True):
            findings[number] = finding
    return tuple(findings)


def _of_view(
    mammogram: Mammogram, findings: Sequence[Finding], assessor: Assessor, load: PixelLoader
) -> list[Finding]:
    """A view's findings with further assessments; without any where it cannot be decoded."""
    if not findings:
        return []
    try:
        view = load_view(mammogram, load)
    except NotProcessable:
        return list(findings)
    cutter = cutter_of(view, assessor.readers.roi_specs)
    assessed = []
    for finding in findings:
        candidate = cutter.candidate(finding.kind, finding.box, finding.outline)
        found, _ = assessor.of_region(candidate, mammogram)
        assessed.append(replace(finding, assessments=(*finding.assessments, *found)))
    return assessed
