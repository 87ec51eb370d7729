"""How ROIs are stored: bytes in a memory-mapped file with their facts; made once, read often."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import CalcificationType, Distribution
from cadnode.errors import DataError

Part = Literal["train", "validation", "test"]
PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
TYPES: Final = tuple(CalcificationType)
DISTRIBUTIONS: Final = tuple(Distribution)
UNKNOWN: Final = -1
IMAGES, TABLE = "images.npy", "rois.json"


@dataclass(frozen=True, slots=True)
class RoiRecord:
    """What is known of a ROI.

    Parameters
    ----------
    key
        Names the woman (or the phantom's seed): parts are separated by it.
    type, distribution
        BI-RADS descriptors; "" where unknown.
    p_malignant
        The probability with which a phantom drew `malignant`; None for real ROIs.
    box
        The lesion's (row0, col0, row1, col1), half-open, in the stored image's pixels.
    """

    key: str
    malignant: bool
    acquisition: str
    type: str = ""
    distribution: str = ""
    p_malignant: float | None = None
    box: tuple[int, int, int, int] | None = None

    @property
    def centre(self) -> tuple[float, float] | None:
        """The middle of the lesion's box (row, column); None without one."""
        if self.box is None:
            return None
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def targets(self) -> tuple[int, int, int]:
        """(malignant, number of the type, number of the distribution); -1 is unknown."""
        kind = TYPES.index(CalcificationType(self.type)) if self.type else UNKNOWN
        spread = DISTRIBUTIONS.index(Distribution(self.distribution)) if self.distribution else -1
        return int(self.malignant), kind, spread


@dataclass(frozen=True, eq=False, slots=True)
class RoiSet:
    """Images `(n, S, S) uint8`, normalised as the node does and larger than the ROI by a margin."""

    name: str
    images: NDArray[np.uint8]
    records: tuple[RoiRecord, ...]

    def __len__(self) -> int:
        return len(self.records)

    def first(self, count: int) -> "RoiSet":
        """Its first ROIs."""
        return RoiSet(self.name, self.images[:count], self.records[:count])

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """`(n,)`."""
        return np.array([r.malignant for r in self.records], bool)


def write_table(folder: Path, name: str, records: Sequence[RoiRecord]) -> None:
    """Write what is known of the first ROIs beside the images, replaced at once."""
    rows = [asdict(r) for r in records]
    partial = folder / f"{TABLE}.partial"
    partial.write_text(json.dumps({"name": name, "rois": rows}))
    os.replace(partial, folder / TABLE)


def read_table(folder: Path) -> list[RoiRecord]:
    """What is known of the ROIs that the folder holds so far.

    Raises
    ------
    DataError
        The table is damaged.
    """
    if not (folder / TABLE).exists():
        return []
    try:
        rows = json.loads((folder / TABLE).read_text())["rois"]
        return [RoiRecord(**r | {"box": tuple(r["box"]) if r["box"] else None}) for r in rows]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{folder.name}: the table of ROIs is damaged") from None


def open_set(folder: Path) -> RoiSet:
    """The set of a folder, its images mapped into memory.

    Raises
    ------
    DataError
        The folder holds no whole set.
    """
    records = tuple(read_table(folder))
    try:
        images = np.load(folder / IMAGES, mmap_mode="r")
    except (OSError, ValueError):
        raise DataError(f"{folder.name} holds no ROIs") from None
    if len(records) != len(images):
        raise DataError(f"{folder.name} holds {len(records)} of {len(images)} ROIs")
    return RoiSet(folder.name, images, records)
