"""A cluster in the words of BI-RADS, estimated by rules; their table is in docs/detection.md.

ACR BI-RADS Atlas, 5th edition, Mammography, section C (calcifications). The numbers that the atlas
leaves open are choices, and marked so.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from cadnode.domain import CalcificationType, ClusterDescription, Distribution

Floats = NDArray[np.float64]

# BI-RADS: grouped up to 2 cm across, regional beyond.
_GROUPED_MM: Final = 20.0
# Choice: over half of the breast's length is diffuse.
_DIFFUSE_SHARE: Final = 0.5
# Choices: a line is four times as long as wide; a wedge to the nipple twice, within 30°.
_LINEAR: Final = 4.0
_SEGMENTAL: Final = 1.8
_TO_NIPPLE: Final = np.cos(np.radians(30))
# BI-RADS: punctate below 0.5 mm, coarse heterogeneous above 0.5 mm, fine pleomorphic below 0.5 mm,
# coarse above 1 mm.
_PUNCTATE_MM: Final = 0.5
_COARSE_MM: Final = 1.0
# Choices: what counts as elongated, as unequal in size, as faint beside the noise.
_ELONGATED: Final = 2.5
_UNEQUAL: Final = 0.45
_FAINT: Final = 5.0
_MANY: Final = 12


def describe(
    points_mm: Floats,
    diameters_mm: Floats,
    elongations: Floats,
    strengths: Floats,
    *,
    nipple_mm: Floats | None = None,
    breast_mm: float = np.inf,
) -> ClusterDescription:
    """Estimates of the descriptors of `n` calcifications that make one cluster.

    Parameters
    ----------
    points_mm, nipple_mm
        `(n, 2)` positions and `(2,)` that of the nipple where known: row and column in mm.
    diameters_mm, elongations, strengths
        `(n,)` sizes, long over short axes, contrasts over the noise.
    breast_mm
        Length of the breast.
    """
    return ClusterDescription(
        distribution=distribution(points_mm, nipple_mm, breast_mm),
        type=kind(diameters_mm, elongations, strengths),
        count=len(points_mm),
        diameter_mm=diameter(points_mm),
    )


def distribution(points: Floats, nipple: Floats | None, breast_mm: float) -> Distribution:
    """How `(n, 2)` positions in mm are distributed."""
    across, (long, short), direction = diameter(points), *_axes(points)
    if across > _DIFFUSE_SHARE * breast_mm and len(points) > _MANY:
        return Distribution.DIFFUSE
    if len(points) > 3 and long > _LINEAR * short:
        return Distribution.LINEAR
    if across <= _GROUPED_MM:
        return Distribution.GROUPED
    if nipple is not None and long > _SEGMENTAL * short:
        way = nipple - points.mean(0)
        if abs(way @ direction) > _TO_NIPPLE * (np.linalg.norm(way) + 1e-9):
            return Distribution.SEGMENTAL
    return Distribution.REGIONAL


def kind(diameters_mm: Floats, elongations: Floats, strengths: Floats) -> CalcificationType:
    """The type of calcifications from their sizes, shapes and contrasts."""
    if not len(diameters_mm):
        return CalcificationType.AMORPHOUS
    size = float(np.median(diameters_mm))
    spread = float(diameters_mm.std() / max(diameters_mm.mean(), 1e-9))
    lines = float((elongations > _ELONGATED).mean())
    if lines > 0.5 and size <= _COARSE_MM:
        return CalcificationType.FINE_LINEAR_BRANCHING
    if lines > 0.3 and size <= _COARSE_MM:
        return CalcificationType.FINE_LINEAR
    if size > _COARSE_MM:
        return CalcificationType.COARSE
    if float(np.median(strengths)) < _FAINT:
        return CalcificationType.AMORPHOUS
    if spread > _UNEQUAL:
        fine = size <= _PUNCTATE_MM
        return (
            CalcificationType.FINE_PLEOMORPHIC if fine else CalcificationType.COARSE_HETEROGENEOUS
        )
    return CalcificationType.PUNCTATE if size <= _PUNCTATE_MM else CalcificationType.ROUND


def diameter(points: Floats) -> float:
    """The longest distance between two of `(n, 2)` positions."""
    if len(points) < 2:
        return 0.0
    corners = points
    if len(points) > 30:
        try:
            corners = points[ConvexHull(points).vertices]
        except QhullError:  # all on one line
            corners = points
    apart = corners[:, None] - corners[None]
    return float(np.hypot(apart[..., 0], apart[..., 1]).max())


def _axes(points: Floats) -> tuple[tuple[float, float], Floats]:
    """Standard deviations along and across the main direction, and that direction."""
    if len(points) < 2:
        return (0.0, 0.0), np.array([1.0, 0.0])
    values, vectors = np.linalg.eigh(np.cov(points.T))
    short, long = np.sqrt(np.maximum(values, 0))
    return (float(long), max(float(short), 0.1)), np.asarray(vectors[:, 1], np.float64)
