"""Image Library of a measurement report by highdicom (TID 1600 to 1603)."""

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

from cadnode.exam.exam import Mammogram
from cadnode.report import codes
from cadnode.report.edition import Edition

_CONTAINS = RelationshipTypeValues.CONTAINS
_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
_MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD


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
