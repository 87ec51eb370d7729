"""What the node detects in images with known lesions: marks for the FROC, and crops."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cadnode.detect.regions import Region
from cadnode.domain import Box, FindingKind, FloatImage
from cadnode.models.detector import Detector
from cadnode.models.mass_finder import MassFinder
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.papers.detection.cases import (
    DetectionCase,
    DetectionCases,
    MatchedLesions,
    Target,
    detected,
    matched,
)
from cadnode_training.papers.detection.evaluate import KINDS
from cadnode_training.results.gallery import CasePicture, painted
from cadnode_training.statistics.froc import ImageMarks

_AROUND_MM: Final = 8.0
_MOST_FALSE: Final = 6


@dataclass(frozen=True, eq=False, slots=True)
class Lesion:
    """A lesion, the certainty of the most certain mark on it (None without any), and a picture.

    `picture` is a `data:` URL (`gallery.painted`).
    """

    group: str
    diameter_mm: float
    certainty: float | None
    picture: str


@dataclass(eq=False, slots=True)
class OfKind:
    """All that was marked of one kind.

    Parameters
    ----------
    marks
        One of each image.
    lesions
        In the order of the images.
    false_marks
        (certainty, −number, picture) of the most certain marks that hit nothing, in images without
        such a lesion.
    seen
        How many such marks there were.
    """

    marks: list[ImageMarks] = field(default_factory=list)
    lesions: list[Lesion] = field(default_factory=list)
    false_marks: list[tuple[float, int, str]] = field(default_factory=list)
    seen: int = 0


def read(
    images: DetectionCases, detector: Detector | None, cache: ReadCache | None = None,
    *, masses: MassFinder | None = None,
) -> dict[FindingKind, OfKind]:  # fmt: skip
    """What is marked of each kind, as the node marks it but from certainty 0 on."""
    found = {kind: OfKind() for kind in KINDS}
    for case, regions in detected(images, detector, cache, masses=masses):
        for kind, of_kind in found.items():
            _add(of_kind, case, matched(case, kind, regions))
    return found


def _add(of_kind: OfKind, case: DetectionCase, found: MatchedLesions) -> None:
    of_kind.marks.append(found.marks)
    of_kind.lesions += [_lesion(case, target, first) for target, first in found.lesions]
    for region in found.false if found.counts_false else ():
        _keep(of_kind, case, region)


def _lesion(case: DetectionCase, target: Target, mark: Region | None) -> Lesion:
    outlines = (mark.outline,) if mark else ()
    crop = _crop(case, target.box)
    moved = _moved(target.box, crop)
    shown = CasePicture(_part(case.image, crop), lesion=moved, outlines=_shifted(outlines, crop))
    diameter = 2 * target.radius * case.spacing_mm
    return Lesion(case.group, diameter, mark.certainty if mark else None, painted(shown))


def _keep(of_kind: OfKind, case: DetectionCase, region: Region) -> None:
    """Keep the picture if the mark is among the most certain ones."""
    kept = of_kind.false_marks
    of_kind.seen += 1
    if len(kept) == _MOST_FALSE and kept[0][0] >= region.certainty:
        return
    crop = _crop(case, region.box)
    shown = CasePicture(_part(case.image, crop), outlines=_shifted((region.outline,), crop))
    entry = (region.certainty, -of_kind.seen, painted(shown))
    if len(kept) < _MOST_FALSE:
        heapq.heappush(kept, entry)
    else:
        heapq.heapreplace(kept, entry)


def _crop(case: DetectionCase, box: Box) -> Box:
    around = round(_AROUND_MM / case.spacing_mm)
    rows, cols = case.image.shape
    return Box(
        max(box.row0 - around, 0), max(box.col0 - around, 0),
        min(box.row1 + around, rows), min(box.col1 + around, cols),
    )  # fmt: skip


def _part(image: FloatImage, crop: Box) -> FloatImage:
    return image[crop.row0 : crop.row1, crop.col0 : crop.col1].copy()


def _moved(box: Box, crop: Box) -> Box:
    return Box(
        box.row0 - crop.row0, box.col0 - crop.col0, box.row1 - crop.row0, box.col1 - crop.col0
    )


def _shifted(
    outlines: Sequence[tuple[tuple[float, float], ...]], crop: Box
) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(
        tuple((row - crop.row0, col - crop.col0) for row, col in outline) for outline in outlines
    )
