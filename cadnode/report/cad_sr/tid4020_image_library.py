"""Image Library of a CAD report (TID 4000 row 3, TID 4020): what findings refer to."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from cadnode.errors import ReportError
from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.sr import image_library, items
from cadnode.report.sr.items import Item

PLACE = 2  # of the library among the root's children; the language is the first


@dataclass(frozen=True, eq=False, slots=True)
class Library:
    """The images of a report and where each stands in its tree."""

    edition: Edition
    headers: tuple[Dataset, ...]

    def __contains__(self, sop_instance_uid: str) -> bool:
        return any(str(h.SOPInstanceUID) == sop_instance_uid for h in self.headers)

    def path(self, sop_instance_uid: str) -> items.TreePath:
        """Place of an image in the content tree.

        Raises
        ------
        ReportError
            It is not in the library.
        """
        for number, header in enumerate(self.headers, start=1):
            if str(header.SOPInstanceUID) == sop_instance_uid:
                return 1, PLACE, number
        raise ReportError("a finding refers to an image that is not in the library")

    def selected(self, sop_instance_uid: str) -> Item:
        """SELECTED FROM by reference to the image, below coordinates in it."""
        return items.reference(items.SELECTED, self.path(sop_instance_uid))

    def references(self, sop_instance_uids: Sequence[str]) -> list[Item]:
        """HAS PROPERTIES by reference to each of the images, each once (TID 4017, 4018)."""
        uids = dict.fromkeys(sop_instance_uids)
        return [items.reference(items.PROPERTIES, self.path(uid)) for uid in uids]

    def container(self) -> Item:
        """(111028, DCM, Image Library) with one entry per image."""
        entries = [self._entry(header) for header in self.headers]
        return items.container(items.CONTAINS, codes.IMAGE_LIBRARY, entries)

    def _entry(self, header: Dataset) -> Item:
        mammogram = self.edition.mammogram(str(header.SOPInstanceUID))
        return items.image(
            items.CONTAINS,
            None,
            header,
            [
                *_of_view(mammogram),
                *_of_orientation(header),
                *_of_time(header),
                *_of_spacing(mammogram),
                *_of_matrix(header),
            ],
        )


def library(edition: Edition) -> Library:
    """The eligible views and the images left unread, as far as a report can refer to them."""
    return Library(edition, tuple(image_library.images(edition)))


def _of_view(mammogram: Mammogram | None) -> list[Item]:
    """Side and view with its modifiers, rows 2 to 4."""
    if mammogram is None:
        return []
    modifiers = [
        items.code(items.MODIFIER, codes.IMAGE_VIEW_MODIFIER, codes.VIEW_MODIFIERS[m])
        for m in sorted(mammogram.modifiers)
    ]
    side = concepts.SIDES[mammogram.laterality]
    return [
        items.code(items.ACQUISITION, codes.IMAGE_LATERALITY, side),
        items.code(items.ACQUISITION, codes.IMAGE_VIEW, codes.VIEWS[mammogram.view], modifiers),
    ]


def _of_orientation(header: Dataset) -> list[Item]:
    """Directions of rows and columns, rows 5 and 6."""
    orientation = header.get("PatientOrientation")
    if isinstance(orientation, str) or not orientation or len(orientation) != 2:
        return []
    names = (codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN)
    return [
        items.text(items.ACQUISITION, name, str(value))
        for name, value in zip(names, orientation, strict=True)
        if value
    ]


def _of_time(header: Dataset) -> list[Item]:
    """Study and content date and time, rows 7 to 10, where they are such."""
    return [
        *items.date(items.ACQUISITION, concepts.STUDY_DATE, header.get("StudyDate")),
        *items.time(items.ACQUISITION, concepts.STUDY_TIME, header.get("StudyTime")),
        *items.date(items.ACQUISITION, concepts.CONTENT_DATE, header.get("ContentDate")),
        *items.time(items.ACQUISITION, concepts.CONTENT_TIME, header.get("ContentTime")),
    ]


def _of_spacing(mammogram: Mammogram | None) -> list[Item]:
    """Pixel spacing in the plane of the breast in mm, rows 11 and 12."""
    if mammogram is None or mammogram.spacing_mm is None:
        return []
    rows_mm, columns_mm = mammogram.spacing_mm
    return [
        items.number(items.ACQUISITION, codes.SPACING_HORIZONTAL, columns_mm, codes.MILLIMETER),
        items.number(items.ACQUISITION, codes.SPACING_VERTICAL, rows_mm, codes.MILLIMETER),
    ]


def _of_matrix(header: Dataset) -> list[Item]:
    """Rows and columns of the image, rows 27 and 28."""
    sizes = (
        (codes.PIXEL_DATA_ROWS, header.Rows),
        (codes.PIXEL_DATA_COLUMNS, header.get("Columns")),
    )
    return [
        items.number(items.ACQUISITION, name, int(count), codes.PIXELS)
        for name, count in sizes
        if count
    ]
