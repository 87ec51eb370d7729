"""Which points the plots draw: ROC with its band, precision and recall, single features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cadnode.errors import DataError
from cadnode.statistics.auc import Auc, Floats, auc, delong
from cadnode_training.statistics import resample

GRID: Final = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False, slots=True)
class RocCurve:
    """`(k,)` false positive rates, rising, with the sensitivity at each, and a band on `GRID`."""

    fpr: Floats
    tpr: Floats
    low: Floats
    high: Floats
    replicates: int


@dataclass(frozen=True, eq=False, slots=True)
class PrecisionRecall:
    """`(k,)` recalls, rising, with the precision at each; `average` is the average precision.

    `prevalence` is the precision of guessing.
    """

    recall: Floats
    precision: Floats
    average: float
    prevalence: float


def roc(
    labels: ArrayLike,
    scores: ArrayLike,
    women: ArrayLike,
    *,
    replicates: int = resample.REPLICATES,
    seed: int = 0,
) -> RocCurve:
    """The empirical curve with a 95 % band: at each false positive rate, percentiles over women.

    Kang 2021, Fig. 1b: 1,000 bootstrap replicas. Choice: women are resampled, not images, because a
    woman's images resemble each other; the band is pointwise.

    Raises
    ------
    DataError
        One of the classes is empty.
    """
    truth, values = _checked(labels, scores)
    levels, group = np.unique(-values, return_inverse=True)
    found = []
    for weights in resample.drawn(women, replicates=replicates, seed=seed):
        pos = np.bincount(group, weights * truth, len(levels))
        neg = np.bincount(group, weights * ~truth, len(levels))
        if pos.sum() and neg.sum():
            found.append(np.interp(GRID, *_vertices(neg, pos)))
    fpr, tpr = _vertices(
        np.bincount(group, ~truth, len(levels)), np.bincount(group, truth, len(levels))
    )
    low, high = resample.band(np.array(found)) if found else (GRID * 0, GRID * 0 + 1)
    return RocCurve(fpr, tpr, low, high, len(found))


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecall:
    """Precision and recall at every threshold.

    The average precision is Σ (rₖ − rₖ₋₁) pₖ, without interpolation (Davis and Goadrich 2006,
    ICML: straight lines between points are too good).

    Raises
    ------
    DataError
        One of the classes is empty.
    """
    truth, values = _checked(labels, scores)
    levels, group = np.unique(-values, return_inverse=True)
    hits = np.cumsum(np.bincount(group, truth, len(levels)))
    called = np.cumsum(np.bincount(group, minlength=len(levels)))
    recall, precision = hits / truth.sum(), hits / called
    average = float((np.diff(recall, prepend=0) * precision).sum())
    return PrecisionRecall(recall, precision, average, float(truth.mean()))


def single_features(
    labels: ArrayLike, columns: Mapping[str, ArrayLike]
) -> dict[str, tuple[Auc, Floats, Floats]]:
    """AUC, false positive rates and sensitivities of each feature alone, best first.

    Wang 2016, Fig. 4. Choice: a feature that falls with malignancy is negated, because the paper
    shows no curve below the diagonal; the best AUC is then optimistic, being chosen on the cases
    it is measured on.
    """
    truth = np.asarray(labels).astype(bool)
    found = {}
    for name, column in columns.items():
        values = np.asarray(column, np.float64)
        turned = values if auc(truth, values) >= 0.5 else -values
        levels, group = np.unique(-turned, return_inverse=True)
        fpr, tpr = _vertices(
            np.bincount(group, ~truth, len(levels)), np.bincount(group, truth, len(levels))
        )
        found[name] = (delong(truth, turned), fpr, tpr)
    return dict(sorted(found.items(), key=lambda item: -item[1][0].value))


def _vertices(neg: NDArray[Any], pos: NDArray[Any]) -> tuple[Floats, Floats]:
    """False positive rates and sensitivities from (0, 0) to (1, 1), by falling score."""
    fpr = np.concatenate([[0.0], np.cumsum(neg) / neg.sum()])
    return fpr, np.concatenate([[0.0], np.cumsum(pos) / pos.sum()])


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, Floats]:
    truth, values = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    if truth.all() or not truth.any():
        raise DataError("a curve needs both classes: one of them is empty")
    return truth, values
