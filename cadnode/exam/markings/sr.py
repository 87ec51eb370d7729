"""Marked regions in structured reports: every SCOORD that was selected from an image.

TID 1500 reports hold them as Image Region of a planar ROI (TID 1410); viewers also write them
under a measurement ("inferred from"). The content tree is walked whole, so the template does not
matter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from pydicom import Dataset

from cadnode.exam.attributes import code_values, items, numbers, text
from cadnode.exam.markings.marking import Marking, Points, is_line, is_seed, outline_of, points_of
from cadnode.limits import SHAPES

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.88.35",  # Extensible SR
    }
)
# DICOM PS3.16: TID 1002, TID 1411, TID 4019.
_OBSERVER_TYPE = "121005"
_PERSON, _DEVICE = "121006", "121007"
_PERSON_NAME = "121008"
_MEASUREMENT_GROUP = "125007"
_ALGORITHM_NAME = "111001"


@dataclass(frozen=True, eq=False, slots=True)
class _Shape:
    """One SCOORD: the measurement group it is in, the images it was selected from."""

    group: int
    images: tuple[str, ...]
    graphic_type: str
    points: Points


def markings(report: Dataset) -> Iterator[Marking]:
    """What is drawn in a report, shape by shape and image by image.

    Straight lines that one measurement group holds on one image are one marking (the two
    diameters of a lesion), and none beside an outline of that group (its diameters again).
    """
    shapes = list(islice(_shapes(report), SHAPES + 1))
    for shape in shapes:
        if not is_line(shape.graphic_type, shape.points):
            yield from _marked(shape.graphic_type, shape.points, shape.images)
    for lines in _groups([s for s in shapes if is_line(s.graphic_type, s.points)]):
        outlined = {
            image
            for s in shapes
            if s.group == lines[0].group and not is_line(s.graphic_type, s.points)
            for image in s.images
        }
        images = tuple(i for i in lines[0].images if i not in outlined)
        if images or not lines[0].images:
            yield from _marked("POLYLINE", np.concatenate([s.points for s in lines]), images)


def predecessors(report: Dataset) -> set[str]:
    """SOP Instance UIDs of the documents that a report replaces (PS3.3 C.17.2)."""
    return {
        text(instance, "ReferencedSOPInstanceUID")
        for document in items(report, "PredecessorDocumentsSequence")
        for series in items(document, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedSOPSequence")
    }


def is_by_device(report: Dataset) -> bool:
    """Whether a report's observations are a device's, not a person's.

    The content tree's observers count (TID 1002), then those of the header. Choice: a report
    that names no observer is a person's, as viewers leave this out, unless it names an algorithm.
    """
    observers: set[str] = set()
    algorithm = False
    for _, item in _walk(report):
        (name,) = code_values(items(item, "ConceptNameCodeSequence"))[:1] or ("",)
        if name == _OBSERVER_TYPE:
            observers |= set(code_values(items(item, "ConceptCodeSequence")))
        elif name == _PERSON_NAME:
            observers.add(_PERSON)
        algorithm = algorithm or name == _ALGORITHM_NAME
    authors = {text(a, "ObserverType") for a in items(report, "AuthorObserverSequence")}
    if observers & {_PERSON, _DEVICE}:
        return _PERSON not in observers
    if "PSN" in authors or items(report, "VerifyingObserverSequence"):
        return False
    return "DEV" in authors or algorithm


def names_a_person(report: Dataset) -> bool:
    """Whether a person is named as the observer, author or verifier (TID 1002, PS3.3 C.17.2)."""
    for _, item in _walk(report):
        (name,) = code_values(items(item, "ConceptNameCodeSequence"))[:1] or ("",)
        stated = code_values(items(item, "ConceptCodeSequence"))
        if name == _PERSON_NAME or (name == _OBSERVER_TYPE and _PERSON in stated):
            return True
    authors = {text(a, "ObserverType") for a in items(report, "AuthorObserverSequence")}
    return "PSN" in authors or bool(items(report, "VerifyingObserverSequence"))


def _marked(graphic_type: str, points: Points, images: Sequence[str]) -> Iterator[Marking]:
    outline = outline_of(graphic_type, points)
    for image in images or ("",):
        yield Marking(image, outline, seed=is_seed(graphic_type))


def _groups(lines: Sequence[_Shape]) -> Iterator[list[_Shape]]:
    """Lines of one measurement group on the same images together; others one by one."""
    grouped: dict[tuple[object, ...], list[_Shape]] = {}
    for number, line in enumerate(lines):
        alone = (number,) if line.group < 0 else ()
        grouped.setdefault((line.group, line.images, *alone), []).append(line)
    yield from grouped.values()


def _shapes(report: Dataset) -> Iterator[_Shape]:
    for group, item in _walk(report):
        if text(item, "ValueType") == "SCOORD":
            yield _Shape(
                group,
                tuple(dict.fromkeys(_images(report, item))),
                text(item, "GraphicType"),
                points_of(numbers(item, "GraphicData")),
            )


def _walk(report: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Every content item in reading order, with the number of its measurement group or -1."""
    pending = [(-1, report)]
    count = 0
    while pending:
        group, item = pending.pop()
        if _MEASUREMENT_GROUP in code_values(items(item, "ConceptNameCodeSequence")):
            group, count = count, count + 1
        yield group, item
        pending += [(group, child) for child in reversed(items(item, "ContentSequence"))]


def _images(report: Dataset, scoord: Dataset) -> Iterator[str]:
    """SOP Instance UIDs of the images a SCOORD was selected from, by value or by reference."""
    for child in items(scoord, "ContentSequence"):
        path = numbers(child, "ReferencedContentItemIdentifier")
        target = _at(report, path) if path else child
        for reference in items(target, "ReferencedSOPSequence") if target is not None else ():
            uid = text(reference, "ReferencedSOPInstanceUID")
            if uid:
                yield uid


def _at(report: Dataset, path: Sequence[float]) -> Dataset | None:
    """The content item at a path of ordinals, the root's being 1 (PS3.3 C.17.3.2.5)."""
    item = report
    for ordinal in path[1:]:
        children = items(item, "ContentSequence")
        if not 1 <= ordinal <= len(children):
            return None
        item = children[int(ordinal) - 1]
    return item
