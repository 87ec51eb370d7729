"""Where lesions' boxes lie in a preprocessed view."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box
from cadnode.imaging.geometry import Placement

Boxes = NDArray[np.float32]
"""`(k, 4)`: row0, col0, row1, col1 in pixels of a tensor."""


def boxes_in_tensor(boxes: Sequence[Box], placement: Placement) -> Boxes:
    """`(k, 4) float32`: boxes of the source in pixels of the tensor, flipped or not."""
    edges = [(b.row0, b.col0, b.row1, b.col1) for b in boxes]
    corners = np.array(edges, np.float64).reshape(-1, 2)
    placed = placement.to_output(corners).reshape(-1, 2, 2)
    return np.concatenate([placed.min(1), placed.max(1)], 1).astype(np.float32)
