"""When a study is read: its wanted views are there, or nothing more has come for a while."""

from collections.abc import Set
from enum import StrEnum

from cadnode.domain import Laterality, ViewPosition

View = tuple[Laterality, ViewPosition]


class Decision(StrEnum):
    """Whether a study is read now, and why."""

    COMPLETE_BY_VIEWS = "complete_by_views"
    COMPLETE_BY_QUIET = "complete_by_quiet"
    WAIT = "wait"


def views_complete(present: Set[View], wanted: Set[View]) -> bool:
    """Whether every wanted view is present; False when none is wanted (only quiet counts)."""
    return bool(wanted) and wanted <= present


def decide(
    present: Set[View], quiet_s: float, wanted: Set[View], quiet_wanted_s: float
) -> Decision:
    """Read now or wait, from the views present and the seconds since the last arrival."""
    if views_complete(present, wanted):
        return Decision.COMPLETE_BY_VIEWS
    return Decision.COMPLETE_BY_QUIET if quiet_s >= quiet_wanted_s else Decision.WAIT
