"""The measurement report as IHE AI Results wants it: a Comprehensive 3D SR."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.items import Item
from cadnode.report.sr.measurement_groups import measurement_groups
from cadnode.report.sr.measurement_report import document

SERIES_NUMBER: Final = 907
SERIES_DESCRIPTION: Final = "cadnode AI results"
KIND: Final = "ai-results-sr"


def ai_results_sr(
    edition: Edition, replaced: Sequence[Dataset] = (), beside: Sequence[Dataset] = ()
) -> Dataset:
    """`measurement_sr` as an object of SOP class Comprehensive 3D SR, in a series of its own.

    IHE Radiology, AI Results (AIR) names that class for its measurement and qualitative findings,
    with TID 1500 as root; its content constraints (PS3.3 A.35.13) admit all that a Comprehensive
    SR may hold. `replaced` is the same report of an earlier reading. `beside` are the reading's
    segmentations and key objects: Qualitative Evaluations refer to them, and they are evidence.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    named = "".join(f" {other.SOPInstanceUID}" for other in beside)
    return document(
        edition,
        measurement_groups(edition),
        replaced,
        kind=KIND,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_class_uid=Comprehensive3DSRStorage,
        uid_kind=f"{KIND}{named}",
        beside=beside,
        references=[*map(_reference, beside)],
    )


def _reference(other: Dataset) -> Item:
    """The content item that refers to a segmentation's segment, or to key objects.

    Choice: both stand in Qualitative Evaluations, because a group that refers to a segment is one
    of TID 1411 or, with the segment instead of an outline, of TID 1410. The segment's tracking UID
    is that of its finding's group.
    """
    if "SegmentSequence" not in other:
        uids = (str(other.SOPClassUID), str(other.SOPInstanceUID))
        return items.composite(items.CONTAINS, codes.KEY_IMAGES, *uids)
    numbers = [int(segment.SegmentNumber) for segment in other.SegmentSequence]
    return items.image(items.CONTAINS, codes.REFERENCED_SEGMENT, other, segments=numbers)
