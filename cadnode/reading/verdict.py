"""The verdict on breasts and exam: scores of whole views combined, and the operating point."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cadnode.domain import BreastScore, HeatMap, Laterality, ViewScore
from cadnode.exam.exam import Mammogram
from cadnode.exam.scanner import scanner_of
from cadnode.models.scanners import ServedScoring, scoring_of
from cadnode.models.view import ViewModel, ViewReading


@dataclass(frozen=True, eq=False, slots=True)
class ScoredView:
    """One view as one model read it."""

    mammogram: Mammogram
    reading: ViewReading
    model: ViewModel

    @property
    def score(self) -> ViewScore:
        """The view's score under the model's name."""
        m = self.mammogram
        return ViewScore(
            m.sop_instance_uid, m.laterality, m.view, self.reading.score, self.model.card.name
        )

    @property
    def heat_map(self) -> HeatMap | None:
        """The model's map of the view, as the DIB is; None where the model makes none."""
        if self.reading.cancer_map is None:
            return None
        return HeatMap(
            self.mammogram.sop_instance_uid,
            self.reading.cancer_map,
            self.reading.map_box,
            self.model.card.name,
        )


def model_for(mammogram: Mammogram, models: Iterable[ViewModel]) -> ViewModel | None:
    """The first model whose card applies to the view's acquisition."""
    applying = (m for m in models if mammogram.acquisition in m.card.applies_to)
    return next(applying, None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an exam's views come to; exam, breasts and findings follow this one rule.

    A breast's score is its model's (`models.breast`), the exam's the higher of its breasts', and
    both have one operating point, which was chosen on exams. So an exam below it has no breast
    at or above it, and an exam at or above it has one. Peaks of the map are findings, and
    DIB-MG calls a region suspicious, in suspicious breasts only.

    Parameters
    ----------
    breasts
        Right, then left. Where two models read views of one breast, the one with more counts.
    exam_score
        None where nothing was scored.
    operating_point
        None also where breasts were scored by models that have different ones.
    suspicious
        Sides whose score reaches the operating point of the model that made it.
    """

    breasts: tuple[BreastScore, ...]
    exam_score: float | None
    operating_point: float | None
    suspicious: frozenset[Laterality]


def verdict(scored: Sequence[ScoredView]) -> Verdict:
    """The verdict on the views of one exam."""
    found: dict[Laterality, tuple[BreastScore, float]] = {}
    for model in {id(s.model): s.model for s in scored}.values():
        scoring = scoring_by(model, scored)
        for breast in _breasts_by(model, scored, scoring):
            best = found.get(breast.laterality)
            if best is None or breast.n_views > best[0].n_views:
                found[breast.laterality] = (breast, scoring.operating_point.threshold)
    points = {threshold for _, threshold in found.values()}
    return Verdict(
        breasts=tuple(found[s][0] for s in (Laterality.RIGHT, Laterality.LEFT) if s in found),
        exam_score=max((breast.score for breast, _ in found.values()), default=None),
        operating_point=points.pop() if len(points) == 1 else None,
        suspicious=frozenset(s for s, (b, threshold) in found.items() if b.score >= threshold),
    )


def scoring_by(model: ViewModel, scored: Sequence[ScoredView]) -> ServedScoring:
    """How a model scores this exam's breasts: by the calibration of its scanner, or its own."""
    own = [s.mammogram for s in scored if s.model is model]
    return scoring_of(
        model.card,
        model.operating_point,
        lambda: (model.choice, [scanner_of(m.header) for m in own]),
    )


def _breasts_by(
    model: ViewModel, scored: Sequence[ScoredView], scoring: ServedScoring
) -> list[BreastScore]:
    """The breasts' scores by one model, from the views that it read."""
    logits: dict[Laterality, list[float]] = defaultdict(list)
    for s in scored:
        if s.model is model:
            logits[s.mammogram.laterality].append(s.reading.logit)
    scores = scoring.breast.scores(logits)
    return [BreastScore(side, score, len(logits[side])) for side, score in scores.items()]
