"""How model B differs from A on the same cases: AUCs, changed calls, every stratum."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from cadnode.domain import YOUDEN
from cadnode.errors import DataError
from cadnode.statistics.auc import BY_WOMAN, Auc, AucDifference, delong_test
from cadnode.statistics.binary import Measure, Share
from cadnode_training.results import manifest_facts, measures, reading
from cadnode_training.results.scored import Scored, Scorer, join
from cadnode_training.statistics import resample
from cadnode_training.statistics.resample import Weights

SCHEMA: Final = 1
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Moves:
    """Calls of one class that change from A to B: up is from negative to positive."""

    up: int
    down: int
    stay_positive: int
    stay_negative: int

    @property
    def n(self) -> int:
        """Cases of the class."""
        return self.up + self.down + self.stay_positive + self.stay_negative


@dataclass(frozen=True, slots=True)
class Reclassification:
    """What B calls differently from A, each at its own cut-off, and the net improvement.

    `nri` is the net reclassification improvement, `z` and `p` its test, `ci` a bootstrap interval
    by woman. For two classes the parts are the differences of sensitivity and of specificity.
    """

    positives: Moves
    negatives: Moves
    nri: float
    nri_positives: float
    nri_negatives: float
    z: float
    p: float
    ci: Interval | None


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A in one stratum (`fact` "" is all cases): AUCs, and the interval by woman.

    AUCs and `value` are None where a class has no case; `delong` also where one has only one.
    """

    fact: str
    stratum: str
    a: Auc | None
    b: Auc | None
    value: float | None
    ci: Interval | None
    delong: AucDifference | None
    n_pos: int
    n_neg: int
    n_women: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of two scorers on the same cases."""

    cases: Scored
    whole: Difference
    strata: tuple[Difference, ...]
    moves: Reclassification
    shares: Mapping[Measure, tuple[Share, Share, float | None]]
    choice: str

    @property
    def a(self) -> Scorer:
        """The active model."""
        return self.cases.scorers[0]

    @property
    def b(self) -> Scorer:
        """The candidate to replace it."""
        return self.cases.scorers[1]


def between(a: Path, b: Path, data: str) -> Comparison:
    """The model of folder B against that of A on `KIND:PATH`, with all strata that a page has.

    Raises
    ------
    DataError, ModelError, SettingsError
        As `reading.score` and `compare`.
    """
    both = manifest_facts.enriched(reading.score([a, b], data), data)
    return compare(*(both.only(scorer.spec) for scorer in both.scorers))


def compare(
    a: Scored, b: Scored, *, choice: str = YOUDEN, replicates: int = resample.REPLICATES
) -> Comparison:
    """B against A: each has one scorer, and both scored the same cases.

    Cut-offs are those that each chose on its own validation part, by the same rule.

    Raises
    ------
    DataError
        The cases or their labels differ, a class is missing, both are the same model, or one has
        no such cut-off.
    """
    if len(a.scorers) != 1 or len(b.scorers) != 1:
        raise DataError("a comparison takes one scorer of each side")
    both = join(a, b)
    labels = both.labels
    if labels.all() or not labels.any():
        raise DataError("a comparison needs positive and negative cases")
    one, other = (_called(both, scorer, choice) for scorer in both.scorers)
    draws = resample.drawn(both.women, replicates=replicates)
    strata = [
        difference(both.where(fact, value), fact, value, draws[:, both.stratum(fact, value)])
        for fact, values in both.strata().items()
        for value in values
    ]
    return Comparison(
        both, difference(both, "", "all", draws), tuple(strata),
        reclassified(labels, one, other, draws), _shares(both, one, other), choice,
    )  # fmt: skip


def difference(cases: Scored, fact: str, stratum: str, draws: Weights) -> Difference:
    """AUC of the second scorer minus the first's, with a percentile interval over women."""
    one, other = (s.spec for s in cases.scorers)
    labels = cases.labels
    n_pos, n_neg = int(labels.sum()), int((~labels).sum())
    n_women = len(np.unique(cases.women))
    if not n_pos or not n_neg:
        return Difference(fact, stratum, None, None, None, None, None, n_pos, n_neg, n_women)
    auc_of = [resample.weighted_auc(labels, cases.scores(spec)) for spec in (other, one)]
    found = [(x, y) for w in draws if (x := auc_of[0](w)) is not None
             and (y := auc_of[1](w)) is not None]  # fmt: skip
    tested = None
    if min(n_pos, n_neg) > 1:
        tested = delong_test(labels, cases.scores(other), cases.scores(one))
    a, b = (measures.auc_of(cases, spec, replicates=len(draws)) for spec in (one, other))
    value = b.value - a.value if a and b else None
    ci = resample.interval([x - y for x, y in found])
    return Difference(fact, stratum, a, b, value, ci, tested, n_pos, n_neg, n_women)


def reclassified(
    labels: NDArray[np.bool_],
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
    draws: Weights | None = None,
) -> Reclassification:
    """Net reclassification improvement of B's calls over A's, `(n,)` each.

    Pencina et al. 2008 (Stat Med 27:157), equations 4 to 8: (up − down) among positives plus
    (down − up) among negatives, tested by z with the variance under no change.
    """
    positives, negatives = _moves(a[labels], b[labels]), _moves(a[~labels], b[~labels])
    of_pos = (positives.up - positives.down) / positives.n
    of_neg = (negatives.down - negatives.up) / negatives.n
    variance = sum((m.up + m.down) / m.n**2 for m in (positives, negatives))
    z = (of_pos + of_neg) / sqrt(variance) if variance else 0.0
    ci = None if draws is None else resample.interval(_nri_replicates(labels, a, b, draws))
    p = float(2 * norm.sf(abs(z)))
    return Reclassification(positives, negatives, of_pos + of_neg, of_pos, of_neg, z, p, ci)


def as_dict(found: Comparison) -> dict[str, Any]:
    """As written into JSON, and as `cadnode models promote` reads it."""
    m = found.moves
    return {
        "schema_version": SCHEMA,
        "kind": "cadnode-comparison",
        "data": found.cases.data,
        "contrast": found.cases.contrast,
        "unit": found.cases.unit,
        "ci_method": BY_WOMAN,
        "a": _named(found.a, found.choice),
        "b": _named(found.b, found.choice),
        "whole": _as_dict(found.whole),
        "strata": [_as_dict(row) for row in found.strata],
        "reclassification": {
            "nri": round(m.nri, 4),
            "ci": _rounded(m.ci),
            "z": round(m.z, 4),
            "p": round(m.p, 6),
            "positives": _moved(m.positives) | {"net": round(m.nri_positives, 4)},
            "negatives": _moved(m.negatives) | {"net": round(m.nri_negatives, 4)},
        },
        "shares": {
            measure.value: {"a": a.as_dict(), "b": b.as_dict(), "p": p}
            for measure, (a, b, p) in found.shares.items()
        },
    }


def _called(cases: Scored, scorer: Scorer, choice: str) -> NDArray[np.bool_]:
    at = scorer.cutoff(choice)
    if at is None:
        raise DataError(f"{scorer.spec} has no cut-off of the choice {choice}")
    return cases.scores(scorer.spec) >= at.threshold


def _moves(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Moves:
    return Moves(int((~a & b).sum()), int((a & ~b).sum()), int((a & b).sum()), int((~a & ~b).sum()))


def _nri_replicates(
    labels: NDArray[np.bool_], a: NDArray[np.bool_], b: NDArray[np.bool_], draws: Weights
) -> list[float]:
    change = b.astype(int) - a.astype(int)
    n_pos, n_neg = draws @ labels, draws @ ~labels
    kept = (n_pos > 0) & (n_neg > 0)
    pos, neg = draws @ (change * labels), draws @ (change * ~labels)
    return list(pos[kept] / n_pos[kept] - neg[kept] / n_neg[kept])


def _shares(
    cases: Scored, a: NDArray[np.bool_], b: NDArray[np.bool_]
) -> dict[Measure, tuple[Share, Share, float | None]]:
    found = {}
    for measure in Measure:
        found_by = measures.compared(measure, cases.labels, {"a": a, "b": b}, cases.women)
        found[measure] = (found_by.shares["a"], found_by.shares["b"], found_by.pairwise_p["a", "b"])
    return found


def _named(scorer: Scorer, choice: str) -> dict[str, Any]:
    at = scorer.cutoff(choice)
    cutoff = {"threshold": at.threshold, "chosen": at.chosen} if at else None
    return {
        "name": scorer.name,
        "version": scorer.version,
        "sha256": scorer.sha256,
        "cutoff": cutoff,
    }


def _as_dict(row: Difference) -> dict[str, Any]:
    return {
        "fact": row.fact,
        "stratum": row.stratum,
        "n_pos": row.n_pos,
        "n_neg": row.n_neg,
        "n_women": row.n_women,
        "auc_a": round(row.a.value, 4) if row.a else None,
        "auc_a_ci": _rounded(row.a.ci) if row.a else None,
        "auc_b": round(row.b.value, 4) if row.b else None,
        "auc_b_ci": _rounded(row.b.ci) if row.b else None,
        "difference": None if row.value is None else round(row.value, 4),
        "difference_ci": _rounded(row.ci),
        "delong_ci": _rounded(row.delong.ci) if row.delong else None,
        "delong_p": round(row.delong.p, 6) if row.delong else None,
    }


def _moved(moves: Moves) -> dict[str, int]:
    return {
        "n": moves.n,
        "up": moves.up,
        "down": moves.down,
        "stay_positive": moves.stay_positive,
        "stay_negative": moves.stay_negative,
    }


def _rounded(ci: Interval | None) -> list[float] | None:
    return None if ci is None else [round(b, 4) for b in ci]
