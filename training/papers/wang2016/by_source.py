"""How well a classifier does within each source of regions, and what the source alone would tell.

Where real masses and phantoms with calcifications are learned from together, whatever differs
between them could stand in for malignancy: an AUC over both at once proves little.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cadnode.statistics.auc import auc
from cadnode_training.papers.wang2016.measure import NAMES
from cadnode_training.papers.wang2016.phantom_regions import CONTENTS
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.statistics import grouped
from cadnode_training.statistics.grouped import GroupedCases

Floats = NDArray[np.float64]
REAL: Final = "real regions"
PHANTOMS: Final[Mapping[str, str]] = {
    "cluster": "phantom clusters", "mass": "phantom masses", "pair": "phantom masses with clusters",
}  # fmt: skip
_NUMBER: Final = "calc_number"


def sources(table: FeatureTable) -> NDArray[np.str_]:
    """`(n,)` where each row is from: real, or a phantom of a content."""
    drawn = np.isfinite(table.p_malignant)
    return np.array(
        [
            PHANTOMS[_content(key)] if phantom else REAL
            for key, phantom in zip(table.women.tolist(), drawn, strict=True)
        ],
        np.str_,
    )


def split(table: FeatureTable) -> dict[str, NDArray[np.bool_]]:
    """The rows `(n,) bool` of each source that the table has."""
    found = sources(table)
    names = (REAL, *PHANTOMS.values())
    return {name: found == name for name in names if (found == name).any()}


def within(table: FeatureTable, scores: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """A row for each source with each classifier's AUC; none where all rows are of one.

    `mean` is the mean probability, `share` how many are malignant: calibrated where they agree.
    """
    parts = split(table)
    if len(parts) < 2:
        return []
    return [
        {
            "source": name,
            "share": round(float(table.malignant[rows].mean()), 4),
            "rows": [
                {"classifier": classifier, "mean": round(float(one[rows].mean()), 4)}
                | grouped.auc_of(GroupedCases(table.malignant, one, table.women).where(rows))
                for classifier, one in scores.items()
            ],
        }
        for name, rows in parts.items()
    ]


def alone(table: FeatureTable) -> float | None:
    """The AUC of who knows but the source: each row scored by its source's malignant share.

    One half where no source has more malignant regions than another; None with one class.
    """
    if len(set(table.malignant.tolist())) < 2:
        return None
    scores = np.zeros(len(table))
    for rows in split(table).values():
        scores[rows] = table.malignant[rows].mean()
    return round(auc(table.malignant, scores), 4)


def by_what_is_found(table: FeatureTable, scores: Floats) -> list[dict[str, Any]]:
    """AUCs of regions in which the segmentation finds calcifications, and of the others.

    The node gives a region with a mass to the scenario *both* only where it finds some.
    """
    if _NUMBER not in table.features:
        return []
    found = table.values[:, table.features.index(_NUMBER)] > 0
    cases = GroupedCases(table.malignant, scores, table.women)
    return [
        {"stratum": stratum} | grouped.auc_of(cases.where(rows))
        for stratum, rows in (
            ("calcifications segmented", found), ("no calcifications segmented", ~found),
        )
        if rows.any()
    ]  # fmt: skip


def show(console: Console, block: Mapping[str, Any]) -> None:
    """Print what `within` and `by_what_is_found` gave, where a block has them."""
    for part in block.get("within_sources", ()):
        aucs = ", ".join(
            f"{NAMES[row['classifier']]} {grouped.shown(row)[0]}" for row in part["rows"]
        )
        row = part["rows"][0]
        console.print(
            f"{part['source']}, {row['n_pos']} against {row['n_neg']}: AUC {aucs}", highlight=False
        )
    if block.get("within_sources") and block.get("source_alone") is not None:
        console.print(f"the source alone: AUC {block['source_alone']:.3f}", highlight=False)
    for row in block.get("by_what_is_found", ()):
        value, interval = grouped.shown(row)
        console.print(
            f"{row['stratum']}, {row['n_pos']} against {row['n_neg']}: AUC {value} ({interval})",
            highlight=False,
        )


def _content(key: str) -> str:
    """Of the key of a phantom's row, `SEED:PART:CONTENT:NUMBER`."""
    content = key.split(":")[2] if key.count(":") == 3 else ""
    return content if content in CONTENTS else "mass"
