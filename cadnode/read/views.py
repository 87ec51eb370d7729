"""Whole views, as DIB-MG reads them: scores of views and breasts (Kim 2018)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cadnode.domain import BreastScore, HeatMap, Laterality, ViewScore
from cadnode.exam.model import Mammogram
from cadnode.models.view_model import ViewModel, ViewReading


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
    def heat_map(self) -> HeatMap:
        """The model's map of the view: the DIB."""
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


def breasts(scored: Sequence[ScoredView]) -> tuple[BreastScore, ...]:
    """Right, then left breast; where two models read views of one breast, the one with more."""
    found: dict[Laterality, BreastScore] = {}
    for model in {id(s.model): s.model for s in scored}.values():
        for breast in _breasts_by(model, scored):
            best = found.get(breast.laterality)
            if best is None or breast.n_views > best.n_views:
                found[breast.laterality] = breast
    return tuple(found[side] for side in (Laterality.RIGHT, Laterality.LEFT) if side in found)


def is_suspicious(view: ScoredView, scored: Sequence[ScoredView]) -> bool:
    """Whether the breast of a view reaches the operating point of the view's model."""
    threshold = view.model.operating_point.threshold
    return any(
        b.laterality == view.mammogram.laterality and b.score >= threshold
        for b in _breasts_by(view.model, scored)
    )


def _breasts_by(model: ViewModel, scored: Sequence[ScoredView]) -> list[BreastScore]:
    """The breasts' scores by one model, from the views that it read."""
    logits: dict[Laterality, list[float]] = defaultdict(list)
    for s in scored:
        if s.model is model:
            logits[s.mammogram.laterality].append(s.reading.logit)
    scores = model.card.breast.scores(logits)
    return [BreastScore(side, score, len(logits[side])) for side, score in scores.items()]
