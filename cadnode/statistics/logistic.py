"""How log-odds relate to outcomes: calibration slope and intercept, with Wald intervals.

Cox 1958 (Biometrika 45:562); slope 1 and intercept 0 are perfect calibration, an intercept other
than 0 at slope 1 is calibration-in-the-large (Steyerberg et al. 2004, Stat Med 23:2567).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
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


def fit(values: ArrayLike, labels: ArrayLike, *, holding_slope: bool = False) -> LogisticFit:
    """The fit of `(n,)` log-odds and labels; with `holding_slope` of the intercept alone.

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
    weights = expit(a * x + b)
    weights = weights * (1 - weights)
    z = float(norm.ppf(0.975))
    if holding_slope:
        half = z / float(np.sqrt(weights.sum()))
        return LogisticFit(a, b, None, (b - half, b + half))
    design = np.stack([x, np.ones_like(x)])
    information = (design * weights) @ design.T
    of_a, of_b = map(float, z * np.sqrt(np.diag(np.linalg.pinv(information))))
    return LogisticFit(a, b, (a - of_a, a + of_a), (b - of_b, b + of_b))


def _in_the_large(x: Floats, n_pos: int) -> float:
    """The intercept at which as many positives are expected as there are."""

    def excess(b: float) -> float:
        return float(expit(x + b).sum()) - n_pos

    return float(brentq(excess, -60 - x.max(), 60 - x.min()))
