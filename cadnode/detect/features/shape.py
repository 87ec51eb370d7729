"""Size and form of one mask, in pixels.

A pixel is a square of side 1. Hull, rectangle and Feret diameter are those of the midpoints of
the pixels' four sides, so that a diagonal row of pixels is as convex as a horizontal one
(`skimage.measure.regionprops` takes its hull from the same points).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect.regions import BoolMask

_SIDES: Final = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])


@dataclass(frozen=True, slots=True)
class Hull:
    """A convex hull, in pixels.

    `feret` is its longest diameter; `length` and `width` are the sides of the smallest rectangle
    around it.
    """

    area: float
    perimeter: float
    feret: float
    length: float
    width: float


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of one mask, in pixels.

    Parameters
    ----------
    area, perimeter
        Number of pixels; length of the outline after Crofton (see `perimeter`).
    major, minor
        Axes of the ellipse of the same second moments, each pixel being a square.
    roughness
        1 − |M ∩ E| / |M ∪ E|, M the mask and E that ellipse: 0 for every ellipse.
    radial_sd
        Standard deviation over mean of the outline's distances from the centroid (Kilday et al.
        1993, normalized radial length): 0 for a disc.
    """

    area: float
    perimeter: float
    major: float
    minor: float
    roughness: float
    radial_sd: float
    hull: Hull

    @property
    def diameter(self) -> float:
        """Of the disc of the same area, 2 √(A / π)."""
        return float(2 * np.sqrt(self.area / np.pi))

    @property
    def circularity(self) -> float:
        """4 π A / P², at most 1: 1 for a disc."""
        return min(1.0, 4 * np.pi * self.area / self.perimeter**2)

    @property
    def solidity(self) -> float:
        """A / A(hull), at most 1: 1 for a convex mask."""
        return min(1.0, self.area / self.hull.area)

    @property
    def convexity(self) -> float:
        """P(hull) / P, at most 1: 1 for a convex mask."""
        return min(1.0, self.hull.perimeter / self.perimeter)

    @property
    def axis_ratio(self) -> float:
        """Minor over major axis, in (0, 1]."""
        return self.minor / self.major

    @property
    def elongation(self) -> float:
        """1 − width / length of the smallest rectangle, in [0, 1)."""
        return 1 - self.hull.width / self.hull.length


def measure(mask: BoolMask) -> Shape:
    """Measures of a mask with at least one pixel; its parts, if several, count as one."""
    points = np.argwhere(mask)
    low = points.min(0)
    part = mask[tuple(slice(a, b + 1) for a, b in zip(low, points.max(0), strict=True))]
    points = points - low
    major, minor, roughness = _ellipse(points, part)
    return Shape(
        area=float(len(points)),
        perimeter=perimeter(part),
        major=major,
        minor=minor,
        roughness=roughness,
        radial_sd=_radial_sd(points, part),
        hull=hull(points),
    )


def perimeter(mask: BoolMask) -> float:
    """Crofton's estimate in pixels: changes along lines in four directions.

    π/8 · (h + v + (d₁ + d₂) / √2), where h, v, d are the numbers of changes between pixels that
    follow each other horizontally, vertically and along the diagonals, whose lines lie 1/√2
    apart (Legland et al. 2007; the same as `skimage.measure.perimeter_crofton`). Unbiased for
    discs, 5 % short for squares along the axes.
    """
    m = np.pad(mask, 1)
    straight = np.count_nonzero(m[1:] != m[:-1]) + np.count_nonzero(m[:, 1:] != m[:, :-1])
    diagonal = np.count_nonzero(m[1:, 1:] != m[:-1, :-1])
    diagonal += np.count_nonzero(m[1:, :-1] != m[:-1, 1:])
    return float(np.pi / 8 * (straight + diagonal / np.sqrt(2)))


def hull(points: NDArray[np.int64]) -> Hull:
    """The convex hull of the pixels at `(n, 2)` rows and columns."""
    doubled = (2 * points[:, None, :] + _SIDES).reshape(-1, 2).astype(np.int32)
    corners = cv2.convexHull(np.ascontiguousarray(doubled))
    ring = corners[:, 0, :].astype(np.float64) / 2
    apart = np.linalg.norm(ring[:, None] - ring[None], axis=2)
    length, width = _rectangle(ring)
    return Hull(
        area=float(cv2.contourArea(corners)) / 4,
        perimeter=float(np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).sum()),
        feret=float(apart.max()),
        length=length,
        width=width,
    )


def _rectangle(ring: NDArray[np.float64]) -> tuple[float, float]:
    """Longer and shorter side of the rectangle of least area; one side lies on the hull's."""
    edges = np.roll(ring, -1, axis=0) - ring
    along = edges / np.linalg.norm(edges, axis=1, keepdims=True)
    across = along[:, ::-1] * (-1, 1)
    spans = np.stack([np.ptp(ring @ along.T, axis=0), np.ptp(ring @ across.T, axis=0)], 1)
    areas = spans.prod(1)
    # Among equal areas the longest, so that mirrored masks measure the same.
    tied = spans[areas <= areas.min() * (1 + 1e-9)]
    chosen = tied[np.argmax(tied.max(1))]
    return float(chosen.max()), float(chosen.min())


def _ellipse(points: NDArray[np.int64], part: BoolMask) -> tuple[float, float, float]:
    """Axes of the ellipse of the same second moments, and how little the mask fits it."""
    centre = points.mean(0)
    # 1/12 is a pixel's own second moment: a single pixel has axes too.
    covariance = np.cov(points.T, bias=True).reshape(2, 2) + np.eye(2) / 12
    minor, major = 4 * np.sqrt(np.linalg.eigvalsh(covariance))
    margin = int(np.ceil(major))
    rows, cols = (np.arange(-margin, n + margin) for n in part.shape)
    a, b, c = np.linalg.inv(covariance)[[0, 0, 1], [0, 1, 1]]
    r, q = rows[:, None] - centre[0], cols[None, :] - centre[1]
    inside = a * r**2 + 2 * b * r * q + c * q**2 <= 4 + 1e-9
    both = np.count_nonzero(inside & np.pad(part, margin))
    union = np.count_nonzero(inside) + len(points) - both
    return float(major), float(minor), float(1 - both / union)


def _radial_sd(points: NDArray[np.int64], part: BoolMask) -> float:
    padded = np.pad(part, 1).astype(np.uint8)
    inner = cv2.erode(padded, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    outline = np.argwhere((padded > inner)[1:-1, 1:-1])
    radii = np.linalg.norm(outline - points.mean(0), axis=1)
    mean = float(radii.mean())
    return float(radii.std()) / mean if mean > 0 else 0.0
