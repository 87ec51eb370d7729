"""What is fitted on the validation part: scores of breasts, calibration, thresholds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cadnode.domain import Acquisition, Laterality
from cadnode.errors import DataError
from cadnode.models.breast import BreastScoring, combine
from cadnode.models.card import Calibration, HotRegionRule
from cadnode.models.operating_point import Roc, roc
from cadnode.statistics.auc import auc
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018.breasts import (
    BreastScored,
    ExamScored,
    auc_within,
    by_breast,
    by_exam,
    compared,
    contrast_of,
    exam_contrast_of,
    exams_compared,
)


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
