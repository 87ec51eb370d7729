"""Which AUC cases of women reach, overall and by stratum; null where a class is empty.

A folder may hold few cases or only one class: the counts then show it, and nothing fails.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.statistics import auc
from cadnode_training.data.regions import Question

NO_AUC: Final = "none: an AUC needs both classes"
NOT_STATED: Final = "not stated"
STRATA: Final = (
    "dataset", "acquisition", "lesion", "type", "distribution", "size", "birads", "density",
    "age", "vendor",
)  # fmt: skip
"""Facts by which results on regions are stratified."""


@dataclass(frozen=True, eq=False, slots=True)
class GroupedCases:
    """Cases: `labels` `(n,) bool`, `scores` `(n,)`, `women` `(n,)` keys."""

    labels: NDArray[np.bool_]
    scores: NDArray[np.float64]
    women: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: NDArray[np.bool_]) -> "GroupedCases":
        """Those that `keep` selects."""
        return GroupedCases(self.labels[keep], self.scores[keep], self.women[keep])


def auc_of(cases: GroupedCases) -> dict[str, Any]:
    """`auc`, `auc_ci`, `n_pos`, `n_neg`, `ci_method`; null where the cases do not allow it.

    The interval resamples women where one has several cases, otherwise it is DeLong's.
    """
    found = auc.by_woman(cases.labels, cases.scores, cases.women)
    if found is None:
        n_pos = int(cases.labels.sum())
        counts = {"n_pos": n_pos, "n_neg": len(cases) - n_pos}
        return {"auc": None, "auc_ci": None} | counts | {"ci_method": NO_AUC}
    return found.as_dict() | {"ci_method": found.method}


def strata(
    cases: GroupedCases, facts: Sequence[Mapping[str, str]], names: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """`by_NAME`: a row with the AUC for each value of each fact that any case states."""
    found = {}
    for name in names:
        values = [fact.get(name, "") or NOT_STATED for fact in facts]
        if set(values) - {NOT_STATED}:
            found[f"by_{name}"] = [
                {"stratum": value}
                | auc_of(cases.where(np.array([v == value for v in values], bool)))
                for value in sorted(set(values))
            ]
    return found


def words(question: Question) -> tuple[str, str]:
    """Names of the positive and of the negative class."""
    if question == Question.PRESENCE:
        return "with calcifications", "without"
    return "malignant", "benign"


def message(result: Mapping[str, Any], positive: str, negative: str) -> str:
    """Why a result has no AUC or no interval; "" where it has both."""
    counts = f"{result['n_pos']} {positive} and {result['n_neg']} {negative} {result['unit']}"
    if result["auc"] is None:
        return f"No AUC: {counts} could be read, and both are needed."
    if result["auc_ci"] is None:
        return f"No interval: {counts} are of too few women."
    return ""


def shown(
    row: Mapping[str, Any], form: Callable[[float], str] = "{:.3f}".format
) -> tuple[str, str]:
    """AUC and interval as text, a dash for a missing one."""
    value = form(row["auc"]) if row["auc"] is not None else "–"
    interval = "–".join(form(bound) for bound in row["auc_ci"]) if row["auc_ci"] else "–"
    return value, interval
