"""How well candidates separate regions with calcifications from regions without."""

from pathlib import Path
from typing import Any

import numpy as np

from cadnode.detect.clusters import certainty_of
from cadnode.detect.hotspots import hotspots
from cadnode.detect.specks import find_specks
from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.detector import Detector
from cadnode_training.data.sets import pisa_calcifications as pisa
from cadnode_training.papers.detection.samples import roi_frame
from cadnode_training.statistics import grouped
from cadnode_training.statistics.grouped import GroupedCases


def numbers(
    folder: Path, detector: Detector | None, seen: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """AUC of the most certain candidate of each region, with an interval over women.

    `auc` is null where a class is missing, and `message` gives the reason. `seen` are the keys of
    women whom the filter's training saw: they are counted, not left out.

    Raises
    ------
    DataError
        The folder is not of that kind, or no region of it can be read.
    """
    rois = [(r, image) for r in pisa.read(folder) if (image := pisa.load(r)) is not None]
    if not rois:
        raise DataError("no region could be read")
    cases = GroupedCases(
        np.array([r.positive for r, _ in rois], bool),
        np.array([certainty(image, pisa.SPACING_MM, detector) for _, image in rois]),
        np.array([r.woman for r, _ in rois]),
    )
    women = sorted(set(cases.women.tolist()))
    row = grouped.auc_of(cases) | {"unit": "regions"}
    return row | {
        "women": len(women),
        "women_seen_in_training": sum(store.woman_key(pisa.NAME, w) in seen for w in women),
        "message": grouped.message(row, "with calcifications", "without"),
        "contrast": "pisa-calcifications: 60 × 60 pixel regions with calcifications against "
        "regions without; the score is the most certain candidate's",
    }


def certainty(
    image: np.ndarray[Any, np.dtype[np.float32]], spacing_mm: float, detector: Detector | None
) -> float:
    """In [0, 1]: that of the most certain candidate of a region, 0 without any."""
    frame = roi_frame(image, spacing_mm)
    spots = hotspots(frame, find_specks(frame.image, frame.valid, frame.spacing_mm))
    return float(certainty_of(frame, spots, detector).max()) if spots else 0.0
