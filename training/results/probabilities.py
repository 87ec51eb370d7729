"""How well scores serve as probabilities: Brier score, ECE, average precision."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.statistics.auc import Floats
from cadnode_training.results import meaning
from cadnode_training.results.scored import Scored
from cadnode_training.results.tables import Table, TableCell, TableRow
from cadnode_training.statistics import curves, resample
from cadnode_training.statistics.calibration import reliability

REPLICATES: Final = 500
COLUMNS: Final = ("average precision", "Brier score", "Brier skill", "ECE")

Bools = NDArray[np.bool_]


def average_precision(labels: Bools, scores: Floats) -> float:
    """The average precision of `curves.precision_recall`."""
    return curves.precision_recall(labels, scores).average


def brier(labels: Bools, probabilities: Floats) -> float:
    """Mean squared difference of probability and label (Brier 1950, Mon Weather Rev 78:1)."""
    return float(np.mean((probabilities - labels) ** 2))


def skill(labels: Bools, probabilities: Floats) -> float:
    """1 − Brier / Brier of always predicting the share of positives: 0 is no better than that."""
    share = labels.mean()
    return 1 - brier(labels, probabilities) / float(share * (1 - share))


def ece(labels: Bools, probabilities: Floats) -> float:
    """The ECE of `calibration.reliability`; biased upwards where cases are few."""
    return reliability(labels, probabilities).ece


_WAYS: Final[dict[str, Callable[[Bools, Floats], float]]] = {
    "average precision": average_precision,
    "Brier score": brier,
    "Brier skill": skill,
    "ECE": ece,
}


def with_interval(
    cases: Scored, spec: str, way: Callable[[Bools, Floats], float], *, replicates: int = REPLICATES
) -> TableCell:
    """The value on all cases with a 95 % percentile interval; women are resampled."""
    labels, values = cases.labels, cases.scores(spec)
    found = []
    for weights in resample.drawn(cases.women, replicates=replicates):
        rows = np.repeat(np.arange(len(labels)), weights)
        if 0 < labels[rows].sum() < len(rows):
            found.append(way(labels[rows], values[rows]))
    return TableCell(way(labels, values), resample.interval(found))


def table(cases: Scored) -> Table:
    """One row a scorer; the last three columns only of probabilities, and of `meaning.enough`."""
    rows = []
    for scorer in cases.scorers:
        fits = scorer.calibrated and meaning.enough(cases)
        ways = {n: way for n, way in _WAYS.items() if fits or way is average_precision}
        cells = {name: with_interval(cases, scorer.spec, way) for name, way in ways.items()}
        rows.append(TableRow(scorer.spec, cells))
    share = float(cases.labels.mean())
    note = (
        f"Of {len(cases)} cases {share:.1%} are positive, which is a guesser's average precision "
        f"and not the share of screening. Intervals: 95 %, bootstrap over women, {REPLICATES} "
        "replicates. ECE: ten bins of equal size; it is never 0 on few cases, and its interval "
        "lies high. Brier skill: 0 for one who knows only the share of positives, 1 for an oracle."
    )
    return Table("Probabilities", COLUMNS, tuple(rows), note)
