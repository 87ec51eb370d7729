"""Breasts with the woman's age, and what the prior by age adds to the image's score of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition
from cadnode.models.age_prior import AgePrior, AgePriorMetric, AucWithInterval, Unit
from cadnode.models.breast import BreastScoring
from cadnode.models.card import DibMgCard
from cadnode.models.scanners import log_odds
from cadnode_training.data import birads
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018.breasts import (
    BreastScored,
    by_breast,
    compared,
    contrast_of,
    exam_contrast_of,
)
from cadnode_training.papers.kim2018.exams import weighted_auc_within
from cadnode_training.statistics.resample import drawn, interval, weighted_auc

METHOD: Final = "95 %, bootstrap over women, 1,000 replicates, paired"
WeightedAuc = Callable[[NDArray[np.int64]], float | None]
OF_ONE_MACHINE: Final = "pairs of one machine alone"


@dataclass(frozen=True, eq=False, slots=True)
class AgedBreasts:
    """Breasts of women whose age is stated; each array is `(n,)`.

    Parameters
    ----------
    cancer
        Whether that breast has cancer.
    image
        Log-odds of the breast's score, as reported.
    age
        Of the woman, in whole years.
    women, machines
        Their keys.
    """

    cancer: NDArray[np.bool_]
    image: NDArray[np.float64]
    age: NDArray[np.int64]
    women: NDArray[np.str_]
    machines: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.cancer)

    def where(self, keep: NDArray[np.bool_]) -> "AgedBreasts":
        """Those that `keep` selects."""
        return AgedBreasts(
            self.cancer[keep], self.image[keep], self.age[keep], self.women[keep],
            self.machines[keep],
        )  # fmt: skip

    def exams(self) -> "AgedBreasts":
        """One case a woman: cancer of either breast, and the higher of her breasts' scores."""
        _, first, exam = np.unique(self.women, return_index=True, return_inverse=True)
        cancer = np.bincount(exam, self.cancer) > 0
        image = np.full(len(first), -np.inf)
        np.maximum.at(image, exam, self.image)
        return AgedBreasts(cancer, image, self.age[first], self.women[first], self.machines[first])


def aged(
    records: Sequence[ViewRecord], logits: Sequence[float], scoring: BreastScoring
) -> tuple[AgedBreasts, int]:
    """The breasts that are compared (`compared`), and how many women of them state no age."""
    rows = compared(records, Acquisition.DIGITAL)
    breasts = by_breast([records[i] for i in rows], [logits[i] for i in rows], scoring)
    known = [(b, years) for b in breasts if (years := _age(b)) is not None]
    unknown = {b.woman for b in breasts} - {b.woman for b, _ in known}
    return AgedBreasts(
        np.array([b.cancer for b, _ in known], bool),
        np.array([log_odds(b.score) for b, _ in known], np.float64),
        np.array([years for _, years in known], np.int64),
        np.array([b.woman for b, _ in known], np.str_),
        np.array([b.first.stratum for b, _ in known], np.str_),
    ), len(unknown)


def _age(breast: BreastScored) -> int | None:
    years = birads.age(breast.first.fact("age"))
    return None if years is None else int(years)


def within_range(prior: AgePrior, breasts: AgedBreasts) -> AgedBreasts:
    """The breasts of women whose age the prior holds for."""
    return breasts.where((breasts.age >= prior.youngest) & (breasts.age <= prior.oldest))


def measured(
    prior: AgePrior, breasts: AgedBreasts, *, data: str, contrasts: dict[Unit, str]
) -> tuple[AgePriorMetric, ...]:
    """What image, age and both reach, of breasts and of exams, all and of one machine alone.

    Of the women whose age the prior holds for; () where a class is missing.
    """
    of = within_range(prior, breasts)
    units: dict[Unit, AgedBreasts] = {"breasts": of, "exams": of.exams()}
    found = []
    for unit, cases in units.items():
        contrast = contrasts[unit]
        found.append(_metric(prior, cases, data, contrast, unit, weighted_auc))
        of_one = partial(weighted_auc_within, strata=cases.machines)
        found.append(_metric(prior, cases, data, f"{contrast}; {OF_ONE_MACHINE}", unit, of_one))
    return tuple(one for one in found if one is not None)


def _metric(
    prior: AgePrior,
    cases: AgedBreasts,
    data: str,
    contrast: str,
    unit: Unit,
    auc_by: Callable[[NDArray[np.bool_], NDArray[np.float64]], WeightedAuc],
) -> AgePriorMetric | None:
    years = cases.age.astype(np.float64)
    both = prior.intercept + prior.slope * cases.image
    both += prior.per_decade * (years - prior.centre) / 10
    weights = drawn(cases.women) if len(cases) else np.zeros((0, 0), np.int64)

    def of(scores: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]] | None:
        auc = auc_by(cases.cancer, scores)
        value = auc(np.ones(len(cases), np.int64))
        if value is None:
            return None
        return value, np.array([np.nan if (v := auc(row)) is None else v for row in weights])

    image, age, together = of(cases.image), of(years), of(both)
    if image is None or age is None or together is None:
        return None
    return AgePriorMetric(
        data=data, contrast=contrast, unit=unit,
        n_pos=int(cases.cancer.sum()), n_neg=int((~cases.cancer).sum()),
        image=_auc(*image), age=_auc(*age), image_and_age=_auc(*together),
        gain=round(together[0] - image[0], 4), gain_ci=_bounds(together[1] - image[1]),
        ci_method=METHOD,
    )  # fmt: skip


def _auc(value: float, replicates: NDArray[np.float64]) -> AucWithInterval:
    return AucWithInterval(auc=round(value, 4), auc_ci=_bounds(replicates))


def _bounds(replicates: NDArray[np.float64]) -> tuple[float, float]:
    low, high = interval(replicates[~np.isnan(replicates)].tolist()) or (0.0, 0.0)
    return round(low, 4), round(high, 4)


def contrasts_of(prior: AgePrior, records: Sequence[ViewRecord]) -> dict[Unit, str]:
    """What breasts and exams of women whose age the prior holds for are compared with, in words."""
    ages = [birads.age(record.fact("age")) for record in records]
    of = [
        record
        for record, years in zip(records, ages, strict=True)
        if years is not None and prior.holds_for(years)
    ]
    return {
        "breasts": contrast_of(of, Acquisition.DIGITAL),
        "exams": exam_contrast_of(of, Acquisition.DIGITAL),
    }


def evaluated(
    card: DibMgCard, records: Sequence[ViewRecord], logits: Sequence[float]
) -> dict[str, Any]:
    """`image_and_age` of an evaluation; nothing where the card has no prior by age.

    Image, age and both are measured on the same women: those whose age the prior holds for. How
    many others there are is stated.
    """
    if card.age_prior is None:
        return {}
    breasts, unknown = aged(records, logits, card.breast)
    within = within_range(card.age_prior, breasts)
    rows = measured(
        card.age_prior, breasts, data="", contrasts=contrasts_of(card.age_prior, records)
    )
    levels = [
        {
            "unit": row.unit,
            "contrast": row.contrast,
            "auc": row.image_and_age.auc,
            "auc_ci": list(row.image_and_age.auc_ci),
            "image_only": row.image.model_dump(mode="json"),
            "age_only": row.age.model_dump(mode="json"),
            "difference_to_image": row.gain,
            "difference_ci": list(row.gain_ci),
            "n_pos": row.n_pos,
            "n_neg": row.n_neg,
            "ci_method": row.ci_method,
        }
        for row in rows
    ]
    first: dict[str, Any] = levels[0] if levels else {"auc": None, "auc_ci": None}
    return {
        "image_and_age": first
        | {
            "women": len(set(within.women.tolist())),
            "women_without_age": unknown,
            "women_out_of_range": len(set(breasts.women.tolist()) - set(within.women.tolist())),
            "ages": [card.age_prior.youngest, card.age_prior.oldest],
            "further": levels[1:],
        }
    }
