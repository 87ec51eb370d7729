"""Image Library of a measurement report, and references to its images (TID 1600 to 1603)."""

from collections.abc import Iterable

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset

from cadnode.errors import ReportError
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition

_CONTAINS = RelationshipTypeValues.CONTAINS
_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
_MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD
_REFERENCE_NEEDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def referable(header: Dataset | None) -> bool:
    """Whether a report can refer to the instance as an image: it has all UIDs and rows."""
    return header is not None and "Rows" in header and all(map(header.get, _REFERENCE_NEEDS))


def images(edition: Edition) -> list[Dataset]:
    """Headers of all images a report refers to: the eligible views, then those left unread."""
    uids = [m.sop_instance_uid for m in edition.exam.mammograms]
    uids += [s.sop_instance_uid for s in edition.result.skipped]
    headers = (edition.header(uid) for uid in dict.fromkeys(uids))
    return [header for header in headers if header is not None and referable(header)]


def markers(edition: Edition) -> list[Dataset]:
    """Headers of the objects in which people drew regions that the report answers.

    Raises
    ------
    ReportError
        Such an object is not in the exam: a report may not refer to what it cannot name.
    """
    references = (f.marked_by for f in edition.result.findings)
    uids = [r.sop_instance_uid for r in references if r is not None and r.sop_instance_uid]
    found = [edition.header(uid) for uid in dict.fromkeys(uids)]
    headers = [h for h in found if h is not None and all(map(h.get, _REFERENCE_NEEDS))]
    if len(headers) < len(found):
        raise ReportError("a region refers to an object that is not in the exam")
    return headers


def evidence(headers: Iterable[Dataset]) -> list[Dataset]:
    """Items of Current Requested Procedure Evidence Sequence (0040,A375), PS3.3 C.17.2.

    One item per study, one per series in it: film exams keep each view in a study of its own.
    An instance is listed once: viewers refuse a report that lists one twice.
    """
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for header in {str(h.SOPInstanceUID): h for h in headers}.values():
        series = studies.setdefault(str(header.StudyInstanceUID), {})
        instance = Dataset()
        instance.ReferencedSOPClassUID = header.SOPClassUID
        instance.ReferencedSOPInstanceUID = header.SOPInstanceUID
        series.setdefault(str(header.SeriesInstanceUID), []).append(instance)
    return [_study_item(study, series) for study, series in studies.items()]


def _study_item(study_uid: str, series: dict[str, list[Dataset]]) -> Dataset:
    """One study with its referenced series, PS3.3 table C.17-3."""
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = instances
        study.ReferencedSeriesSequence.append(item)
    return study


def image_library(edition: Edition, headers: Iterable[Dataset]) -> ContainerContentItem | None:
    """TID 1600 container with one IMAGE and its descriptors per header; None without images."""
    entries = []
    for header in headers:
        image = ImageContentItem(
            name=codes.SOURCE,
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=header.SOPInstanceUID,
            relationship_type=_CONTAINS,
        )
        mammogram = edition.mammogram(str(header.SOPInstanceUID))
        image.ContentSequence = ContentSequence(
            [*_of_view(mammogram), *_of_image(header), *_of_spacing(mammogram)]
        )
        entries.append(image)
    if not entries:
        return None
    group = ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence(entries)
    library = ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _of_image(header: Dataset) -> list[ContentItem]:
    """Modality, matrix and orientation, as far as the header states them (TID 1602, 1603)."""
    items: list[ContentItem] = []
    if header.get("Modality") == "MG":
        items.append(CodeContentItem(codes.MODALITY, codes.MAMMOGRAPHY, _CONTEXT))
    for name, count in (
        (codes.PIXEL_DATA_ROWS, header.Rows),
        (codes.PIXEL_DATA_COLUMNS, header.get("Columns")),
    ):
        if count:
            items.append(NumContentItem(name, int(count), codes.PIXELS, None, _CONTEXT))
    orientation = header.get("PatientOrientation")
    if isinstance(orientation, str) or not orientation or len(orientation) != 2:
        return items
    for name, text in zip(
        (codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN), orientation, strict=True
    ):
        if text:
            items.append(TextContentItem(name, str(text), _CONTEXT))
    return items


def _of_view(mammogram: Mammogram | None) -> list[ContentItem]:
    """Side and view with its modifiers (TID 1603)."""
    if mammogram is None:
        return []
    view = CodeContentItem(codes.IMAGE_VIEW, codes.VIEWS[mammogram.view], _CONTEXT)
    modifiers = [
        CodeContentItem(codes.IMAGE_VIEW_MODIFIER, codes.VIEW_MODIFIERS[m], _MODIFIER)
        for m in sorted(mammogram.modifiers)
    ]
    if modifiers:
        view.ContentSequence = ContentSequence(modifiers)
    side = CodeContentItem(codes.IMAGE_LATERALITY, codes.SIDES[mammogram.laterality], _CONTEXT)
    return [side, view]


def _of_spacing(mammogram: Mammogram | None) -> list[ContentItem]:
    """Pixel spacing in the plane of the breast, in mm (TID 1603)."""
    if mammogram is None or mammogram.spacing_mm is None:
        return []
    rows_mm, columns_mm = mammogram.spacing_mm
    return [
        NumContentItem(codes.SPACING_HORIZONTAL, columns_mm, codes.MILLIMETER, None, _CONTEXT),
        NumContentItem(codes.SPACING_VERTICAL, rows_mm, codes.MILLIMETER, None, _CONTEXT),
    ]
