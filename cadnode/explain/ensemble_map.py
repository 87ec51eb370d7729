"""All systems' maps of one view as one map."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.explain.overlay import place

# Source pixels a cell: 8 in small views, more where the longer side would exceed this many cells.
_FINEST: Final = 8
_MOST_CELLS: Final = 320


def ensemble_map(
    view_shape: tuple[int, int],
    dib: HeatMap | None,
    cams: Sequence[HeatMap],
    *,
    algorithm: str = "ensemble",
) -> HeatMap | None:
    """One map that covers the whole view; None when no system looked at it.

    At each place it is the mean over the systems that looked there: the DIB map inside its box,
    Grad-CAM inside each region. Where regions of one system overlap, its higher value counts,
    because a lesion may lie at the edge of its neighbour's region. What nobody looked at is 0.

    Choice: Kang 2021 averages the models' probabilities; the papers are silent on joining maps.
    A mean keeps a place pale that one system marks and the others, having looked, do not.

    Parameters
    ----------
    view_shape
        Rows and columns of the source image.
    dib
        The view's DIB map.
    cams
        Maps of regions (`explain.gradcam.heat_map`); those of one algorithm count as one system.
    algorithm
        Whose name the map bears.
    """
    maps = [dib, *cams] if dib is not None else list(cams)
    if not maps:
        return None
    size = _size(view_shape)
    total, looked = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for name in dict.fromkeys(m.algorithm for m in maps):
        own = [m for m in maps if m.algorithm == name]
        highest, inside = _of_one_system(own, view_shape, size)
        total += highest
        looked += inside
    values = np.asarray(total / np.maximum(looked, 1), np.float32)
    return HeatMap(maps[0].sop_instance_uid, values, Box(0, 0, *view_shape), algorithm)


def _size(view_shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the joint map: square cells but for rounding."""
    cell = max(_FINEST, max(view_shape) / _MOST_CELLS)
    return max(1, round(view_shape[0] / cell)), max(1, round(view_shape[1] / cell))


def _of_one_system(
    maps: Iterable[HeatMap], view_shape: tuple[int, int], size: tuple[int, int]
) -> tuple[FloatImage, FloatImage]:
    """`size` float32: the system's highest value at each place, and 1 where it looked."""
    highest, inside = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for heat_map in maps:
        highest = np.maximum(highest, place(heat_map, view_shape, size))
        everywhere = HeatMap("", np.ones((1, 1), np.float32), heat_map.box, "")
        inside = np.maximum(inside, place(everywhere, view_shape, size))
    return highest, inside
