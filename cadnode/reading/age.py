"""The score of image and age, beside the image's own: made last, and nothing is decided by it."""

from collections.abc import Sequence
from dataclasses import replace

from cadnode.domain import BreastScore, ImageAndAge, NoAgeScore
from cadnode.exam.age import ages_stated
from cadnode.models.age_prior import AgePrior
from cadnode.models.card import DibMgCard
from cadnode.models.scanners import from_log_odds, log_odds
from cadnode.reading.verdict import ScoredView


def image_and_age(
    scored: Sequence[ScoredView], breasts: Sequence[BreastScore]
) -> ImageAndAge | None:
    """Scores of image and age of an exam's breasts, or why there are none; None without views.

    `breasts` are scored as reported: by the calibration of the exam's scanner, where there is one.

    Choice: headers may differ by one year, as dates of birth are often rounded and an age may be of
    the day of the order; what differs by more has no score. Patient's Age goes before the dates.
    """
    models = {id(s.model): s.model for s in scored}
    if not models:
        return None
    card = next(iter(models.values())).card
    algorithm = card.name if len(models) == 1 else ""
    prior = card.age_prior if algorithm and isinstance(card, DibMgCard) else None
    if prior is None:
        return ImageAndAge(algorithm, None, reason=NoAgeScore.NO_PRIOR)
    ages = ages_stated(s.mammogram.header for s in scored)
    if reason := _why_not(ages, prior):
        return ImageAndAge(algorithm, None, reason=reason)
    both = tuple(
        replace(b, score=from_log_odds(prior.log_odds(log_odds(b.score), ages[0]))) for b in breasts
    )
    return ImageAndAge(algorithm, max(b.score for b in both), both)


def _why_not(ages: Sequence[int], prior: AgePrior) -> NoAgeScore | None:
    if not ages:
        return NoAgeScore.AGE_UNKNOWN
    if max(ages) - min(ages) > 1:
        return NoAgeScore.AGE_CONTRADICTORY
    return None if prior.holds_for(ages[0]) else NoAgeScore.AGE_OUT_OF_RANGE
