"""Calibrations of single scanners on a card: whose mammograms they are for, and what they change.

One network gives one anatomy other scores on another scanner: other detectors, other processing,
another release of its software. A local calibration shifts and scales the log-odds of breasts'
scores from one scanner, which is Platt's form on top of the card's own. It is monotone, so that
the scanner's AUC stays what it is, and the order of its exams too. The exam's score is the higher
of its breasts' after it as before.

Views' scores, maps and regions stay on the card's own calibration.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal, Protocol, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cadnode.exam.scanner import Scanner
from cadnode.models.breast import BreastScoring
from cadnode.models.card_parts import CardBase, CardPart
from cadnode.models.operating_point import OperatingPoint, Roc

_MONTH = r"^\d{4}-\d{2}$"


class ScannerMatch(CardPart):
    """Which scanners a calibration is for: those that agree in all that is stated here.

    "" is any; letter case and runs of spaces do not count. `manufacturer` is the vendor's name as
    cadnode gives it (`hologic`, `ge`, …), or as headers have it.
    """

    manufacturer: str = ""
    model: str = ""
    station: str = ""
    software: str = ""

    @model_validator(mode="after")
    def _states_something(self) -> Self:
        if not any(self._stated):
            raise ValueError("states nothing: it would be for every scanner")
        return self

    @property
    def _stated(self) -> tuple[str, ...]:
        return tuple(
            _plain(text) for text in (self.manufacturer, self.model, self.station, self.software)
        )

    @property
    def specificity(self) -> tuple[int, tuple[bool, ...]]:
        """Sort key: more that is stated first; of as much, station, software, model, maker."""
        stated = self._stated
        return sum(map(bool, stated)), tuple(bool(stated[n]) for n in (2, 3, 1, 0))

    def fits(self, scanner: Scanner) -> bool:
        """Whether a scanner agrees in all that is stated."""
        has = (
            (scanner.vendor, scanner.manufacturer),
            (scanner.model,),
            (scanner.station,),
            (scanner.software,),
        )
        return all(
            not wanted or wanted in map(_plain, given)
            for wanted, given in zip(self._stated, has, strict=True)
        )

    def covers(self, other: "ScannerMatch") -> bool:
        """Whether it is for each scanner that the other is for."""
        pairs = zip(self._stated, other._stated, strict=True)
        return all(not own or own == theirs for own, theirs in pairs)

    def __str__(self) -> str:
        """Such as "hologic Selenia Dimensions, station MG1, software 1.9"."""
        whose = " ".join(filter(None, (self.manufacturer, self.model))) or "any scanner"
        return (
            whose
            + (f", station {self.station}" if self.station else "")
            + (f", software {self.software}" if self.software else "")
        )


CalibrationMethod = Literal["outcomes", "call rate"]


class ScannerCalibration(CardPart):
    """A local calibration, and what it was made of.

    Parameters
    ----------
    match
        Whose mammograms it is for.
    method
        `outcomes`: fitted on what became of the women. `call rate`: scores are brought to the
        distribution of a reference; whether the scanner's AUC holds is not looked at.
    slope, intercept
        Of the breasts' log-odds: new = slope · old + intercept.
    exam
        The curve of exams' scores after it, on which the scanner's operating point is chosen; None
        of `call rate`, which has no outcomes: the card's own operating point holds.
    data, since, until
        What it was fitted on; first and last month of the readings, `YYYY-MM`.
    n_exams, n_pos, n_neg
        Exams of the scanner, and those of them with and without cancer.
    warnings
        What has to be known before it is activated, a sentence each.
    """

    match: ScannerMatch
    method: CalibrationMethod
    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)
    exam: Roc | None = None
    data: str
    since: str = Field(pattern=_MONTH)
    until: str = Field(pattern=_MONTH)
    n_exams: int = Field(ge=1)
    n_pos: int = Field(0, ge=0)
    n_neg: int = Field(0, ge=0)
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_the_curve_of_its_outcomes(self) -> Self:
        if (self.method == "outcomes") != (self.exam is not None):
            raise ValueError("exam: there with the method 'outcomes', and with it alone")
        return self

    def score(self, general: float) -> float:
        """The calibrated score of a breast or exam in [0, 1], of the card's general score."""
        return from_log_odds(self.slope * log_odds(general) + self.intercept)

    def general(self, score: float) -> float:
        """The inverse of `score`."""
        return from_log_odds((log_odds(score) - self.intercept) / self.slope)

    def of_breasts(self, breast: BreastScoring) -> BreastScoring:
        """How breasts are scored with it: the card's way, then this."""
        return breast.model_copy(
            update={
                "slope": self.slope * breast.slope,
                "intercept": self.slope * breast.intercept + self.intercept,
            }
        )

    def __str__(self) -> str:
        """Such as "hologic Dimensions, station MG1 (outcomes of 812 exams, 2026-01 to 2026-06)"."""
        made_of = "outcomes" if self.method == "outcomes" else "scores"
        return f"{self.match} ({made_of} of {self.n_exams} exams, {self.since} to {self.until})"


class LocalCard(CardBase):
    """A card that may hold calibrations of single scanners, and one of its kinds a prior by age.

    Without any it is written as cards were before there were such.
    """

    scanners: tuple[ScannerCalibration, ...] = ()

    @model_validator(mode="after")
    def _one_for_a_scanner(self) -> Self:
        keys = [str(one.match).lower() for one in self.scanners]
        if len(set(keys)) < len(keys):
            raise ValueError("scanners: two calibrations are for the same scanner")
        return self

    @model_serializer(mode="wrap")
    def _without_an_empty_part(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        written: dict[str, object] = handler(self)
        for name in ("scanners", "age_prior"):
            if not getattr(self, name, None):
                written.pop(name, None)
        return written


@dataclass(frozen=True, slots=True)
class ServedScoring:
    """How the breasts of one exam are scored, and from which score on they are suspicious.

    `local` is the calibration of the scanner; None where the card's own is used.
    """

    breast: BreastScoring
    operating_point: OperatingPoint
    local: ScannerCalibration | None = None


def calibration_for(
    calibrations: Iterable[ScannerCalibration], scanner: Scanner
) -> ScannerCalibration | None:
    """The most specific one that fits the scanner."""
    fitting = [one for one in calibrations if one.match.fits(scanner)]
    return max(fitting, key=lambda one: one.match.specificity, default=None)


class ScoringCard(Protocol):
    """What is needed of a view model's card."""

    @property
    def breast(self) -> BreastScoring:
        """How breasts are scored where no calibration fits."""
        ...

    @property
    def scanners(self) -> tuple[ScannerCalibration, ...]:
        """The calibrations of single scanners."""
        ...


def scoring_of(
    card: ScoringCard,
    general: OperatingPoint,
    asked: Callable[[], tuple[str, Sequence[Scanner]]],
) -> ServedScoring:
    """How an exam is scored by a card whose own operating point is `general`.

    `asked` gives the rule by which operating points are chosen (`Roc.at`) and the scanners of the
    exam's views; it is called only where the card has calibrations.

    Choice: an exam whose views have different calibrations, or of which one has none, is scored
    by the card's own, as its breasts are compared with each other.
    """
    if not card.scanners:
        return ServedScoring(card.breast, general)
    choice, scanners = asked()
    found = [calibration_for(card.scanners, scanner) for scanner in scanners]
    local = found[0] if found else None
    if local is None or any(one is not local for one in found):
        return ServedScoring(card.breast, general)
    point = general if local.exam is None else local.exam.at(choice)
    return ServedScoring(local.of_breasts(card.breast), point, local)


def log_odds(score: float) -> float:
    """Of a score in [0, 1]; scores nearer than 1e-12 to an end are taken for that near."""
    kept = min(max(score, 1e-12), 1 - 1e-12)
    return log(kept / (1 - kept))


def from_log_odds(value: float) -> float:
    """The score in [0, 1]."""
    return 1 / (1 + exp(-min(max(value, -60.0), 60.0)))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()
