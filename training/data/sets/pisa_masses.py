"""`pisa-masses`: regions of 1000 × 1000 pixels around masses on film, `rois.csv`.

One woman has several regions (views, and exams of several years): parts are split by woman.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Box, FloatImage
from cadnode.errors import DataError
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out, read_grey

NAME: Final = "pisa-masses"
# Of the digitizer; no file states it. Choice: 85 µm, because the calcification regions of the
# same collection have it.
SPACING_MM: Final = 0.085
# Every region is centred on its mass; the masses are 5 to 40 mm wide.
FIELD_MM: Final = 45.0
_LABELS: Final = {"benign": False, "malignant": True}


@dataclass(frozen=True, slots=True)
class MassRoi:
    """One region: whose it is, what was proven, and its file."""

    woman: str
    malignant: bool
    path: Path


@dataclass(frozen=True, slots=True)
class MassRois:
    """The usable regions of a folder, and how many were left out for which reason."""

    records: tuple[MassRoi, ...]
    left_out: tuple[tuple[str, int], ...]


def read(folder: Path) -> MassRois:
    """The regions that can be read.

    Raises
    ------
    DataError
        `rois.csv` is missing or lacks columns, or no region is usable.
    """
    records, reasons = [], []
    for row in read_rows(folder / "rois.csv", ("image", "woman", "label")):
        if row["label"] not in _LABELS:
            reasons.append("label unknown")
        elif not row["woman"]:
            reasons.append("woman unknown")
        elif not (folder / row["image"]).is_file():
            reasons.append("file missing")
        else:
            records.append(MassRoi(row["woman"], _LABELS[row["label"]], folder / row["image"]))
    if not records:
        raise DataError("rois.csv names no usable region")
    return MassRois(tuple(records), left_out(reasons))


def images(records: tuple[MassRoi, ...]) -> Iterator[tuple[MassRoi, FloatImage]]:
    """Regions with their `(H, W) float32 in [0, 1]`; files that cannot be read are left out."""
    for record in records:
        image = read_grey(record.path)
        if image is not None:
            yield record, image


def centre_box(shape: tuple[int, ...]) -> Box:
    """The middle of a region, `FIELD_MM` wide, where its mass lies."""
    half = round(FIELD_MM / SPACING_MM / 2)
    row, col = shape[0] // 2, shape[1] // 2
    return Box(
        max(row - half, 0), max(col - half, 0), min(row + half, shape[0]), min(col + half, shape[1])
    )
