"""What another operating point would change: for a slider that changes nothing.

A system's curve was measured, with its card, on data that the card names. At a threshold of it the
page says how sensitive and specific the system was there, what of this exam would be called, and
how many of the node's last exams would have been recalled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cadnode.domain import ExamResult, ModelUse, OperatingCurve
from cadnode.report.scores import system_of
from cadnode.statistics.wilson import wilson_interval

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RecentScore:
    """The score of an exam that the node has read, and the models that scored its views."""

    score: float
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A threshold of a curve, with 95 % intervals (Wilson's) of what was measured there."""

    threshold: float
    sensitivity: float
    specificity: float
    sensitivity_ci: Interval
    specificity_ci: Interval


@dataclass(frozen=True, slots=True)
class Curve:
    """A model's measured curve and what it is about.

    `scores` are those of this exam that it decides on: (label, score), a label such as "R" of a
    breast or the number of a finding. `recent` are those of the node's last exams, of a curve of
    breasts: an exam's score is that of its higher breast.
    """

    system: str
    model: str
    threshold: float
    of_breasts: bool
    measured_on: str
    n_pos: int
    n_neg: int
    steps: tuple[CurvePoint, ...]
    scores: tuple[tuple[str, float], ...]
    recent: tuple[float, ...] = ()

    @property
    def chosen(self) -> int:
        """The place of the step that is nearest to the operating point."""
        gaps = [abs(step.threshold - self.threshold) for step in self.steps]
        return gaps.index(min(gaps))

    @property
    def n_recalled(self) -> int:
        """How many of the recent exams reach the operating point."""
        return recalled(self.recent, self.threshold)

    def as_dict(self) -> dict[str, Any]:
        """For the page's script."""
        return {
            "system": self.system,
            "model": self.model,
            "of_breasts": self.of_breasts,
            "threshold": self.threshold,
            "steps": [
                [
                    s.threshold, s.sensitivity, *s.sensitivity_ci,
                    s.specificity, *s.specificity_ci,
                ]
                for s in self.steps
            ],
            "scores": [list(score) for score in self.scores],
            "recent": [round(score, 4) for score in self.recent],
        }  # fmt: skip


def curves_of(result: ExamResult, recent: Sequence[RecentScore] = ()) -> list[Curve]:
    """The curves of the models that decided on something in this exam, breasts' first.

    `recent` are the node's last exams; of these each curve has those that its model scored.

    A mean of several networks has none: its operating point is chosen on a curve of their mean,
    which a reading does not keep.
    """
    found = [_curve(result, model, recent) for model in result.models]
    return sorted(
        (curve for curve in found if curve is not None and curve.scores),
        key=lambda curve: not curve.of_breasts,
    )


def _curve(result: ExamResult, model: ModelUse, recent: Sequence[RecentScore]) -> Curve | None:
    measured = model.curve
    system = system_of(result, model.name)
    if measured is None or system is None:
        return None
    scores = _breasts(result, model) if measured.of_breasts else _findings(result, model)
    return Curve(
        system.value, model.name, measured.threshold, measured.of_breasts, measured.measured_on,
        measured.n_pos, measured.n_neg, _steps(measured), scores,
        tuple(one.score for one in recent if measured.of_breasts and one.models == (model.name,)),
    )  # fmt: skip


def _steps(curve: OperatingCurve) -> tuple[CurvePoint, ...]:
    """The curve's points, the most specific first."""
    return tuple(
        CurvePoint(
            t,
            sens,
            spec,
            wilson_interval(sens, curve.n_pos),
            wilson_interval(spec, curve.n_neg),
        )
        for t, sens, spec in curve.points
    )


def _breasts(result: ExamResult, model: ModelUse) -> tuple[tuple[str, float], ...]:
    """Breasts of which the model read a view."""
    sides = {v.laterality for v in result.views if v.algorithm == model.name}
    return tuple((b.laterality.value, b.score) for b in result.breasts if b.laterality in sides)


def _findings(result: ExamResult, model: ModelUse) -> tuple[tuple[str, float], ...]:
    return tuple(
        (str(number), assessment.probability)
        for number, finding in enumerate(result.findings, start=1)
        for assessment in finding.assessments
        if assessment.algorithm == model.name
    )


def recalled(scores: Sequence[float], threshold: float) -> int:
    """How many of these exams' scores reach a threshold."""
    return sum(score >= threshold for score in scores)
