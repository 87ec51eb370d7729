"""What a threshold yields: sensitivity, specificity, accuracy, predictive values, intervals.

Intervals of single cases are Wilson's; where a woman has several, those of a GEE by woman
(`cadnode_training.results.measures`, Kang 2021, Statistical analysis).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cadnode.statistics.wilson import wilson_interval

Bools = NDArray[np.bool_]


class Measure(StrEnum):
    """A share of cases; `members` gives its denominator and its hits."""

    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    ACCURACY = "accuracy"
    PPV = "ppv"
    NPV = "npv"

    def members(self, labels: Bools, called: Bools) -> tuple[Bools, Bools]:
        """`(n,)` masks of the cases in the denominator, and of the cases that count as hits."""
        all_cases = np.ones_like(labels)
        return {
            Measure.SENSITIVITY: (labels, called),
            Measure.SPECIFICITY: (~labels, ~called),
            Measure.ACCURACY: (all_cases, labels == called),
            Measure.PPV: (called, labels),
            Measure.NPV: (~called, ~labels),
        }[self]


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval: `hits` of `n`; value and interval are None when n is 0."""

    value: float | None
    ci: tuple[float, float] | None
    hits: int
    n: int

    def as_dict(self) -> dict[str, object]:
        """As written into JSON."""
        return {
            "value": None if self.value is None else round(self.value, 4),
            "ci": None if self.ci is None else [round(bound, 4) for bound in self.ci],
            "hits": self.hits,
            "n": self.n,
        }


def wilson(hits: int, n: int, *, confidence: float = 0.95) -> Share:
    """The share `hits` of `n` with Wilson's score interval (`wilson_interval`)."""
    if n == 0:
        return Share(None, None, 0, 0)
    return Share(hits / n, wilson_interval(hits / n, n, confidence=confidence), hits, n)


def at_threshold(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Mapping[Measure, Share]:
    """All measures where scores at or above the threshold are called positive, by Wilson."""
    truth = np.asarray(labels).astype(bool)
    called = np.asarray(scores, np.float64) >= threshold
    found = {}
    for measure in Measure:
        among, counts = measure.members(truth, called)
        found[measure] = wilson(int((among & counts).sum()), int(among.sum()))
    return found
