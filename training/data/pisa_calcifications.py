"""`pisa-calcifications`: 60 × 60 pixel regions of digitized film at 85 µm, `rois.csv`.

Label 1: with microcalcifications, 0: without; where they lie is not stated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, FloatImage
from cadnode.errors import DataError
from training.data.views import read_grey, read_table

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
    """The regions that are there.

    Raises
    ------
    DataError
        `rois.csv` is missing or lacks columns, or no region is there.
    """
    rows = read_table(folder / "rois.csv", ("image", "woman", "label"))
    rois = tuple(
        PisaRoi(folder / row["image"], row["woman"], row["label"] == "1")
        for row in rows
        if row["label"] in ("0", "1") and (folder / row["image"]).is_file()
    )
    if not rois:
        raise DataError("rois.csv names no region that is there")
    return rois


def load(roi: PisaRoi) -> FloatImage | None:
    """`(60, 60) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    return read_grey(roi.path)
