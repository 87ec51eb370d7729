"""Findings of the CC and the MLO view of a breast that are taken for one lesion.

A lesion keeps its distance from the nipple when the breast is turned and compressed again: the
arc rule by which radiologists look for a lesion of one view in the other.
"""

from collections.abc import Mapping, Sequence
from math import cos, hypot, radians, sin
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from cadnode.domain import Correspondence, Finding, FloatImage, ViewPosition
from cadnode.exam.exam import Mammogram
from cadnode.imaging.geometry import THUMBNAIL, Mask, breast_mask, chest_wall_is_right
from cadnode.imaging.spacing import spacing_of

Point = tuple[float, float]

# Choice: 1 cm is what positioning may move (the posterior nipple lines of CC and MLO shall agree
# within 1 cm: MQCM, DICOM PS3.16 111204); half as much again is for a nipple that is estimated.
MOST_MM: Final = 15.0
_TIP: Final = 0.02  # of the breast's depth: what is taken for its tip
# Choice: in MLO views the breast hangs, and the nipple lies across from the pectoral muscle, which
# is tilted by about 20° on the image.
_MLO_TILT: Final = radians(20)


def nipple_of(image: FloatImage, mammogram: Mammogram, mask: Mask | None = None) -> Point | None:
    """(row, column) of the nipple in source pixels, estimated; None where no breast is seen.

    Choice: the middle of the breast's tip, which is the part farthest from the chest wall (in MLO
    views: farthest across from the pectoral muscle), because in both views the nipple is
    positioned in profile. `image` is `(H, W) float32 in [0, 1]`, dense tissue bright; `mask` its
    `geometry.breast_mask`, where that is known already.
    """
    mask = breast_mask(image) if mask is None else mask
    if mask is None or not mask.any():
        return None
    scale = np.array(image.shape) / THUMBNAIL
    rows, cols = ((at + 0.5) * by for at, by in zip(np.nonzero(mask), scale, strict=True))
    spacing = spacing_of(mammogram)
    depth = cols * spacing.col_mm
    if chest_wall_is_right(mask, mammogram.laterality):
        depth = -depth
    tilt = _MLO_TILT if mammogram.view is ViewPosition.MLO else 0.0
    far = depth * cos(tilt) + rows * spacing.row_mm * sin(tilt)
    tip = far >= far.max() - _TIP * (far.max() - far.min())
    return float(rows[tip].mean()), float(cols[tip].mean())


def correspondences(
    findings: Sequence[Finding],
    mammograms: Sequence[Mammogram],
    nipples: Mapping[str, Point],
) -> tuple[Correspondence, ...]:
    """Pairs of a CC and an MLO finding of one breast, in the order of the CC findings.

    Both are of one kind, and their distances from the nipple differ by less than 15 mm. Each
    finding is in one pair at most: of all ways to pair, the one with the most certainty is taken.
    A pair's certainty falls in a straight line from 1 (equal distances) to 0 (15 mm apart); it
    orders pairs and is no probability. `nipples` are (row, column) in source pixels by SOP
    Instance UID; views without one pair nothing.
    """
    views = {m.sop_instance_uid: m for m in mammograms}
    distances = {
        i: _distance_mm(finding, views[finding.sop_instance_uid], nipples[finding.sop_instance_uid])
        for i, finding in enumerate(findings)
        if finding.sop_instance_uid in nipples and finding.sop_instance_uid in views
    }
    cc = [i for i in distances if views[findings[i].sop_instance_uid].view is ViewPosition.CC]
    mlo = [i for i in distances if views[findings[i].sop_instance_uid].view is ViewPosition.MLO]
    certainty = np.zeros((len(cc), len(mlo)))
    for at in np.ndindex(certainty.shape):
        one, other = cc[at[0]], mlo[at[1]]
        if _may_be_one(findings[one], findings[other], views):
            certainty[at] = max(0.0, 1 - abs(distances[one] - distances[other]) / MOST_MM)
    pairs = zip(*linear_sum_assignment(certainty, maximize=True), strict=True)
    return tuple(
        Correspondence(
            cc[i],
            mlo[j],
            (distances[cc[i]], distances[mlo[j]]),
            float(certainty[i, j]),
            nipple_estimated=any(
                spacing_of(views[findings[n].sop_instance_uid]).estimated for n in (cc[i], mlo[j])
            ),
        )
        for i, j in pairs
        if certainty[i, j] > 0
    )


def _may_be_one(one: Finding, other: Finding, views: Mapping[str, Mammogram]) -> bool:
    sides = {views[f.sop_instance_uid].laterality for f in (one, other)}
    return one.kind is other.kind and len(sides) == 1


def _distance_mm(finding: Finding, mammogram: Mammogram, nipple: Point) -> float:
    """From the middle of the finding's box to the nipple, in the plane of the breast."""
    box, spacing = finding.box, spacing_of(mammogram)
    row, col = (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2
    return hypot((row - nipple[0]) * spacing.row_mm, (col - nipple[1]) * spacing.col_mm)
