"""What a person drew, as closed outlines: the graphic types of DICOM SRs and presentation states.

Graphic data of both count from the outer corner of the top left pixel: (0, 0) is that corner,
(1, 1) the pixel's opposite corner, (Columns, Rows) the image's (PS3.3 C.18.6 for SCOORD, C.10.5
for PIXEL units). This is the convention throughout: nothing is shifted by half a pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cadnode.limits import SHAPE_POINTS

Outline = tuple[tuple[float, float], ...]
Points = NDArray[np.float64]

_CURVE_POINTS = 64
_STEPS = 8  # a curve's points between two of its control points


@dataclass(frozen=True, slots=True)
class Marking:
    """One shape on one image, before it is known whether it can be used.

    `sop_instance_uid` is the image's, "" when none is named. `outline` holds (row, column)
    points; () when the shape is damaged. The points of a `seed` give its location, not its extent.
    `problem` states why the shape is unusable where only the reader of its object knows.
    """

    sop_instance_uid: str
    outline: Outline = ()
    seed: bool = False
    problem: str = ""


def points_of(values: Sequence[float]) -> Points:
    """`(n, 2) float64` (column, row) points of Graphic Data.

    No points where they do not pair, or are more than `SHAPE_POINTS`.
    """
    if len(values) % 2 or len(values) > 2 * SHAPE_POINTS:
        return np.zeros((0, 2))
    return np.array(values, np.float64).reshape(-1, 2)


def is_line(graphic_type: str, points: Points) -> bool:
    """Whether a shape is one straight line: a diameter measured, not an outline drawn."""
    return graphic_type == "POLYLINE" and len(points) == 2


def is_seed(graphic_type: str) -> bool:
    """Whether a graphic type gives positions only."""
    return graphic_type in ("POINT", "MULTIPOINT")


def outline_of(graphic_type: str, points: Points) -> Outline:
    """The closed outline of a shape of `(n, 2)` (column, row) points; () when it makes none.

    PS3.3 C.18.6.1.2 and C.10.5.1.2. Choice: an open polyline stands for the box around it, and
    one straight line for the circle over it, because people measure lesions by their diameter.
    """
    count = len(points)
    if is_seed(graphic_type) and count >= 1:
        return _swapped(points)
    if graphic_type == "CIRCLE" and count == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return _ellipse(points[0], np.array([radius, 0.0]), np.array([0.0, radius]))
    if graphic_type == "ELLIPSE" and count == 4:
        major, minor = (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
        return _ellipse(points[:2].mean(0), major, minor)
    if is_line(graphic_type, points):
        centre, arm = points.mean(0), (points[1] - points[0]) / 2
        return _ellipse(centre, arm, np.array([-arm[1], arm[0]]))
    if graphic_type in ("POLYLINE", "POLYGON", "INTERPOLATED") and count >= 3:
        return _of_polyline(graphic_type, points)
    return ()


def rectangle(points: Points) -> Outline:
    """The four corners of the upright box around `(n, 2)` (column, row) points."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return _swapped(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]))


def ellipse_in(points: Points) -> Outline:
    """The ellipse that fills the upright box around `(n, 2)` (column, row) points."""
    low, high = points.min(0), points.max(0)
    half = (high - low) / 2
    return _ellipse((low + high) / 2, np.array([half[0], 0.0]), np.array([0.0, half[1]]))


def _of_polyline(graphic_type: str, points: Points) -> Outline:
    closed = bool(np.allclose(points[0], points[-1], atol=1e-3))
    if not closed and graphic_type != "POLYGON":
        return rectangle(points)
    corners = points[:-1] if closed else points
    if graphic_type == "INTERPOLATED" and len(corners) >= 3:
        corners = _curve(corners)
    return _swapped(corners)


def _ellipse(centre: Points, major: Points, minor: Points) -> Outline:
    """Points of an ellipse by its half axes; its four outermost points are among them."""
    if not np.any(major) or not np.any(minor):
        return ()
    outermost = np.arctan2(minor, major)
    angles = np.concatenate(
        [np.linspace(0, 2 * np.pi, _CURVE_POINTS, endpoint=False), outermost, outermost + np.pi]
    )
    angles = np.unique(np.round(angles % (2 * np.pi), 9))
    turned = np.outer(np.cos(angles), major) + np.outer(np.sin(angles), minor)
    return _swapped(centre + turned)


def _curve(points: Points) -> Points:
    """Closed Catmull-Rom spline through `(n, 2)` points.

    Choice: DICOM leaves the curve to the implementation and asks only that it passes through
    every point (PS3.3 C.10.5.1.2).
    """
    before, after, second = (np.roll(points, shift, 0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, _STEPS, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None] for p in (before, points, after, second))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.asarray(curve.reshape(-1, 2), np.float64)


def _swapped(points: Points) -> Outline:
    """(row, column) tuples of (column, row) points."""
    return tuple((float(row), float(column)) for column, row in points)
