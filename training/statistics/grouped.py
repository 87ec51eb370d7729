"""Areas of cases of which a woman may have several, whole and by stratum; null where there is none.

A folder may hold few cases or one class only: then the counts say so, and nothing fails.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.data.regions import Question
from training.statistics import auc

NO_AREA: Final = "none: an area needs both classes"
NOT_STATED: Final = "not stated"
STRATA: Final = (
    "dataset", "acquisition", "lesion", "type", "distribution", "size", "birads", "density",
    "age", "vendor",
)  # fmt: skip
"""What results on regions are broken down by."""


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


def area(cases: GroupedCases) -> dict[str, Any]:
    """`auc`, `auc_ci`, `n_pos`, `n_neg`, `ci_method`; null what the cases do not allow.

    The interval draws women where one has several cases, otherwise it is DeLong's.
    """
    found = auc.by_woman(cases.labels, cases.scores, cases.women)
    if found is None:
        n_pos = int(cases.labels.sum())
        counts = {"n_pos": n_pos, "n_neg": len(cases) - n_pos}
        return {"auc": None, "auc_ci": None} | counts | {"ci_method": NO_AREA}
    return found.as_dict() | {"ci_method": found.method}


def strata(
    cases: GroupedCases, facts: Sequence[Mapping[str, str]], names: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """`by_NAME`: a row with the area for each value of each fact that any case states."""
    found = {}
    for name in names:
        values = [fact.get(name, "") or NOT_STATED for fact in facts]
        if set(values) - {NOT_STATED}:
            found[f"by_{name}"] = [
                {"stratum": value} | area(cases.where(np.array([v == value for v in values], bool)))
                for value in sorted(set(values))
            ]
    return found


def words(question: Question) -> tuple[str, str]:
    """What positive and negative cases are called."""
    if question == Question.PRESENCE:
        return "with calcifications", "without"
    return "malignant", "benign"


def message(result: Mapping[str, Any], positive: str, negative: str) -> str:
    """In words, why a result has no area or no interval; "" where it has both."""
    counts = f"{result['n_pos']} {positive} and {result['n_neg']} {negative} {result['unit']}"
    if result["auc"] is None:
        return f"No area: {counts} could be read, and both are needed."
    if result["auc_ci"] is None:
        return f"No interval: {counts} are of too few women."
    return ""


def shown(
    row: Mapping[str, Any], form: Callable[[float], str] = "{:.3f}".format
) -> tuple[str, str]:
    """Area and interval as text, a dash where there is none."""
    value = form(row["auc"]) if row["auc"] is not None else "–"
    interval = "–".join(form(bound) for bound in row["auc_ci"]) if row["auc_ci"] else "–"
    return value, interval
