"""What a card takes where the network's own output is the score (Kim 2018, Evaluation)."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode.models.breast import BreastScoring
from cadnode.models.card import Calibration, HotRegionRule
from cadnode.models.operating_point import roc
from cadnode_training.data.sets import ddsm_exams, phantom_exams, rsna_views
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018.breasts import BreastScored, by_breast, by_exam
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.validation import FittedBreasts

ALGORITHM: Final = (
    "Deep learning: weakly supervised residual network (DIB-MG) with two per-view maps"
)
LIMIT: Final = (
    "Its score is the network's own output, not calibrated: it follows the training data's share "
    "of cancers and is no probability."
)
OF_DATA: Final = {
    rsna_views.NAME: ("Implants were kept out of the training.",),
    ddsm_exams.NAME: (
        "CBIS-DDSM is drawn from DDSM: its exams may be of women in the training part. The demo's "
        "malignant exam is DDSM's C0104, which the paper's recipe keeps out of every part.",
    ),
    phantom_exams.NAME: ("Learnt from synthetic exams alone: nothing is known of real ones.",),
}
_NOTHING: Final = "nothing: the network's own output, as in the paper"


def fit(
    records: Sequence[ViewRecord],
    logits: NDArray[np.float32],
    peaks: NDArray[np.float32],
    *,
    acquisition: Acquisition,
) -> FittedBreasts:
    """Curves of breasts and exams by the sigmoid of their log-odds; nothing is calibrated.

    A breast is scored alone, an exam by the higher of its breasts. The map's threshold is the one
    that one in five views of breasts without cancer exceeds, whatever `acquisition` is.

    Raises
    ------
    DataError
        A class is missing among the records.
    """
    labels = np.array([r.cancer for r in records], bool)
    if len(set(labels.tolist())) < 2:
        raise DataError("the validation part has no exams of both classes")
    scoring = scoring_of(by_breast(records, logits.tolist()))
    breasts = by_breast(records, logits.tolist(), scoring)
    exams = by_exam(breasts)
    where = f"validation part ({len(breasts)} breasts, {len(exams)} exams)"
    peak = 1 / (1 + np.exp(-peaks[~labels].astype(np.float64)))
    return FittedBreasts(
        Calibration(slope=1, intercept=0, fitted_on=_NOTHING, prevalence=float(labels.mean())),
        scoring,
        roc(
            [b.cancer for b in breasts], [b.score for b in breasts],
            f"{where}: breasts with cancer against breasts without",
        ),
        roc(
            [e.cancer for e in exams], [e.score for e in exams],
            f"{where}: exams with cancer against exams without, by the higher of its breasts",
        ),
        HotRegionRule(
            threshold=float(np.clip(np.percentile(peak, 80), 0.05, 0.95)),
            chosen=f"exceeded in one of five views of breasts without cancer of the {where}",
        ),
    )  # fmt: skip


def scoring_of(breasts: Sequence[BreastScored]) -> BreastScoring:
    """The scoring that leaves the output as it is: the sigmoid of the mean of views' log-odds."""
    return BreastScoring(
        contralateral_weight=0,
        contralateral_mean=fmean(b.score for b in breasts),
        slope=1,
        intercept=0,
        fitted_on=_NOTHING,
    )


def split_of(recipe: ViewRecipe) -> str:
    """How exams were shared out, in words."""
    ratio = ":".join(map(str, recipe.exams.ratio))
    return (
        f"by exam: cancers {ratio} to train, validate and test, as many exams without to validate "
        "and to test; even in what the data state, or the data's own split"
    )
