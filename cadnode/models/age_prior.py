"""A prior by age on a view model's card: the woman's age beside what the images show.

A score of image and age is log-odds = intercept + slope · image + per_decade · (age − centre) / 10,
where image is the log-odds of a breast's score. The age is one for both breasts, so that it never
changes which of a woman's breasts has the higher score.

It is a score of its own: the image's score, its operating point and all calls stay as they are.
"""

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from cadnode.models.card_parts import CardPart, UnitInterval

Unit = Literal["breasts", "exams"]


class AucWithInterval(CardPart):
    """An area under the ROC curve and its 95 % interval."""

    auc: float = Field(ge=0, le=1)
    auc_ci: UnitInterval


class AgePriorMetric(CardPart):
    """What the image, the age and both together reach on the same cases.

    Parameters
    ----------
    data, contrast, unit
        The part of a data set; what was compared with what; what was counted.
    image, age, image_and_age
        The image's own score, the age in years instead of a score, and both.
    gain, gain_ci
        AUC of image and age less the image's, and its paired 95 % interval.
    """

    data: str
    contrast: str
    unit: Unit
    n_pos: int = Field(ge=1)
    n_neg: int = Field(ge=1)
    image: AucWithInterval
    age: AucWithInterval
    image_and_age: AucWithInterval
    gain: float = Field(ge=-1, le=1)
    gain_ci: UnitInterval
    ci_method: str


class AgePrior(CardPart):
    """How a breast's score and the woman's age become the score of image and age.

    Parameters
    ----------
    intercept, slope
        Of the log-odds of the breast's score; a slope of 1 takes them as they are calibrated.
    per_decade, per_decade_ci
        Log-odds for ten years of age, and the 95 % interval by woman.
    centre
        The age in years at which the term of age is 0.
    youngest, oldest
        Whole years of age, both included, for which it holds.
    fitted_on, n_women, n_cancer
        The data in a sentence; women, and those of them with cancer.
    intercept_from, n_intercept_women, n_intercept_cancer
        The data of the intercept: women that the network did not see in training.
    prevalence
        Share of breasts with cancer in the data of the intercept: the score holds for it.
    metrics
        Measured on women on whom nothing was fitted.
    limits
        What has to be known, a sentence each.
    command, on
        How and when it was made.
    """

    intercept: float = Field(allow_inf_nan=False)
    slope: float = Field(gt=0, allow_inf_nan=False)
    per_decade: float = Field(allow_inf_nan=False)
    per_decade_ci: UnitInterval
    centre: float = Field(ge=0, le=120)
    youngest: int = Field(ge=18, le=120)
    oldest: int = Field(ge=18, le=120)
    fitted_on: str
    n_women: int = Field(ge=1)
    n_cancer: int = Field(ge=1)
    intercept_from: str
    n_intercept_women: int = Field(ge=1)
    n_intercept_cancer: int = Field(ge=1)
    prevalence: float = Field(gt=0, lt=1)
    metrics: tuple[AgePriorMetric, ...] = ()
    limits: tuple[str, ...] = ()
    command: str
    on: date

    @model_validator(mode="after")
    def _is_of_a_range(self) -> Self:
        if self.youngest >= self.oldest:
            raise ValueError("youngest: not below oldest")
        return self

    def __str__(self) -> str:
        """Such as "+0.42 log-odds for ten years, ages 41 to 83; breasts: AUC 0.71, image 0.66"."""
        measured = [
            f"{one.unit}: AUC {one.image_and_age.auc:.2f}, image {one.image.auc:.2f}, age "
            f"{one.age.auc:.2f}"
            for one in self.metrics
            if "one machine" not in one.contrast
        ]
        change = f"{self.per_decade:+.2f} log-odds for ten years"
        return "; ".join([f"{change}, ages {self.youngest} to {self.oldest}", *measured])

    def holds_for(self, years: int) -> bool:
        """Whether an age is among those it was fitted on."""
        return self.youngest <= years <= self.oldest

    def log_odds(self, image: float, years: float) -> float:
        """Of image and age, from the log-odds of the image's score and the age in years."""
        return self.intercept + self.slope * image + self.per_decade * (years - self.centre) / 10
