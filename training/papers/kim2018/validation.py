"""Scores of breasts, and what is fitted on the validation part: calibration and thresholds.

A breast is scored from its views' log-odds by the card's `BreastScoring`, as the node does.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cadnode.domain import Acquisition, Laterality
from cadnode.models.breast import BreastScoring, combine
from cadnode.models.card import Calibration, HotRegion
from cadnode.models.dib_mg import MapNetwork
from cadnode.models.operating_point import Roc, roc
from training.data.rsna_views import MACHINES
from training.data.rsna_views import NAME as RSNA
from training.data.tensors import TensorCache
from training.data.views import ViewRecord
from training.evaluation.auc import auc
from training.workflow import in_batches


@dataclass(frozen=True, slots=True)
class BreastScored:
    """A breast with its score, made of its views' log-odds."""

    woman: str
    laterality: str
    cancer: bool
    score: float
    first: ViewRecord


def compared(records: Sequence[ViewRecord], acquisition: Acquisition) -> list[int]:
    """Rows that take part in the contrast of a kind of data.

    Digital: machines that show breasts with and without cancer; of the RSNA challenge those four
    that show more than a few, or the machine would tell the class. Film: exams where one breast,
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
    """What `compared` compares with what, in words."""
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
    for part in in_batches(rows, 32):
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
    logits, _ = logits_of(network, cache, rows, device=device, dtype=dtype)
    breasts = by_breast([cache.records[i] for i in rows], logits.tolist())
    labels = [b.cancer for b in breasts]
    if len(set(labels)) < 2:
        return None
    return auc(labels, [b.score for b in breasts])


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a card takes from the validation part."""

    calibration: Calibration
    breast: BreastScoring
    roc: Roc
    hot_region: HotRegion


WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def fit(
    records: Sequence[ViewRecord],
    logits: NDArray[np.float32],
    peaks: NDArray[np.float32],
    *,
    contrast: str,
    acquisition: Acquisition,
) -> Fitted:
    """Platt's calibrations of views and of breasts, the breasts' ROC curve, the map's threshold.

    Raises
    ------
    DataError
        A class is missing among the records.
    """
    labels = np.array([r.cancer for r in records])
    slope, intercept = _platt(logits.astype(np.float64), labels)
    peak = 1 / (1 + np.exp(-(slope * peaks.astype(np.float64) + intercept)))
    alone = by_breast(records, logits.tolist())
    where = f"validation part ({len(alone)} breasts): {contrast}"
    scoring = _breast_scoring(alone, acquisition, where)
    breasts = by_breast(records, logits.tolist(), scoring)
    hot = float(np.clip(np.percentile(peak[~labels], 80), 0.05, 0.95))
    return Fitted(
        Calibration(
            slope=slope, intercept=intercept, fitted_on=where, prevalence=float(labels.mean())
        ),
        scoring,
        roc([b.cancer for b in breasts], [b.score for b in breasts], where),
        HotRegion(
            threshold=hot,
            chosen="exceeded in one of five views of breasts without cancer of the " + where,
        ),
    )


def _breast_scoring(
    breasts: Sequence[BreastScored], acquisition: Acquisition, where: str
) -> BreastScoring:
    """The contralateral weight with the highest area, and Platt's calibration of its scores.

    Digital exams get no weight: in the RSNA views nearly every woman with cancer shows one breast
    only, so that the presence of the other would tell the class.
    """
    labels = np.array([b.cancer for b in breasts])
    mean = fmean(b.score for b in breasts)
    other = {(b.woman, Laterality(b.laterality).other): b.score for b in breasts}
    pairs = [(b.score, other.get((b.woman, Laterality(b.laterality)))) for b in breasts]
    weights = WEIGHTS if acquisition == Acquisition.FILM else WEIGHTS[:1]
    by_weight = {w: np.array([combine(*pair, w, mean) for pair in pairs]) for w in weights}
    weight = max(weights, key=lambda w: auc(labels.tolist(), by_weight[w].tolist()))
    slope, intercept = _platt(by_weight[weight], labels)
    return BreastScoring(
        contralateral_weight=weight,
        contralateral_mean=mean,
        slope=slope,
        intercept=intercept,
        fitted_on=where,
    )


def _platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept; a slope that would turn the order round is held at a small value."""
    model = LogisticRegression(C=100.0).fit(logits[:, None], labels)
    return max(float(model.coef_[0, 0]), 1e-3), float(model.intercept_[0])
