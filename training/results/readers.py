"""How the radiologist's BI-RADS assessment does on the cases that models scored.

Helsinki double transfer learning (comparison with the radiologist) and Kim 2018: the category is
an ordinal score, its cut-offs are points of a ROC curve, and models are tested on the same cases.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from cadnode.errors import DataError
from cadnode.statistics.binary import Measure, Share
from cadnode_training.results import measures
from cadnode_training.results.compare import Difference, difference
from cadnode_training.results.scored import NOT_STATED, Cutoff, Scored, ScoredCase, Scorer
from cadnode_training.statistics import resample

NAME: Final = "radiologist"
KNOWN: Final = "6"
# Choice: 0 is a recall without a verdict yet, so above 3 and below 4; 4 without a letter lies
# with 4B, the middle of its three; 6 is left out, because its reader knew the histology.
LEVELS: Final = {
    "1": 1.0, "2": 2.0, "3": 3.0, "0": 3.5, "4A": 4.0, "4": 4.3, "4B": 4.3, "4C": 4.6, "5": 5.0,
}  # fmt: skip
_CUTS: Final = (("BI-RADS ≥ 3, or 0", 3.0), ("BI-RADS ≥ 4", 4.0), ("BI-RADS 5", 5.0))


@dataclass(frozen=True, slots=True)
class MatchedReader:
    """A model at the reader's own specificity (or sensitivity), and the other share of both.

    Parameters
    ----------
    cut, model
        The reader's cut-off and the model's `spec`.
    threshold
        The model's: chosen on these very cases, so that it does not fall below `held`.
    held, value
        The share that is held, and the reader's value of it.
    of_model, of_reader
        The other share.
    only_model, only_reader
        Of that share's cases, those that only one of the two calls right.
    mcnemar_p
        Exact (binomial) test of these two counts, two-sided (McNemar 1947, Psychometrika 12:153).
    gee_p
        The same by GEE by woman; None where a share is 0 or 1.
    """

    cut: str
    model: str
    threshold: float
    held: Measure
    value: float
    of_model: Share
    of_reader: Share
    only_model: int
    only_reader: int
    mcnemar_p: float
    gee_p: float | None

    @property
    def tested(self) -> Measure:
        """The share that differs."""
        return Measure.SPECIFICITY if self.held is Measure.SENSITIVITY else Measure.SENSITIVITY


def stated(cases: Scored) -> tuple[int, int]:
    """Positive and negative cases with an assessment that was made without the histology."""
    labels = [c.label for c in cases.cases if c.fact("birads") in LEVELS]
    return sum(labels), len(labels) - sum(labels)


def without(cases: Scored) -> dict[str, int]:
    """How many cases are left out, by reason."""
    facts = [c.fact("birads") for c in cases.cases]
    return {
        "no assessment": facts.count(NOT_STATED),
        "category 6, the histology was known": facts.count(KNOWN),
    }


def with_reader(cases: Scored) -> Scored:
    """The cases with an assessment, the radiologist as the last of their scorers.

    The reader's cut-offs are those at which the call of a case changes.

    Raises
    ------
    DataError
        A class has no case with an assessment.
    """
    if not all(stated(cases)):
        raise DataError("the radiologist's assessment is not known of both classes")
    kept = [c for c in cases.cases if c.fact("birads") in LEVELS]
    reader = Scorer(NAME, cutoffs=_cutoffs({_level(c) for c in kept}))
    rows = tuple(replace(c, scores=(*c.scores, _level(c))) for c in kept)
    return replace(cases, scorers=(*cases.scorers, reader), cases=rows)


def differences(both: Scored) -> dict[str, Difference]:
    """AUC of each model minus the radiologist's, by the model's `spec`; see `with_reader`."""
    draws = resample.drawn(both.women)
    return {
        s.spec: difference(_two(both, s.spec), "", "all", draws)
        for s in both.scorers
        if s.name != NAME
    }


def matched(both: Scored, spec: str, cut: Cutoff, held: Measure) -> MatchedReader:
    """The model `spec` at the reader's specificity or sensitivity of one cut-off."""
    labels, values = both.labels, both.scores(spec)
    reader = both.scores(NAME) >= cut.threshold
    of, counts = held.members(labels, reader)
    value = float(counts[of].mean())
    threshold = _threshold(labels, values, held, value)
    model = values >= threshold
    tested = Measure.SPECIFICITY if held is Measure.SENSITIVITY else Measure.SENSITIVITY
    among, right = tested.members(labels, model)
    _, theirs = tested.members(labels, reader)
    ours_only = int((right & ~theirs)[among].sum())
    theirs_only = int((~right & theirs)[among].sum())
    tests = measures.compared(tested, labels, {"model": model, "reader": reader}, both.women)
    return MatchedReader(
        cut.choice, spec, threshold, held, value, tests.shares["model"], tests.shares["reader"],
        ours_only, theirs_only, mcnemar(ours_only, theirs_only),
        tests.pairwise_p["model", "reader"],
    )  # fmt: skip


def mcnemar(one: int, other: int) -> float:
    """Exact two-sided p of discordant pairs; 1 without any."""
    if one + other == 0:
        return 1.0
    return float(binomtest(min(one, other), one + other).pvalue)


def _threshold(
    labels: NDArray[np.bool_], values: NDArray[np.float64], held: Measure, value: float
) -> float:
    """The model's cut-off that holds the share and costs the other one least."""
    levels: list[float] = [*np.unique(values).tolist(), float("inf")]
    if held is Measure.SPECIFICITY:
        return min(t for t in levels if (values[~labels] < t).mean() >= value)
    return max(t for t in levels if (values[labels] >= t).mean() >= value)


def _cutoffs(levels: set[float]) -> tuple[Cutoff, ...]:
    """Cut-offs that call some and not all, and not the same cases as a lower one."""
    found, last = [], len(levels)
    for name, threshold in _CUTS:
        above = sum(level >= threshold for level in levels)
        if 0 < above < last:
            found.append(Cutoff(name, threshold, "as BI-RADS defines it"))
            last = above
    return tuple(found)


def _level(case: ScoredCase) -> float:
    return LEVELS[case.fact("birads")]


def _two(both: Scored, spec: str) -> Scored:
    """The reader and one model, in this order: a difference is the second less the first."""
    reader, model = both.scorer(NAME), both.scorer(spec)
    columns = both.scores(NAME), both.scores(spec)
    rows = zip(both.cases, *columns, strict=True)
    cases = tuple(replace(c, scores=(float(a), float(b))) for c, a, b in rows)
    return replace(both, scorers=(reader, model), cases=cases)
