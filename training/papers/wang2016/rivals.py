"""How the paper's rival classifiers are fitted by scikit-learn and exported as arrays."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.svm import SVC

from cadnode.models.card import Scenario
from cadnode.models.feature_classifiers import Knn, Lda, Scaler, Svm

Floats = NDArray[np.float64]
Scaled = NDArray[np.float32]
Labels = NDArray[np.bool_]
Groups = NDArray[np.str_]

# Tables 2 to 4.
NEIGHBOURS: Final[dict[Scenario, int]] = {"calcifications": 8, "masses": 8, "both": 6}
# Choice: the paper gives no parameters of its SVM; a Gaussian kernel's are searched here.
COSTS: Final = (0.3, 1.0, 3.0, 10.0)
GAMMAS: Final = (0.03, 0.1, 0.3, 1.0)


def fit_scaler(values: Floats) -> Scaler:
    """The scaling of features: units, and the range between the 1st and 99th percentile.

    Regions without the thing measured (all its features 0) count in the percentiles too.
    """
    size = np.abs(values)
    seen = np.where(size > 0, size, np.nan)
    found = np.isfinite(seen).any(0)
    unit = np.ones(values.shape[1])
    unit[found] = np.nanmedian(seen[:, found], axis=0)
    y = np.sign(values) * np.log1p(size / unit)
    low, high = np.percentile(y, (1, 99), axis=0)
    return Scaler(unit, low, np.where(high - low > 1e-9, high, low + 1))


def fit_svm(scaled: Scaled, malignant: Labels, cost: float, gamma: float) -> Svm:
    """The support vector machine; its probability is the decision's sigmoid until calibrated."""
    rows = scaled.astype(np.float64)
    machine = SVC(C=cost, gamma=gamma, class_weight="balanced").fit(rows, malignant)
    dual = np.zeros(len(rows))
    dual[machine.support_] = machine.dual_coef_[0]
    return Svm(rows, dual, np.array(machine.intercept_[0]), np.array(gamma), np.array([1.0, 0.0]))


def fewest_women(malignant: Labels, women: Groups) -> int:
    """Women of the rarer class: a cross-validation by woman has no more folds than that."""
    return min(len(set(women[malignant == label].tolist())) for label in (True, False))


def best_svm(
    scaled: Scaled, malignant: Labels, women: Groups, *, folds: int = 10, seed: int = 0
) -> tuple[float, float]:
    """(cost, gamma) of the highest mean AUC in a cross-validation by woman.

    Fewer folds where a class has fewer women; with a single one, the middle of the grid.
    """
    folds = min(folds, fewest_women(malignant, women))
    if folds < 2:
        return COSTS[len(COSTS) // 2], GAMMAS[len(GAMMAS) // 2]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(scaled, malignant, women))

    def mean_auc(pair: tuple[float, float]) -> float:
        aucs = [
            roc_auc_score(
                malignant[held],
                fit_svm(scaled[kept], malignant[kept], *pair).decision(
                    scaled[held].astype(np.float64)
                ),
            )
            for kept, held in parts
            if len(set(malignant[held].tolist())) == 2
        ]
        return float(np.mean(aucs))

    return max(((cost, gamma) for cost in COSTS for gamma in GAMMAS), key=mean_auc)


def fit_knn(scaled: Scaled, malignant: Labels, neighbours: int) -> Knn:
    """The nearest neighbours: the training cases themselves."""
    return Knn(scaled.astype(np.float64), malignant.astype(np.float64), np.array(float(neighbours)))


def fit_lda(scaled: Scaled, malignant: Labels) -> Lda:
    """The linear discriminant."""
    machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    machine.fit(scaled.astype(np.float64), malignant)
    return Lda(machine.coef_[0].astype(np.float64), np.array(float(machine.intercept_[0])))


def platt(scores: Floats, malignant: Labels) -> tuple[float, float]:
    """(slope, intercept) that make probabilities of scores (Platt 1999); the slope is positive."""
    machine = LogisticRegression(C=100.0).fit(np.asarray(scores).reshape(-1, 1), malignant)
    slope = float(machine.coef_[0, 0])
    if slope <= 0:  # uninformative scores: hardly any slope, the classes' share
        share = float(np.mean(malignant))
        return 1e-3, float(np.log(share / (1 - share)))
    return slope, float(machine.intercept_[0])
