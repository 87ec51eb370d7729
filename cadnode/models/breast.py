"""A breast's score from its views' log-odds, alone or against the woman's other breast.

Kim 2018 averages over the views of a breast (two-stage global average pooling). Radiologists also
compare sides: where a card has a contralateral weight, part of the other breast's mean log-odds is
taken off, so that of what both breasts share (density, film, exposure) less is left.

An exam's score is the higher of its breasts', and exam and breasts have one operating point,
chosen on exams: so an exam that does not reach it has no breast that does. At weight 1 the two
scores would add up to one whatever the images show; `training/papers/kim2018/validation.py` states
which weights are allowed.
"""

from collections.abc import Mapping, Sequence
from math import exp
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import Laterality


class BreastScoring(BaseModel):
    """How log-odds of views become a breast's score.

    Parameters
    ----------
    contralateral_weight
        Share of the other breast's mean log-odds that is taken off; 0 scores each breast alone.
    contralateral_mean
        Mean log-odds of breasts in the data it was fitted on; stands for a breast that is
        missing from the exam.
    slope, intercept
        Platt's, on the combined log-odds: score = 1 / (1 + exp(−(slope · x + intercept))).
    fitted_on
        The data, in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contralateral_weight: float = Field(ge=0, le=1)
    contralateral_mean: float
    slope: float = Field(gt=0)
    intercept: float
    fitted_on: str

    def scores(self, logits: Mapping[Laterality, Sequence[float]]) -> dict[Laterality, float]:
        """Score in [0, 1] of each breast that has views, from its views' log-odds."""
        means = {side: fmean(values) for side, values in logits.items() if values}
        return {side: self._score(side, means) for side in means}

    def _score(self, side: Laterality, means: Mapping[Laterality, float]) -> float:
        combined = combine(
            means[side],
            means.get(side.other),
            self.contralateral_weight,
            self.contralateral_mean,
        )
        raised = self.slope * combined + self.intercept
        return 1 / (1 + exp(-min(max(raised, -60.0), 60.0)))


def combine(own: float, other: float | None, weight: float, mean: float) -> float:
    """Log-odds of a breast less `weight` of the other's distance from `mean`."""
    return own - weight * ((mean if other is None else other) - mean)
