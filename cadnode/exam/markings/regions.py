"""Regions that people marked, from the objects that lie in a study beside its mammograms.

Which objects count, and what becomes of their shapes, is described in docs/regions.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom import Dataset

from cadnode.domain import Box, RoiReference, Skipped, SkipReason
from cadnode.errors import SettingsError
from cadnode.exam.attributes import text
from cadnode.exam.exam import Exam, Mammogram, PersonRegion
from cadnode.exam.kind import is_own_output
from cadnode.exam.mammogram import NOT_THE_FILES_FAULT, Instance
from cadnode.exam.markings import gsps, seg, sr
from cadnode.exam.markings.marking import Marking, Outline
from cadnode.limits import REGIONS, SHAPES

__all__ = [
    "MarkedRegions",
    "PersonRegion",
    "find_regions",
    "holds_regions",
    "parse_roi",
    "region_of",
]

# Side of the box around a point. Choice: calcifications are "grouped" within 1 cm (ACR BI-RADS,
# 5th edition), so a point's box holds the group that it points at.
SEED_MM = 10.0
# Choice: where no spacing is stated the longer side is assumed to be that of a 24 cm film.
_LONGER_SIDE_MM = 240.0
_REFERENCE_NEEDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_ROI_FORM = (
    "--roi is written VIEW:row0,col0,row1,col1 in pixels of the stored image, for example"
    " LMLO:1200,340,1712,852; VIEW is RCC, LCC, RMLO, LMLO or a SOP Instance UID"
)


@dataclass(frozen=True, slots=True)
class MarkedRegions:
    """What people marked on an exam's mammograms.

    `skipped` has one entry an object and reason. `objects` are the SOP Instance UIDs of all
    objects that hold markings of people, used or not.
    """

    regions: tuple[PersonRegion, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    objects: frozenset[str] = frozenset()


def holds_regions(instance: Instance) -> bool:
    """Whether a file is a report, presentation state or segmentation in which a person drew.

    Only its header is evaluated: a segmentation may turn out to be empty.
    """
    header = instance.header
    if header is None:
        return False
    try:
        return next(_markings(instance.path, header, {}), None) is not None
    except NOT_THE_FILES_FAULT:
        raise
    except Exception:
        return True  # that it cannot be used is said when the study is read


def find_regions(instances: Iterable[Instance], mammograms: Sequence[Mammogram]) -> MarkedRegions:
    """The regions that people marked on `mammograms`, and why others cannot be used.

    Does not depend on the order of `instances`. What is marked twice (in a report and again in
    a presentation state) is one region.
    """
    by_uid = {m.sop_instance_uid: m for m in mammograms}
    regions: dict[tuple[str, Box], PersonRegion] = {}
    skipped: dict[Skipped, None] = {}
    objects: set[str] = set()
    for path, header in _current(instances):
        uid = str(header.get("SOPInstanceUID", ""))
        for made in _made(path, header, by_uid):
            objects.add(uid)
            if isinstance(made, str):
                skipped[Skipped(uid, SkipReason.ROI_UNUSABLE, made)] = None
            else:
                regions.setdefault((made.sop_instance_uid, made.box), made)
    return MarkedRegions(tuple(regions.values()), tuple(skipped), frozenset(objects))


def _made(
    path: Path, header: Dataset, by_uid: Mapping[str, Mammogram]
) -> Iterator[PersonRegion | str]:
    """The regions that an object's markings make, and why others make none.

    Nothing in it makes this raise.
    """
    matrices = {uid: (m.rows, m.columns) for uid, m in by_uid.items()}
    count: Counter[str] = Counter()
    try:
        sop_class, uid = (str(header.get(k, "")) for k in ("SOPClassUID", "SOPInstanceUID"))
        reference = RoiReference(sop_class, uid, _by_person(header))
        for marking in islice(_markings(path, header, matrices), SHAPES + 1):
            count[marking.sop_instance_uid] += 1
            made = _region(marking, by_uid.get(marking.sop_instance_uid), reference)
            if count.total() > SHAPES:
                made = f"it has more than {SHAPES} shapes"
            elif isinstance(made, PersonRegion) and count[made.sop_instance_uid] > REGIONS:
                made = f"it has more than {REGIONS} regions on one image"
            yield made
    except NOT_THE_FILES_FAULT:
        raise
    except Exception as error:
        yield f"it cannot be read ({type(error).__name__})"


def parse_roi(option: str, exam: Exam) -> PersonRegion:
    """The region that `--roi` names: `VIEW:row0,col0,row1,col1`.

    VIEW is a side and view of the exam (`RCC`, `LMLO`) or a SOP Instance UID. The box is clipped
    to the image.

    Raises
    ------
    SettingsError
        The text has another form, the exam has no such view, or the box has no area there.
    """
    name, _, numbers = option.strip().rpartition(":")
    try:
        row0, col0, row1, col1 = (int(n) for n in numbers.split(","))
    except ValueError:
        raise SettingsError(_ROI_FORM) from None
    if not name:
        raise SettingsError(_ROI_FORM)
    mammogram = _view(name.strip(), exam)
    box = Box(max(row0, 0), max(col0, 0), min(row1, mammogram.rows), min(col1, mammogram.columns))
    if box.row0 >= box.row1 or box.col0 >= box.col1:
        raise SettingsError(
            f"--roi {row0},{col0},{row1},{col1} has no area in that view, which has"
            f" {mammogram.rows} rows and {mammogram.columns} columns; {_ROI_FORM}"
        )
    return PersonRegion(mammogram.sop_instance_uid, box, _corners(box), RoiReference("", ""))


def _view(name: str, exam: Exam) -> Mammogram:
    views = {f"{m.laterality}{m.view}": m for m in exam.mammograms}
    by_uid = {m.sop_instance_uid: m for m in exam.mammograms}
    found = by_uid.get(name) or views.get(name.upper())
    if found is None:
        known = ", ".join(views) or "none"
        raise SettingsError(f"--roi names no view that is read; this exam's are: {known}")
    return found


def _current(instances: Iterable[Instance]) -> list[tuple[Path, Dataset]]:
    """Objects that may hold markings, sorted; without reports that a newer one replaces."""
    found: dict[str, tuple[Path, Dataset]] = {}
    for instance in sorted(instances, key=lambda i: str(i.path)):
        if instance.header is not None and instance.mammogram is None:
            uid = text(instance.header, "SOPInstanceUID")
            found.setdefault(uid, (instance.path, instance.header))
    found.pop("", None)
    replaced: set[str] = set()
    for _, header in found.values():
        replaced |= sr.predecessors(header)
    kinds = [sr.SOP_CLASSES, gsps.SOP_CLASSES, seg.SOP_CLASSES]
    rank = {sop_class: n for n, classes in enumerate(kinds) for sop_class in classes}
    wanted = [
        (rank[sop_class], uid)
        for uid, (_, header) in found.items()
        if (sop_class := text(header, "SOPClassUID")) in rank and uid not in replaced
    ]
    return [found[uid] for _, uid in sorted(wanted)]


def _markings(path: Path, header: Dataset, matrices: Mapping[str, seg.Matrix]) -> Iterator[Marking]:
    """What people drew in an object that a report can refer to.

    Our own objects and those of other devices give none.
    """
    sop_class = text(header, "SOPClassUID")
    if is_own_output(header) or not all(map(header.get, _REFERENCE_NEEDS)):
        return
    if sop_class in sr.SOP_CLASSES and not sr.is_by_device(header):
        yield from sr.markings(header)
    elif sop_class in gsps.SOP_CLASSES and not gsps.is_by_device(header):
        yield from gsps.markings(header)
    elif sop_class in seg.SOP_CLASSES and not seg.is_by_device(header):
        yield from seg.markings(path, header, matrices)


def _by_person(header: Dataset) -> bool:
    """Whether the object states that a person marked what it holds.

    Choice: a report or presentation state that names no person may be another maker's device's. A
    segment that is not AUTOMATIC was drawn with a person's hand (PS3.3 C.8.20.2), and of others
    there are none.
    """
    sop_class = text(header, "SOPClassUID")
    if sop_class in sr.SOP_CLASSES:
        return sr.names_a_person(header)
    return sop_class in seg.SOP_CLASSES or gsps.names_a_person(header)


def region_of(
    outline: Outline, mammogram: Mammogram, reference: RoiReference
) -> PersonRegion | str:
    """The region that an outline of (row, column) points makes on a view, or why it makes none."""
    return _region(Marking(mammogram.sop_instance_uid, outline), mammogram, reference)


def _region(
    marking: Marking, mammogram: Mammogram | None, reference: RoiReference
) -> PersonRegion | str:
    """The region that a marking makes, or why it makes none."""
    if not marking.sop_instance_uid:
        return "it names no single image"
    if mammogram is None:
        return "its image is not read"
    if marking.problem:
        return marking.problem
    if not marking.outline:
        return "its shape is not understood"
    return _clipped(marking, mammogram, reference)


def _clipped(marking: Marking, mammogram: Mammogram, reference: RoiReference) -> PersonRegion | str:
    """The marking's region within its image; the box is the smallest around whole pixels."""
    points = np.array(marking.outline)
    low, high = points.min(0), points.max(0)
    if marking.seed:
        margin = np.array(_seed_pixels(mammogram)) / 2
        low, high = low - margin, high + margin
    elif np.any(high - low < 1):
        return "it has no area"
    end = np.array([mammogram.rows, mammogram.columns])
    # Graphic data are 32-bit floats: at 4000 pixels their steps are 0.0005.
    start, stop = np.floor(np.round(low, 2)), np.ceil(np.round(high, 2))
    start, stop = np.clip(start, 0, end).astype(int), np.clip(stop, 0, end).astype(int)
    if np.any(stop <= start):
        return "it lies outside its image"
    box = Box(int(start[0]), int(start[1]), int(stop[0]), int(stop[1]))
    inside = tuple((float(r), float(c)) for r, c in np.clip(points, 0, end))
    outline = _corners(box) if marking.seed else inside
    return PersonRegion(mammogram.sop_instance_uid, box, outline, reference)


def _seed_pixels(mammogram: Mammogram) -> tuple[float, float]:
    """Rows and columns of `SEED_MM` in the plane of the breast."""
    if mammogram.spacing_mm is None:
        side = SEED_MM * max(mammogram.rows, mammogram.columns) / _LONGER_SIDE_MM
        return side, side
    return SEED_MM / mammogram.spacing_mm[0], SEED_MM / mammogram.spacing_mm[1]


def _corners(box: Box) -> tuple[tuple[float, float], ...]:
    row0, col0, row1, col1 = (float(edge) for edge in box)
    return ((row0, col0), (row0, col1), (row1, col1), (row1, col0))
