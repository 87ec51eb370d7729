"""Scaling of features, and the classifiers that Wang et al. 2016 compare with: SVM, KNN, LDA.

They were fitted by scikit-learn in training; here they are arrays, read from safetensors, and
the formulas of scikit-learn's inference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cadnode.errors import ModelError

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False, slots=True)
class _FromArrays:
    """Arrays that are stored under `PREFIX.field`."""

    @classmethod
    def read(cls, arrays: Arrays, prefix: str) -> Self:
        """From stored arrays.

        Raises
        ------
        ModelError
            One of them is missing.
        """
        names = [f.name for f in fields(cls)]
        missing = [f"{prefix}.{name}" for name in names if f"{prefix}.{name}" not in arrays]
        if missing:
            raise ModelError(f"the weights lack {', '.join(missing)}")
        return cls(**{n: np.asarray(arrays[f"{prefix}.{n}"], np.float64) for n in names})

    def arrays(self, prefix: str) -> dict[str, Floats]:
        """The arrays as they are stored."""
        return {f"{prefix}.{f.name}": getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, eq=False, slots=True)
class Scaler(_FromArrays):
    """Scales features to [0, 1].

    y = sign(x) ln(1 + |x| / unit), then (y − low) / (high − low), clipped to [0, 1].

    Parameters
    ----------
    unit
        `(d,)`: the median of |x| in training. Counts and areas spread over decades; the
        logarithm makes ratios of them differences.
    low, high
        `(d,)`: the 1st and 99th percentile of y in training.
    """

    unit: Floats
    low: Floats
    high: Floats

    def __call__(self, features: Floats) -> NDArray[np.float32]:
        """`(n, d) float32 in [0, 1]` of `(n, d)` features."""
        y = np.sign(features) * np.log1p(np.abs(features) / self.unit)
        return np.asarray(np.clip((y - self.low) / (self.high - self.low), 0, 1), np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Svm(_FromArrays):
    """Support vector machine with a Gaussian kernel.

    Parameters
    ----------
    rows
        `(m, d)` scaled features of the support vectors.
    dual
        `(m,)`: label (±1) times multiplier.
    intercept, gamma
        `()`: of the decision, and of the kernel exp(−γ |x − y|²).
    platt
        `(2,)`: slope and intercept that make a probability of the decision.
    """

    rows: Floats
    dual: Floats
    intercept: Floats
    gamma: Floats
    platt: Floats

    def decision(self, scaled: Floats) -> Floats:
        """`(n,)`: positive on the malignant side."""
        kernel = np.exp(-float(self.gamma) * _squared_distances(scaled, self.rows))
        return np.asarray(kernel @ self.dual + float(self.intercept), np.float64)

    def probability(self, scaled: Floats) -> Floats:
        """`(n,) in (0, 1)`."""
        return sigmoid(self.platt[0] * self.decision(scaled) + self.platt[1])


@dataclass(frozen=True, eq=False, slots=True)
class Knn(_FromArrays):
    """The nearest neighbours among the training cases.

    Parameters
    ----------
    rows, labels
        `(m, d)` scaled features and `(m,)` labels, 1 malignant, of the training cases.
    neighbours
        `()`: how many; 8 in the paper, 6 for both kinds of features together.
    """

    rows: Floats
    labels: Floats
    neighbours: Floats

    def probability(self, scaled: Floats) -> Floats:
        """`(n,) in [0, 1]`: share of the malignant among the nearest."""
        k = min(int(self.neighbours), len(self.rows))
        nearest = np.argpartition(_squared_distances(scaled, self.rows), k - 1, axis=1)[:, :k]
        return np.asarray(self.labels[nearest].mean(1), np.float64)


@dataclass(frozen=True, eq=False, slots=True)
class Lda(_FromArrays):
    """Linear discriminant analysis: log-odds = weights · x + intercept, with `(d,)` weights."""

    weights: Floats
    intercept: Floats

    def probability(self, scaled: Floats) -> Floats:
        """`(n,) in (0, 1)`: the posterior at the training's share of malignant cases."""
        return sigmoid(scaled @ self.weights + float(self.intercept))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(−x))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float64)


def _squared_distances(a: Floats, b: Floats) -> Floats:
    """`(n, m)`, exact differences: no cancellation, as |a|² + |b|² − 2ab would have."""
    return np.stack([((row - b) ** 2).sum(1) for row in a])
