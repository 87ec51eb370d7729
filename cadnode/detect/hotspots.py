"""Clusters of specks: where they crowd, and which of them belong together."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cadnode.detect.frame import DetectionFrame
from cadnode.detect.specks import LEAST, Specks

Floats = NDArray[np.float64]

# A single bright speck must not look like a cluster: what one counts for is limited.
_CAP: Final = 4.5
# Radius in which specks add up; a group of calcifications has five within 1 cm² or so (BI-RADS).
_CROWD_MM: Final = 2.5
_APART_MM: Final = 5.0
_MOST: Final = 24
_COARSE: Final = 2
_NEAR_MM, _AROUND_MM = 4.0, 8.0
_LINK_MM: Final = 4.0
_MEMBER: Final = 2.8
# A member lies where the specks crowd at least this much, as a share of the cluster's peak.
_THINNEST: Final = 0.35

STATISTICS: Final = (
    "crowding", "strong_near", "medium_near", "second", "fourth", "roundness", "scale",
    "medium_around", "depth", "contrast_to_around",
)  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Hotspot:
    """Where specks crowd: position in the frame, and `(10,) float64` as `STATISTICS` names them."""

    point: tuple[float, float]
    statistics: Floats


def hotspots(frame: DetectionFrame, specks: Specks) -> list[Hotspot]:
    """The places where specks crowd most, at most 24, the most crowded first."""
    if not len(specks):
        return []
    crowd = crowding(frame, specks)
    size = int(_APART_MM / frame.spacing_mm / _COARSE) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    peaks = np.argwhere((crowd >= cv2.dilate(crowd, disc)) & (crowd > LEAST / 10))
    values = crowd[peaks[:, 0], peaks[:, 1]]
    order = np.argsort(-values, kind="stable")[:_MOST]
    tree = cKDTree(specks.points * frame.spacing_mm)
    points = (peaks[order] + 0.5) * _COARSE
    return [
        Hotspot((float(p[0]), float(p[1])), _statistics(frame, specks, tree, p, float(v)))
        for p, v in zip(points, values[order], strict=True)
    ]


def crowding(frame: DetectionFrame, specks: Specks) -> NDArray[np.float32]:
    """`(h/2, w/2) float32`: sum of the specks' strengths in a Gaussian window, each limited."""
    height, width = (n // _COARSE + 1 for n in frame.image.shape)
    cells = np.zeros((height, width), np.float32)
    at = (specks.points / _COARSE).astype(int)
    np.add.at(cells, (at[:, 0], at[:, 1]), np.minimum(specks.strength, _CAP) - LEAST)
    sigma = _CROWD_MM / frame.spacing_mm / _COARSE
    smooth = cv2.GaussianBlur(cells, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(smooth * np.float32(2 * np.pi * sigma * sigma), np.float32)


def members(
    frame: DetectionFrame, specks: Specks, crowd: NDArray[np.float32], hotspot: Hotspot
) -> NDArray[np.intp]:
    """Indices of the specks that make the cluster at a hotspot.

    Those within 4 mm, and those linked to them by steps of at most 4 mm (single linkage) as long
    as specks still crowd there, by `crowding`.
    """
    at = (specks.points / _COARSE).astype(int)
    dense = crowd[at[:, 0], at[:, 1]] > _THINNEST * hotspot.statistics[0]
    points = specks.points * frame.spacing_mm
    centre = np.array(hotspot.point) * frame.spacing_mm
    near = np.hypot(*(points - centre).T) <= _NEAR_MM
    usable = np.flatnonzero((specks.strength > _MEMBER) & (dense | near))
    if not len(usable):
        usable = np.flatnonzero(near)
    chosen = _linked(points[usable], near[usable])
    return np.asarray(usable[chosen], np.intp)


def _linked(points: Floats, seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(n,) bool`: reached from the seeds by steps of at most `_LINK_MM`."""
    reached, tree = seeds.copy(), cKDTree(points) if len(points) else None
    fringe = np.flatnonzero(seeds)
    while tree is not None and len(fringe):
        lists = tree.query_ball_point(points[fringe], _LINK_MM)
        neighbours = np.unique(np.concatenate([np.array(x, np.intp) for x in lists]))
        fringe = neighbours[~reached[neighbours]]
        reached[fringe] = True
    return reached


def _statistics(
    frame: DetectionFrame, specks: Specks, tree: cKDTree, point: Floats, crowd: float
) -> Floats:
    """`(10,) float64` as `STATISTICS` names them."""
    centre = point * frame.spacing_mm
    near = np.array(tree.query_ball_point(centre, _NEAR_MM), int)
    around = np.array(tree.query_ball_point(centre, _AROUND_MM), int)
    strength = np.sort(np.minimum(specks.strength[near], 15.0))[::-1]
    top = near[np.argsort(-specks.strength[near], kind="stable")[:6]]
    padded = np.concatenate([strength, np.zeros(6)])
    medium_near = float((strength > 3).sum())
    medium_around = float((specks.strength[around] > 3).sum())
    row, col = (min(int(c), n - 1) for c, n in zip(point, frame.image.shape, strict=True))
    return np.array([
        crowd,
        np.log1p((strength > 5).sum()),
        np.log1p(medium_near),
        padded[1],
        padded[3],
        float(specks.roundness[top].mean()) if len(top) else 0.0,
        float(specks.scale[top].mean()) if len(top) else 0.0,
        np.log1p(medium_around),
        min(float(frame.depth_mm[row, col]), 20.0),
        medium_near - (medium_around - medium_near) / 3,
    ])  # fmt: skip
