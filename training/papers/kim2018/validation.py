"""What is fitted on the validation part: scores of breasts, calibration, thresholds.

A breast is scored from its views' log-odds by the card's `BreastScoring`, as the node does.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cadnode.domain import Acquisition, Laterality
from cadnode.errors import DataError
from cadnode.models.breast import BreastScoring, combine
from cadnode.models.card import Calibration, HotRegionRule
from cadnode.models.operating_point import Roc, roc
from cadnode.networks.dib_mg import MapNetwork
from cadnode.statistics.auc import auc
from cadnode_training.data.sets.rsna_views import MACHINES
from cadnode_training.data.sets.rsna_views import NAME as RSNA
from cadnode_training.data.tensors import TensorCache
from cadnode_training.data.views import ViewRecord
from cadnode_training.engine.loop import in_batches


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


@torch.inference_mode()
def logits_of(
    network: MapNetwork,
    cache: TensorCache,
    rows: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`(n,)` logits of views and the peaks of their maps, computed in `dtype`; None is float32."""
    network.eval()
    logits, peaks = [], []
    for part in in_batches(rows, cache.at_once):
        views = torch.from_numpy(np.stack([cache.image(i) for i in part]))[:, None]
        views = views.to(device, memory_format=torch.channels_last)
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            maps = network.logit_map(views)
        logits.append(network.pool(maps).cpu().numpy())
        peaks.append(maps.flatten(1).amax(1).cpu().numpy())
    return np.concatenate(logits), np.concatenate(peaks)


def contrast_auc(
    network: MapNetwork,
    cache: TensorCache,
    rows: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype | None,
) -> float | None:
    """AUC by breast, read in `dtype` (`logits_of`); None where a class is missing."""
    if not rows:
        return None
    logits, _ = logits_of(network, cache, rows, device=device, dtype=dtype)
    breasts = by_breast([cache.records[i] for i in rows], logits.tolist())
    labels = [b.cancer for b in breasts]
    if len(set(labels)) < 2:
        return None
    return auc(labels, [b.score for b in breasts])


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


@dataclass(frozen=True, slots=True)
class FittedBreasts:
    """What a card takes from the validation part; `exam` is None where exams have one class."""

    calibration: Calibration
    breast: BreastScoring
    roc: Roc
    exam: Roc | None
    hot_region: HotRegionRule


# Choice: never above one half. At weight w a woman whose breasts look alike keeps 1 − w of their
# log-odds: beyond one half more is taken off than is left, and at 1 the higher of the two scores
# is at least one half whatever the images show.
WEIGHTS: Final = (0.0, 0.25, 0.5)


def fit(
    records: Sequence[ViewRecord],
    logits: NDArray[np.float32],
    peaks: NDArray[np.float32],
    *,
    acquisition: Acquisition,
    part: str = "validation part",
) -> FittedBreasts:
    """Platt's calibrations of views, breasts and exams, their ROC curves, the map's threshold.

    `records` are those of the validation part, all of them: which take part in which contrast
    is decided here. Views are calibrated on the exams that are compared, not on the pairs of
    breasts alone: those are all of women with cancer.

    Raises
    ------
    DataError
        A class is missing among the records.
    """
    of_exams = exams_compared(records, acquisition)
    rows = [records[i] for i in of_exams]
    picked, contrast = compared(rows, acquisition), contrast_of(records, acquisition)
    labels = np.array([r.cancer for r in rows])
    if len(set(labels.tolist())) < 2 or not picked:
        raise DataError(f"the {part} has no contrast: {contrast}")
    own, highest = logits[of_exams], peaks[of_exams].astype(np.float64)
    slope, intercept = platt(own.astype(np.float64), labels)
    peak = 1 / (1 + np.exp(-(slope * highest + intercept)))
    alone = by_breast(rows, own.tolist())
    where = f"{part} ({len(alone)} breasts, {len({r.woman for r in rows})} exams)"
    pairs = {rows[i].breast for i in picked}
    scoring = _breast_scoring(alone, pairs, acquisition, where)
    breasts = by_breast(rows, own.tolist(), scoring)
    of_pairs = [b for b in breasts if (b.woman, b.laterality) in pairs]
    hot = float(np.clip(np.percentile(peak[~labels], 80), 0.05, 0.95))
    return FittedBreasts(
        Calibration(
            slope=slope, intercept=intercept, fitted_on=where, prevalence=float(labels.mean())
        ),
        scoring,
        roc(
            [b.cancer for b in of_pairs],
            [b.score for b in of_pairs],
            f"{part} ({len(of_pairs)} breasts): {contrast}",
        ),
        _exam_roc(by_exam(breasts), f"{part}: {exam_contrast_of(records, acquisition)}"),
        HotRegionRule(
            threshold=hot,
            chosen=f"exceeded in one of five views of breasts without cancer of the {where}",
        ),
    )


def _exam_roc(exams: Sequence[ExamScored], where: str) -> Roc | None:
    if len({e.cancer for e in exams}) < 2:
        return None
    return roc([e.cancer for e in exams], [e.score for e in exams], where)


def _breast_scoring(
    breasts: Sequence[BreastScored],
    pairs: Collection[tuple[str, Laterality]],
    acquisition: Acquisition,
    where: str,
) -> BreastScoring:
    """The contralateral weight, and Platt's calibration of the scores it makes.

    Film is weighed and calibrated on exams: a score is the share of exams with cancer whose
    higher breast has it. Without exams of both classes breasts are scored alone, because how
    often a comparison calls a woman without cancer is unknown.

    Digital exams get no weight and are calibrated on breasts: in the RSNA views nearly every
    woman with cancer shows one breast only, so that the presence of the other would reveal
    the class.
    """
    mean = fmean(b.score for b in breasts)
    classes = {e.cancer for e in by_exam(breasts)}
    on_exams = acquisition == Acquisition.FILM and len(classes) > 1
    weighed = {w: _weighed(breasts, w, mean) for w in (WEIGHTS if on_exams else WEIGHTS[:1])}
    weight = max(weighed, key=lambda w: _worth(weighed[w], pairs)) if on_exams else WEIGHTS[0]
    scored = weighed[weight]
    cases: Sequence[BreastScored | ExamScored] = by_exam(scored) if on_exams else scored
    slope, intercept = platt(
        np.array([case.score for case in cases]), np.array([case.cancer for case in cases])
    )
    return BreastScoring(
        contralateral_weight=weight,
        contralateral_mean=mean,
        slope=slope,
        intercept=intercept,
        fitted_on=f"{where}, by {'exam' if on_exams else 'breast'}",
    )


def _weighed(breasts: Sequence[BreastScored], weight: float, mean: float) -> list[BreastScored]:
    """Breasts with the other's share taken off their log-odds."""
    other = {(b.woman, b.laterality.other): b.score for b in breasts}
    return [
        replace(b, score=combine(b.score, other.get((b.woman, b.laterality)), weight, mean))
        for b in breasts
    ]


def _worth(scored: Sequence[BreastScored], pairs: Collection[tuple[str, Laterality]]) -> float:
    """The mean of two AUCs, because one score serves both: of breasts (`pairs`) and of exams.

    That of exams is within their machine or digitizer, which may follow the class.
    """
    of_pairs = [b for b in scored if (b.woman, b.laterality) in pairs]
    of_breasts, exams = (
        auc([b.cancer for b in of_pairs], [b.score for b in of_pairs]),
        by_exam(scored),
    )
    within = auc_within(
        [e.cancer for e in exams], [e.score for e in exams], [e.stratum for e in exams]
    )
    return of_breasts if within is None else (of_breasts + within) / 2


def platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept; a slope that would reverse the order is held at a small value."""
    model = LogisticRegression(C=100.0).fit(logits[:, None], labels)
    return max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])
