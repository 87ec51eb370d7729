"""The order in which findings are numbered and shown, in every object, on the page, in JSON."""

from collections.abc import Sequence
from enum import IntEnum

from cadnode.domain import Assessment, Finding, TrainingMaterial
from cadnode.read.readers import Readers


class _Group(IntEnum):
    """What a reader must see first comes first."""

    SUSPICIOUS = 0  # to a system that did not learn from phantoms alone
    DRAWN = 1  # by a person, who asked about it
    MARKED = 2  # by a device or an unnamed person
    SUSPICIOUS_TO_PHANTOMS = 3  # to systems alone that never saw a woman's mammogram
    REST = 4


def in_reading_order(findings: Sequence[Finding], readers: Readers) -> list[Finding]:
    """The findings as a reader is to see them.

    First what a system that was trained on women's mammograms calls suspicious, then what people
    marked, what somebody unnamed marked, what is suspicious to phantom-trained systems alone, and
    the rest. Within each: the higher score of a system trained on women's mammograms first, then
    the higher score that counts, then the detector's certainty; what is equal stays as it was.
    """
    return sorted(findings, key=lambda finding: _rank(finding, readers))


def _rank(finding: Finding, readers: Readers) -> tuple[_Group, float, float, float]:
    women = [a for a in finding.assessments if not _is_of_phantoms(a, readers)]
    best = max((a.probability for a in women), default=-1.0)
    return _group(finding, women), -best, -finding.probability, -(finding.certainty or 0.0)


def _group(finding: Finding, women: Sequence[Assessment]) -> _Group:
    if any(a.suspicious for a in women):
        return _Group.SUSPICIOUS
    if finding.marked_by is not None:
        return _Group.DRAWN if finding.marked_by.by_person else _Group.MARKED
    if any(a.suspicious for a in finding.assessments):
        return _Group.SUSPICIOUS_TO_PHANTOMS
    return _Group.REST


def _is_of_phantoms(told: Assessment, readers: Readers) -> bool:
    """Whether all that the assessing models learnt from is phantoms."""
    names = [told.algorithm, *(name for name, _ in told.members)]
    used = [use for name in names if (use := readers.use(name)) is not None]
    materials = {material for use in used for material in use.trained_on}
    return materials == {TrainingMaterial.PHANTOMS}
