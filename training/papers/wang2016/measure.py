"""How well each classifier does: AUCs with intervals, and the paper's table beside."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.errors import DataError
from cadnode.models.card import Metric, Scenario
from cadnode.statistics import binary
from cadnode.statistics.auc import auc, by_woman
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.statistics import grouped
from cadnode_training.statistics.grouped import GroupedCases

Floats = NDArray[np.float64]
CONTRAST: Final = "malignant against benign lesions"
NAMES: Final = {"sae": "stacked autoencoder", "svm": "SVM", "knn": "KNN", "lda": "LDA"}
# Tables 2 to 4, test group of 204: accuracy, sensitivity, specificity, AUC.
PAPER: Final[Mapping[Scenario, Mapping[str, tuple[float, float, float, float]]]] = {
    "calcifications": {
        "svm": (0.858, 0.93, 0.79, 0.85),
        "knn": (0.838, 0.95, 0.74, 0.84),
        "lda": (0.588, 0.63, 0.55, 0.59),
        "sae": (0.873, 0.93, 0.82, 0.87),
    },
    "masses": {
        "svm": (0.613, 1.00, 0.26, 0.60),
        "knn": (0.588, 1.00, 0.21, 0.57),
        "lda": (0.534, 0.99, 0.12, 0.52),
        "sae": (0.613, 0.99, 0.27, 0.61),
    },
    "both": {
        "svm": (0.858, 0.95, 0.78, 0.85),
        "knn": (0.843, 0.94, 0.76, 0.83),
        "lda": (0.740, 0.84, 0.65, 0.74),
        "sae": (0.897, 0.89, 0.90, 0.90),
    },
}


def rows(
    scenario: Scenario,
    table: FeatureTable,
    probabilities: Mapping[str, Floats],
    thresholds: Mapping[str, float],
) -> list[dict[str, Any]]:
    """One row per classifier, as in Tables 2 to 4, with the paper's own numbers.

    `auc` and `auc_ci` are None where the table lacks a class, or has too few women of one.
    """
    found = []
    for name, scores in probabilities.items():
        cases = GroupedCases(table.malignant, scores, table.women)
        at = binary.at_threshold(table.malignant, scores, thresholds[name])
        paper = dict(
            zip(("accuracy", "sensitivity", "specificity", "auc"), PAPER[scenario][name],
                strict=True)
        )  # fmt: skip
        found.append(
            {"classifier": name, **grouped.auc_of(cases)}
            | {"threshold": round(thresholds[name], 4)}
            | {m.value: at[m].as_dict() for m in binary.Measure}
            | {"paper": paper}
        )
    return found


def best_possible(table: FeatureTable, reached: float) -> dict[str, Any]:
    """AUC of the probabilities that the phantom drew with, and the share of it reached.

    `share_of_best` is (reached − ½) / (best − ½); nothing where the regions are real.
    """
    if not np.isfinite(table.p_malignant).all():
        return {}
    best = auc(table.malignant, table.p_malignant)
    return {
        "best_auc_on_these": round(best, 4),
        "share_of_best": round((reached - 0.5) / (best - 0.5), 4),
    }


def metric(table: FeatureTable, scores: Floats, name: str, data: str) -> Metric:
    """The AUC as a card's metric.

    Raises
    ------
    DataError
        The table lacks a class.
    """
    one = by_woman(table.malignant, scores, table.women)
    if one is None:
        raise DataError("an AUC needs both classes: one of them is empty")
    return Metric(
        name=name, data=data, contrast=CONTRAST, unit="regions", n_pos=one.n_pos, n_neg=one.n_neg,
        auc=round(one.value, 4), auc_ci=one.bounds, ci_method=one.method,
    )  # fmt: skip
