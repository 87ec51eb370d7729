"""How log-odds relate to outcomes: calibration slope and intercept, with Wald intervals.

Where a woman has several cases the variance is a sandwich by woman (Liang and Zeger 1986,
Biometrika 73:13, with independence as the working correlation), as that of a GEE.

Cox 1958 (Biometrika 45:562); slope 1 and intercept 0 are perfect calibration, an intercept other
than 0 at slope 1 is calibration-in-the-large (Steyerberg et al. 2004, Stat Med 23:2567).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from cadnode.errors import DataError
from cadnode.statistics.auc import Floats

Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """log-odds of a positive = `slope` · value + `intercept`; intervals are 95 %.

    `slope_ci` is None where the slope was held at 1.
    """

    slope: float
    intercept: float
    slope_ci: Ends | None
    intercept_ci: Ends

    def moved(self, shift: float) -> "LogisticFit":
        """The fit with another intercept: what it is at another prevalence."""
        low, high = self.intercept_ci
        ends = (low + shift, high + shift)
        return LogisticFit(self.slope, self.intercept + shift, self.slope_ci, ends)


def fit(
    values: ArrayLike,
    labels: ArrayLike,
    *,
    holding_slope: bool = False,
    women: ArrayLike | None = None,
) -> LogisticFit:
    """The fit of `(n,)` log-odds and labels; with `holding_slope` of the intercept alone.

    `women` says whose the cases are, `(n,)`; without it each is another woman's.

    Choice: an L2 penalty of strength 1/100 on the slope, as training's calibrations have: it keeps
    the slope finite where a value separates the classes.

    Raises
    ------
    DataError
        One of the classes is empty.
    """
    x, y = np.asarray(values, np.float64), np.asarray(labels).astype(bool)
    if y.all() or not y.any():
        raise DataError("a calibration needs both classes: one of them is empty")
    if holding_slope:
        a, b = 1.0, _in_the_large(x, int(y.sum()))
    else:
        model = LogisticRegression(C=100.0).fit(x[:, None], y)
        a, b = float(model.coef_[0, 0]), float(model.intercept_[0])
    design = np.ones((1, len(x))) if holding_slope else np.stack([x, np.ones_like(x)])
    variances = _variances(design, expit(a * x + b), y, women)
    *of_a, of_b = map(float, norm.ppf(0.975) * np.sqrt(variances))
    slope_ci = (a - of_a[0], a + of_a[0]) if of_a else None
    return LogisticFit(a, b, slope_ci, (b - of_b, b + of_b))


def _variances(
    design: Floats, expected: Floats, labels: NDArray[np.bool_], women: ArrayLike | None
) -> Floats:
    """`(p,)` variances of the coefficients of a `(p, n)` design."""
    bread = np.linalg.pinv((design * (expected * (1 - expected))) @ design.T)
    if women is None:
        return np.asarray(np.diag(bread))
    _, cluster = np.unique(np.asarray(women).astype(str), return_inverse=True)
    scores = design * (labels - expected)
    summed = np.stack([np.bincount(cluster, row) for row in scores])
    return np.asarray(np.diag(bread @ (summed @ summed.T) @ bread))


def _in_the_large(x: Floats, n_pos: int) -> float:
    """The intercept at which as many positives are expected as there are."""

    def excess(b: float) -> float:
        return float(expit(x + b).sum()) - n_pos

    return float(brentq(excess, -60 - x.max(), 60 - x.min()))
