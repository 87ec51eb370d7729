"""A ROC curve in a terminal: Braille characters, two by four dots each (Unicode U+2800)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.models.operating_point import Roc

# Bit of each dot within a character, by row and column (Unicode chapter 21.1).
_BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def curve(roc: Roc, columns: int = 26, rows: int = 9) -> list[str]:
    """Lines of text: sensitivity upwards against 1 − specificity, the diagonal dotted."""
    dots = np.zeros((rows * 4, columns * 2), bool)
    _draw_diagonal(dots)
    _draw_steps(dots, roc)
    cells = dots.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3)
    codes = (cells * _BITS).sum((2, 3))
    lines = ["".join(chr(0x2800 + int(code)) for code in line) for line in codes]
    edge = ["1 ┤", *["  │"] * (rows - 2), "0 ┤"]
    drawn = [mark + line for mark, line in zip(edge, lines, strict=True)]
    return [*drawn, f"  └{'─' * columns}", "   0  1 − specificity".ljust(columns + 2) + "1"]


def _draw_diagonal(dots: NDArray[np.bool_]) -> None:
    height, width = dots.shape
    for x in range(0, width, 3):
        dots[height - 1 - round(x / (width - 1) * (height - 1)), x] = True


def _draw_steps(dots: NDArray[np.bool_], roc: Roc) -> None:
    """At each column the highest sensitivity at no more false positives, joined by risers."""
    height, width = dots.shape
    before = 0
    for x in range(width):
        reached = [p[1] for p in roc.points if 1 - p[2] <= x / (width - 1) + 1e-9]
        now = round(max(reached, default=0.0) * (height - 1))
        dots[height - 1 - now : height - before, x] = True
        before = now
