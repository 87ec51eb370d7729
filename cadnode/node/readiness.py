"""Which received files of a study concern the node: they are read, and their change is noticed."""

from collections.abc import Sequence, Set
from pathlib import Path

from cadnode.domain import Laterality, SkipReason, ViewPosition
from cadnode.exam.mammogram import Instance, inspect
from cadnode.exam.markings.regions import holds_regions
from cadnode.exam.rejection import rejected_by

WantedView = tuple[Laterality, ViewPosition]


def wait_s(
    present: Set[WantedView], wanted: Set[WantedView], *, settle_s: float, quiet_s: float
) -> float:
    """Seconds without a further arrival after which the study is read.

    `settle_s` once every wanted view is present, `quiet_s` until then; where none is wanted,
    only quiet counts.
    """
    return settle_s if wanted and wanted <= present else quiet_s


NOT_OURS = frozenset(
    {
        SkipReason.NOT_DICOM,
        SkipReason.NOT_AN_IMAGE,
        SkipReason.NOT_MAMMOGRAPHY,
        SkipReason.OWN_OUTPUT,
    }
)


def relevant(paths: Sequence[Path]) -> list[Path]:
    """Those of a study's files that concern us; none where there is no mammogram.

    Mammograms do; where there are some, so do objects in which people marked regions, and notes
    that reject images of the study.
    Other objects, above all our own coming back from an archive, do not count: they never
    cause a study to be read again.
    """
    instances = [inspect(path) for path in paths]
    images = {i.sop_instance_uid for i in instances if _is_mammogram(i)}
    if not images:
        return []
    return [
        i.path
        for i in instances
        if _is_mammogram(i) or holds_regions(i) or (i.header and rejected_by(i.header) & images)
    ]


def _is_mammogram(instance: Instance) -> bool:
    """Whether a received file is a mammogram, or would be one were it not damaged."""
    return instance.skipped is None or instance.skipped.reason not in NOT_OURS
