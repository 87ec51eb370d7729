"""Regions with calcifications against regions without: how well candidates tell them."""

from pathlib import Path
from typing import Any

import numpy as np

from cadnode.detect.cluster_regions import certainty_of
from cadnode.detect.clusters import hotspots
from cadnode.detect.specks import find_specks
from cadnode.errors import DataError
from cadnode.models.detector import Detector
from training.data import pisa_calcifications as pisa
from training.evaluation.auc import clustered
from training.papers.detection.samples import roi_frame


def numbers(folder: Path, detector: Detector | None) -> dict[str, Any]:
    """AUC of the most certain candidate of each region, with an interval over women.

    Raises
    ------
    DataError
        The folder is not of that kind, or lacks one of the classes.
    """
    rois = [(r, image) for r in pisa.read(folder) if (image := pisa.load(r)) is not None]
    if len({r.positive for r, _ in rois}) < 2:
        raise DataError("an AUC needs regions with and without calcifications")
    area = clustered(
        [r.positive for r, _ in rois],
        [certainty(image, pisa.SPACING_MM, detector) for _, image in rois],
        [r.woman for r, _ in rois],
    )
    return area.as_dict() | {
        "contrast": "pisa-calcifications: 60 × 60 pixel regions with calcifications against "
        "regions without; the score is the most certain candidate's",
        "unit": "regions",
        "ci_method": "95 %, bootstrap over women, 1,000 replicates",
    }


def certainty(
    image: np.ndarray[Any, np.dtype[np.float32]], spacing_mm: float, detector: Detector | None
) -> float:
    """In [0, 1]: that of the most certain candidate of a region, 0 without any."""
    frame = roi_frame(image, spacing_mm)
    spots = hotspots(frame, find_specks(frame.image, frame.valid, frame.spacing_mm))
    return float(certainty_of(frame, spots, detector).max()) if spots else 0.0
