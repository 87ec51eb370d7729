"""One line of the journal of scores: what a reading came to, and nothing of whom it was of."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cadnode.domain import (
    ExamResult,
    Laterality,
    ModelUse,
    OperatingCurve,
    Outcome,
    System,
    ViewPosition,
)
from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.scanner import Scanner, scanner_of


@dataclass(frozen=True, slots=True)
class JournalView:
    """A view's score by one system, in [0, 1]. `is_called`: it reaches the operating point."""

    laterality: Laterality
    view: ViewPosition
    score: float
    is_called: bool


@dataclass(frozen=True, slots=True)
class JournalBreast:
    """A breast's score by one system, in [0, 1]; `is_called` as of `JournalView`."""

    laterality: Laterality
    score: float
    is_called: bool


@dataclass(frozen=True, slots=True)
class JournalSystem:
    """What one system came to.

    Parameters
    ----------
    system
        Its name (`domain.System`).
    models
        Those of it that took part, `name@version`, in order.
    score, is_called
        The exam's: the highest of its breasts'. A system that assesses regions has the highest
        of its regions, and has no score where none was found.
    threshold, specificity
        The operating point in force, in [0, 1], and what the model's card measured there; None
        where it has none, or models' differ.
    breasts, views
        Scores of what was scored.
    scores_as
        Of each of `models` (`domain.ModelUse`), in their order; () in older lines.
    """

    system: str
    models: tuple[str, ...]
    score: float
    is_called: bool
    threshold: float | None
    breasts: tuple[JournalBreast, ...]
    views: tuple[JournalView, ...]
    specificity: float | None = None
    scores_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One reading of one patient's exam.

    Parameters
    ----------
    read_at
        In UTC.
    study
        The key of the study, as its folder in the spool is named.
    content, patient
        The fingerprint of what was read, and which patient of the study it is, from 1. With the
        study they name the result; another reading of the same study has another content.
    models
        All that took part, `name@version`.
    calibration
        Of whose making the probabilities are: "" by the cards alone.
    skipped
        (reason, number of images) of what was not scored, by reason.
    read_s, received_to_read_s
        Seconds of reading, and from the last image's arrival; None where that is not known.
    is_again
        Whether the study had been reported before.
    active
        Names of the systems that took part, also of those that found nothing to score.
    """

    read_at: datetime
    study: str
    content: str
    patient: int
    outcome: Outcome
    scanner: Scanner
    models: tuple[str, ...]
    systems: tuple[JournalSystem, ...]
    skipped: tuple[tuple[str, int], ...] = ()
    calibration: str = ""
    read_s: float | None = None
    received_to_read_s: float | None = None
    is_again: bool = False
    active: tuple[str, ...] = ()
    schema_version: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is a reading of: the last entry of a key is the one that stands."""
        return self.study, self.content, self.patient

    def of(self, system: str) -> JournalSystem | None:
        """What a system came to; None where it had no score."""
        return next((one for one in self.systems if one.system == system), None)


@dataclass(frozen=True, slots=True)
class ReadingFacts:
    """Which reading an entry is of: what `JournalEntry` has of the same names."""

    study: str
    content: str
    patient: int
    read_at: datetime
    read_s: float | None = None
    received_to_read_s: float | None = None
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class ScoredByOne:
    """One system's score of one view, in [0, 1]; `is_whole`: of the view, not of regions in it."""

    system: str
    view: Mammogram
    score: float
    is_called: bool
    is_whole: bool


def entry_of(exam: Exam, result: ExamResult, reading: ReadingFacts) -> JournalEntry:
    """The entry of one exam's reading."""
    reasons = Counter(skipped.reason.value for skipped in result.skipped)
    found: dict[str, list[ScoredByOne]] = {}
    for one in scores_of(exam, result):
        found.setdefault(one.system, []).append(one)
    return JournalEntry(
        read_at=reading.read_at,
        study=reading.study,
        content=reading.content,
        patient=reading.patient,
        outcome=result.outcome,
        scanner=scanner_of(exam.reference),
        models=tuple(map(_named, result.models)),
        systems=tuple(_of_system(name, scored, result) for name, scored in found.items()),
        skipped=tuple(sorted(reasons.items())),
        calibration="; ".join(used.calibration for used in result.models if used.calibration),
        read_s=reading.read_s,
        received_to_read_s=reading.received_to_read_s,
        is_again=reading.is_again,
        active=tuple(one.system.value for one in result.systems if one.active and not one.failed),
    )


def scores_of(exam: Exam, result: ExamResult) -> Iterator[ScoredByOne]:
    """Scores of views by system: a view model's, else the highest of a finding there.

    A system that saw no finding in a view has no score of it. A view is called where its score
    reaches its model's operating point, or where a finding in it does.
    """
    views = {one.sop_instance_uid: one for one in exam.mammograms}
    systems = {used.name: used.system for used in result.models}
    points = {used.name: used.curve.threshold for used in result.models if used.curve is not None}
    found: dict[tuple[str, str], tuple[float, bool]] = {}
    for one in result.views:
        system = systems.get(one.algorithm) or System.KIM2018  # the one that has view models
        point = points.get(one.algorithm)
        is_called = point is not None and one.score >= point
        found[system.value, one.sop_instance_uid] = (one.score, is_called)
    whole = {system for system, _ in found}
    for finding in result.findings:
        for assessed in finding.assessments:
            key = (assessed.system.value, finding.sop_instance_uid)
            if assessed.system.value not in whole:
                score, is_called = found.get(key, (0.0, False))
                score = max(score, assessed.probability)
                found[key] = (score, is_called or assessed.suspicious)
    for (name, uid), (score, is_called) in found.items():
        if (view := views.get(uid)) is not None:
            yield ScoredByOne(name, view, score, is_called, name in whole)


def _of_system(name: str, scored: list[ScoredByOne], result: ExamResult) -> JournalSystem:
    used = [model for model in result.models if model.system == name]
    points = {_operating_point(model.curve) for model in used if model.curve is not None}
    threshold, specificity = points.pop() if len(points) == 1 else (None, None)
    breasts = _whole_breasts(scored, result, threshold) or _region_breasts(scored)
    return JournalSystem(
        system=name,
        models=tuple(map(_named, used)),
        score=max(breast.score for breast in breasts),
        is_called=any(breast.is_called for breast in breasts),
        threshold=threshold,
        breasts=breasts,
        views=tuple(
            JournalView(one.view.laterality, one.view.view, _rounded(one.score), one.is_called)
            for one in scored
        ),
        specificity=specificity,
        scores_as=tuple(model.scores_as for model in used),
    )


def _operating_point(curve: OperatingCurve) -> tuple[float, float | None]:
    """The chosen threshold, and the specificity that was measured at it."""
    at = next((spec for point, _, spec in curve.points if point <= curve.threshold), None)
    return curve.threshold, at


def _whole_breasts(
    scored: list[ScoredByOne], result: ExamResult, threshold: float | None
) -> tuple[JournalBreast, ...]:
    """Breasts as the result has them, of those sides that the system read whole views of."""
    sides = {one.view.laterality for one in scored if one.is_whole}
    point = threshold if threshold is not None else result.operating_point
    return tuple(
        JournalBreast(
            breast.laterality, _rounded(breast.score), point is not None and breast.score >= point
        )
        for breast in result.breasts
        if breast.laterality in sides
    )


def _region_breasts(scored: list[ScoredByOne]) -> tuple[JournalBreast, ...]:
    """Breasts by the highest score in one of their views."""
    found = []
    for side in dict.fromkeys(one.view.laterality for one in scored):
        own = [one for one in scored if one.view.laterality is side]
        best = _rounded(max(one.score for one in own))
        found.append(JournalBreast(side, best, any(one.is_called for one in own)))
    return tuple(found)


def _named(model: ModelUse) -> str:
    return f"{model.name}@{model.version}"


def _rounded(score: float) -> float:
    """To nine digits: calibrations are fitted on log-odds, and 0 and 1 have none."""
    return round(float(score), 9)
