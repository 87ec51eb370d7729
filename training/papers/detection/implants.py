"""How clusters are drawn into real images: positives whose place is known exactly.

Few real clusters are annotated; shapes come from the phantom (`phantom.calcifications`),
the background is real. Contrast is chosen in units of the image's own noise, because a film's noise
and gradation differ from image to image and place to place.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.detect.frame import DetectionFrame
from cadnode.domain import CalcificationType, FloatImage
from cadnode_training.phantom import calcifications

Points = NDArray[np.float64]

_TYPES: Final = (
    CalcificationType.PUNCTATE,
    CalcificationType.ROUND,
    CalcificationType.AMORPHOUS,
    CalcificationType.COARSE_HETEROGENEOUS,
    CalcificationType.FINE_PLEOMORPHIC,
    CalcificationType.FINE_PLEOMORPHIC,
    CalcificationType.FINE_LINEAR,
    CalcificationType.FINE_LINEAR_BRANCHING,
)
# Peak contrast over the noise of a calcification of usual size.
_FAINTEST, _STRONGEST = 3.5, 22.0
_BLUR_MM: Final = (0.05, 0.16)
# `calcifications.draw` at strength 1 draws about this contrast.
_USUAL: Final = 0.2


@dataclass(frozen=True, slots=True)
class Implant:
    """`(n, 2)` positions in the frame of a cluster; a distractor has fewer than three."""

    points: Points


def implant(
    rng: Generator, frame: DetectionFrame, *, clusters: int, distractors: int
) -> tuple[FloatImage, list[Implant], list[Implant]]:
    """The frame's image with clusters and single specks drawn in, the clusters, and the specks."""
    image = frame.image.copy()
    noise = _noise(frame)
    places = np.argwhere(frame.valid)
    kinds = [True] * clusters + [False] * distractors
    made: tuple[list[Implant], list[Implant]] = ([], [])
    centres: list[Points] = []
    for is_cluster in kinds:
        centre = _place(rng, places, centres, 14 / frame.spacing_mm)
        if centre is None:
            continue
        centres.append(centre)
        points = _layout(rng, frame, centre) if is_cluster else centre[None]
        if is_cluster and len(points) < 3:
            continue
        _draw(rng, image, points, frame, float(noise[int(centre[0]), int(centre[1])]))
        made[0 if is_cluster else 1].append(Implant(points))
    return np.clip(image, 0, 1), *made


def _noise(frame: DetectionFrame) -> FloatImage:
    """`(h, w) float32`: robust deviation of the finest detail around each pixel."""
    fine = frame.image - cv2.GaussianBlur(frame.image, (0, 0), 0.3 / frame.spacing_mm)
    window = int(6 / frame.spacing_mm) | 1
    spread = cv2.blur(np.abs(fine), (window, window)) / 0.8
    return np.asarray(np.maximum(spread, 1e-3), np.float32)


def _place(
    rng: Generator, places: NDArray[np.intp], others: list[Points], apart: float
) -> Points | None:
    for _ in range(20):
        centre = places[rng.integers(len(places))] + rng.random(2)
        if all(np.hypot(*(centre - other)) > apart for other in others):
            return np.asarray(centre, np.float64)
    return None


def _layout(rng: Generator, frame: DetectionFrame, centre: Points) -> Points:
    """3 to 30 positions in a patch, or along a line, that lie in the breast."""
    number = int(np.exp(rng.uniform(np.log(3), np.log(30))))
    across = np.exp(rng.uniform(np.log(1.0), np.log(5.0))) * (1 if number > 6 else 0.7)
    narrow = rng.uniform(0.08, 0.2) if rng.random() < 0.2 else rng.uniform(0.4, 1)
    offsets = rng.normal(0, 1, (number, 2)) * (across, across * narrow) / frame.spacing_mm
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = centre + offsets @ rotation
    cells = np.floor(points).astype(int)
    inside = ((cells >= 0) & (cells < frame.image.shape)).all(1)
    points, cells = points[inside], cells[inside]
    return np.asarray(points[frame.valid[cells[:, 0], cells[:, 1]]], np.float64)


def _draw(
    rng: Generator, image: FloatImage, points: Points, frame: DetectionFrame, noise: float
) -> None:
    contrast = np.exp(rng.uniform(np.log(_FAINTEST), np.log(_STRONGEST))) * noise
    kind = _TYPES[rng.integers(len(_TYPES))]
    reach = int(4 / frame.spacing_mm) + 2
    low = np.maximum(np.floor(points.min(0)).astype(int) - reach, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + reach, image.shape)
    layer = np.zeros(high - low, np.float32)
    direction = rng.uniform(0, np.pi)
    for row, col in points - low:
        calcifications.draw(
            rng, layer, (row, col), kind, spacing_mm=frame.spacing_mm,
            direction=direction + rng.normal(0, 0.4), strength=contrast / _USUAL,
        )  # fmt: skip
    blur = rng.uniform(*_BLUR_MM) / frame.spacing_mm
    if blur > 0.3:
        layer = cv2.GaussianBlur(layer, (0, 0), blur)
    image[low[0] : high[0], low[1] : high[1]] += layer
