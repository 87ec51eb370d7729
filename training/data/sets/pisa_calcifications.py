"""`pisa-calcifications`: 60 × 60 pixel regions of digitized film at 85 µm, `rois.csv`.

Label 1: with microcalcifications, 0: without; where they lie is not stated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, FloatImage
from cadnode.errors import DataError
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out, read_grey

NAME: Final = "pisa-calcifications"
SPACING_MM: Final = 0.085
ACQUISITION: Final = Acquisition.FILM


@dataclass(frozen=True, slots=True)
class PisaRoi:
    """One region."""

    path: Path
    woman: str
    positive: bool


def read(folder: Path) -> tuple[PisaRoi, ...]:
    """The regions that exist; see `read_all`."""
    return read_all(folder)[0]


def read_all(folder: Path) -> tuple[tuple[PisaRoi, ...], tuple[tuple[str, int], ...]]:
    """The regions that exist, and how many were left out for which reason.

    Raises
    ------
    DataError
        `rois.csv` is missing or lacks columns, or no region is there.
    """
    rois, reasons = [], []
    for row in read_rows(folder / "rois.csv", ("image", "woman", "label")):
        if row["label"] not in ("0", "1"):
            reasons.append("label unknown")
        elif not row["woman"]:
            reasons.append("woman unknown")
        elif not (folder / row["image"]).is_file():
            reasons.append("file missing")
        else:
            rois.append(PisaRoi(folder / row["image"], row["woman"], row["label"] == "1"))
    if not rois:
        raise DataError("rois.csv names no region that is there")
    return tuple(rois), left_out(reasons)


def load(roi: PisaRoi) -> FloatImage | None:
    """`(60, 60) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    return read_grey(roi.path)
