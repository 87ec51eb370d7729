"""Heat maps as they are shown: smooth between the centres of their cells, and without hard edges.

A map has a value a cell, and cells may be a centimetre wide: drawn as they are, or bilinearly in
the steps of an image library, blocks and facets look like something in the breast. Between centres
the values run monotonically (PCHIP: Fritsch FN, Butland J. SIAM J Sci Stat Comput 1984;5:300-304),
so that a cell's centre keeps its value and no colour stands for more than a system said.

This is for people. What is computed from a map (`overlay.place`) stays bilinear.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cadnode.domain import Box, FloatImage, HeatMap

# The breast is looked for on a thumbnail without its outermost pixels (`imaging.geometry.BORDER`):
# a map that ends so near the image's side, as share of it, goes on to the side.
NEAR: Final = 0.025
# As shares of the box's side: where a map of a whole breast ends within the image it fades out
# beyond, so that nothing it says is hidden; a region's, whose edge is where the cut was, within.
BEYOND: Final = 0.05
WITHIN: Final = 0.1


def shown(
    heat_map: HeatMap,
    view: tuple[int, int],
    size: tuple[int, int],
    window: Box | None = None,
    *,
    of_region: bool = False,
) -> FloatImage:
    """`size` float32 in [0, 1]: the map as it is shown in a view or in a window of it.

    Parameters
    ----------
    heat_map
        Of the view.
    view
        Rows and columns of the source image.
    size
        Rows and columns of what is returned, which covers the window.
    window
        In pixels of the source image; it may reach beyond it. None: the whole view.
    of_region
        Whether the map is that of a region that was cut out of the view.
    """
    shows, box = window or Box(0, 0, *view), heat_map.box
    values = np.asarray(heat_map.values, np.float64)
    rows = _positions(size[0], shows.row0, shows.row1)
    columns = _positions(size[1], shows.col0, shows.col1)
    placed = _along(values, rows, (box.row0, box.row1), axis=0)
    placed = _along(placed, columns, (box.col0, box.col1), axis=1)
    placed *= _fade(rows, (box.row0, box.row1), view[0], of_region=of_region)[:, None]
    placed *= _fade(columns, (box.col0, box.col1), view[1], of_region=of_region)[None, :]
    clipped: FloatImage = np.clip(placed, 0, 1).astype(np.float32)
    return clipped


def _positions(n: int, start: int, end: int) -> NDArray[np.float64]:
    """The centres of `n` pixels that cover `[start, end)` of the source image."""
    return start + (np.arange(n) + 0.5) * (end - start) / n


def _along(
    values: NDArray[np.float64], at: NDArray[np.float64], edges: tuple[int, int], axis: int
) -> NDArray[np.float64]:
    """Values at source positions along one axis; beyond the outermost centres they stay."""
    n = values.shape[axis]
    cells = np.clip((at - edges[0]) * n / (edges[1] - edges[0]) - 0.5, 0, n - 1)
    if n == 1:
        return np.repeat(values, len(cells), axis=axis)
    return np.asarray(PchipInterpolator(np.arange(n), values, axis=axis)(cells), np.float64)


def _fade(
    at: NDArray[np.float64], edges: tuple[int, int], side: int, *, of_region: bool
) -> NDArray[np.float64]:
    """In [0, 1]: how much of a map is shown at source positions along one axis."""
    length = (WITHIN if of_region else BEYOND) * (edges[1] - edges[0])
    outside = 0.0 if of_region else 1.0  # in lengths: how far beyond the edge it fades
    share = np.ones_like(at)
    if edges[0] > NEAR * side:
        share *= _smooth((at - edges[0]) / length + outside)
    if edges[1] < (1 - NEAR) * side:
        share *= _smooth((edges[1] - at) / length + outside)
    return share


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1 with level ends, as t does (smoothstep)."""
    within = np.clip(t, 0, 1)
    return np.asarray(within * within * (3 - 2 * within), np.float64)
