"""Pictures as a page carries them: inside its own text."""

import base64
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cadnode.domain import Box, FloatImage, HeatMap
from cadnode.explain.overlay import heat_layer
from cadnode.explain.ramp import OPACITY

_FULL_STRENGTH: Final = np.clip(np.arange(256) / OPACITY, 0, 255).astype(np.uint8)


def grey_url(grey: FloatImage) -> str:
    """`(h, w) float32 in [0, 1]` as a JPEG data URL."""
    picture = Image.fromarray(np.clip(255 * grey, 0, 255).astype(np.uint8))
    return _data_url(_encoded(picture, "JPEG", quality=88), "jpeg")


def map_url(
    heat_map: HeatMap,
    source: tuple[int, int],
    size: tuple[int, int],
    window: Box | None = None,
    *,
    of_region: bool = False,
) -> str:
    """The map alone, transparent where it is low, as a WebP data URL.

    It covers `source` (rows, columns) of the heat map's image, or a window of it, with `size`
    (rows, columns). Its hottest paint is opaque: the page's slider dims it.
    """
    return _data_url(
        map_webp(heat_layer(heat_map, source, size, window, of_region=of_region)), "webp"
    )


def map_webp(layer: NDArray[np.uint8]) -> bytes:
    """`(h, w, 4) uint8` RGBA of a map as WebP; its hottest paint is made opaque, in place."""
    layer[..., 3] = _FULL_STRENGTH[layer[..., 3]]
    return _encoded(Image.fromarray(layer), "WEBP", quality=80, method=1)


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
