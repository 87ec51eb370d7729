"""From hotspots of specks to clusters: certainty, members, outline, descriptors."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect import hotspots
from cadnode.detect.calcifications import Grown, grow
from cadnode.detect.certainty import cluster_certainty
from cadnode.detect.description import describe
from cadnode.detect.frame import DetectionFrame
from cadnode.detect.hotspots import Hotspot
from cadnode.detect.patches import cut_patches
from cadnode.detect.regions import Region
from cadnode.detect.specks import find_specks
from cadnode.domain import Calcification, FindingKind
from cadnode.models.detector import Detector

Floats = NDArray[np.float64]

# BI-RADS calls five a group; of faint ones on film often only two or three stand out.
_FEWEST: Final = 2
_HALO_MM: Final = 1.0
# Two hotspots that share this part of their specks are one cluster.
_SAME: Final = 0.4


def find_clusters(frame: DetectionFrame, detector: Detector | None, least: float) -> list[Region]:
    """Clusters whose certainty is at least `least`."""
    specks = find_specks(frame.image, frame.valid, frame.spacing_mm)
    spots = hotspots.hotspots(frame, specks)
    if not spots:
        return []
    certainties, crowd = certainty_of(frame, spots, detector), hotspots.crowding(frame, specks)
    regions: list[Region] = []
    taken: list[set[int]] = []
    for i in np.argsort(-certainties, kind="stable"):
        if certainties[i] < least:
            break
        chosen = hotspots.members(frame, specks, crowd, spots[i])
        own = {int(k) for k in chosen}
        if not own or any(len(own & other) >= _SAME * len(own) for other in taken):
            continue
        taken.append(own)
        grown = grow(frame.image, specks.where(chosen), frame.spacing_mm)
        if len(grown) >= _FEWEST:
            regions.append(_region(frame, grown, float(certainties[i])))
    return regions


def certainty_of(frame: DetectionFrame, spots: list[Hotspot], detector: Detector | None) -> Floats:
    """`(n,) float64 in [0, 1]`: by the learned filter, or by the statistics alone without one."""
    statistics = np.stack([s.statistics for s in spots])
    if detector is None:
        return cluster_certainty(statistics)
    config = detector.config
    patches = cut_patches(
        frame.image, frame.spacing_mm, [s.point for s in spots],
        size=config.patch, at_mm=config.spacing_mm,
    )  # fmt: skip
    return detector.certainty(patches, statistics)


def _region(frame: DetectionFrame, grown: Sequence[Grown], certainty: float) -> Region:
    """The cluster of these calcifications, in source pixels."""
    found = [_calcification(frame, one) for one in grown]
    peaks = np.array([one.peak for one in grown])
    outline, box = frame.outlined(_around(peaks, _HALO_MM / frame.spacing_mm))
    return Region(
        kind=FindingKind.CALCIFICATION_CLUSTER,
        box=box,
        outline=outline,
        certainty=certainty,
        cluster=describe(
            peaks * frame.spacing_mm,
            np.array([c.diameter_mm for c in found]),
            np.array([elongation(one.pixels) for one in grown]),
            np.array([one.strength for one in grown]),
            nipple_mm=_nipple(frame) * frame.spacing_mm,
            breast_mm=frame.image.shape[0] * frame.spacing_mm,
        ),
        calcifications=tuple(found),
    )


def elongation(pixels: NDArray[np.intp]) -> float:
    """Long over short axis of a region's pixels, at least 1 (second moments of unit squares)."""
    # A pixel is a square, not a point: its own second moment is 1/12.
    moments = np.cov(pixels.T.astype(float), ddof=0) if len(pixels) > 1 else np.zeros((2, 2))
    short, long = np.linalg.eigvalsh(moments + np.eye(2) / 12)
    return float(np.sqrt(long / short))


def _calcification(frame: DetectionFrame, one: Grown) -> Calcification:
    (row, col), area = frame.to_source(np.array([one.peak]))[0], len(one.pixels)
    area_mm2 = area * frame.spacing_mm**2
    return Calcification(
        row=float(row),
        col=float(col),
        area_mm2=area_mm2,
        diameter_mm=float(2 * np.sqrt(area_mm2 / np.pi)),
        contrast=one.contrast,
    )


def _around(points: Floats, halo: float) -> Floats:
    """`(n, 2)` convex hull of circles of radius `halo` around the points."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = halo * np.stack([np.sin(angles), np.cos(angles)], 1)
    cloud = (points[:, None] + circle[None]).reshape(-1, 2).astype(np.float32)
    return np.asarray(cv2.convexHull(cloud)[:, 0], np.float64)


def _nipple(frame: DetectionFrame) -> Floats:
    """The valid pixel that lies farthest from the chest wall: an estimate of the nipple."""
    cols = np.flatnonzero(frame.valid.any(0))
    col = int(cols[0] if frame.chest_right else cols[-1])
    return np.array([np.flatnonzero(frame.valid[:, col]).mean(), col])
