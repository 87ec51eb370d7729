"""Several models' readings of one region become one, with an operating point of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import cv2
import numpy as np

from cadnode.domain import FloatImage
from cadnode.models.card import RegionCard
from cadnode.models.operating_point import OperatingPoint, Roc, roc
from cadnode.models.roi import RoiReading


@dataclass(frozen=True, eq=False, slots=True)
class EnsembleReading:
    """The members' joint assessment of one region.

    Parameters
    ----------
    probability
        Mean of the members' probabilities.
    members
        (name, probability) of each, in the order they were given.
    cam
        `(h, w) float32 in [0, 1]`, the mean of the members' maps, at the finest of their
        resolutions; None when no member made one.
    """

    probability: float
    members: tuple[tuple[str, float], ...]
    cam: FloatImage | None


def ensemble(readings: Mapping[str, RoiReading]) -> EnsembleReading:
    """The mean of the members' readings of one region (Kang 2021, Ensemble DCNN model).

    Parameters
    ----------
    readings
        By the member's name, at least one.
    """
    members = tuple((name, reading.probability) for name, reading in readings.items())
    cams = [reading.cam for reading in readings.values() if reading.cam is not None]
    return EnsembleReading(
        probability=fmean(probability for _, probability in members),
        members=members,
        cam=_mean(cams) if cams else None,
    )


def curve(members: Sequence[RegionCard]) -> Roc | None:
    """The ROC curve of the members' mean; one member's is its card's.

    It is computed from the validation scores that the members' cards hold, so any set of members
    has its curve, whichever of them are active. None where a card holds none, or where the
    members were validated on different cases.
    """
    if len(members) == 1:
        return members[0].roc
    held = [card.validation for card in members if card.validation is not None]
    if len(held) < len(members) or len({v.cases for v in held}) != 1:
        return None
    means = [fmean(of_case) for of_case in zip(*(v.scores for v in held), strict=True)]
    names = ", ".join(card.name for card in members)
    return roc(held[0].labels, means, f"{held[0].data}: mean of {names}")


def operating_point(members: Sequence[RegionCard], choice: str) -> OperatingPoint:
    """The point of the mean, chosen on its own curve.

    Kang 2021, Data and statistical analysis, and Table 1: the ensemble's cut-off is where its own
    Youden index is highest (0.247 there, while its members' cut-offs have a mean of 0.144).

    Deviation: members without a common curve are read at the mean of their thresholds, because
    nothing else is known of them; `chosen` states it, and sensitivity and specificity are theirs on
    average. `cadnode models recalibrate` gives their cards what a common curve is made of.

    Raises
    ------
    SettingsError
        There is no such way to choose an operating point.
    """
    together = curve(members)
    if together is not None:
        return together.at(choice)
    points = [card.roc.at(choice) for card in members]
    return OperatingPoint(
        threshold=fmean(p.threshold for p in points),
        sensitivity=fmean(p.sensitivity for p in points),
        specificity=fmean(p.specificity for p in points),
        chosen="mean of the members' own: they share no validation scores",
    )


def _mean(maps: list[FloatImage]) -> FloatImage:
    """The mean of `(h, w)` maps that cover the same region at different resolutions."""
    rows, cols = max(m.shape[0] for m in maps), max(m.shape[1] for m in maps)
    alike = [cv2.resize(m, (cols, rows), interpolation=cv2.INTER_LINEAR) for m in maps]
    return np.asarray(np.mean(alike, axis=0), np.float32)
