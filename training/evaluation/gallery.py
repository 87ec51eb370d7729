"""Pictures of cases with their Grad-CAM, sorted by how they were read: TP, FN, TN, FP."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.errors import DataError
from cadnode.explain.overlay import display_size, heat_layer

SIDE: Final = 220


class Outcome(StrEnum):
    """How a case was called against the truth."""

    TRUE_POSITIVE = "true positive"
    FALSE_NEGATIVE = "false negative"
    TRUE_NEGATIVE = "true negative"
    FALSE_POSITIVE = "false positive"


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """A case as it is shown.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`.
    heat_map
        `(h, w) float32 in [0, 1]` over the whole image; None without one.
    lesion
        (row0, col0, row1, col1) in the image's pixels, half-open; None when it is not known.
    """

    image: FloatImage
    heat_map: FloatImage | None
    label: bool
    score: float
    threshold: float
    lesion: tuple[int, int, int, int] | None = None

    @property
    def outcome(self) -> Outcome:
        """How the score calls the case."""
        called = self.score >= self.threshold
        if self.label:
            return Outcome.TRUE_POSITIVE if called else Outcome.FALSE_NEGATIVE
        return Outcome.FALSE_POSITIVE if called else Outcome.TRUE_NEGATIVE


def chosen(pictures: Sequence[Picture], *, each: int = 6) -> dict[Outcome, list[Picture]]:
    """Of each outcome the surest cases, furthest from the threshold first (Kang 2021, Figs 2, 3).

    Choice: the surest, not hand-picked ones, because a gallery that is picked proves nothing.
    """
    return {
        outcome: sorted(
            (p for p in pictures if p.outcome is outcome),
            key=lambda p: -abs(p.score - p.threshold),
        )[:each]
        for outcome in Outcome
    }


def painted(picture: Picture) -> str:
    """The picture as a `data:` URL of a PNG: map painted over it, the lesion outlined.

    Raises
    ------
    DataError
        The image has not two dimensions.
    """
    if picture.image.ndim != 2:
        raise DataError("a picture has rows and columns only")
    rows, columns = picture.image.shape
    size = display_size(rows, columns, SIDE * 2)
    grey = cv2.resize(picture.image, size[::-1], interpolation=cv2.INTER_AREA)
    colour = np.repeat(255 * np.clip(np.nan_to_num(grey), 0, 1)[..., None], 3, axis=2)
    if picture.heat_map is not None:
        whole = HeatMap("", picture.heat_map, Box(0, 0, rows, columns), "")
        layer = heat_layer(whole, (rows, columns), size).astype(np.float32)
        alpha = layer[..., 3:] / 255
        colour = (1 - alpha) * colour + alpha * layer[..., :3]
    canvas = np.ascontiguousarray(colour.round().astype(np.uint8)[..., ::-1])
    if picture.lesion is not None:
        scale = np.array([size[0] / rows, size[1] / columns] * 2)
        r0, c0, r1, c1 = np.round(np.array(picture.lesion) * scale).astype(int).tolist()
        cv2.rectangle(canvas, (c0, r0), (c1 - 1, r1 - 1), (255, 255, 255), 1)
    _, png = cv2.imencode(".png", canvas)
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
