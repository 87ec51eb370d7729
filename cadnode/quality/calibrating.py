"""How a scanner's calibration is fitted on what a node has read: values in, values out.

Two ways, by what is known of the exams:

- **outcomes**: Platt's form is fitted on breasts' log-odds and what became of the breasts, and the
  scanner's operating point is chosen on its own curve of exams. The intercept is brought from the
  share of cancers among these breasts to the card's (King and Zeng 2001, Polit Anal 9:137): a
  score then means the same on every scanner.
- **call rate**: without outcomes, the log-odds are shifted and scaled so that the scanner's scores
  have the spread of a reference's, and the same share of exams reaches the card's operating point.
  That supposes that the women are alike; it cannot see whether the scanner's AUC holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.models.operating_point import OperatingPoint, Roc, roc
from cadnode.models.scanners import ScannerCalibration, ScannerMatch, from_log_odds, log_odds
from cadnode.statistics import auc, binary, logistic
from cadnode.statistics.auc import Auc, Floats
from cadnode.statistics.binary import Share
from cadnode.statistics.logistic import LogisticFit

FEWEST_CASES: Final = 20
"""Exams with and without cancer below which nothing is fitted on outcomes: of fewer cancers the
95 % interval of a sensitivity of 90 % is wider than 0.70 to 0.97 (Wilson, 18 of 20)."""
FOR_A_SLOPE: Final = 100
"""Breasts of each class from which on a slope is fitted, too; below, only the intercept
(Vergouwe et al. 2005, J Clin Epidemiol 58:475: 100 events and 100 non-events)."""
FEWEST_READ: Final = 200
"""Exams of a scanner, and of its reference, below which no call rate is matched: the 95 % interval
of a call rate of 10 % is 0.066 to 0.149 then (Wilson, 20 of 200)."""
_OUTSIDE: Final = 0.05  # share of scores beyond those of the card's curve that is warned about


class CannotCalibrate(Exception):
    """Why a scanner gets no calibration, in a sentence for people."""


@dataclass(frozen=True, slots=True)
class GeneralReading:
    """A reading as the card's own calibration scores it: breasts' scores in [0, 1] by side.

    `outcomes`: whether a breast has cancer, of those of which it is known. `month`: `YYYY-MM`.
    `woman`: whose exam it is; "" where that is not known, as in a journal.
    """

    study: str
    month: str
    breasts: dict[Laterality, float]
    outcomes: dict[Laterality, bool] = field(default_factory=dict)
    woman: str = ""

    @property
    def score(self) -> float:
        """The exam's, the higher of its breasts'."""
        return max(self.breasts.values())

    @property
    def has_cancer(self) -> bool | None:
        """Of the exam; None where that is not known."""
        if any(self.outcomes.values()):
            return True
        return False if self.outcomes and self.breasts.keys() <= self.outcomes.keys() else None


@dataclass(frozen=True, slots=True)
class CalibrationTarget:
    """What is calibrated: a model's card, as far as it matters here.

    Parameters
    ----------
    spec
        `NAME@VERSION`.
    point, choice
        The card's own operating point, and the rule it was chosen by (`Roc.at`).
    curve
        The card's own.
    prevalence
        Share of cancers in the data that the card was calibrated on.
    materials
        What the weights were trained on, in words; "" where the card does not state it.
    vendors
        Whose scanners the card names (`quality.vendors`); None where that is not looked at.
    """

    spec: str
    point: OperatingPoint
    choice: str
    curve: Roc
    prevalence: float
    materials: str = ""
    vendors: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration, and what it changes on the scanner's readings.

    `of_outcomes` is the fit of the general scores before it, at the card's prevalence; None without
    outcomes. `before` and `after` are call rates of all readings of the scanner.
    """

    calibration: ScannerCalibration
    threshold_before: float
    threshold_after: float
    before: Share
    after: Share
    reference: Share | None = None
    auc: Auc | None = None
    of_outcomes: LogisticFit | None = None
    sensitivity: Share | None = None
    specificity: Share | None = None


def by_outcomes(
    match: ScannerMatch,
    readings: Sequence[GeneralReading],
    target: CalibrationTarget,
    warnings: Sequence[str] = (),
) -> CalibrationFit:
    """The calibration of a scanner by what became of the women.

    Raises
    ------
    CannotCalibrate
        Too few outcomes, or its scores do not rise with cancer.
    """
    known = [one for one in readings if one.has_cancer is not None]
    labels = [bool(one.has_cancer) for one in known]
    n_pos, n_neg = sum(labels), labels.count(False)
    if min(n_pos, n_neg) < FEWEST_CASES:
        raise CannotCalibrate(
            f"{n_pos} exams with cancer and {n_neg} without are known; {FEWEST_CASES} of each are "
            "needed, below which a sensitivity of 90 % has an interval wider than 70 to 97 %"
        )
    fitted, several = _fitted(known, target.prevalence)
    general = [one.score for one in known]
    change = _Change(round(fitted.slope, 6), round(fitted.intercept, 6))
    curve = roc(
        labels, [change(score) for score in general],
        f"exams with cancer against exams without, read on {match}", most=200,
    )  # fmt: skip
    point = curve.at(target.choice)
    found = [*warnings, *_range_warning(readings, target)]
    if not several:
        found.append(f"the slope is held at 1: a class has fewer than {FOR_A_SLOPE} breasts")
    calibration = _made(
        match, "outcomes", readings, change, found,
        exam=curve, n_pos=n_pos, n_neg=n_neg,
    )  # fmt: skip
    hits = binary.at_threshold(labels, [change(score) for score in general], point.threshold)
    return CalibrationFit(
        calibration,
        target.point.threshold,
        point.threshold,
        _called([one.score for one in readings], target.point.threshold),
        _called([change(one.score) for one in readings], point.threshold),
        auc=auc.by_woman(labels, general, [one.woman or one.study for one in known]),
        of_outcomes=fitted,
        sensitivity=hits[binary.Measure.SENSITIVITY],
        specificity=hits[binary.Measure.SPECIFICITY],
    )


def by_call_rate(
    match: ScannerMatch,
    readings: Sequence[GeneralReading],
    reference: Sequence[GeneralReading],
    target: CalibrationTarget,
    warnings: Sequence[str] = (),
) -> CalibrationFit:
    """The calibration that brings a scanner's scores to the distribution of a reference.

    Raises
    ------
    CannotCalibrate
        There are too few readings, or all have one score.
    """
    for what, n in (("the scanner", len(readings)), ("the reference", len(reference))):
        if n < FEWEST_READ:
            raise CannotCalibrate(
                f"{n} exams of {what} were read; {FEWEST_READ} are needed, below which a call rate "
                "of 10 % has an interval wider than 6.6 to 14.9 %"
            )
    threshold = target.point.threshold
    own, wanted = _log_odds(readings), _log_odds(reference)
    rate = float((wanted >= log_odds(threshold)).mean())
    slope = _spread(wanted) / _spread(own)
    if 0 < rate < 1:
        intercept = log_odds(threshold) - slope * _cut(own, rate)
    else:  # nothing or all of the reference is called: the middles are brought together
        intercept = float(np.median(wanted)) - slope * float(np.median(own))
    change = _Change(round(slope, 6), round(intercept, 6))
    warned = [*warnings, *_range_warning(readings, target)]
    if not 0.5 <= slope <= 2:
        warned.append(
            f"the scores are spread {1 / slope:.1f} times as wide as the reference's: something "
            "other than a shift has changed, look at images of this scanner"
        )
    calibration = _made(match, "call rate", readings, change, warned)
    return CalibrationFit(
        calibration,
        threshold,
        threshold,
        _called([one.score for one in readings], threshold),
        _called([change(one.score) for one in readings], threshold),
        reference=_called([one.score for one in reference], threshold),
    )


def _fitted(known: Sequence[GeneralReading], prevalence: float) -> tuple[LogisticFit, bool]:
    """The fit of breasts, at the card's prevalence; and whether its slope was fitted."""
    breasts = [(one, side) for one in known for side in one.breasts if side in one.outcomes]
    values = [log_odds(one.breasts[side]) for one, side in breasts]
    labels = [one.outcomes[side] for one, side in breasts]
    women = [one.woman or one.study for one, _ in breasts]
    n_pos = sum(labels)
    several = min(n_pos, len(labels) - n_pos) >= FOR_A_SLOPE
    try:
        fitted = logistic.fit(values, labels, holding_slope=not several, women=women)
    except DataError as error:
        raise CannotCalibrate(str(error)) from None
    if fitted.slope <= 0:
        raise CannotCalibrate("its scores do not rise with cancer: look at its images first")
    shift = log_odds(prevalence) - log_odds(n_pos / len(labels))
    return fitted.moved(shift), several


@dataclass(frozen=True, slots=True)
class _Change:
    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        return from_log_odds(self.slope * log_odds(score) + self.intercept)


def _log_odds(readings: Sequence[GeneralReading]) -> Floats:
    return np.array([log_odds(one.score) for one in readings], np.float64)


def _spread(values: Floats) -> float:
    low, high = np.quantile(values, (0.25, 0.75))
    if high <= low:
        raise CannotCalibrate("half of the exams have one score: nothing can be matched")
    return float(high - low)


def _cut(values: Floats, rate: float) -> float:
    """The value that this share of the values reaches, halfway to the next lower one."""
    ordered = np.sort(values)[::-1]
    n_called = min(max(round(rate * len(ordered)), 1), len(ordered) - 1)
    return float(ordered[n_called - 1] + ordered[n_called]) / 2


def _called(scores: Sequence[float], threshold: float) -> Share:
    return binary.wilson(sum(score >= threshold for score in scores), len(scores))


def _range_warning(readings: Sequence[GeneralReading], target: CalibrationTarget) -> list[str]:
    """Whether scores lie beyond those that the card's curve was measured on."""
    low, high = target.curve.points[-1][0], target.curve.points[0][0]
    beyond = sum(not low <= one.score <= high for one in readings) / len(readings)
    if beyond <= _OUTSIDE:
        return []
    return [
        f"{beyond:.0%} of its exams score outside what the card's curve was measured on "
        f"({low:.3g} to {high:.3g})"
    ]


def _made(
    match: ScannerMatch,
    method: str,
    readings: Sequence[GeneralReading],
    change: _Change,
    warnings: Sequence[str],
    **changes: object,
) -> ScannerCalibration:
    months = sorted(one.month for one in readings)
    return ScannerCalibration.model_validate(
        {
            "match": match,
            "method": method,
            "slope": change.slope,
            "intercept": change.intercept,
            "data": "readings of this node" + (" and their outcomes" if changes else ""),
            "since": months[0],
            "until": months[-1],
            "n_exams": len(readings),
            "warnings": tuple(warnings),
            **changes,
        }
    )
