"""Which masses of a view its marks hit, and what the node marks in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.progress import track

from cadnode import terminal
from cadnode.detect.view import detect_view
from cadnode.domain import Box, FindingKind, FloatImage, Laterality
from cadnode.models.mass_finder import MassFinder
from cadnode_training.data import manifest as m
from cadnode_training.data import sources
from cadnode_training.data.images import load_image
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.sets import cbis_views
from cadnode_training.statistics.froc import ImageMarks

Marks = list[tuple[Box, float]]
"""Boxes in source pixels with their certainties."""
OUT_OF_FOLD, UNSEEN, SEEN = PARTS = ("out_of_fold", "unseen", "seen")
# A mark may have this many times the area of the box that its centre lies in.
_LARGEST: Final = 4.0
_OVERLAP: Final = 0.25
# Choice: where no spacing is stated, that of a small film in the squares of `cbis-mass-views`.
_SPACING_MM: Final = cbis_views.ROW_MM
_SQUEEZED: Final = 0.6
CRITERION: Final = (
    "a mark hits when the centre of its box lies in the mass's box and it has at most four times "
    "its area, or when the boxes' intersection over union is at least 0.25; one hit a mass"
)


@dataclass(frozen=True, slots=True)
class MeasuredMass:
    """A mass: what is stated of it, and the certainty of the mark that hits it (None: missed)."""

    facts: Mapping[str, str]
    certainty: float | None


@dataclass(frozen=True, slots=True)
class MeasuredView:
    """The marks of one image against its masses; `part` is one of `PARTS`."""

    woman: str
    part: str
    masses: tuple[MeasuredMass, ...]
    false: tuple[float, ...]

    @property
    def marks(self) -> ImageMarks:
        """As the FROC takes it."""
        return ImageMarks(self.woman, tuple(x.certainty for x in self.masses), self.false, True)


def hits(mark: Box, mass: Box) -> bool:
    """Whether a mark hits a mass, as `CRITERION` states."""
    row, col = (mark.row0 + mark.row1) / 2, (mark.col0 + mark.col1) / 2
    within = mass.row0 <= row < mass.row1 and mass.col0 <= col < mass.col1
    own, its = ((b.row1 - b.row0) * (b.col1 - b.col0) for b in (mark, mass))
    if within and own <= _LARGEST * its:
        return True
    rows = min(mark.row1, mass.row1) - max(mark.row0, mass.row0)
    cols = min(mark.col1, mass.col1) - max(mark.col0, mass.col0)
    both = max(rows, 0) * max(cols, 0)
    return both >= _OVERLAP * (own + its - both)


def matched(
    marks: Sequence[tuple[Box, float]], masses: Sequence[Box]
) -> tuple[list[float | None], list[float]]:
    """The certainty of the mark that hits each mass, and those of the marks that hit none.

    The most certain marks choose first, of the masses that they hit the nearest that is still
    missed; a further mark on a mass that is hit already counts neither way.
    """
    certainties: list[float | None] = [None] * len(masses)
    false = []
    for box, certainty in sorted(marks, key=lambda mark: -mark[1]):
        hit = [i for i, mass in enumerate(masses) if hits(box, mass)]
        missed = [i for i in hit if certainties[i] is None]
        if missed:
            certainties[min(missed, key=lambda i: _apart(box, masses[i]))] = certainty
        elif not hit:
            false.append(certainty)
    return certainties, false


def _apart(one: Box, other: Box) -> float:
    """Twice the distance of two centres."""
    rows = one.row0 + one.row1 - other.row0 - other.row1
    return float(np.hypot(rows, one.col0 + one.col1 - other.col0 - other.col1))


def measured(
    rows: Mapping[Path, Sequence[ManifestRow]],
    read: Callable[[FloatImage, ManifestRow, int | None], Marks],
    part_of: Callable[[ManifestRow], tuple[str, int | None]],
) -> Iterator[MeasuredView]:
    """Each image that can be read; of seen women the part alone.

    Parameters
    ----------
    rows
        Of each image, in source pixels.
    read
        The marks of an image, by all members or by one.
    part_of
        The part of a row's woman, and the member that has not seen her (None: all).
    """
    console = terminal.console(stderr=True)
    for path, own in track(
        rows.items(), "reading", console=console, disable=not console.is_terminal
    ):
        first = own[0]
        part, member = part_of(first)
        woman = f"{first.dataset}:{first.woman}"
        if part == SEEN:
            yield MeasuredView(woman, part, (), ())
            continue
        image = load_image(path)
        if isinstance(image, str):
            continue
        masses = [row for row in own if row.box is not None and row.lesion_kind in (m.MASS, m.BOTH)]
        certainties, false = matched(read(image, first, member), [r.box for r in masses if r.box])
        yield MeasuredView(
            woman, part,
            tuple(MeasuredMass(_facts(row), c) for row, c in zip(masses, certainties, strict=True)),
            tuple(false),
        )  # fmt: skip


def reader(
    finder: MassFinder | None,
) -> Callable[[FloatImage, ManifestRow, int | None], list[tuple[Box, float]]]:
    """How the node reads an image: with a detector, or by the statistics without one."""

    def read(image: FloatImage, row: ManifestRow, member: int | None) -> Marks:
        used = finder if finder is None or member is None else finder.by_member(member)
        squeezed = used is None and row.dataset == cbis_views.NAME
        if squeezed:
            # The statistics are in millimetres: the film's proportions are restored for them.
            size = round(image.shape[1] * _SQUEEZED), image.shape[0]
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        found = detect_view(
            image, Laterality(row.laterality or "L"), row.spacing_mm or _SPACING_MM,
            sources.SOURCES[row.dataset].acquisition
            if row.dataset in sources.SOURCES else cbis_views.ACQUISITION,
            None, masses=used, least=0.0, kinds=frozenset({FindingKind.MASS}),
        )  # fmt: skip
        wider = 1 / _SQUEEZED if squeezed else 1.0
        return [
            (
                Box(r.box.row0, round(r.box.col0 * wider), r.box.row1, round(r.box.col1 * wider)),
                r.certainty,
            )
            for r in found.regions
        ]

    return read


def _facts(row: ManifestRow) -> dict[str, str]:
    return {"label": row.label, "shape": row.mass_shape, "density": row.density}
