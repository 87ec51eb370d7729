"""The one scale of colours of heat maps: on pages, in captures and on paper.

The colours are those of matplotlib's "plasma" as far as orange: each is lighter than the one before
for everybody, also for those who do not tell red from green, and none is the yellow of outlines.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Map values up to SILENT leave the image as it is; FULL and above are painted with OPACITY.
SILENT: Final = 0.15
FULL: Final = 0.6
NOTHING: Final = 0.0019  # up to here a value has the colour of 0, to the bit
OPACITY: Final = 0.45
TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
GROUND: Final = 60  # the grey that the scale is drawn over
_LAST: Final = 0.78  # of the library's scale: beyond it is the yellow of outlines
_STEPS: Final = 45

Colours = NDArray[np.uint8]
Values = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Stop:
    """A step of the scale as it is drawn over dark grey: where, in [0, 1], and its CSS colour."""

    at: float
    colour: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What a page needs to draw the scale: its steps and the values that are written below it."""

    stops: tuple[Stop, ...]
    ticks: tuple[float, ...] = TICKS


def colours(values: Values) -> Colours:
    """`(…, 3) uint8` RGB of values in [0, 1]."""
    return painted_plain(values)[..., :3]


def opacity(values: Values) -> NDArray[np.floating]:
    """In [0, 1], as a share of the hottest paint's: nothing up to SILENT, all from FULL on."""
    t = np.clip((np.asarray(values) - SILENT) / (FULL - SILENT), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def painted(values: Values) -> Colours:
    """`(…, 4) uint8` RGBA of values in [0, 1], as they are laid over an image."""
    layer = painted_plain(values)
    hot = hot_places(values)
    layer.reshape(-1, 4)[hot, 3] = alpha(np.asarray(values).reshape(-1)[hot])
    return layer


def painted_plain(values: Values) -> Colours:
    """`(…, 4) uint8` RGBA of values in [0, 1], everything transparent; one look-up a value."""
    places = np.asarray(values) * 255
    np.rint(places, out=places)
    np.clip(places, 0, 255, out=places)
    found = _packed().take(places.astype(np.uint8))
    return found.view(np.uint8).reshape(*found.shape, 4)


def hot_places(values: Values) -> NDArray[np.intp]:
    """Where in the flattened values something is painted: above SILENT, all else is transparent."""
    return np.flatnonzero(np.asarray(values) > SILENT)


def alpha(values: Values) -> NDArray[np.uint8]:
    """`uint8`: how opaque values are painted."""
    return np.asarray(np.rint(255 * OPACITY * opacity(values)).astype(np.uint8))


def drawn(values: Values) -> Colours:
    """`(…, 3) uint8` RGB of values as the scale shows them: at full strength over dark grey."""
    share = opacity(values)[..., None]
    mixed = share * colours(values) + (1 - share) * GROUND
    return np.asarray(np.rint(mixed), np.uint8)


def tick(value: float) -> str:
    """A value as it is written at the scale: "0", "0.25", "1"."""
    return f"{value:g}"


@cache
def scale() -> Scale:
    """The scale for pages."""
    at = np.linspace(0, 1, _STEPS)
    return Scale(
        tuple(
            Stop(round(float(value), 4), f"rgb({r},{g},{b})")
            for value, (r, g, b) in zip(at, drawn(at), strict=True)
        )
    )


@cache
def _packed() -> NDArray[np.uint32]:
    """`(256,) uint32`: the table's colours as RGBA whose alpha is 0, a word each."""
    rgba = np.zeros((256, 4), np.uint8)
    rgba[:, :3] = _table()
    return rgba.view(np.uint32)[:, 0]


@cache
def _table() -> Colours:
    """`(256, 3) uint8` RGB."""
    whole = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_PLASMA)
    rgb = whole[:, 0, ::-1].astype(np.float64)
    at = np.linspace(0, _LAST * 255, 256)
    table = np.stack([np.interp(at, np.arange(256), rgb[:, i]) for i in range(3)], axis=-1)
    return np.asarray(np.rint(table), np.uint8)
