"""What is fitted on validation ROIs, and what is measured on test ROIs."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cadnode.errors import DataError
from cadnode.models.card import Calibration, Metric, ValidationScores
from cadnode.statistics import binary
from cadnode.statistics.auc import auc, by_woman
from cadnode_training.data.rois import RoiRecord
from cadnode_training.statistics import grouped
from cadnode_training.statistics.grouped import GroupedCases

CONTRAST: Final = "ROIs with a malignant lesion against ROIs with a benign one"
_LEAST_SLOPE: Final = 1e-3

Floats = NDArray[np.float64]


def platt(log_odds: Floats, malignant: NDArray[np.bool_], fitted_on: str) -> Calibration:
    """Platt's calibration of log-odds; a slope that would reverse the order is held above 0.

    Raises
    ------
    DataError
        A class is missing.
    """
    if malignant.all() or not malignant.any():
        raise DataError("a calibration needs benign and malignant ROIs")
    model = LogisticRegression(C=100.0).fit(log_odds[:, None], malignant)
    return Calibration(
        slope=max(float(model.coef_[0, 0]), _LEAST_SLOPE),
        intercept=float(model.intercept_[0]),
        fitted_on=fitted_on,
        prevalence=float(malignant.mean()),
    )


def uncalibrated(malignant: NDArray[np.bool_]) -> Calibration:
    """The calibration that leaves the network's softmax as it is (Kang 2021, Table 1)."""
    return Calibration(
        slope=1,
        intercept=0,
        fitted_on="nothing: the network's own output, as in the paper",
        prevalence=float(malignant.mean()),
    )


def probabilities(log_odds: Floats, calibration: Calibration) -> Floats:
    """Calibrated, in [0, 1]."""
    raised = calibration.slope * log_odds + calibration.intercept
    return np.asarray(1 / (1 + np.exp(-np.clip(raised, -60, 60))), np.float64)


def validation_scores(records: Sequence[RoiRecord], scores: Floats, data: str) -> ValidationScores:
    """What a card keeps of the ROIs its curve is of, for the curve of an ensemble."""
    marks = "".join("1" if r.malignant else "0" for r in records)
    keys = "\n".join([*(r.key for r in records), marks])
    return ValidationScores(
        data=data,
        cases=hashlib.sha256(keys.encode()).hexdigest()[:16],
        malignant=marks,
        scores=tuple(round(float(score), 6) for score in scores),
    )


def metric(records: Sequence[RoiRecord], scores: Floats, part: str, data: str) -> Metric:
    """The AUC of a part.

    Raises
    ------
    DataError
        The part lacks a class.
    """
    auc = by_woman([r.malignant for r in records], scores, [r.key for r in records])
    if auc is None:
        raise DataError("an AUC needs both classes: one of them is empty")
    return Metric(
        name=f"AUC, {part}", data=data, contrast=CONTRAST, unit="ROIs", n_pos=auc.n_pos,
        n_neg=auc.n_neg, auc=round(auc.value, 4),
        auc_ci=auc.bounds, ci_method=auc.method,
    )  # fmt: skip


def numbers(
    records: Sequence[RoiRecord], scores: Floats, *, threshold: float | None = None
) -> dict[str, Any]:
    """AUC with interval, strata, the best possible AUC, and the numbers at a threshold."""
    row = auc_of(records, scores) | {"contrast": CONTRAST, "unit": "ROIs"}
    row |= best_possible(records, row["auc"])
    for name in ("acquisition", "type", "distribution"):
        values = sorted({getattr(r, name) or "not stated" for r in records})
        row[f"by_{name}"] = [{"stratum": v} | _of_stratum(records, scores, name, v) for v in values]
    if threshold is not None:
        row["operating_point"] = at_threshold(records, scores, threshold)
    return row


def auc_of(records: Sequence[RoiRecord], scores: Floats) -> dict[str, Any]:
    """The row of `grouped.auc_of`: AUC, interval and numbers of ROIs."""
    labels = np.array([r.malignant for r in records], bool)
    return grouped.auc_of(GroupedCases(labels, scores, np.array([r.key for r in records], np.str_)))


def best_possible(records: Sequence[RoiRecord], reached: float | None) -> dict[str, Any]:
    """AUC of the probabilities that a phantom drew with, on these very ROIs.

    `share_of_best` is (reached − ½) / (best − ½): 0 for guessing, 1 for the best possible reader.
    """
    known = [r.p_malignant for r in records if r.p_malignant is not None]
    if len(known) < len(records) or reached is None:
        return {}
    best = auc([r.malignant for r in records], known)
    return {
        "best_auc_on_these": round(best, 4),
        "share_of_best": round((reached - 0.5) / (best - 0.5), 4) if best > 0.5 else None,
    }


def at_threshold(records: Sequence[RoiRecord], scores: Floats, threshold: float) -> dict[str, Any]:
    """Shares with Wilson's intervals where a score of at least `threshold` is called malignant."""
    shares = binary.at_threshold([r.malignant for r in records], scores, threshold)
    return {"threshold": round(threshold, 4)} | {m.value: s.as_dict() for m, s in shares.items()}


def _of_stratum(
    records: Sequence[RoiRecord], scores: Floats, name: str, value: str
) -> dict[str, Any]:
    picked = [i for i, r in enumerate(records) if (getattr(r, name) or "not stated") == value]
    return auc_of([records[i] for i in picked], scores[picked])
