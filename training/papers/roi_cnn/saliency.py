"""How often a network's map is highest on the planted lesion: phantom ROIs, lesion off-centre.

Grad-CAM as the node makes it (`cadnode.models.gradcam`), enlarged bilinearly to the ROI's pixels.
Helsinki: the maps activated the right place even in most wrong cases; here it is counted.

A map shows what speaks for the call; called malignant and called benign are counted apart.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.random import Generator

from cadnode.domain import FloatImage
from cadnode.imaging.roi_chain import Roi, cut
from cadnode.models.roi import RoiModel
from cadnode.statistics.binary import wilson
from cadnode_training.data.rois import RoiRecord
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sets.phantom_rois import PhantomSource

Rectangle = tuple[float, float, float, float]
_BATCH: Final = 4


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a ROI's map is highest.

    Parameters
    ----------
    called
        Whether the probability reaches the operating point.
    on_lesion, beside
        Whether the peak lies in the lesion's box, or in the box grown by a cell of the features.
    of_area
        The box's share of the ROI: what a peak at random would reach.
    """

    record: RoiRecord
    called: bool
    on_lesion: bool
    beside: bool
    of_area: float

    @property
    def right(self) -> bool:
        """Whether the call is."""
        return self.called == self.record.malignant


def measure(
    model: RoiModel, source: PhantomSource, *, count: int, shift_px: int = 96
) -> dict[str, Any]:
    """Shares of maps whose peak lies on the lesion, on the first `count` ROIs of the test part.

    Each ROI is cut up to `shift_px` of its pixels away from the middle, in either direction.
    """
    peaks: list[Peak] = []
    step = model.network.cells.step
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        placed = [_off_centre(model, source, n, shift_px) for n in numbers]
        readings = model.read([roi for roi, _, _ in placed])
        for (roi, record, box), reading in zip(placed, readings, strict=True):
            if box is None or reading.cam is None:
                continue
            called = bool(reading.probability >= model.operating_point.threshold)
            peaks.append(_peak(record, called, box, reading.cam, roi.image.shape[-1], step))
    return {"shift_px": shift_px} | shares(peaks)


def shares(peaks: list[Peak]) -> dict[str, Any]:
    """Counts with Wilson's intervals: of all, of the rightly read, and of these by call."""
    right = [p for p in peaks if p.right]
    groups = {
        "all": peaks,
        "rightly_read": right,
        "rightly_malignant": [p for p in right if p.called],
        "rightly_benign": [p for p in right if not p.called],
        "wrongly_read": [p for p in peaks if not p.right],
    }
    return {name: _row(group) for name, group in groups.items()}


def _row(group: list[Peak]) -> dict[str, Any]:
    n = len(group)
    return {
        "in_box": wilson(sum(p.on_lesion for p in group), n).as_dict(),
        "in_box_grown_by_a_cell": wilson(sum(p.beside for p in group), n).as_dict(),
        "by_chance": round(float(np.mean([p.of_area for p in group])), 4) if group else None,
    }


def _off_centre(
    model: RoiModel, source: PhantomSource, number: int, shift_px: int
) -> tuple[Roi, RoiRecord, Rectangle | None]:
    """A ROI cut away from the middle, and the lesion's box in it (None: nothing of it inside)."""
    spec = model.card.roi
    drawn = phantom_rois.draw(
        source, "test", number, size=spec.size + 2 * shift_px, spacing_mm=spec.spacing_mm
    )
    rng = np.random.default_rng([source.seed, number, 7])
    corner = _corner(rng, shift_px)
    middle = (corner[0] + spec.size / 2, corner[1] + spec.size / 2)
    roi = cut(drawn.image, middle, (spec.spacing_mm, spec.spacing_mm), spec)
    assert drawn.record.box is not None
    row0, col0, row1, col1 = (
        float(np.clip(edge - corner[i % 2], 0, spec.size))
        for i, edge in enumerate(drawn.record.box)
    )
    visible = row1 > row0 and col1 > col0
    return roi, drawn.record, (row0, col0, row1, col1) if visible else None


def _corner(rng: Generator, shift_px: int) -> tuple[int, int]:
    row, col = rng.integers(0, 2 * shift_px + 1, 2)
    return int(row), int(col)


def _peak(
    record: RoiRecord, called: bool, box: Rectangle, cam: FloatImage, size: int, cell: float
) -> Peak:
    """The map's highest point in ROI pixels against the box."""
    whole = cv2.resize(cam, (size, size), interpolation=cv2.INTER_LINEAR)
    row, col = np.unravel_index(int(whole.argmax()), whole.shape)
    row0, col0, row1, col1 = box

    def inside(grown: float) -> bool:
        rows = row0 - grown <= row + 0.5 <= row1 + grown
        return bool(rows and col0 - grown <= col + 0.5 <= col1 + grown)

    share = (row1 - row0) * (col1 - col0) / size**2
    found = bool(cam.max() > 0)
    return Peak(record, called, found and inside(0), found and inside(cell), share)
