"""What a data set's adapter returns: one record per view; views left out, by reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np

from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.errors import DataError

Part = Literal["train", "validation", "test"]

_PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")

# Shares of the women; the rest is the test part.
_TRAIN, _VALIDATION = 0.65, 0.15


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """One view with what is known of it.

    Parameters
    ----------
    dataset, woman
        Name of the data set; pseudonymous number of the woman (in DDSM, of the exam).
    cancer
        Whether this breast has a proven cancer.
    exam_class
        Class of the woman's exam: `cancer`, `benign`, `normal` …
    stratum
        What images of one kind share (machine, digitizer): never a shortcut to the label.
    facts
        Further columns by which results are broken down.
    trainable
        False for images that only evaluation uses (implants).
    split
        The part that a manifest's own `split` column gives; "" without one.
    boxes
        Where its cancers lie, in pixels of the image as stored; empty where nobody has said.
    """

    dataset: str
    woman: str
    laterality: Laterality
    view: str
    path: Path
    cancer: bool
    exam_class: str
    stratum: str
    facts: tuple[tuple[str, str], ...] = ()
    trainable: bool = True
    split: str = ""
    boxes: tuple[Box, ...] = ()

    @property
    def breast(self) -> tuple[str, Laterality]:
        """Key of the breast within its data set."""
        return self.woman, self.laterality

    def fact(self, name: str) -> str:
        """A further column's value, or nothing."""
        return dict(self.facts).get(name, "")


@dataclass(frozen=True, slots=True)
class ViewSet:
    """The usable views of one folder, and how many were left out for which reason."""

    name: str
    acquisition: Acquisition
    records: tuple[ViewRecord, ...]
    left_out: tuple[tuple[str, int], ...]


def left_out(reasons: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Reasons with their counts, most frequent first."""
    return tuple(Counter(reasons).most_common())


def part_of(woman_key: str) -> Part:
    """Train, validation or test: fixed by the woman's key (`models.store.woman_key`) alone.

    A woman stays in her part whatever else the folder holds.
    """
    share = int(woman_key[:8], 16) / 16**8
    if share < _TRAIN:
        return "train"
    return "validation" if share < _TRAIN + _VALIDATION else "test"


def fold_of(woman_key: str, folds: int) -> int:
    """The fold of a woman, fixed by her key alone; not by the digits that decide her part."""
    return int(woman_key[8:16], 16) % folds


def parts(records: Sequence[ViewRecord], keys: Sequence[str]) -> list[Part]:
    """The part of each record: by the manifest's own split where every one has it.

    Without it, or where records lack it, by the women's `keys` (`part_of`).

    Raises
    ------
    DataError
        The manifest's own split has a woman in two parts.
    """
    own: list[Part] = [part for r in records for part in _PARTS if part == r.split]
    if not records or len(own) < len(records):
        return [part_of(key) for key in keys]
    placed: dict[str, Part] = {}
    for key, part in zip(keys, own, strict=True):
        if placed.setdefault(key, part) != part:
            raise DataError("the manifest's split has a woman in two parts: `cadnode data check`")
    return own


def read_grey(path: Path) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]` of an 8- or 16-bit image file; None when it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    return np.asarray(image, np.float32) / np.float32(np.iinfo(image.dtype).max)


# A view whose outermost pixels are white was stored as MONOCHROME1 displays it.
_FRAME: Final = 8


def white_background(image: FloatImage) -> bool:
    """Whether the background is white: at least 35 % of the frame's outermost pixels are."""
    sides = (image[:_FRAME], image[-_FRAME:], image[:, :_FRAME], image[:, -_FRAME:])
    frame = np.concatenate([side.ravel() for side in sides])
    return bool((frame > 0.9).mean() > 0.35)
