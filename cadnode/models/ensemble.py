"""Several models' readings of one region become one."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import cv2
import numpy as np

from cadnode.domain import FloatImage
from cadnode.models.roi_model import RoiReading


@dataclass(frozen=True, eq=False, slots=True)
class EnsembleReading:
    """What the members say of one region together.

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


def _mean(maps: list[FloatImage]) -> FloatImage:
    """The mean of `(h, w)` maps that cover the same region at different resolutions."""
    rows, cols = max(m.shape[0] for m in maps), max(m.shape[1] for m in maps)
    alike = [cv2.resize(m, (cols, rows), interpolation=cv2.INTER_LINEAR) for m in maps]
    return np.asarray(np.mean(alike, axis=0), np.float32)
