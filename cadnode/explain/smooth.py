"""Heat maps as they are shown: smooth between the centres of their cells, and without hard edges.

A map has a value a cell, and cells may be a centimetre wide: drawn as they are, or bilinearly in
the steps of an image library, blocks and facets look like something in the breast. Between centres
the values run monotonically (PCHIP: Fritsch FN, Butland J. SIAM J Sci Stat Comput 1984;5:300-304),
so that a cell's centre keeps its value and no colour stands for more than a system said.

This is for people. What is computed from a map (`overlay.place`) stays bilinear.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, FloatImage, HeatMap

# The breast is looked for on a thumbnail without its outermost pixels (`imaging.geometry.BORDER`):
# a map that ends so near the image's side, as share of it, goes on to the side.
NEAR: Final = 0.025
# As shares of the box's side: where a map of a whole breast ends within the image it fades out
# beyond, so that nothing it says is hidden; a region's, whose edge is where the cut was, within.
BEYOND: Final = 0.05
WITHIN: Final = 0.1

_AT_ONCE: Final = 1 << 16  # pixels: what is computed in float64 stays in the processor's cache
_ROUNDING: Final = 1e-6  # between two knots nothing is higher than both, but for rounding


def shown(
    heat_map: HeatMap,
    view: tuple[int, int],
    size: tuple[int, int],
    window: Box | None = None,
    *,
    of_region: bool = False,
    above: float = 0.0,
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
    above
        Only what is above it is wanted: far from there the map is 0, and not computed.
    """
    shows, box = window or Box(0, 0, *view), heat_map.box
    values = np.asarray(heat_map.values, np.float64)
    rows = _positions(size[0], shows.row0, shows.row1)
    columns = _positions(size[1], shows.col0, shows.col1)
    whole = np.zeros(size, np.float32)
    down = _Axis.over(rows, (box.row0, box.row1), values.shape[0])
    across = _Axis.over(columns, (box.col0, box.col1), values.shape[1])
    hot = np.asarray(values[down.knots, across.knots] > above - _ROUNDING)
    if not hot.any():
        return whole
    down, across = down.within(np.any(hot, axis=1)), across.within(np.any(hot, axis=0))
    placed = down.curve(values[down.knots, across.knots], axis=0)(down.places)
    curve = across.curve(placed, axis=1)
    fade_down = _fade(rows, (box.row0, box.row1), view[0], of_region=of_region)
    fade_across = _fade(columns, (box.col0, box.col1), view[1], of_region=of_region)
    step = max(1, _AT_ONCE // len(placed))
    for first in range(across.places.start, across.places.stop, step):
        part = slice(first, min(first + step, across.places.stop))
        block = curve(part)
        block *= fade_down[down.places, None]
        block *= fade_across[None, part]
        whole[down.places, part] = np.clip(block, 0, 1, out=block)
    return whole


@dataclass(frozen=True, eq=False, slots=True)
class _Axis:
    """One axis of a map: `cells` are positions on it, and `places` those of them that are wanted.

    Both are ascending. `knots` are the map's own cells that are needed for the places.
    """

    cells: NDArray[np.float64]
    places: slice
    knots: slice
    n: int

    @classmethod
    def over(cls, at: NDArray[np.float64], edges: tuple[int, int], n: int) -> Self:
        """All source positions; beyond the map's outermost centres its values stay."""
        cells = np.clip((at - edges[0]) * n / (edges[1] - edges[0]) - 0.5, 0, n - 1)
        return cls(cells, slice(0, len(at)), slice(int(cells[0]), min(int(cells[-1]) + 2, n)), n)

    def within(self, wanted: NDArray[np.bool_]) -> Self:
        """From the first to the last knot that is wanted, to its neighbours.

        Two more knots on each side: the slope at a knot depends on those beside it.
        """
        first, last = (self.knots.start + int(i) for i in np.flatnonzero(wanted)[[0, -1]])
        start = int(np.searchsorted(self.cells, first - 1, "right"))
        stop = int(np.searchsorted(self.cells, last + 1, "left"))
        knots = slice(max(first - 2, 0), min(last + 3, self.n))
        return replace(self, places=slice(start, stop), knots=knots)

    def curve(
        self, values: NDArray[np.float64], axis: int
    ) -> Callable[[slice], NDArray[np.float64]]:
        """What brings the values of the knots to some of the places."""
        if self.n == 1:
            return lambda places: np.repeat(values, places.stop - places.start, axis=axis)
        knots = np.arange(self.knots.start, self.knots.stop)
        # 0.5 s, which the HTTP side, where a map may never be shown, is spared at its start.
        from scipy.interpolate import PchipInterpolator

        curve = PchipInterpolator(knots, values, axis=axis)
        return lambda places: np.asarray(curve(self.cells[places]), np.float64)


def _positions(n: int, start: int, end: int) -> NDArray[np.float64]:
    """The centres of `n` pixels that cover `[start, end)` of the source image."""
    return start + (np.arange(n) + 0.5) * (end - start) / n


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
