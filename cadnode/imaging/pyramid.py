"""Stored values of one image at falling sizes, for a viewer that asks for tiles of them.

Level 0 is the smallest, the last is the image as it is stored; each is half of the next one,
rounded up. What is halved are stored values, before any window: a viewer applies its own.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.imaging.decode import Stored

TILE: Final = 512
OVERLAP: Final = 1  # pixels that a tile shares with each neighbour: no seams where it is enlarged
_SMALLEST: Final = TILE  # the longer side of level 0 is no longer than this

Cells = NDArray[np.uint16]


@dataclass(frozen=True, eq=False, slots=True)
class Pyramid:
    """An image's levels, smallest first: `(rows, columns) uint16` cells of `bits` stored bits.

    Of signed values a cell is the two's complement, as in `imaging.decode`.
    """

    levels: tuple[Cells, ...]
    bits: int
    signed: bool

    @property
    def n_bytes(self) -> int:
        """What all levels take in memory."""
        return sum(level.nbytes for level in self.levels)

    def tile(self, level: int, column: int, row: int) -> Cells | None:
        """The cells of a tile, with what it shares with its neighbours; None: there is none."""
        if not 0 <= level < len(self.levels) or row < 0 or column < 0:
            return None
        cells = self.levels[level]
        row0, col0 = row * TILE, column * TILE
        if row0 >= cells.shape[0] or col0 >= cells.shape[1]:
            return None
        return cells[
            max(row0 - OVERLAP, 0) : row0 + TILE + OVERLAP,
            max(col0 - OVERLAP, 0) : col0 + TILE + OVERLAP,
        ]


def n_levels(rows: int, columns: int) -> int:
    """How many levels an image of this size has."""
    count, longer = 1, max(rows, columns)
    while longer > _SMALLEST:
        count, longer = count + 1, (longer + 1) // 2
    return count


def pyramid_of(cells: Stored, bits: int, *, signed: bool, padding: NDArray[np.bool_]) -> Pyramid:
    """The levels of an image.

    Parameters
    ----------
    cells, bits, signed
        As `imaging.decode.stored_codes` returns them.
    padding
        `(2**bits,) bool`: which cells are background (`GreyScale.padding`). Where most of what
        becomes one pixel is background, so is that pixel; else the mean is of the others.
    """
    level = np.ascontiguousarray(cells, np.uint16)
    pad = _pad_cell(level, padding)
    levels = [level]
    for _ in range(n_levels(*level.shape) - 1):
        level = _halved(level, padding, pad, 2 ** (bits - 1) if signed else 0)
        levels.append(level)
    return Pyramid(tuple(reversed(levels)), bits, signed)


def _pad_cell(cells: Cells, padding: NDArray[np.bool_]) -> int | None:
    """The cell that stands for background in smaller levels; None where no pixel is background."""
    if not padding.any():
        return None
    values = np.flatnonzero(padding)
    found = [value for value in (values[0], values[-1]) if (cells == value).any()]
    return int(found[0] if found else values[0]) if padding[cells].any() else None


def _halved(cells: Cells, padding: NDArray[np.bool_], pad: int | None, sign: int) -> Cells:
    """Means of two by two pixels; the last row and column count twice where they have no other.

    `sign` is the sign bit of signed cells: with it flipped they are in the order of their values.
    """
    rows, columns = cells.shape
    even = cv2.copyMakeBorder(cells ^ np.uint16(sign), 0, rows % 2, 0, columns % 2,
                              cv2.BORDER_REPLICATE)  # fmt: skip
    size = (even.shape[1] // 2, even.shape[0] // 2)
    small: Cells = cv2.resize(even, size, interpolation=cv2.INTER_AREA) ^ np.uint16(sign)
    if pad is None:
        return small
    real = (~padding[even ^ np.uint16(sign)]).astype(np.float32)
    weight = cv2.resize(real, size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(even * real, size, interpolation=cv2.INTER_AREA) / np.maximum(weight, 0.25)
    kept = np.where(weight < 1, np.round(mean).astype(np.uint16) ^ np.uint16(sign), small)
    kept[weight < 0.5] = pad
    return kept
