"""Detection in a whole view: clusters of microcalcifications and masses."""

from typing import Final

from cadnode.detect.clusters import find_clusters
from cadnode.detect.frame import breast_frame
from cadnode.detect.learned_masses import learned_regions
from cadnode.detect.masses import mass_regions
from cadnode.detect.regions import Detections
from cadnode.domain import Acquisition, Calcification, FindingKind, FloatImage, Laterality
from cadnode.imaging.geometry import Mask
from cadnode.models.detector import Detector
from cadnode.models.mass_finder import MassFinder

# Without the learned filter, regions below this are not worth a line in any report.
MARK_AT: Final = 0.5
_SMALLEST_SIDE: Final = 64
KINDS: Final = frozenset({FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS})


def detect_view(
    image: FloatImage,
    laterality: Laterality,
    spacing_mm: float,
    acquisition: Acquisition,
    detector: Detector | None,
    *,
    masses: MassFinder | None = None,
    least: float | None = None,
    mask: Mask | None = None,
    kinds: frozenset[FindingKind] = KINDS,
) -> Detections:
    """Clusters and masses of a view, the most certain first.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, dense tissue bright.
    laterality
        Decides where the chest wall is when the image does not show it.
    spacing_mm
        Of `image`, in the plane of the breast.
    acquisition
        Where the learned detector of masses does not read it, their statistics find them. Clusters
        are found in film and digital views alike, which are distinguished by their own noise.
    detector
        The learned filter of clusters; without it certainty comes from the candidates' statistics
        alone.
    masses
        The learned detector of masses; without it they are found by their statistics.
    least
        The certainty from which on regions are given; by default the filter's and the detector's,
        or 0.5.
    mask
        `geometry.breast_mask` of the image, where that is known already.
    kinds
        What is looked for.
    """
    if min(image.shape) < _SMALLEST_SIDE or not spacing_mm > 0:
        return Detections((), ())
    frame = breast_frame(image, spacing_mm, laterality, mask)
    if frame is None:
        return Detections((), ())
    if masses is not None and acquisition not in masses.card.applies_to:
        masses = None
    found = []
    if FindingKind.CALCIFICATION_CLUSTER in kinds:
        found += find_clusters(frame, detector, _from(least, detector))
    if FindingKind.MASS in kinds and masses is None:
        found += mass_regions(frame, _from(least, detector))
    elif FindingKind.MASS in kinds and masses is not None:
        marked = [m for m in masses.find(image, laterality) if m.certainty >= _from(least, masses)]
        found += learned_regions(frame, marked)
    regions = tuple(sorted(found, key=lambda region: -region.certainty))
    accepted: dict[tuple[float, float], Calcification] = {}
    for region in regions:
        accepted.update({(c.row, c.col): c for c in region.calcifications})
    return Detections(regions, tuple(accepted.values()))


def _from(least: float | None, model: Detector | MassFinder | None) -> float:
    """The certainty from which on regions are given."""
    if least is not None:
        return least
    return MARK_AT if model is None else model.mark_at
