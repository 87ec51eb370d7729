"""What the members of an ensemble reach together (Kang 2021, Ensemble DCNN model)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cadnode.models import operating_point
from cadnode_training.data.rois import Part, RoiSet
from cadnode_training.papers.roi_cnn.export import ExportedMember
from cadnode_training.papers.roi_cnn.measure import CONTRAST, Floats, numbers
from cadnode_training.statistics import auc_tests


def measured(members: Sequence[ExportedMember], parts: Mapping[Part, RoiSet]) -> dict[str, Any]:
    """Numbers of the members' mean on the test part; {} of one member alone.

    The cut-off has the highest Youden index of the mean on the validation part. `auc_difference`
    is DeLong's test of the members' AUCs and the mean's all together (Data and statistical
    analysis: "the six AUCs").
    """
    if len(members) < 2:
        return {}
    on_validation, on_test = _mean(members, "validation"), _mean(members, "test")
    held, test = parts["validation"], parts["test"]
    where = f"{held.name} ({len(held)} ROIs): {CONTRAST}"
    curve = operating_point.roc(held.malignant.tolist(), on_validation.tolist(), where)
    found = numbers(test.records, on_test, threshold=curve.at().threshold)
    together = [*(one.scores["test"] for one in members), on_test]
    labels = test.malignant
    if min(int(labels.sum()), int((~labels).sum())) > 1:
        tested = auc_tests.overall(labels, together)
        found["auc_difference"] = {
            "test": "DeLong", "aucs": len(together), "chi_square": round(tested.statistic, 4),
            "df": tested.df, "p": round(tested.p, 6),
        }  # fmt: skip
    return found | {"members": len(members)}


def _mean(members: Sequence[ExportedMember], part: Part) -> Floats:
    return np.asarray(np.mean([one.scores[part] for one in members], axis=0), np.float64)
