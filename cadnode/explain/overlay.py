"""A view with its heat map painted over it, as one would show it to a radiologist."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.explain import ramp
from cadnode.explain.smooth import shown

ColourImage = NDArray[np.uint8]

_AT_ONCE = 1 << 15  # pixels mixed at once: temporary copies stay in the processor's cache


def overlay(
    image: FloatImage,
    heat_map: HeatMap,
    *,
    caption: Sequence[str] = (),
    longest_side: int | None = 2048,
) -> Image.Image:
    """An RGB picture: the view, its map in colour, a scale and a caption.

    Parameters
    ----------
    image
        `(H, W) float32 in [0, 1]`, the source image as it is displayed.
    heat_map
        Painted where it is above `ramp.SILENT`, the more opaque the higher, so that anatomy stays
        visible; the colour stands for the value itself, a weak map is never stretched.
    caption
        Lines written with the scale in the corner where the image holds least tissue.
    longest_side
        Of the returned image, in pixels; None keeps the source's size. Aspect ratio and
        geometry stay: source pixel (r, c) lies at (r · h / H, c · w / W).
    """
    height, width = display_size(image.shape[0], image.shape[1], longest_side)
    grey = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    cv2.patchNaNs(grey, 0)
    np.clip(grey, 0, 1, out=grey)
    values = shown(heat_map, image.shape[:2], (height, width), above=ramp.SILENT)
    painted, opacity = _painted(grey, values)
    canvas = Image.fromarray(painted)
    _draw_legend(canvas, caption, _quietest_corner(grey, opacity))
    return canvas


def _painted(grey: FloatImage, values: FloatImage) -> tuple[ColourImage, NDArray[np.uint8]]:
    """`(h, w, 3) uint8` RGB, and `(h, w) uint8` how opaque the map is there.

    Only where the map is not silent are colours mixed; everywhere else the image is as it was.
    """
    hot = ramp.hot_places(values)
    strength = np.zeros(grey.shape, np.uint8)
    painted = cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=255), cv2.COLOR_GRAY2RGB)
    for at in np.array_split(hot, max(1, len(hot) // _AT_ONCE)):
        warm, under = values.reshape(-1)[at], 255 * grey.reshape(-1)[at]
        opaque = ramp.alpha(warm)
        strength.reshape(-1)[at] = opaque
        share = opaque.astype(np.float32) / 255
        colours = ramp.colours(warm)
        mixed = ((1 - share) * under)[:, None] + share[:, None] * colours
        painted.reshape(-1, 3)[at] = mixed.round().astype(np.uint8)
    return np.asarray(painted, np.uint8), strength


def display_size(rows: int, columns: int, longest_side: int | None) -> tuple[int, int]:
    """(height, width) with the given longer side and the same aspect ratio; never enlarged."""
    if longest_side is None or max(rows, columns) <= longest_side:
        return rows, columns
    factor = longest_side / max(rows, columns)
    return max(1, round(rows * factor)), max(1, round(columns * factor))


def heat_layer(
    heat_map: HeatMap,
    source: tuple[int, int],
    size: tuple[int, int],
    window: Box | None = None,
    *,
    of_region: bool = False,
) -> ColourImage:
    """`(h, w, 4) uint8` RGBA of the map alone, of a view or of a window of it (`smooth.shown`).

    `source` is the view's rows and columns, `size` those of the picture.
    """
    values = shown(heat_map, source, size, window, of_region=of_region, above=ramp.NOTHING)
    return ramp.painted(values)


def place(heat_map: HeatMap, source: tuple[int, int], size: tuple[int, int]) -> FloatImage:
    """`size` float32 in [0, 1]: the map brought bilinearly to where its box lies, 0 outside.

    For what is computed from a map; people see `smooth.shown`.
    """
    scale_r, scale_c = size[0] / source[0], size[1] / source[1]
    box = heat_map.box
    rows, columns = heat_map.values.shape
    # Pixel centres of the display, in pixels of the map.
    r = ((np.arange(size[0]) + 0.5) / scale_r - box.row0) * rows / (box.row1 - box.row0) - 0.5
    c = ((np.arange(size[1]) + 0.5) / scale_c - box.col0) * columns / (box.col1 - box.col0) - 0.5
    map_r, map_c = np.meshgrid(r.astype(np.float32), c.astype(np.float32), indexing="ij")
    values = np.ascontiguousarray(heat_map.values, np.float32)
    placed = cv2.remap(values, map_c, map_r, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    outside_r = (r < -0.5) | (r > rows - 0.5)
    outside_c = (c < -0.5) | (c > columns - 0.5)
    placed[outside_r[:, None] | outside_c[None, :]] = 0
    clipped: FloatImage = np.clip(placed, 0, 1)
    return clipped


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same on every machine."""
    return ImageFont.load_default(size)


def _quietest_corner(grey: FloatImage, opacity: NDArray[np.uint8]) -> tuple[bool, bool]:
    """(bottom, right) of the corner with the least tissue and the least heat under a legend."""
    height, width = grey.shape
    rows, columns = max(1, height * 3 // 10), max(1, width * 4 // 10)
    corners = {}
    for bottom in (False, True):
        for right in (False, True):
            down = slice(height - rows, height) if bottom else slice(0, rows)
            across = slice(width - columns, width) if right else slice(0, columns)
            busy = opacity[down, across].astype(np.float32)
            busy /= 255
            busy += grey[down, across]
            corners[bottom, right] = float(busy.mean())
    return min(corners, key=lambda corner: corners[corner])


def _draw_legend(canvas: Image.Image, caption: Sequence[str], corner: tuple[bool, bool]) -> None:
    """Colour scale from 0 to 1 and the caption on a dark plate in that corner."""
    size = max(10, round(min(max(canvas.size) / 64, canvas.width / 20)))
    font = _font(size)
    draw = ImageDraw.Draw(canvas, "RGBA")
    lines = list(caption)
    bar = (round(9 * size), size // 2)
    text_width = max((draw.textlength(line, font=font) for line in lines), default=0)
    width = round(max(text_width, bar[0]) + 1.6 * size)
    height = round(1.35 * size * len(lines) + 3.4 * size)
    left = canvas.width - width - size // 2 if corner[1] else size // 2
    top = canvas.height - height - size // 2 if corner[0] else size // 2
    draw.rounded_rectangle((left, top, left + width, top + height), size // 2, (0, 0, 0, 150))
    x, y = left + 0.8 * size, top + 0.6 * size
    for line in lines:
        draw.text((x, y), line, (235, 235, 235), font=font)
        y += 1.35 * size
    _draw_scale(canvas, (round(x), round(y + 0.35 * size)), bar, size)


def _draw_scale(
    canvas: Image.Image, corner: tuple[int, int], bar: tuple[int, int], size: int
) -> None:
    """The colours as they are painted over dark grey, with their values below."""
    x, y = corner
    values = np.linspace(0, 1, bar[0])
    canvas.paste(Image.fromarray(np.repeat(ramp.drawn(values)[None], bar[1], axis=0)), corner)
    draw = ImageDraw.Draw(canvas)
    font = _font(max(8, round(0.7 * size)))
    below = y + bar[1]
    for value in ramp.TICKS:
        at = x + round(value * (bar[0] - 1))
        draw.line((at, below, at, below + size // 5), (210, 210, 210))
        anchor = "la" if value == 0 else "ra" if value == 1 else "ma"
        draw.text((at, below + 0.3 * size), ramp.tick(value), (210, 210, 210), font, anchor)
