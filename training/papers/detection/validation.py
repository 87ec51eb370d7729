"""How the filter does on women left out: log-odds of candidates, marks in whole views."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FindingKind
from cadnode.models.card import DetectorCard
from cadnode.models.detector import Detector
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode_training.data.sets import mini_mias
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.papers.detection.cases import mias_cases
from cadnode_training.papers.detection.config import FilterSchedule
from cadnode_training.papers.detection.evaluate import KINDS, marks_of
from cadnode_training.papers.detection.fitting import fit, folds, logits
from cadnode_training.papers.detection.samples import Samples
from cadnode_training.statistics.froc import ImageMarks, summary

Floats = NDArray[np.float64]

FOLDS: Final = 3


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Networks that each saw the women of all folds but one.

    Parameters
    ----------
    logits
        `(n,)` log-odds of each candidate by the network that had not seen its woman.
    networks
        One for each fold.
    fold_of
        The fold that each group (data set and woman) was left out in.
    """

    logits: Floats
    networks: tuple[CandidateFilter, ...]
    fold_of: dict[str, int]


def cross_validated(
    found: Samples, config: DetectorConfig, schedule: FilterSchedule, seed: int, *,
    quiet: bool = False, kept: Kept | None = None,
) -> HeldOut:  # fmt: skip
    """Networks of `FOLDS` folds by woman, and their log-odds of the candidates left out."""
    fold = folds(found, FOLDS)
    scores, networks = np.zeros(len(found)), []
    for k in range(FOLDS):
        network = fit(
            found.where(fold != k), config, schedule, seed, quiet=quiet,
            kept=kept.inside(f"fold-{k + 1}") if kept else None,
        )  # fmt: skip
        networks.append(network)
        if (fold == k).any():
            scores[fold == k] = logits(network, found.where(fold == k))
    fold_of = dict(zip(found.groups.tolist(), fold.tolist(), strict=True))
    return HeldOut(scores, tuple(networks), fold_of)


def mias_froc(
    views: Sequence[mini_mias.MiasView], held_out: HeldOut, card: DetectorCard
) -> dict[str, Any]:
    """FROC of clusters in whole views, each read by the network that had not seen the woman.

    The candidates' rules are the same for all: their few constants were chosen on these images.
    """
    readers = [Detector(card, n.state_dict()) for n in held_out.networks]
    source = mias_cases(tuple(views))
    marks: list[ImageMarks] = []
    for case in source.read():
        fold = held_out.fold_of.get(f"{mini_mias.NAME}:{case.group}", 0)
        marks.append(marks_of(case, readers[fold])[KINDS.index(FindingKind.CALCIFICATION_CLUSTER)])
    return {"contrast": source.contrast[FindingKind.CALCIFICATION_CLUSTER]} | summary(marks)
