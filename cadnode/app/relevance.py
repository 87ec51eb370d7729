"""Which received files of a study concern the node: they are read, and their change is noticed."""

from collections.abc import Sequence
from pathlib import Path

from cadnode.domain import SkipReason
from cadnode.exam.mammogram import Instance, inspect
from cadnode.exam.regions import holds_regions

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

    Mammograms do, and objects in which people marked regions, where there are mammograms.
    Other objects, above all our own coming back from an archive, do not count: they never
    cause a study to be read again.
    """
    instances = [inspect(path) for path in paths]
    if not any(map(_is_mammogram, instances)):
        return []
    return [i.path for i in instances if _is_mammogram(i) or holds_regions(i)]


def _is_mammogram(instance: Instance) -> bool:
    """Whether a received file is a mammogram, or would be one were it not damaged."""
    return instance.skipped is None or instance.skipped.reason not in NOT_OURS
