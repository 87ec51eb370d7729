"""Where the calcifications of a cluster lie, and the cluster drawn into an image.

Extents follow the ACR BI-RADS Atlas, 5th edition: grouped within 1–2 cm, regional over more than
2 cm and not along a duct, linear in a line, segmental in a wedge that points to the nipple,
diffuse throughout the breast.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import Box, CalcificationType, Distribution, FloatImage
from cadnode_training.phantom import calcifications
from cadnode_training.phantom.descriptors import ClusterDescriptors, PhantomCase, PlantedLesion

Points = NDArray[np.float64]
# Fewest and most calcifications. Choice: five is BI-RADS' least for a group.
_NUMBERS: Final[Mapping[Distribution, tuple[int, int]]] = {
    Distribution.DIFFUSE: (50, 110),
    Distribution.REGIONAL: (20, 55),
    Distribution.GROUPED: (6, 26),
    Distribution.LINEAR: (7, 20),
    Distribution.SEGMENTAL: (15, 45),
}
# Flakes come in swarms, large round ones in small numbers.
_MORE: Final[Mapping[CalcificationType, float]] = {
    CalcificationType.AMORPHOUS: 1.6,
    CalcificationType.COARSE_HETEROGENEOUS: 0.7,
    CalcificationType.ROUND: 0.6,
    CalcificationType.FINE_LINEAR_BRANCHING: 0.7,
}
# Centres lie at least this far apart (mm): casts of one duct follow each other.
_APART_MM: Final[Mapping[CalcificationType, float]] = {
    CalcificationType.COARSE_HETEROGENEOUS: 0.7,
    CalcificationType.ROUND: 0.8,
    CalcificationType.FINE_LINEAR: 0.8,
    CalcificationType.FINE_LINEAR_BRANCHING: 1.1,
}
_FEWEST: Final = 5
_HALO_MM: Final = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """Where a lesion may go in an image.

    Parameters
    ----------
    allowed
        `(h, w) bool`: where its parts may lie in the whole view.
    coarse, corner
        Pixels of the image to one of `allowed`; the image's first (row, column) in the view.
    centre
        (row, column) in pixels of the image.
    duct
        Direction to the nipple, radians from the column axis towards rising rows.
    spacing_mm, reach_mm
        Pixel size; no part lies farther than `reach_mm` from the centre in row or column.
    skin_mm
        Distance from the centre to the skin.
    """

    allowed: NDArray[np.bool_]
    coarse: float
    corner: tuple[int, int]
    centre: tuple[float, float]
    duct: float
    spacing_mm: float
    reach_mm: float
    skin_mm: float

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """`(n,) bool`: which of the `(n, 2)` positions are allowed and within reach."""
        near = (np.abs(points - self.centre) * self.spacing_mm <= self.reach_mm).all(1)
        cells = np.floor((points + self.corner) / self.coarse).astype(int)
        inside = (cells >= 0).all(1) & (cells < self.allowed.shape).all(1)
        clipped = np.clip(cells, 0, np.array(self.allowed.shape) - 1)
        return np.asarray(near & inside & self.allowed[clipped[:, 0], clipped[:, 1]])


def plant(
    rng: Generator,
    image: FloatImage,
    site: Site,
    case: PhantomCase,
    number: int = 0,
) -> PlantedLesion:
    """The cluster that was drawn into the image, in place.

    Its contrast is log-normal around 1: one in five is subtle.
    """
    assert isinstance(case.descriptors, ClusterDescriptors)
    descriptors = case.descriptors
    points = layout(rng, site, descriptors)
    strength = float(np.clip(np.exp(rng.normal(-0.15, 0.42)), 0.35, 1.8))
    for row, col in points:
        turn = rng.normal(0, 0.35)
        calcifications.draw(
            rng, image, (row, col), descriptors.type, spacing_mm=site.spacing_mm,
            direction=site.duct + turn, strength=strength,
        )  # fmt: skip
    box, mask = _hull(points, _HALO_MM / site.spacing_mm, image.shape)
    centre = (float(points[:, 0].mean()), float(points[:, 1].mean()))
    return PlantedLesion(
        case.kind, descriptors, case.malignant, case.p_malignant, centre, box, mask, points, number
    )  # fmt: skip


def layout(rng: Generator, site: Site, descriptors: ClusterDescriptors) -> Points:
    """`(n, 2) float64` positions of the calcifications, all of them allowed by the site."""
    low, high = _NUMBERS[descriptors.distribution]
    wanted = rng.integers(low, high + 1) * _MORE.get(descriptors.type, 1.0)
    if descriptors.distribution == Distribution.DIFFUSE:  # a region shows a part of the breast
        wanted *= min(site.reach_mm / 50, 1.0)
    number = max(int(wanted), _FEWEST)
    place = _PLACES[descriptors.distribution](rng, site)
    found = np.empty((0, 2))
    for _ in range(8):
        new = place(3 * number)
        found = np.concatenate([found, new[site.holds(new)]])
        if len(found) >= number:
            break
    if len(found) < _FEWEST:  # a thin place: close around the centre
        near = rng.normal(0, 1.5 / site.spacing_mm, (_FEWEST, 2))
        found = np.concatenate([found, np.asarray(site.centre) + near])
    apart = _apart(found[: 4 * number], _APART_MM.get(descriptors.type, 0.35) / site.spacing_mm)
    return np.asarray((apart if len(apart) >= _FEWEST else found)[:number])


def _apart(points: Points, distance: float) -> Points:
    """The points without those nearer than `distance` to an earlier one."""
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    close = np.tril(gaps < distance, -1).any(1)
    return np.asarray(points[~close])


_Place = Callable[[int], Points]


def _diffuse(rng: Generator, site: Site) -> _Place:
    """Anywhere in reach."""
    reach = site.reach_mm / site.spacing_mm
    return lambda n: np.asarray(site.centre) + rng.uniform(-reach, reach, (n, 2))


def _regional(rng: Generator, site: Site) -> _Place:
    """Evenly over an irregular patch 22–45 mm across."""
    return _patch(rng, site, min(rng.uniform(11, 22), 0.9 * site.reach_mm), evenly=True)


def _grouped(rng: Generator, site: Site) -> _Place:
    """Within a patch 5–14 mm across, denser in the middle."""
    return _patch(rng, site, min(rng.uniform(2.5, 7), 0.6 * site.reach_mm), evenly=False)


def _patch(rng: Generator, site: Site, radius_mm: float, *, evenly: bool) -> _Place:
    lobes, phases = rng.uniform(0, 0.2, 3), rng.uniform(0, 2 * np.pi, 3)
    narrow = rng.uniform(0.65, 1.0)
    turn = _rotation(rng.uniform(0, np.pi))

    def place(n: int) -> Points:
        angle = rng.uniform(0, 2 * np.pi, n)
        edge = 1 + sum(
            h * np.cos(k * angle + p) for k, (h, p) in enumerate(zip(lobes, phases, strict=True), 2)
        )
        radius = radius_mm * edge * rng.random(n) ** (0.5 if evenly else 0.7)
        offset = np.stack([radius * np.cos(angle), narrow * radius * np.sin(angle)], 1)
        return np.asarray(site.centre + offset @ turn / site.spacing_mm)

    return place


def _linear(rng: Generator, site: Site) -> _Place:
    """Along one curved line of 12–35 mm towards the nipple, at most 1 mm beside it."""
    length = min(rng.uniform(12, 35), 1.7 * site.reach_mm)
    bend, turn = rng.normal(0, 0.10), _rotation(site.duct + rng.normal(0, 0.25))

    def place(n: int) -> Points:
        t = rng.uniform(-1, 1, n)
        along = t * length / 2
        across = bend * (t**2 - 0.3) * length + rng.normal(0, 0.35, n)
        return np.asarray(site.centre + np.stack([across, along], 1) @ turn / site.spacing_mm)

    return place


def _segmental(rng: Generator, site: Site) -> _Place:
    """In a wedge of 25–45 mm length, 25–45° wide, its tip towards the nipple."""
    length = min(rng.uniform(25, 45), 1.7 * site.reach_mm)
    half_width = np.tan(np.deg2rad(rng.uniform(25, 45)) / 2)
    turn = _rotation(site.duct + rng.normal(0, 0.15))

    def place(n: int) -> Points:
        t = np.sqrt(rng.uniform(0.01, 1, n))  # 0 at the tip
        along = (0.6 - t) * length
        across = rng.uniform(-1, 1, n) * half_width * t * length
        return np.asarray(site.centre + np.stack([across, along], 1) @ turn / site.spacing_mm)

    return place


def _rotation(angle: float) -> Points:
    """`(2, 2)`: right-multiplied to (across, along) rows it gives (row, column) rows."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _hull(points: Points, halo: float, shape: tuple[int, ...]) -> tuple[Box, NDArray[np.bool_]]:
    """Box and mask of the points' convex hull, grown by `halo` pixels, inside the image."""
    low = np.maximum(np.floor(points.min(0) - halo).astype(int), 0)
    high = np.minimum(np.ceil(points.max(0) + halo).astype(int) + 1, shape[:2])
    canvas = np.zeros(high - low, np.uint8)
    corners = np.round(points - low).astype(np.int32)[:, ::-1]
    hull = cv2.convexHull(np.ascontiguousarray(corners))
    cv2.fillPoly(canvas, [hull], 1)
    width = 2 * max(round(halo), 1) + 1
    cv2.polylines(canvas, [hull], True, 1, width)
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])), canvas > 0


_PLACES: Final[Mapping[Distribution, Callable[[Generator, Site], _Place]]] = {
    Distribution.DIFFUSE: _diffuse,
    Distribution.REGIONAL: _regional,
    Distribution.GROUPED: _grouped,
    Distribution.LINEAR: _linear,
    Distribution.SEGMENTAL: _segmental,
}
