"""How many lesions are found at how many false marks per image (FROC), with intervals.

Bunch et al. 1977 (Proc SPIE 127:124); a lesion counts as found at a threshold when a mark of at
least that certainty hits it, however many do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.errors import DataError
from cadnode.statistics.draws import seed_or

Floats = NDArray[np.float64]

_NEVER: Final = -1.0
_MOST_POINTS: Final = 200


@dataclass(frozen=True, slots=True)
class ImageMarks:
    """What was marked in one image.

    Parameters
    ----------
    group
        The woman: images of one group are resampled together.
    lesions
        Certainty of the most certain mark on each lesion, None for a lesion without any.
    false_marks
        Certainties of the marks that hit nothing.
    counts_false
        Whether the image counts for false marks per image.
    """

    group: str
    lesions: tuple[float | None, ...]
    false_marks: tuple[float, ...]
    counts_false: bool


@dataclass(frozen=True, eq=False, slots=True)
class Froc:
    """A curve: arrays of equal length, thresholds falling."""

    thresholds: Floats
    fp_per_image: Floats
    sensitivity: Floats
    n_lesions: int
    n_images: int

    def sensitivity_at(self, fp_per_image: float) -> float:
        """The highest sensitivity with at most that many false marks an image."""
        allowed = self.fp_per_image <= fp_per_image
        return float(self.sensitivity[allowed].max(initial=0.0))

    def threshold_at(self, fp_per_image: float) -> float:
        """The lowest threshold with at most that many false marks an image."""
        allowed = self.fp_per_image <= fp_per_image
        return float(self.thresholds[allowed].min(initial=1.0))

    def as_rows(self) -> list[dict[str, float]]:
        """As written into JSON, thinned to some 200 points."""
        step = max(1, len(self.thresholds) // _MOST_POINTS)
        rows = zip(self.thresholds, self.fp_per_image, self.sensitivity, strict=True)
        return [
            {
                "threshold": round(float(t), 5),
                "fp_per_image": round(float(f), 4),
                "sensitivity": round(float(s), 4),
            }
            for i, (t, f, s) in enumerate(rows)
            if i % step == 0 or i + 1 == len(self.thresholds)
        ]


def froc(images: Sequence[ImageMarks]) -> Froc:
    """The curve of these images.

    Raises
    ------
    DataError
        There is no lesion, or no image counts for false marks.
    """
    lesions = np.array([_NEVER if v is None else v for i in images for v in i.lesions])
    false = np.array([v for i in images if i.counts_false for v in i.false_marks])
    counting = sum(i.counts_false for i in images)
    if not len(lesions) or not counting:
        raise DataError("a FROC needs lesions, and images that count for false marks")
    thresholds = np.unique(np.concatenate([lesions[lesions >= 0], false]))[::-1]
    return Froc(
        thresholds,
        _at_least(false, thresholds) / counting,
        _at_least(lesions, thresholds) / len(lesions),
        len(lesions),
        counting,
    )


def interval(
    images: Sequence[ImageMarks],
    fp_per_image: float,
    *,
    seed: int | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `sensitivity_at`: women are resampled, not images.

    The threshold is chosen again in each replicate, so its uncertainty is part of the interval.
    """
    low, high = band(
        images, [fp_per_image], seed=seed, replicates=replicates, confidence=confidence
    )
    return float(low[0]), float(high[0])


def band(
    images: Sequence[ImageMarks],
    fp_per_image: Sequence[float],
    *,
    seed: int | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> tuple[Floats, Floats]:
    """`(k,)` lower and upper ends of `interval` at `k` numbers of false marks, pointwise."""
    groups: dict[str, list[ImageMarks]] = {}
    for image in images:
        groups.setdefault(image.group, []).append(image)
    women, rng, found = list(groups.values()), np.random.default_rng(seed_or(seed)), []
    for _ in range(replicates):
        drawn = [i for k in rng.integers(0, len(women), len(women)) for i in women[k]]
        if any(i.lesions for i in drawn) and any(i.counts_false for i in drawn):
            curve = froc(drawn)
            found.append([curve.sensitivity_at(fp) for fp in fp_per_image])
    if not found:
        return np.zeros(len(fp_per_image)), np.ones(len(fp_per_image))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.array(found), (tail, 100 - tail), axis=0)
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def summary(images: Sequence[ImageMarks], *, seed: int | None = None) -> dict[str, Any]:
    """Numbers of a curve as written into JSON; no interval where one woman has all lesions."""
    curve = froc(images)
    # Choice: no interval where one woman has all lesions: the variance among women is unknown.
    several = len({i.group for i in images if i.lesions}) > 1
    low, high = interval(images, 1.0, seed=seed) if several else (0.0, 1.0)
    return {
        "n_lesions": curve.n_lesions,
        "n_images": curve.n_images,
        "n_found_at_1fp": round(curve.sensitivity_at(1.0) * curve.n_lesions),
        "sensitivity_at_1fp": round(curve.sensitivity_at(1.0), 4),
        "sensitivity_at_1fp_ci": [round(low, 4), round(high, 4)] if several else None,
        "sensitivity_at_half_fp": round(curve.sensitivity_at(0.5), 4),
        "threshold_at_1fp": round(curve.threshold_at(1.0), 5),
        "froc": curve.as_rows(),
    }


def _at_least(values: Floats, thresholds: Floats) -> Floats:
    ordered = np.sort(values)
    return np.asarray(len(values) - np.searchsorted(ordered, thresholds, side="left"), np.float64)
