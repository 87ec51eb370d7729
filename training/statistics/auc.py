"""The AUC and its intervals, as the node has them (`cadnode.statistics.auc`)."""

from cadnode.statistics.auc import (
    BY_WOMAN,
    DELONG,
    NO_INTERVAL,
    Auc,
    AucDifference,
    Floats,
    auc,
    by_woman,
    clustered,
    delong,
    delong_test,
    placements,
    several_a_woman,
)

__all__ = [
    "BY_WOMAN",
    "DELONG",
    "NO_INTERVAL",
    "Auc",
    "AucDifference",
    "Floats",
    "auc",
    "by_woman",
    "clustered",
    "delong",
    "delong_test",
    "placements",
    "several_a_woman",
]
