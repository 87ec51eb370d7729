"""The outline of a mass, found again in fine detail around a rough one.

Timp S, Karssemeijer N. A new 2D segmentation method based on dynamic programming applied to
computer aided detection in mammography. Med Phys 31:958-971 (2004): the image is unrolled about
the mass's centre, and the closed path of least cost is sought, the cost being low where the grey
falls steeply outwards and where grey differs from the mass's.
"""

from typing import Final

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from cadnode.detect.regions import BoolMask
from cadnode.domain import FloatImage

Floats = NDArray[np.float64]

_ANGLES: Final = 180
# Choice: a path may move so many radial steps of one pixel between neighbouring angles.
_SWING: Final = 2
_SIGMA_MM: Final = 0.35
_LEAST_MM: Final = 1.0
_SIZE_WEIGHT: Final = 0.3
# Of a step's square: noise makes no dents, lobes and spicules do.
_SWING_WEIGHT: Final = 0.04
# A rough mask of more than this share of the patch does not locate the mass: then the patch's
# middle, and this share of its shorter half, are where the path is sought.
_ALL: Final = 0.6
_USUAL: Final = 0.55


def refined(image: FloatImage, rough: BoolMask, spacing_mm: float) -> BoolMask:
    """`(h, w) bool`: the mass whose rough mask is given, outlined at the patch's resolution.

    `image` is `(h, w) float32 in [0, 1]`; `rough` has at least one pixel, and its centroid is
    taken as the mass's centre. A patch of less than 4 mm keeps its rough mask.
    """
    centre, usual = _start(rough)
    reach = _reach(rough.shape, centre)
    if reach * spacing_mm < 2 * _LEAST_MM:
        return rough
    polar, inside = _unrolled(image, centre, reach, spacing_mm)
    radii = closed_path(_cost(polar, inside, usual, spacing_mm), _SWING, _SWING_WEIGHT)
    mask = _filled(radii.astype(np.float64) + 0.5, centre, rough.shape)
    return mask if mask.any() else rough


def closed_path(cost: Floats, swing: int, weight: float = 0.0) -> NDArray[np.int64]:
    """`(n,)` column in each row of the path of least cost that ends where it began.

    `cost` is `(n, m)`; neighbouring rows' columns differ by at most `swing`, and a difference of
    d costs `weight` d². The path is sought twice around, and the turn that closes best is taken
    (exactly closed paths would need m searches).
    """
    n, m = cost.shape
    twice = np.concatenate([cost, cost])
    shifts, columns = np.arange(-swing, swing + 1), np.arange(m)
    turning = weight * shifts[:, None].astype(np.float64) ** 2
    padded, back = np.full(m + 2 * swing, np.inf), np.zeros((2 * n, m), np.int64)
    total = padded[swing : swing + m]
    total[:] = twice[0]
    shifted = sliding_window_view(padded, m)  # by each of the shifts
    options = np.empty(shifted.shape)
    for row in range(1, 2 * n):
        np.add(shifted, turning, out=options)
        best = options.argmin(0)
        back[row] = columns + shifts[best]
        np.add(options[best, columns], twice[row], out=total)
    path = np.zeros(2 * n, np.int64)
    path[-1] = int(total.argmin())
    for row in range(2 * n - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    start = int(np.abs(path[n:] - path[:n]).argmin())
    return np.roll(path[start : start + n], start)


def _start(rough: BoolMask) -> tuple[Floats, float]:
    """Where the mass's centre is, and its usual radius, in pixels."""
    if rough.mean() > _ALL:
        return (np.array(rough.shape) - 1) / 2, _USUAL * min(rough.shape) / 2
    return np.argwhere(rough).mean(0), float(np.sqrt(rough.sum() / np.pi))


def _reach(shape: tuple[int, ...], centre: Floats) -> float:
    """Pixels from the centre to the patch's farthest edge: a mass may touch its edges."""
    return float(max(*centre, shape[0] - 1 - centre[0], shape[1] - 1 - centre[1]))


def _unrolled(
    image: FloatImage, centre: Floats, reach: float, spacing_mm: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """`(angles, radii)` grey, smoothed, and which of its places lie inside the patch."""
    smooth = ndimage.gaussian_filter(image.astype(np.float64), _SIGMA_MM / spacing_mm)
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    radii = np.arange(1, int(reach) + 1)
    rows = centre[0] + np.outer(np.sin(angles), radii)
    cols = centre[1] + np.outer(np.cos(angles), radii)
    polar = ndimage.map_coordinates(smooth, [rows, cols], order=1, mode="nearest")
    high, wide = image.shape
    inside = (rows >= 0) & (rows <= high - 1) & (cols >= 0) & (cols <= wide - 1)
    return polar, inside


def _cost(polar: Floats, inside: NDArray[np.bool_], usual: float, spacing_mm: float) -> Floats:
    """`(angles, radii)`: low at a steep fall, high far from the rough mask's usual radius."""
    fall = -np.gradient(polar, axis=1)
    fall[~inside] = 0
    scale = float(np.percentile(fall[inside], 98)) + 1e-9 if inside.any() else 1.0
    edge = 1 - np.clip(fall / scale, 0, 1)
    radii = np.arange(1, polar.shape[1] + 1)
    size = _SIZE_WEIGHT * np.log(radii / max(usual, 1.0)) ** 2
    cost = edge + size
    cost[:, radii * spacing_mm < _LEAST_MM] = 1e3
    return np.asarray(cost, np.float64)


def _filled(radii: Floats, centre: Floats, shape: tuple[int, ...]) -> BoolMask:
    """`shape bool`: the polygon of these radii about the centre."""
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    points = np.stack([centre[1] + radii * np.cos(angles), centre[0] + radii * np.sin(angles)], 1)
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return np.asarray(canvas > 0, np.bool_)
