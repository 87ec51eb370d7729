"""`Exam` → `ExamResult`: every eligible view scored, or the reason why not.

Pure: no network, no database, no settings, no clock. Pixels come through `load`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cadnode.domain import (
    BreastScore,
    ExamResult,
    Finding,
    FloatImage,
    HeatMap,
    Laterality,
    ModelUse,
    Skipped,
    SkipReason,
    ViewScore,
)
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.model import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.models.scorer import LoadedModel, ViewReading

PixelLoader = Callable[[Mammogram], FloatImage]
Progress = Callable[[str], None]

FINDING_KIND = "suspicious_region"


@dataclass(frozen=True, eq=False, slots=True)
class _Scored:
    """One view as one model read it."""

    mammogram: Mammogram
    reading: ViewReading
    model: LoadedModel

    @property
    def view(self) -> ViewScore:
        m = self.mammogram
        return ViewScore(
            m.sop_instance_uid, m.laterality, m.view, self.reading.score, self.model.card.name
        )

    @property
    def heat_map(self) -> HeatMap:
        return HeatMap(
            self.mammogram.sop_instance_uid,
            self.reading.cancer_map,
            self.reading.map_box,
            self.model.card.name,
        )

    @property
    def findings(self) -> list[Finding]:
        return [
            Finding(
                sop_instance_uid=self.mammogram.sop_instance_uid,
                box=region.box,
                outline=region.outline,
                kind=FINDING_KIND,
                probability=region.probability,
                algorithm=self.model.card.name,
            )
            for region in self.reading.hot_regions
        ]


def read_exam(
    exam: Exam,
    models: Sequence[LoadedModel],
    *,
    load: PixelLoader = pixels.load,
    on_progress: Progress = lambda stage: None,
) -> ExamResult:
    """Result of one exam: scores, findings, heat maps, and what was skipped and why.

    A view is read by the first of `models` whose card applies to its acquisition (digital or
    film). The card says how views make a breast's score (`models.breast`); the exam's score is
    the higher of its breasts' scores. Hot regions of a view become findings when the score of
    its breast reaches its model's operating point.
    """
    skipped = list(exam.skipped)
    scored: list[_Scored] = []
    for model, group in _assign(exam.mammograms, models, skipped):
        scored += _score(model, group, load, skipped, on_progress)
    scored.sort(key=lambda s: (s.mammogram.view, s.mammogram.laterality == Laterality.LEFT))
    breasts = _breasts(scored)
    findings = [f for s in scored if _is_suspicious(s, scored) for f in s.findings]
    used = {s.model.card.name: s.model for s in scored}
    thresholds = {m.card.operating_point.threshold for m in used.values()}
    return ExamResult(
        study_instance_uid=exam.study_instance_uid,
        exam_score=max((b.score for b in breasts), default=None),
        breasts=breasts,
        views=tuple(s.view for s in scored),
        findings=tuple(sorted(findings, key=lambda f: -f.probability)),
        skipped=tuple(skipped),
        models=tuple(ModelUse(m.card.name, m.card.version, m.sha256) for m in used.values()),
        operating_point=thresholds.pop() if len(thresholds) == 1 else None,
        heat_maps=tuple(s.heat_map for s in scored),
    )


def _assign(
    mammograms: Iterable[Mammogram], models: Sequence[LoadedModel], skipped: list[Skipped]
) -> list[tuple[LoadedModel, list[Mammogram]]]:
    """Each model with the views it is to read; views that no model reads go to `skipped`."""
    groups: list[tuple[LoadedModel, list[Mammogram]]] = [(m, []) for m in models]
    for mammogram in mammograms:
        for model, group in groups:
            if mammogram.acquisition in model.card.applies_to:
                group.append(mammogram)
                break
        else:
            skipped.append(Skipped(mammogram.sop_instance_uid, SkipReason.NO_MODEL_APPLIES))
    return [(model, group) for model, group in groups if group]


def _score(
    model: LoadedModel,
    mammograms: Sequence[Mammogram],
    load: PixelLoader,
    skipped: list[Skipped],
    on_progress: Progress,
) -> list[_Scored]:
    """Readings of the views that could be decoded and scored; the others go to `skipped`.

    Views are scored one at a time: the score of one never depends on the others, and only one
    full-resolution image is in memory.
    """
    scored = []
    for mammogram in mammograms:
        on_progress(f"{mammogram.laterality} {mammogram.view}")
        try:
            image = load(mammogram)
            (reading,) = model.score([(image, mammogram.laterality)])
        except NotProcessable as error:
            skipped.append(Skipped(mammogram.sop_instance_uid, error.reason, error.detail))
        except ModelError:
            skipped.append(Skipped(mammogram.sop_instance_uid, SkipReason.MODEL_FAILED))
        else:
            scored.append(_Scored(mammogram, reading, model))
    return scored


def _breasts(scored: Sequence[_Scored]) -> tuple[BreastScore, ...]:
    """Right, then left breast; where two models read views of one breast, the one with more."""
    found: dict[Laterality, BreastScore] = {}
    for model in {id(s.model): s.model for s in scored}.values():
        for breast in _breasts_by(model, scored):
            best = found.get(breast.laterality)
            if best is None or breast.n_views > best.n_views:
                found[breast.laterality] = breast
    return tuple(found[side] for side in (Laterality.RIGHT, Laterality.LEFT) if side in found)


def _breasts_by(model: LoadedModel, scored: Sequence[_Scored]) -> list[BreastScore]:
    """The breasts' scores by one model, from the views that it read."""
    logits: dict[Laterality, list[float]] = defaultdict(list)
    for s in scored:
        if s.model is model:
            logits[s.mammogram.laterality].append(s.reading.logit)
    scores = model.card.breast.scores(logits)
    return [BreastScore(side, score, len(logits[side])) for side, score in scores.items()]


def _is_suspicious(view: _Scored, scored: Sequence[_Scored]) -> bool:
    """Whether the breast of a view reaches the operating point of the view's model."""
    threshold = view.model.card.operating_point.threshold
    return any(
        b.laterality == view.mammogram.laterality and b.score >= threshold
        for b in _breasts_by(view.model, scored)
    )
