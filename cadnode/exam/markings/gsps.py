"""Marked regions in softcopy presentation states: the graphics drawn on mammograms.

PS3.3 C.10.5 (graphic annotation), C.10.4 (displayed area), C.10.6 (rotation and flip). Text is
never read.
"""

import math
import re
from collections.abc import Callable, Iterator

import numpy as np
from pydicom import Dataset

from cadnode.exam.attributes import items, number, numbers, text
from cadnode.exam.markings.marking import (
    Marking,
    Outline,
    Points,
    ellipse_in,
    is_seed,
    outline_of,
    points_of,
    rectangle,
)

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
        "1.2.840.10008.5.1.4.1.1.11.2",  # Color
        "1.2.840.10008.5.1.4.1.1.11.3",  # Pseudo-Color
    }
)
_COMPOUND: dict[str, Callable[[Points], Outline]] = {
    "RECTANGLE": rectangle,
    "ELLIPSE": ellipse_in,
    "RULER": lambda points: outline_of("POLYLINE", points),
}
# These point at something or divide the image; they outline nothing.
_NO_OUTLINE = frozenset({"ARROW", "INFINITELINE", "CUTLINE", "RANGELINE", "AXIS", "CROSSHAIR"})
_TITLES = ("ContentLabel", "ContentDescription", "SeriesDescription", "ManufacturerModelName")
_NO_AREA = "its displayed area is not stated"


def markings(state: Dataset) -> Iterator[Marking]:
    """What is drawn in a presentation state, shape by shape and image by image.

    A compound graphic stands for the simple ones that render it again for older readers: those
    share its Compound Graphic Instance ID and are left out (PS3.3 C.10.5.1.3.1).
    """
    listed = _references(
        image
        for series in items(state, "ReferencedSeriesSequence")
        for image in items(series, "ReferencedImageSequence")
    )
    for annotation in items(state, "GraphicAnnotationSequence"):
        images = _references(items(annotation, "ReferencedImageSequence")) or listed or ("",)
        known = [
            c
            for c in items(annotation, "CompoundGraphicSequence")
            if text(c, "CompoundGraphicType") in _COMPOUND.keys() | _NO_OUTLINE
        ]
        grouped = {number(c, "CompoundGraphicInstanceID") for c in known} - {None}
        compounds = [c for c in known if text(c, "CompoundGraphicType") in _COMPOUND]
        simple = [
            g
            for g in items(annotation, "GraphicObjectSequence")
            if number(g, "CompoundGraphicInstanceID") not in grouped
        ]
        for image in images:
            yield from (_compound(state, image, graphic) for graphic in compounds)
            yield from (_simple(state, image, graphic) for graphic in simple)


def is_by_device(header: Dataset) -> bool:
    """Whether an object calls itself CAD.

    Choice: presentation states name no observer; some CAD systems write their marks as one for
    archives that cannot show a CAD SR, and such an object says "CAD" in a label.
    """
    return any(re.search(r"\bCAD\b", text(header, title)) for title in _TITLES)


def names_a_person(header: Dataset) -> bool:
    """Whether a person is named as the content's creator (PS3.3 C.10.9)."""
    creators = items(header, "ContentCreatorIdentificationCodeSequence")
    return bool(text(header, "ContentCreatorName").strip("^= ") or creators)


def _references(images: Iterator[Dataset] | tuple[Dataset, ...]) -> tuple[str, ...]:
    uids = (text(image, "ReferencedSOPInstanceUID") for image in images)
    return tuple(dict.fromkeys(uid for uid in uids if uid))


def _simple(state: Dataset, image: str, graphic: Dataset) -> Marking:
    kind = text(graphic, "GraphicType")
    points = _in_pixels(state, image, graphic, "GraphicAnnotationUnits")
    if points is None:
        return Marking(image, problem=_NO_AREA)
    return Marking(image, outline_of(kind, points), seed=is_seed(kind))


def _compound(state: Dataset, image: str, graphic: Dataset) -> Marking:
    """A rectangle or ellipse by two corners of its box, turned about its rotation point."""
    points = _in_pixels(state, image, graphic, "CompoundGraphicUnits")
    if points is None:
        return Marking(image, problem=_NO_AREA)
    if len(points) != 2:
        return Marking(image)
    outline = _COMPOUND[text(graphic, "CompoundGraphicType")](points)
    angle = number(graphic, "RotationAngle")
    pivot = points_of(numbers(graphic, "RotationPoint"))
    if not angle or len(pivot) != 1:
        return Marking(image, outline)
    if text(graphic, "CompoundGraphicUnits") == "DISPLAY":
        return Marking(image, problem="it is turned within the displayed area")
    return Marking(image, _turned(outline, angle, (float(pivot[0, 1]), float(pivot[0, 0]))))


def _turned(outline: Outline, degrees: float, pivot: tuple[float, float]) -> Outline:
    """`outline` turned counterclockwise about `pivot` (row, column); rows grow downwards."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return tuple(
        (
            pivot[0] + (row - pivot[0]) * cosine - (column - pivot[1]) * sine,
            pivot[1] + (column - pivot[1]) * cosine + (row - pivot[0]) * sine,
        )
        for row, column in outline
    )


def _in_pixels(state: Dataset, image: str, graphic: Dataset, units: str) -> Points | None:
    """`(n, 2)` (column, row) points in source pixels; None without the area they refer to.

    PIXEL units are our own already. DISPLAY units are fractions of the displayed
    area; MATRIX exists for tiled images only, which no mammogram is, and equals PIXEL.
    """
    points = points_of(numbers(graphic, "GraphicData"))
    if text(graphic, units) != "DISPLAY":
        return points
    for area in items(state, "DisplayedAreaSelectionSequence"):
        if image in (_references(items(area, "ReferencedImageSequence")) or (image,)):
            return _from_display(state, area, points)
    return None


def _from_display(state: Dataset, area: Dataset, points: Points) -> Points | None:
    """Fractions of the displayed area as (column, row) points in source pixels.

    The area's corners are pixels counted from 1\\1 in the stored image, but named as they appear
    after rotation and flip: top left may lie right of, or below, bottom right (PS3.3 C.10.4).
    The fractions run from the outer edge of the one to the outer edge of the other; after a
    quarter turn the horizontal one runs along the rows.
    """
    first = numbers(area, "DisplayedAreaTopLeftHandCorner")
    last = numbers(area, "DisplayedAreaBottomRightHandCorner")
    if len(first) != 2 or len(last) != 2:
        return None
    start, end = np.array(first), np.array(last)
    forward = start <= end
    start, end = np.where(forward, start - 1, start), np.where(forward, end, end - 1)
    if number(state, "ImageRotation") in (90, 270):
        points = points[:, ::-1]
    return np.asarray(start + points * (end - start), np.float64)
