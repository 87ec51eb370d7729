"""The measurement report as IHE AI Results wants it: a Comprehensive 3D SR."""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import CompositeContentItem, ImageContentItem, RelationshipTypeValues
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr.documents import in_place
from cadnode.report.sr.image_library import evidence, images, markers
from cadnode.report.sr.measurement_report import measurement_sr

SERIES_NUMBER: Final = 907
SERIES_DESCRIPTION: Final = "cadnode AI results"
KIND: Final = "ai-results-sr"
_REMARKS: Final = codes.QUALITATIVE_EVALUATIONS.value


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
    ds = measurement_sr(edition)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = Comprehensive3DSRStorage
    named = "".join(f" {other.SOPInstanceUID}" for other in beside)
    in_place(ds, edition, replaced, f"{KIND}{named}")
    ds.SeriesInstanceUID = edition.uid(f"{KIND}-series")
    ds.SeriesNumber, ds.SeriesDescription = SERIES_NUMBER, SERIES_DESCRIPTION
    if beside:
        headers = [*images(edition), *markers(edition), *beside]
        ds.CurrentRequestedProcedureEvidenceSequence = evidence(headers)
        (remarks,) = (i for i in ds.ContentSequence if _name(i) == _REMARKS)
        remarks.ContentSequence = [*remarks.ContentSequence, *map(_reference, beside)]
    return ds


def _name(item: Dataset) -> str:
    """Code value of a content item's name."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _reference(other: Dataset) -> CompositeContentItem | ImageContentItem:
    """The content item that refers to a segmentation's segment, or to key objects.

    Choice: both stand in Qualitative Evaluations, because a group that refers to a segment is one
    of TID 1411 or, with the segment instead of an outline, of TID 1410. The segment's tracking UID
    is that of its finding's group.
    """
    uids = (other.SOPClassUID, other.SOPInstanceUID)
    contains = RelationshipTypeValues.CONTAINS
    if "SegmentSequence" not in other:
        return CompositeContentItem(codes.KEY_IMAGES, *uids, contains)
    numbers = [int(segment.SegmentNumber) for segment in other.SegmentSequence]
    return ImageContentItem(
        codes.REFERENCED_SEGMENT,
        *uids,
        referenced_segment_numbers=numbers,
        relationship_type=contains,
    )
