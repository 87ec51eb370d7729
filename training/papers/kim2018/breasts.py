"""Breasts and exams with their scores, and which are compared with which.

A breast is scored from its views' log-odds by the card's `BreastScoring`, as the node does.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from cadnode.domain import Acquisition, Laterality
from cadnode.models.breast import BreastScoring
from cadnode.statistics.auc import auc
from cadnode_training.data.sets.rsna_views import MACHINES
from cadnode_training.data.sets.rsna_views import NAME as RSNA
from cadnode_training.data.views import ViewRecord


@dataclass(frozen=True, slots=True)
class BreastScored:
    """A breast with its score, made of its views' log-odds."""

    woman: str
    laterality: Laterality
    cancer: bool
    score: float
    first: ViewRecord


def compared(records: Sequence[ViewRecord], acquisition: Acquisition) -> list[int]:
    """Rows that take part in the contrast of a kind of data.

    Digital: machines that show breasts with and without cancer; of the RSNA challenge those four
    that show more than a few, or the machine would reveal the class. Film: exams where one breast,
    and only one, is malignant.
    """
    if acquisition == Acquisition.DIGITAL:
        machines = _machines(records)
        return [i for i, r in enumerate(records) if r.stratum in machines]
    breasts: dict[str, dict[str, bool]] = defaultdict(dict)
    for record in records:
        breasts[record.woman][record.laterality] = record.cancer
    one = {w for w, sides in breasts.items() if len(sides) == 2 and sum(sides.values()) == 1}
    return [i for i, r in enumerate(records) if r.woman in one]


def contrast_of(records: Sequence[ViewRecord], acquisition: Acquisition) -> str:
    """Which breasts `compared` compares with which, in words."""
    if acquisition == Acquisition.FILM:
        return "malignant breast against the same woman's other breast"
    named = sorted(machine for machine in _machines(records) if machine)
    within = f", within machines {', '.join(named)}" if named else ""
    return f"breasts with cancer against breasts without{within}"


def _machines(records: Sequence[ViewRecord]) -> set[str]:
    if any(r.dataset == RSNA for r in records):
        return set(MACHINES)
    classes: dict[str, set[bool]] = defaultdict(set)
    for record in records:
        classes[record.stratum].add(record.cancer)
    return {stratum for stratum, seen in classes.items() if len(seen) > 1}


def by_breast(
    records: Sequence[ViewRecord], logits: Sequence[float], scoring: BreastScoring | None = None
) -> list[BreastScored]:
    """Breasts, a woman's together, as `scoring` scores them; without it, mean log-odds."""
    women: dict[str, dict[Laterality, list[tuple[ViewRecord, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record, logit in zip(records, logits, strict=True):
        women[record.woman][Laterality(record.laterality)].append((record, float(logit)))
    breasts = []
    for woman, sides in women.items():
        values = {side: [v for _, v in views] for side, views in sides.items()}
        scores = scoring.scores(values) if scoring else {s: fmean(v) for s, v in values.items()}
        breasts += [
            BreastScored(woman, side, any(r.cancer for r, _ in v), scores[side], v[0][0])
            for side, v in sides.items()
        ]
    return breasts


@dataclass(frozen=True, slots=True)
class ExamScored:
    """An exam with its score, the higher of its breasts'; `stratum`: its machine or digitizer."""

    woman: str
    cancer: bool
    score: float
    stratum: str
    exam_class: str
    n_breasts: int


def by_exam(breasts: Sequence[BreastScored]) -> list[ExamScored]:
    """The exams of scored breasts, as the node scores them (`cadnode.reading.verdict.Verdict`)."""
    exams: dict[str, list[BreastScored]] = defaultdict(list)
    for breast in breasts:
        exams[breast.woman].append(breast)
    return [
        ExamScored(
            woman,
            any(b.cancer for b in of),
            max(b.score for b in of),
            of[0].first.stratum,
            of[0].first.exam_class,
            len(of),
        )
        for woman, of in exams.items()
    ]


def exams_compared(records: Sequence[ViewRecord], acquisition: Acquisition) -> list[int]:
    """Rows of the exams whose scores are compared with each other.

    Film: women with both breasts. Digital: as `compared`.
    """
    if acquisition == Acquisition.DIGITAL:
        return compared(records, acquisition)
    sides: dict[str, set[str]] = defaultdict(set)
    for record in records:
        sides[record.woman].add(record.laterality)
    return [i for i, r in enumerate(records) if len(sides[r.woman]) == 2]


def exam_contrast_of(records: Sequence[ViewRecord], acquisition: Acquisition) -> str:
    """Which exams are compared with which, in words, and the limits of the comparison."""
    contrast = "exams with cancer against exams without, each scored by the higher of its breasts"
    if acquisition == Acquisition.FILM:
        return f"{contrast} (without: normal and benign)"
    rows = [records[i] for i in exams_compared(records, acquisition)]
    sides: dict[str, set[str]] = defaultdict(set)
    for record in rows:
        sides[record.woman].add(record.laterality)
    ill = {r.woman for r in rows if r.cancer}
    alone = sum(len(sides[woman]) == 1 for woman in ill)
    if alone == 0:
        return contrast
    return (
        f"{contrast}; {alone} of {len(ill)} with cancer show that breast only, so that the "
        "sensitivity is a lower bound"
    )


def auc_within(
    labels: Sequence[bool], scores: Sequence[float], strata: Sequence[str]
) -> float | None:
    """AUC of the pairs whose cases are of one stratum; None where no stratum has both classes.

    What a machine or a digitizer reveals of the class does not count.
    """
    positive, values, names = np.array(labels, bool), np.array(scores), np.array(strata)
    total, pairs = 0.0, 0
    for name in np.unique(names):
        of = names == name
        n = int(positive[of].sum()) * int((~positive[of]).sum())
        if n:
            total, pairs = total + n * auc(positive[of], values[of]), pairs + n
    return total / pairs if pairs else None
