"""All systems' maps of one view as one map."""

from collections.abc import Sequence
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

    At each place it is the highest of the systems' values; what nobody looked at is 0.

    Choice: Kang 2021 averages the models' probabilities; the papers are silent on joining maps. A
    mean was tried: it pales a place that one system marks wherever another one, reading a region
    around it, sees nothing, and the regions' squares show in the picture.

    Parameters
    ----------
    view_shape
        Rows and columns of the source image.
    dib
        The view's DIB map.
    cams
        Maps of regions (`explain.gradcam.heat_map`).
    algorithm
        Whose name the map bears.
    """
    maps = [dib, *cams] if dib is not None else list(cams)
    if not maps:
        return None
    size = _size(view_shape)
    highest: FloatImage = np.zeros(size, np.float32)
    for heat_map in maps:
        highest = np.maximum(highest, place(heat_map, view_shape, size))
    return HeatMap(maps[0].sop_instance_uid, highest, Box(0, 0, *view_shape), algorithm)


def _size(view_shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the joint map: square cells but for rounding."""
    cell = max(_FINEST, max(view_shape) / _MOST_CELLS)
    return max(1, round(view_shape[0] / cell)), max(1, round(view_shape[1] / cell))
