"""From mass candidates to regions in source pixels."""

import cv2
import numpy as np

from cadnode.detect.certainty import mass_certainty
from cadnode.detect.frame import Frame
from cadnode.detect.masses import MassCandidate, find_masses
from cadnode.detect.model import Region
from cadnode.domain import FindingKind


def mass_regions(frame: Frame, least: float) -> list[Region]:
    """Masses whose certainty is at least `least`; of overlapping ones the more certain."""
    found = find_masses(frame)
    if not found:
        return []
    certainties = mass_certainty(np.stack([m.statistics for m in found]))
    kept: list[MassCandidate] = []
    regions = []
    for i in np.argsort(-certainties, kind="stable"):
        if certainties[i] < least:
            break
        if any(_covered(found[i], other) for other in kept):
            continue
        kept.append(found[i])
        regions.append(_region(frame, found[i], float(certainties[i])))
    return regions


def _covered(one: MassCandidate, other: MassCandidate) -> bool:
    """Whether one of the two lies for more than a half in the other."""
    both = int((one.mask & other.mask).sum())
    return both > 0.5 * min(int(one.mask.sum()), int(other.mask.sum()))


def _region(frame: Frame, candidate: MassCandidate, certainty: float) -> Region:
    contours, _ = cv2.findContours(
        candidate.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1
    )
    contour = max(contours, key=cv2.contourArea)[:, 0, ::-1]
    scale = np.array(frame.image.shape) / np.array(candidate.mask.shape)
    outline, box = frame.outlined((contour + 0.5) * scale)
    return Region(kind=FindingKind.MASS, box=box, outline=outline, certainty=certainty)
