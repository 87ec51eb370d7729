"""Regions of a view that are worth an assessment, and what is cut out of its pixels for it.

They come from three sources: detection (`cadnode.detect`), the peaks of the DIB map, and people
who marked a region. Everything a system needs is cut while the view's pixels are in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from cadnode.detect.model import Region, Segmentation
from cadnode.detect.segment import segment_roi
from cadnode.detect.view import detect_view
from cadnode.domain import (
    Box,
    Calcification,
    ClusterDescription,
    FindingKind,
    FloatImage,
    RoiReference,
)
from cadnode.exam.model import Mammogram, PersonRegion
from cadnode.imaging import roi
from cadnode.imaging.roi import Roi, RoiSpec
from cadnode.imaging.spacing import Spacing, spacing_of
from cadnode.models.detector import Detector
from cadnode.models.view_model import HotRegion

Outline = tuple[tuple[float, float], ...]

_DETECTED: Final = (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)
# People draw boxes 1 to 5 mm larger than the lesion; so do the regions of the training.
_DRAWN_MM: Final = 3.0


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A region before it is assessed; see `Finding` for the fields they share.

    `is_peak` says that only the DIB map shows it. `rois` are the squares that CNNs read, one for
    each way of cutting; `segmentation` is what features are computed of.
    """

    kind: FindingKind
    box: Box
    outline: Outline
    certainty: float | None
    cluster: ClusterDescription | None
    calcifications: tuple[Calcification, ...]
    marked_by: RoiReference | None
    rois: dict[RoiSpec, Roi]
    segmentation: Segmentation

    @property
    def is_peak(self) -> bool:
        """Whether only the DIB map shows the region."""
        return self.kind is FindingKind.SUSPICIOUS_REGION


@dataclass(frozen=True, eq=False, slots=True)
class Cutter:
    """Cuts candidates out of one view: `image` is `(H, W) float32 in [0, 1]`."""

    image: FloatImage
    mammogram: Mammogram
    spacing: Spacing
    specs: tuple[RoiSpec, ...]

    def candidate(
        self,
        kind: FindingKind,
        box: Box,
        outline: Outline,
        *,
        certainty: float | None = None,
        cluster: ClusterDescription | None = None,
        calcifications: tuple[Calcification, ...] = (),
        marked_by: RoiReference | None = None,
    ) -> Candidate:
        """The candidate with its squares around the box's centre and its segmentation.

        A detection's box touches what it found. It is segmented in a larger one, as if a person
        had drawn it, because features are learnt of such boxes.
        """
        centre = ((box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2)
        rois = {spec: roi.cut(self.image, centre, self.spacing.mm, spec) for spec in self.specs}
        segmentation = segment_roi(
            self.image,
            self.mammogram.laterality,
            fmean(self.spacing.mm),
            _grown(box, self.spacing) if kind in _DETECTED else box,
            self.mammogram.acquisition,
        )
        return Candidate(
            kind, box, outline, certainty, cluster, calcifications, marked_by, rois, segmentation
        )


def candidates(
    image: FloatImage,
    mammogram: Mammogram,
    hot: Sequence[HotRegion],
    marked: Iterable[PersonRegion],
    *,
    detector: Detector | None,
    specs: Iterable[RoiSpec],
    most: int,
) -> list[Candidate]:
    """Marked regions, then the `most` most certain detections, then peaks of the map.

    A peak that lies in a detection is that detection's.
    """
    spacing = spacing_of(mammogram)
    cutter = Cutter(image, mammogram, spacing, tuple(dict.fromkeys(specs)))
    found = detect_view(
        image, mammogram.laterality, fmean(spacing.mm), mammogram.acquisition, detector
    )
    regions = [r for r in found.regions if detector is None or r.certainty >= detector.mark_at]
    regions = regions[:most]
    return [
        *(
            cutter.candidate(FindingKind.MARKED_REGION, m.box, m.outline, marked_by=m.reference)
            for m in marked
        ),
        *(_detected(cutter, r) for r in regions),
        *(
            cutter.candidate(FindingKind.SUSPICIOUS_REGION, h.box, h.outline)
            for h in hot
            if not any(_centre_in(h.box, r.box) or _centre_in(r.box, h.box) for r in regions)
        ),
    ]


def _detected(cutter: Cutter, region: Region) -> Candidate:
    cluster = region.cluster
    if cluster is not None:
        cluster = replace(cluster, diameter_estimated=cutter.spacing.estimated)
    return cutter.candidate(
        region.kind,
        region.box,
        region.outline,
        certainty=region.certainty,
        cluster=cluster,
        calcifications=region.calcifications,
    )


def _grown(box: Box, spacing: Spacing) -> Box:
    """The box with `_DRAWN_MM` more on each side; it may reach beyond the image."""
    rows, cols = (round(_DRAWN_MM / mm) for mm in spacing.mm)
    return Box(box.row0 - rows, box.col0 - cols, box.row1 + rows, box.col1 + cols)


def _centre_in(one: Box, other: Box) -> bool:
    row, col = (one.row0 + one.row1) / 2, (one.col0 + one.col1) / 2
    return other.row0 <= row < other.row1 and other.col0 <= col < other.col1
