"""Image Library of a measurement report, and references to its images (TID 1600 to 1603)."""

from collections.abc import Iterable

from pydicom import Dataset

from cadnode.errors import ReportError
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.sr import items
from cadnode.report.sr.items import ACQUISITION, Item

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


def image_library(edition: Edition, headers: Iterable[Dataset]) -> list[Item]:
    """TID 1600 container with one IMAGE and its descriptors per header; none without images."""
    entries = []
    for header in headers:
        mammogram = edition.mammogram(str(header.SOPInstanceUID))
        descriptors = [*_of_view(mammogram), *_of_image(header), *_of_spacing(mammogram)]
        entries.append(items.image(items.CONTAINS, codes.SOURCE, header, descriptors))
    if not entries:
        return []
    group = items.container(items.CONTAINS, codes.IMAGE_LIBRARY_GROUP, entries)
    return [items.container(items.CONTAINS, codes.IMAGE_LIBRARY, [group])]


def _of_image(header: Dataset) -> list[Item]:
    """Modality, matrix and orientation, as far as the header states them (TID 1602, 1603)."""
    made = []
    if header.get("Modality") == "MG":
        made.append(items.code(ACQUISITION, codes.MODALITY, codes.MAMMOGRAPHY))
    for name, count in (
        (codes.PIXEL_DATA_ROWS, header.Rows),
        (codes.PIXEL_DATA_COLUMNS, header.get("Columns")),
    ):
        if count:
            made.append(items.precise_number(ACQUISITION, name, int(count), codes.PIXELS))
    orientation = header.get("PatientOrientation")
    if isinstance(orientation, str) or not orientation or len(orientation) != 2:
        return made
    for name, text in zip(
        (codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN), orientation, strict=True
    ):
        if text:
            made.append(items.text(ACQUISITION, name, str(text)))
    return made


def _of_view(mammogram: Mammogram | None) -> list[Item]:
    """Side and view with its modifiers (TID 1603)."""
    if mammogram is None:
        return []
    modifiers = [
        items.code(items.MODIFIER, codes.IMAGE_VIEW_MODIFIER, codes.VIEW_MODIFIERS[m])
        for m in sorted(mammogram.modifiers)
    ]
    side = codes.SIDES[mammogram.laterality]
    return [
        items.code(ACQUISITION, codes.IMAGE_LATERALITY, side),
        items.code(ACQUISITION, codes.IMAGE_VIEW, codes.VIEWS[mammogram.view], modifiers),
    ]


def _of_spacing(mammogram: Mammogram | None) -> list[Item]:
    """Pixel spacing in the plane of the breast, in mm (TID 1603)."""
    if mammogram is None or mammogram.spacing_mm is None:
        return []
    rows, columns = mammogram.spacing_mm
    named = ((codes.SPACING_HORIZONTAL, columns), (codes.SPACING_VERTICAL, rows))
    return [items.precise_number(ACQUISITION, n, mm, codes.MILLIMETER) for n, mm in named]
