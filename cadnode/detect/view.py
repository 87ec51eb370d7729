"""Detection in a whole view: clusters of microcalcifications and masses."""

from typing import Final

from cadnode.detect.clusters import find_clusters
from cadnode.detect.frame import breast_frame
from cadnode.detect.masses import mass_regions
from cadnode.detect.regions import Detections
from cadnode.domain import Acquisition, Calcification, FloatImage, Laterality
from cadnode.imaging.geometry import Mask
from cadnode.models.detector import Detector

# Without the learned filter, regions below this are not worth a line in any report.
MARK_AT: Final = 0.5
_SMALLEST_SIDE: Final = 64


def detect_view(
    image: FloatImage,
    laterality: Laterality,
    spacing_mm: float,
    acquisition: Acquisition,
    detector: Detector | None,
    *,
    least: float | None = None,
    mask: Mask | None = None,
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
        Unused today: film and detectors are distinguished by their own noise.
    detector
        The learned filter; without it certainty comes from the candidates' statistics alone.
    least
        The certainty from which on regions are given; by default the filter's, or 0.5.
    mask
        `geometry.breast_mask` of the image, where that is known already.
    """
    if min(image.shape) < _SMALLEST_SIDE or not spacing_mm > 0:
        return Detections((), ())
    frame = breast_frame(image, spacing_mm, laterality, mask)
    if frame is None:
        return Detections((), ())
    if least is None:
        least = detector.mark_at if detector is not None else MARK_AT
    found = find_clusters(frame, detector, least) + mass_regions(frame, least)
    regions = tuple(sorted(found, key=lambda region: -region.certainty))
    accepted: dict[tuple[float, float], Calcification] = {}
    for region in regions:
        accepted.update({(c.row, c.col): c for c in region.calcifications})
    return Detections(regions, tuple(accepted.values()))
