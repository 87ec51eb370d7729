"""The ROC curve a card stores, and the operating point that is chosen on it."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import OPERATING_POINT, YOUDEN
from cadnode.errors import SettingsError


class OperatingPoint(BaseModel):
    """The score from which on something counts as suspicious, and how it was chosen.

    `sensitivity` and `specificity` are those on the data the curve was measured on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(ge=0, le=1)
    sensitivity: float = Field(ge=0, le=1)
    specificity: float = Field(ge=0, le=1)
    chosen: str


class Roc(BaseModel):
    """A measured ROC curve.

    Parameters
    ----------
    points
        (threshold, sensitivity, specificity), thresholds falling: a score at or above the
        threshold counts as positive.
    measured_on
        The data and the contrast, in a sentence.
    n_pos, n_neg
        Positives and negatives of that data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[tuple[float, float, float], ...] = Field(min_length=2)
    measured_on: str
    n_pos: int = Field(ge=1)
    n_neg: int = Field(ge=1)

    def at(self, choice: str = YOUDEN) -> OperatingPoint:
        """The operating point of a choice (see `parse`).

        `"youden"`: the highest sensitivity + specificity (Kang 2021, Statistical Analysis); of
        several, the most sensitive.
        `"sensitivity=0.9"`: the highest specificity where the sensitivity is at least that.
        `"specificity=0.9"`: the highest sensitivity where the specificity is at least that.

        Raises
        ------
        SettingsError
            The choice is none of these.
        """
        rule, wanted = parse(choice)
        if rule == "sensitivity":
            best = max(self._reaching(1, wanted), key=lambda p: (p[2], p[0]))
            goal = f"sensitivity of at least {wanted:g}"
        elif rule == "specificity":
            best = max(self._reaching(2, wanted), key=lambda p: (p[1], p[0]))
            goal = f"specificity of at least {wanted:g}"
        else:
            best = max(self.points, key=_youden)
            goal = "highest Youden index"
        threshold, sensitivity, specificity = best
        return OperatingPoint(
            threshold=min(max(threshold, 0.0), 1.0),
            sensitivity=sensitivity,
            specificity=specificity,
            chosen=f"{goal} on {self.measured_on} ({self.n_pos} positive, {self.n_neg} negative)",
        )

    def _reaching(self, column: int, wanted: float) -> list[tuple[float, float, float]]:
        """Points that reach the wanted value; the nearest ones when none does."""
        nearest = max(p[column] for p in self.points)
        return [p for p in self.points if p[column] >= min(wanted, nearest)]


def parse(choice: str) -> tuple[str, float]:
    """(rule, wanted value) of `youden`, `sensitivity=0.9` or `specificity=0.9`.

    Raises
    ------
    SettingsError
        The choice is none of these.
    """
    if choice == YOUDEN:
        return YOUDEN, 0.0
    match = re.fullmatch(OPERATING_POINT, choice)
    if match is None:
        raise SettingsError(
            "an operating point is 'youden', 'sensitivity=0.9' or 'specificity=0.9' "
            f"(any value from 0 to 1), not {choice!r}"
        )
    return match[1], float(match[2])


def roc(
    labels: Sequence[bool], scores: Sequence[float], measured_on: str, *, most: int = 200
) -> Roc:
    """The curve of scores in [0, 1] and their labels, thinned to at most `most` points.

    Thresholds are observed scores, from above 1 (nothing is positive) down to the lowest.
    """
    ranked = sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])
    n_pos = sum(bool(label) for _, label in ranked)
    n_neg = len(ranked) - n_pos
    points = [(1.0, 0.0, 1.0)] if not ranked or ranked[0][0] < 1 else []
    hits = misses = 0
    for index, (score, label) in enumerate(ranked):
        hits, misses = hits + bool(label), misses + (not label)
        if index + 1 == len(ranked) or ranked[index + 1][0] < score:
            points.append((float(score), hits / n_pos, 1 - misses / n_neg))
    step = max(1, -(-len(points) // most))
    kept = [p for i, p in enumerate(points) if i % step == 0 or i == len(points) - 1]
    best = max(points, key=_youden)
    chosen = sorted({*kept, best}, key=lambda p: -p[0])
    rounded = tuple((p[0], round(p[1], 6), round(p[2], 6)) for p in chosen)
    return Roc(points=rounded, measured_on=measured_on, n_pos=n_pos, n_neg=n_neg)


def _youden(point: tuple[float, float, float]) -> tuple[float, float]:
    """Sort key: Youden's index, then sensitivity."""
    return round(point[1] + point[2], 5), -point[0]
