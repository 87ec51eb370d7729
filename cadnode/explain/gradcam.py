"""Grad-CAM maps of regions, brought to the view they were cut from.

The maps themselves are made by `models.gradcam`.
"""

import numpy as np

from cadnode.domain import FloatImage, HeatMap
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import Placement


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


def peak(cam: FloatImage, placement: Placement) -> tuple[float, float]:
    """(row, column) in source pixels of the middle of the map's highest cell inside the view."""
    inside = roi_chain.map_to_source(cam, placement)
    row, col = np.unravel_index(int(inside.argmax()), inside.shape)
    crop = placement.crop
    return (
        crop.row0 + (float(row) + 0.5) * (crop.row1 - crop.row0) / inside.shape[0],
        crop.col0 + (float(col) + 0.5) * (crop.col1 - crop.col0) / inside.shape[1],
    )
