"""The logistic regression of clusters where there is no learned filter: fitted, and measured.

`python -m cadnode_training.papers.detection.fallback FILE` takes the candidates that
`cadnode train detection --data mini-mias:PATH` keeps (`OUT/candidates/1.npz`) and prints the
constants of `cadnode.detect.certainty`, with AUCs of women left out in three folds.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cadnode.detect.certainty import standardized
from cadnode_training.data.sets import mini_mias
from cadnode_training.papers.detection import samples
from cadnode_training.papers.detection.fitting import folds
from cadnode_training.papers.detection.samples import Samples

Floats = NDArray[np.float64]

_REAL_POSITIVE: Final = 15.0  # choice: annotated candidates are 27, drawn ones some thousand
_FOLDS: Final = 3


def fit(found: Samples) -> tuple[Floats, float, dict[str, float]]:
    """`(S, 3)` mean, deviation and weight of each statistic, the intercept, and AUCs by source.

    With the intercept, 0.5 is where one candidate is marked in a mini-MIAS view without
    calcifications. The AUCs are of women left out.
    """
    statistics = found.statistics.astype(np.float64)
    mean, deviation = statistics.mean(0), statistics.std(0)
    standard = standardized(statistics, mean, deviation)
    real = found.sources == mini_mias.NAME
    weights = np.where(found.labels & real, _REAL_POSITIVE, 1.0)

    def fitted(part: NDArray[np.bool_]) -> LogisticRegression:
        model = LogisticRegression(max_iter=2000)
        return model.fit(standard[part], found.labels[part], sample_weight=weights[part])

    fold, left_out = folds(found, _FOLDS), np.zeros(len(found))
    for number in range(_FOLDS):
        mine = fold == number
        left_out[mine] = fitted(~mine).decision_function(standard[mine])
    aucs = {
        source: float(roc_auc_score(found.labels[of], left_out[of]))
        for source in sorted(set(found.sources.tolist()))
        for of in [found.sources == source]
    }
    final = fitted(np.ones(len(found), np.bool_))
    free = real & ~found.labels
    views = len(set(found.images[free].tolist()))
    odds = np.sort(final.decision_function(standard[free]))[::-1]
    intercept = float(final.intercept_[0] - odds[views])
    return np.stack([mean, deviation, final.coef_[0]], 1), intercept, aucs


def main(arguments: list[str]) -> None:
    """Print what `fit` finds in the file of candidates."""
    terms, intercept, aucs = fit(samples.read(Path(arguments[0])))
    for mean, deviation, weight in terms:
        sys.stdout.write(f"    ({mean:.3f}, {deviation:.3f}, {weight:.3f}),\n")
    sys.stdout.write(f"intercept {intercept:.3f}\n")
    for source, auc in aucs.items():
        sys.stdout.write(f"AUC of women left out, {source}: {auc:.3f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
