"""How well exams with and without cancer are separated, as the node scores them."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.models.operating_point import Roc
from cadnode.statistics.auc import auc
from cadnode_training.papers.kim2018.breasts import ExamScored, auc_within
from cadnode_training.statistics.resample import Weights, drawn, interval, weighted_auc

SENSITIVITY: Final = 0.8
_METHOD: Final = "95 %, bootstrap over women, 1,000 replicates"

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def level(exams: Sequence[ExamScored], curve: Roc, contrast: str) -> dict[str, Any]:
    """`exam_level`: AUC, AUC within strata, shares at the node's operating point and at 80 %.

    `curve` is the card's, on which the operating point was chosen: never on these exams. The
    specificity at 80 % sensitivity is read off the ROC curve of these exams, and again in each
    replicate. Empty where a class is missing.
    """
    labels = np.array([e.cancer for e in exams], bool)
    if labels.all() or not labels.any():
        return {}
    scores = np.array([e.score for e in exams], np.float64)
    strata = np.array([e.stratum for e in exams], np.str_)
    weights = drawn([e.woman for e in exams])
    point = curve.at()
    found: dict[str, Any] = {
        "auc": round(auc(labels, scores), 4),
        "auc_ci": _interval(weights, weighted_auc(labels, scores)),
        "n_pos": int(labels.sum()),
        "n_neg": int((~labels).sum()),
        "contrast": contrast,
        "unit": "exams",
        "ci_method": _METHOD,
        "within_stratum": _within(labels, scores, strata, weights),
        "operating_point": _shares(labels, scores, point.threshold, weights)
        | {"chosen": point.chosen},
        "specificity_at_80_sensitivity": _share(
            weights, lambda w: specificity_at(labels, scores, w, SENSITIVITY)
        ),
    }
    classes = sorted({e.exam_class for e in exams if not e.cancer})
    found["by_class"] = [_of_class(exams, name, point.threshold) for name in classes]
    return {"exam_level": found}


def specificity_at(
    labels: Bools, scores: Floats, weights: NDArray[np.int64], sensitivity: float
) -> float | None:
    """The highest specificity where the sensitivity is at least that; case i counts `weights[i]`.

    None where a class is not drawn.
    """
    positive, negative = weights * labels, weights * ~labels
    if not positive.sum() or not negative.sum():
        return None
    thresholds = np.unique(scores)[::-1]
    hits = np.array([positive[scores >= t].sum() for t in thresholds]) / positive.sum()
    threshold = thresholds[int(np.argmax(hits >= sensitivity - 1e-12))]
    return float(negative[scores < threshold].sum() / negative.sum())


def _within(labels: Bools, scores: Floats, strata: NDArray[np.str_], weights: Weights) -> Any:
    """The AUC of pairs within a machine or digitizer, which cannot reveal the class there."""
    within = auc_within(labels.tolist(), scores.tolist(), strata.tolist())
    if within is None:
        return None
    weighted = weighted_auc_within(labels, scores, strata)
    return {"auc": round(within, 4), "auc_ci": _interval(weights, weighted)}


def weighted_auc_within(
    labels: Bools, scores: Floats, strata: NDArray[np.str_]
) -> Callable[[NDArray[np.int64]], float | None]:
    """As `weighted_auc`, of the pairs whose cases are of one stratum (`auc_within`)."""
    names = [strata == name for name in np.unique(strata)]
    kept = [of for of in names if len(set(labels[of].tolist())) == 2]
    auc_of = [weighted_auc(labels[of], scores[of]) for of in kept]

    def weighted(row: NDArray[np.int64]) -> float | None:
        total = pairs = 0.0
        for of, value in zip(kept, auc_of, strict=True):
            one = value(row[of])
            if one is not None:
                n = float(row[of][labels[of]].sum() * row[of][~labels[of]].sum())
                total, pairs = total + n * one, pairs + n
        return total / pairs if pairs else None

    return weighted


def _shares(labels: Bools, scores: Floats, threshold: float, weights: Weights) -> dict[str, Any]:
    def share(of: Bools, called: Bools) -> Callable[[NDArray[np.int64]], float | None]:
        return lambda w: (
            float((w * (of & called)).sum() / (w * of).sum()) if (w * of).any() else None
        )

    called = scores >= threshold
    return {
        "threshold": round(threshold, 4),
        "sensitivity": _share(weights, share(labels, called)),
        "specificity": _share(weights, share(~labels, ~called)),
    }


def _of_class(exams: Sequence[ExamScored], name: str, threshold: float) -> dict[str, Any]:
    below = [e.score < threshold for e in exams if not e.cancer and e.exam_class == name]
    return {
        "class": name,
        "n": len(below),
        "specificity": round(sum(below) / len(below), 4),
    }


def _share(
    weights: Weights, measure: Callable[[NDArray[np.int64]], float | None]
) -> dict[str, Any]:
    value = measure(np.ones(weights.shape[1], np.int64))
    rounded = None if value is None else round(value, 4)
    return {"value": rounded, "ci": _interval(weights, measure)}


def _interval(
    weights: Weights, measure: Callable[[NDArray[np.int64]], float | None]
) -> list[float] | None:
    values = [value for row in weights if (value := measure(row)) is not None]
    found = interval(values)
    return None if found is None else [round(bound, 4) for bound in found]
