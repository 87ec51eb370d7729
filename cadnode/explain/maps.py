"""Heat maps brought to their view: a region's map placed, all systems' maps joined.

The maps themselves are made by `models.gradcam` and by the networks of whole views.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.explain.smooth import shown
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import Placement

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
    """One map that covers the whole view; None when no system read it.

    At each place it is the highest of the systems' values; where no system read it is 0.

    Choice: Kang 2021 averages the models' probabilities; the papers are silent on joining maps. A
    mean was tried: it pales a place that one system marks wherever another one, reading a region
    around it, sees nothing. Regions' maps fade at their edges (`smooth.shown`).

    Parameters
    ----------
    view_shape
        Rows and columns of the source image.
    dib
        The view's DIB map.
    cams
        Maps of regions (`explain.maps.heat_map`).
    algorithm
        Whose name the map bears.
    """
    maps = [dib, *cams] if dib is not None else list(cams)
    if not maps:
        return None
    size = _size(view_shape)
    highest: FloatImage = np.zeros(size, np.float32)
    for heat_map in maps:
        is_region = heat_map is not dib
        highest = np.maximum(highest, shown(heat_map, view_shape, size, of_region=is_region))
    return HeatMap(maps[0].sop_instance_uid, highest, Box(0, 0, *view_shape), algorithm)


def _size(view_shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the joint map: square cells but for rounding."""
    cell = max(_FINEST, max(view_shape) / _MOST_CELLS)
    return max(1, round(view_shape[0] / cell)), max(1, round(view_shape[1] / cell))


def heat_map(
    cam: FloatImage, placement: Placement, sop_instance_uid: str, algorithm: str
) -> HeatMap:
    """The map of a region as a map of its view: it covers the part of the view that was cut.

    Parameters
    ----------
    cam
        `(h, w) float32 in [0, 1]`, covering the whole region (`RoiReading.cam`).
    placement
        Of the region in the view (`Roi.placement`).
    sop_instance_uid, algorithm
        Of the view, and of the model or ensemble that made the map.
    """
    values = np.clip(roi_chain.map_to_source(cam, placement), 0, 1)
    return HeatMap(sop_instance_uid, values, placement.crop, algorithm)
