"""Regions of a view that are worth an assessment, and what is cut out of its pixels for it.

They come from three sources: detection (`cadnode.detect`), the peaks of the DIB map, and people
who marked a region. Everything a system needs is cut while the view's pixels are in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np

from cadnode.detect.regions import Region, Segmentation
from cadnode.detect.segment import segment_roi
from cadnode.detect.view import detect_view
from cadnode.domain import (
    Box,
    Calcification,
    ClusterDescription,
    FindingKind,
    FloatImage,
    RoiReference,
    Skipped,
    SkipReason,
)
from cadnode.exam.exam import Mammogram, PersonRegion
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import Mask
from cadnode.imaging.roi_chain import Roi, RoiSpec
from cadnode.imaging.spacing import Spacing
from cadnode.models.detector import Detector
from cadnode.models.mass_finder import MassFinder
from cadnode.models.view import HotRegion
from cadnode.reading.views import LoadedView

Outline = tuple[tuple[float, float], ...]

_DETECTED: Final = (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)
# People draw boxes 1 to 5 mm larger than the lesion; so do the regions of the training.
_DRAWN_MM: Final = 3.0
# Choice: ten pixels of the networks' regions, which have 0.1 mm (Kang 2021, Data preparation, has
# about as much); a shorter side shows them no shape.
LEAST_MM: Final = 1.0
# Choice: the larger half of a region must be tissue, or it is the air's score.
_LEAST_TISSUE: Final = 0.5
# Choice: a box with nine tenths of the breast points at no place in it.
_WHOLE_BREAST: Final = 0.9
# Grey level of the view (0 to 1) up to which tissue cannot be distinguished from air.
_AIR: Final = 0.01
_STEPS: Final = 64  # samples along each side of a box


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A region before it is assessed; see `Finding` for the fields they share.

    `is_peak`: only the DIB map shows it. `rois` are the squares that CNNs read, one for
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
        had drawn it, because the classifiers were trained on such boxes.
        """
        centre = ((box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2)
        rois = {
            spec: roi_chain.cut(self.image, centre, self.spacing.mm, spec) for spec in self.specs
        }
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


def cutter_of(view: LoadedView, specs: Iterable[RoiSpec]) -> Cutter:
    """Cuts candidates out of that view, a square for each of the specs."""
    return Cutter(view.image, view.mammogram, view.spacing, tuple(dict.fromkeys(specs)))


def detected(
    view: LoadedView, detector: Detector | None, masses: MassFinder | None = None
) -> list[Region]:
    """The regions that detection marks in a view, the most certain first."""
    found = detect_view(
        view.image,
        view.mammogram.laterality,
        fmean(view.spacing.mm),
        view.mammogram.acquisition,
        detector,
        masses=masses,
        mask=view.mask,
    )
    return list(found.regions)


def candidates(
    view: LoadedView,
    hot: Sequence[HotRegion],
    marked: Iterable[PersonRegion],
    *,
    detector: Detector | None,
    masses: MassFinder | None = None,
    specs: Iterable[RoiSpec],
    most: int,
) -> list[Candidate]:
    """Marked regions, then the `most` most certain detections, then peaks of the map.

    A peak that lies in a detection is that detection's.
    """
    cutter = cutter_of(view, specs)
    regions = detected(view, detector, masses)[:most]
    return [
        *(
            cutter.candidate(FindingKind.MARKED_REGION, m.box, m.outline, marked_by=m.reference)
            for m in marked
        ),
        *(_cut(cutter, r) for r in regions),
        *(
            cutter.candidate(FindingKind.SUSPICIOUS_REGION, h.box, h.outline)
            for h in hot
            if not any(_centre_in(h.box, r.box) or _centre_in(r.box, h.box) for r in regions)
        ),
    ]


def usable(
    view: LoadedView, marked: Iterable[PersonRegion]
) -> tuple[list[PersonRegion], list[Skipped]]:
    """The marked regions of a view that can be scored, and why the others cannot.

    A network gives any pixels a number. That of air, of a speck or of the whole breast is
    no evidence of a lesion, so such a region has a reason instead (`unusable`).
    """
    kept: list[PersonRegion] = []
    skipped: dict[Skipped, None] = {}
    for region in marked:
        if detail := unusable(region.box, view.image, view.mask, view.spacing):
            uid = region.reference.sop_instance_uid
            skipped[Skipped(uid, SkipReason.ROI_UNUSABLE, detail)] = None
        else:
            kept.append(region)
    return kept, list(skipped)


def unusable(box: Box, image: FloatImage, mask: Mask | None, spacing: Spacing) -> str:
    """Why a marked box of a view cannot be scored; "" when it can.

    `image` is `(H, W) float32 in [0, 1]`, dense tissue bright; `mask` its breast
    (`geometry.breast_mask`), None where none is seen. What lies beyond the image is air.
    """
    sides = (box.row1 - box.row0) * spacing.row_mm, (box.col1 - box.col0) * spacing.col_mm
    if min(sides) < LEAST_MM:
        return "it is smaller than the networks can see"
    rows = _samples(box.row0, box.row1)
    cols = _samples(box.col0, box.col1)
    tissue = np.zeros((len(rows), len(cols)), bool)
    inside = np.ix_((rows >= 0) & (rows < image.shape[0]), (cols >= 0) & (cols < image.shape[1]))
    tissue[inside] = _is_tissue(rows, cols, image, mask)
    if tissue.mean() < _LEAST_TISSUE:
        return "it lies mostly outside the breast"
    if mask is not None and _share_of_breast(box, image, mask) >= _WHOLE_BREAST:
        return "it holds the whole breast"
    return ""


Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
CutRegions = np.ndarray[tuple[int, int], np.dtype[np.bool_]]


def _samples(first: int, end: int) -> Indices:
    """At most `_STEPS` pixels from `first` to `end`, evenly apart, also beyond the image."""
    count = min(_STEPS, end - first)
    return np.floor(first + (np.arange(count) + 0.5) * (end - first) / count).astype(np.int64)


def _is_tissue(rows: Indices, cols: Indices, image: FloatImage, mask: Mask | None) -> CutRegions:
    """Whether those of the samples that lie in the image show tissue."""
    rows = rows[(rows >= 0) & (rows < image.shape[0])]
    cols = cols[(cols >= 0) & (cols < image.shape[1])]
    bright = image[np.ix_(rows, cols)] > _AIR
    if mask is None:
        return np.asarray(bright)
    at = [
        n * size // whole
        for n, size, whole in zip((rows, cols), mask.shape, image.shape, strict=True)
    ]
    return np.asarray(bright & (mask[np.ix_(*at)] > 0))


def _share_of_breast(box: Box, image: FloatImage, mask: Mask) -> float:
    """The share of the breast that a box holds."""
    per_row, per_col = (n / whole for n, whole in zip(mask.shape, image.shape, strict=True))
    row0, row1 = (round(max(0, row) * per_row) for row in (box.row0, box.row1))
    col0, col1 = (round(max(0, col) * per_col) for col in (box.col0, box.col1))
    return float(mask[row0:row1, col0:col1].sum()) / max(1.0, float(mask.sum()))


def _cut(cutter: Cutter, region: Region) -> Candidate:
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
