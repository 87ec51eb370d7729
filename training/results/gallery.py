"""Which cases are pictured, with their maps, sorted by outcome: TP, FN, TN, FP."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.errors import DataError
from cadnode.explain.overlay import display_size, heat_layer

SIDE: Final = 360
LEAST: Final = 160
EACH: Final = 3
_QUALITY: Final = 88
_DARK: Final = 0.4
_LESION, _OUTLINE = (255, 255, 255), (70, 225, 255)  # blue, green, red

Outline = tuple[tuple[float, float], ...]


class PictureOutcome(StrEnum):
    """How the call of a case compares with the truth."""

    TRUE_POSITIVE = "true positives"
    FALSE_NEGATIVE = "false negatives"
    TRUE_NEGATIVE = "true negatives"
    FALSE_POSITIVE = "false positives"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of one outcome: the most certain, and those nearest to the cut-off; of how many."""

    surest: tuple[int, ...]
    nearest: tuple[int, ...]
    total: int


@dataclass(frozen=True, eq=False, slots=True)
class CasePicture:
    """A case as it is shown.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`.
    heat_map, covers
        `(h, w) float32 in [0, 1]` over the box `covers` of the image (None: over all of it);
        None without a map.
    lesion
        Its box in the image's pixels; None when it is not known.
    outlines
        Closed polygons of (row, column): what was segmented or marked.
    crop
        The part of the image that is shown; None shows all of it.
    """

    image: FloatImage
    heat_map: FloatImage | None = None
    covers: Box | None = None
    lesion: Box | None = None
    outlines: tuple[Outline, ...] = ()
    crop: Box | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Pictures under one heading, each with the line beneath it."""

    name: str
    pictures: tuple[tuple[CasePicture, str], ...]


def chosen(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], threshold: float, *, each: int = EACH
) -> Mapping[PictureOutcome, Chosen]:
    """Which cases are shown: of each outcome the most certain and those nearest to the cut-off.

    Choice: by the score alone (Kang 2021, Figs 2 and 3 show hand-picked ones), because a gallery
    that is picked proves nothing; the most certain errors are included.
    """
    called = scores >= threshold
    masks = {
        PictureOutcome.TRUE_POSITIVE: labels & called,
        PictureOutcome.FALSE_NEGATIVE: labels & ~called,
        PictureOutcome.TRUE_NEGATIVE: ~labels & ~called,
        PictureOutcome.FALSE_POSITIVE: ~labels & called,
    }
    found = {}
    for outcome, mask in masks.items():
        rows = np.flatnonzero(mask)
        ordered = rows[np.argsort(-np.abs(scores[rows] - threshold), kind="stable")].tolist()
        surest = ordered[:each]
        nearest = ordered[len(surest) :][-each:][::-1]
        found[outcome] = Chosen(tuple(surest), tuple(nearest), len(rows))
    return found


def painted(picture: CasePicture) -> str:
    """The picture as a `data:` URL of a JPEG: map, lesion (white) and outlines (yellow) on it.

    Raises
    ------
    DataError
        The image has not two dimensions.
    """
    if picture.image.ndim != 2:
        raise DataError("a picture has rows and columns only")
    crop = picture.crop or Box(0, 0, *picture.image.shape)
    part = np.ascontiguousarray(picture.image[crop.row0 : crop.row1, crop.col0 : crop.col1])
    grey = _brightened(_resized(np.nan_to_num(part)))
    colour = np.repeat(255 * np.clip(grey, 0, 1)[..., None], 3, axis=2)
    if picture.heat_map is not None:
        colour = _heated(colour, picture, crop)
    canvas = np.ascontiguousarray(colour.round().astype(np.uint8)[..., ::-1])
    _draw(canvas, picture, crop)
    _, jpeg = cv2.imencode(".jpg", canvas, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def _resized(part: FloatImage) -> FloatImage:
    """At most `SIDE` pixels a side; a small part is enlarged, so that lines are thin on it."""
    times = LEAST // max(part.shape)
    if times > 1:
        size, how = (part.shape[0] * times, part.shape[1] * times), cv2.INTER_LINEAR
    else:
        size, how = display_size(part.shape[0], part.shape[1], SIDE), cv2.INTER_AREA
    return np.asarray(cv2.resize(part, size[::-1], interpolation=how), np.float32)


def _brightened(grey: FloatImage) -> FloatImage:
    """With its brightest tissue white where all of it is dark: some digitizers' films are."""
    brightest = float(np.percentile(grey, 99.5))
    return grey / brightest if 0 < brightest < _DARK else grey


def _heated(colour: FloatImage, picture: CasePicture, crop: Box) -> FloatImage:
    """The crop with the map over it, as the node's own overlay paints it."""
    whole = picture.covers or Box(0, 0, *picture.image.shape)
    place = Box(*(edge - (crop.row0, crop.col0)[i % 2] for i, edge in enumerate(whole)))
    assert picture.heat_map is not None
    shape = (crop.row1 - crop.row0, crop.col1 - crop.col0)
    map_of_it = HeatMap("", picture.heat_map, place, "")
    layer = heat_layer(map_of_it, shape, colour.shape[:2]).astype(np.float32)
    alpha = layer[..., 3:] / 255
    return np.asarray((1 - alpha) * colour + alpha * layer[..., :3], np.float32)


def _draw(canvas: NDArray[np.uint8], picture: CasePicture, crop: Box) -> None:
    """Frames and outlines, in place."""
    rows, columns = canvas.shape[:2]
    scale = np.array([rows / (crop.row1 - crop.row0), columns / (crop.col1 - crop.col0)])
    for outline in picture.outlines:
        points = np.round((np.array(outline) - (crop.row0, crop.col0)) * scale)
        inside = np.clip(points, 0, (rows - 1, columns - 1))[:, ::-1]
        cv2.polylines(canvas, [inside.astype(np.int32)], True, _OUTLINE, 1, cv2.LINE_AA)
    if picture.lesion is not None:
        corners = np.array(tuple(picture.lesion), float).reshape(2, 2) - (crop.row0, crop.col0)
        (r0, c0), (r1, c1) = np.round(corners * scale).astype(int).tolist()
        cv2.rectangle(canvas, (c0, r0), (c1 - 1, r1 - 1), _LESION, 1)
