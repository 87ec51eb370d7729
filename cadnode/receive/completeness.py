"""When a study is read: its wanted views are there, or nothing more has come for a while."""

from collections.abc import Set

from cadnode.domain import Laterality, ViewPosition

View = tuple[Laterality, ViewPosition]


def wait_s(present: Set[View], wanted: Set[View], *, settle_s: float, quiet_s: float) -> float:
    """Seconds without a further arrival after which the study is read.

    `settle_s` once every wanted view is present, `quiet_s` until then; where none is wanted,
    only quiet counts.
    """
    return settle_s if wanted and wanted <= present else quiet_s
