"""How single calcifications are drawn: four times finer than the pixel, then averaged.

Sizes follow the definitions of the ACR BI-RADS Atlas, 5th edition: round 0.5–1 mm, punctate
below 0.5 mm, amorphous too small or hazy for a shape, coarse heterogeneous 0.5–1 mm and
irregular, fine pleomorphic below 0.5 mm and angular, fine linear thinner than 0.5 mm,
fine linear branching likewise, forked.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import CalcificationType, FloatImage

SUBPIXELS: Final = 4
_SHIFT: Final = 4  # fractional bits of OpenCV's coordinates
Points = NDArray[np.float64]

# (peak contrast of a 0.3 mm thick calcification, spread between those of one cluster). Choice: in
# shares of the display range, so that the subtle ones are near the noise of a 0.1 mm pixel.
_CONTRAST: Final[Mapping[CalcificationType, tuple[float, float]]] = {
    CalcificationType.ROUND: (0.17, 0.12),
    CalcificationType.PUNCTATE: (0.22, 0.15),
    CalcificationType.COARSE: (0.26, 0.10),
    CalcificationType.AMORPHOUS: (0.20, 0.25),
    CalcificationType.COARSE_HETEROGENEOUS: (0.19, 0.35),
    CalcificationType.FINE_PLEOMORPHIC: (0.26, 0.40),
    CalcificationType.FINE_LINEAR: (0.23, 0.35),
    CalcificationType.FINE_LINEAR_BRANCHING: (0.23, 0.35),
}


def draw(
    rng: Generator,
    image: FloatImage,
    centre: tuple[float, float],
    kind: CalcificationType,
    *,
    spacing_mm: float,
    direction: float,
    strength: float = 1.0,
) -> None:
    """Add one calcification to the image `(H, W) float32`, in place; what is outside is lost.

    `centre` is (row, column) in pixels, with fractions. `direction` is that of the duct, in
    radians from the column axis towards rising rows; only linear types care. `strength` is the
    contrast of the cluster that this one belongs to: 1 is usual, below 0.6 subtle.
    """
    step = spacing_mm / SUBPIXELS
    first = np.floor(centre).astype(int)
    offset = (np.asarray(centre) - first) * SUBPIXELS
    fine, thickness_mm = _SHAPES[kind](rng, step, offset, direction)
    patch = _averaged(fine)
    base, spread = _CONTRAST[kind]
    contrast = base * (thickness_mm / 0.3) ** 0.5 * strength * np.exp(rng.normal(0, spread))
    half = patch.shape[0] // 2
    row, col = first[0] - half, first[1] - half
    r0, c0 = max(row, 0), max(col, 0)
    r1, c1 = min(row + patch.shape[0], image.shape[0]), min(col + patch.shape[1], image.shape[1])
    if r0 < r1 and c0 < c1:
        image[r0:r1, c0:c1] += (
            np.float32(contrast) * patch[r0 - row : r1 - row, c0 - col : c1 - col]
        )


def _averaged(fine: FloatImage) -> FloatImage:
    side = fine.shape[0] // SUBPIXELS
    return np.asarray(fine.reshape(side, SUBPIXELS, side, SUBPIXELS).mean((1, 3)), np.float32)


def _canvas(radius: float) -> FloatImage:
    """Zeros, an odd number of pixels wide, for a shape of that radius (subpixels) and its blur."""
    pixels = 2 * int(np.ceil(radius / SUBPIXELS) + 2) + 1
    return np.zeros((pixels * SUBPIXELS, pixels * SUBPIXELS), np.float32)


def _middle(canvas: FloatImage, offset: Points) -> Points:
    return np.asarray((canvas.shape[0] // (2 * SUBPIXELS)) * SUBPIXELS + offset)


def _sphere(
    rng: Generator, step: float, offset: Points, low: float, high: float
) -> tuple[FloatImage, float]:
    """Thickness of a slightly flattened ball; its diameter in mm is drawn from `low` to `high`."""
    diameter = rng.uniform(low, high)
    radius = max(diameter / 2 / step, 1.0)
    canvas = _canvas(radius * 1.2)
    row, col = _middle(canvas, offset)
    rows, cols = (axis + 0.5 for axis in np.ogrid[: canvas.shape[0], : canvas.shape[1]])
    flat, angle = rng.uniform(0.85, 1.0), rng.uniform(0, np.pi)
    along = (cols - col) * np.cos(angle) + (rows - row) * np.sin(angle)
    across = (rows - row) * np.cos(angle) - (cols - col) * np.sin(angle)
    squared = (along**2 + (across / flat) ** 2) / radius**2
    canvas[:] = np.sqrt(np.clip(1 - squared, 0, None))
    return canvas, diameter


def _round(rng: Generator, step: float, offset: Points, _: float) -> tuple[FloatImage, float]:
    return _sphere(rng, step, offset, 0.5, 1.0)


def _punctate(rng: Generator, step: float, offset: Points, _: float) -> tuple[FloatImage, float]:
    return _sphere(rng, step, offset, 0.2, 0.45)


def _popcorn(rng: Generator, step: float, offset: Points, _: float) -> tuple[FloatImage, float]:
    """A typically benign, large calcification of 1.5–4 mm: several balls grown together."""
    size = rng.uniform(1.5, 4.0)
    canvas = _canvas(size / step)
    centre = _middle(canvas, offset)[::-1]
    for _lobe in range(int(rng.integers(7, 16))):
        at = centre + rng.normal(0, size / 5, 2) / step
        _disc(canvas, at, rng.uniform(0.10, 0.24) * size / step, rng.uniform(0.4, 1.0))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.1 / step), np.float32), 0.6


def _amorphous(rng: Generator, step: float, offset: Points, _: float) -> tuple[FloatImage, float]:
    """A hazy flake of 0.1–0.35 mm without an edge."""
    size = rng.uniform(0.1, 0.35)
    canvas = _canvas(2.5 * size / step)
    centre = _middle(canvas, offset)[::-1]
    for _flake in range(int(rng.integers(2, 5))):
        at = centre + rng.normal(0, size / 3, 2) / step
        _disc(canvas, at, rng.uniform(0.2, 0.5) * size / step + 1, rng.uniform(0.5, 1))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.09 / step), np.float32), 0.3


def _coarse_heterogeneous(
    rng: Generator, step: float, offset: Points, _: float
) -> tuple[FloatImage, float]:
    size = rng.uniform(0.5, 1.0)
    fine = _polygon(rng, step, offset, size, corners=int(rng.integers(8, 14)), rough=0.22)
    return fine, size * 0.6


def _fine_pleomorphic(
    rng: Generator, step: float, offset: Points, _: float
) -> tuple[FloatImage, float]:
    size = rng.uniform(0.15, 0.5)
    fine = _polygon(rng, step, offset, size, corners=int(rng.integers(3, 7)), rough=0.40)
    return fine, size * 0.8


def _polygon(
    rng: Generator, step: float, offset: Points, size: float, *, corners: int, rough: float
) -> FloatImage:
    """An irregular, elongated polygon of that size (mm), thinner towards one side."""
    canvas = _canvas(size * 0.8 / step)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners) * 0.4 + np.arange(corners) / corners * 5.9)
    radii = size / 2 / step * np.clip(1 + rng.normal(0, rough, corners), 0.35, 1.5)
    narrow, turn = rng.uniform(0.45, 1.0), rng.uniform(0, np.pi)
    shape = radii[:, None] * np.stack([np.cos(angles), narrow * np.sin(angles)], 1)
    turned = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = _middle(canvas, offset)[::-1] + turned
    cv2.fillPoly(canvas, [_fixed(points)], 1.0, cv2.LINE_8, _SHIFT)
    tilt = 1 + 0.35 * np.linspace(-1, 1, canvas.shape[1], dtype=np.float32) * rng.uniform(-1, 1)
    return np.asarray(cv2.GaussianBlur(canvas * tilt, (0, 0), 0.04 / step), np.float32)


def _fine_linear(
    rng: Generator, step: float, offset: Points, direction: float
) -> tuple[FloatImage, float]:
    length = float(np.clip(np.exp(rng.normal(-0.25, 0.45)), 0.4, 2.0))
    canvas = _canvas(length / step)
    width = _branch(rng, canvas, _middle(canvas, offset)[::-1], direction, length, step)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.04 / step), np.float32), width


def _fine_linear_branching(
    rng: Generator, step: float, offset: Points, direction: float
) -> tuple[FloatImage, float]:
    """A cast of a forking duct: a stem, and one or two branches at 25–60° to it."""
    length = float(np.clip(np.exp(rng.normal(0.15, 0.4)), 0.7, 2.4))
    canvas = _canvas(length / step)
    centre = _middle(canvas, offset)[::-1]
    width = _branch(rng, canvas, centre, direction, length, step)
    for side in rng.permutation((-1, 1))[: int(rng.integers(1, 3))]:
        turned = direction + side * np.deg2rad(rng.uniform(25, 60))
        reach = length * rng.uniform(0.3, 0.7)
        fork = rng.uniform(-0.3, 0.3) * length * np.array([np.cos(direction), np.sin(direction)])
        towards = fork + np.array([np.cos(turned), np.sin(turned)]) * reach / 2
        _branch(rng, canvas, centre + towards / step, turned, reach, step)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.04 / step), np.float32), width


def _branch(
    rng: Generator, canvas: FloatImage, centre: Points, direction: float, length: float, step: float
) -> float:
    """Width (mm) of the curved, uneven rod of that length (mm) drawn around the centre (x, y)."""
    width = rng.uniform(0.08, 0.22)
    along = np.linspace(-0.5, 0.5, 7) * length / step
    bend = rng.normal(0, 0.06) * (np.linspace(-1, 1, 7) ** 2 - 0.5) * length / step
    bend = bend + rng.normal(0, 0.025, 7) / step
    axis = np.array([np.cos(direction), np.sin(direction)])
    points = centre + along[:, None] * axis + bend[:, None] * np.array([-axis[1], axis[0]])
    for start, end in pairwise(points):
        if rng.random() < 0.9:  # broken casts
            thickness = max(round(width * rng.uniform(0.6, 1.4) / step), 2)
            ends = _fixed(np.stack([start, end]))
            cv2.line(canvas, ends[0], ends[1], 1.0, thickness, cv2.LINE_8, _SHIFT)
    return width


def _disc(canvas: FloatImage, centre: Points, radius: float, value: float) -> None:
    layer = np.zeros_like(canvas)
    at = _fixed(centre)
    cv2.circle(layer, at, round(radius * (1 << _SHIFT)), value, -1, cv2.LINE_8, _SHIFT)
    np.maximum(canvas, layer, out=canvas)


def _fixed(points: Points) -> NDArray[np.int32]:
    """OpenCV counts from the middle of the first subpixel, we from its edge."""
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


_Shape = Callable[[Generator, float, Points, float], tuple[FloatImage, float]]
_SHAPES: Final[Mapping[CalcificationType, _Shape]] = {
    CalcificationType.ROUND: _round,
    CalcificationType.PUNCTATE: _punctate,
    CalcificationType.COARSE: _popcorn,
    CalcificationType.AMORPHOUS: _amorphous,
    CalcificationType.COARSE_HETEROGENEOUS: _coarse_heterogeneous,
    CalcificationType.FINE_PLEOMORPHIC: _fine_pleomorphic,
    CalcificationType.FINE_LINEAR: _fine_linear,
    CalcificationType.FINE_LINEAR_BRANCHING: _fine_linear_branching,
}
