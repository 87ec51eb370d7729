"""Pixels of single images for viewers: decoded once, kept for a while, bounded in memory.

Files are named by their paths: whose they are, and whether somebody may see them, was decided
before. Nothing here is written to the disk.
"""

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from cadnode.beside import kept_running
from cadnode.domain import SKIP_MEANINGS, FloatImage, SkipReason
from cadnode.errors import DecoderUnavailable, NotProcessable
from cadnode.exam.exam import Mammogram
from cadnode.exam.mammogram import read_instance
from cadnode.imaging.decode import stored_codes
from cadnode.imaging.grayscale import GreyScale, grey_scale
from cadnode.imaging.pixels import counts_of
from cadnode.imaging.pyramid import Pyramid, pyramid_of
from cadnode.limits import MIB
from cadnode.phrases import N_
from cadnode.web.node import Unavailable
from cadnode.web.viewing import NotShown

PREVIEW_SIDE: Final = 1100
_QUALITY: Final = 88
_MOST_BYTES: Final = 320 * MIB  # four full-field views with their smaller levels are about 140 MB
_IDLE_S: Final = 300.0
_AT_ONCE: Final = 2

Key = tuple[str, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class ShownPixels:
    """One decoded image (`web.viewing.PixelsOf`)."""

    pyramid: Pyramid
    scale: GreyScale

    def preview(self) -> bytes:
        """The whole image, small, as JPEG, as its header says that it is to be seen."""
        level = next(
            (one for one in self.pyramid.levels if max(one.shape) >= PREVIEW_SIDE // 2),
            self.pyramid.levels[-1],
        )
        return jpeg_of(self.scale.brightness[level])

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Stored cells of a tile, little-endian; None: there is no such tile."""
        cells = self.pyramid.tile(level, column, row)
        return None if cells is None else np.ascontiguousarray(cells, "<u2").tobytes()

    def grey(self) -> bytes:
        """Modality value and brightness of each cell; see `web.viewing.PixelsOf`."""
        scale = self.scale
        values = np.where(scale.padding, np.nan, scale.values).astype("<f4")
        brightness = np.round(255 * scale.brightness).astype(np.uint8)
        return values.tobytes() + brightness.tobytes() + bytes([scale.inverse])


def jpeg_of(image: FloatImage) -> bytes:
    """`(h, w) float32 in [0, 1]` as JPEG with a longer side of `PREVIEW_SIDE` at most."""
    factor = min(1.0, PREVIEW_SIDE / max(image.shape))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    buffer = io.BytesIO()
    grey = np.clip(np.round(255 * small), 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def decoded(path: Path) -> ShownPixels:
    """The pixels of a file.

    Raises
    ------
    NotShown
        The file is no mammogram of one frame, or its pixels cannot be decoded or shown.
    Unavailable
        No process to decode it in can be had.
    """
    try:
        return _decoded(read_instance(path, read_for_processing=True))
    except NotProcessable as error:
        raise NotShown(error.reason.value, why_not(error.reason)) from None
    except DecoderUnavailable as error:
        raise Unavailable(N_("the image cannot be decoded now"), N_("try again")) from error


def why_not(reason: SkipReason) -> str:
    """Why an image is not shown, as a sentence."""
    if reason is SkipReason.TOMOSYNTHESIS:
        return N_("Tomosynthesis is not shown here: look at it in the archive's viewer")
    if reason is SkipReason.MULTI_FRAME:
        return N_(
            "An image of several frames is not shown here: look at it in the archive's viewer"
        )
    return SKIP_MEANINGS[reason]


def _decoded(mammogram: Mammogram) -> ShownPixels:
    cells, bits, signed = stored_codes(mammogram)
    scale = grey_scale(
        mammogram.header, bits=bits, signed=signed, counts=lambda: counts_of(cells, bits),
        intent=mammogram.intent,
    )  # fmt: skip
    return ShownPixels(pyramid_of(cells, bits, signed=signed, padding=scale.padding), scale)


class PixelCache:
    """Decoded images of files. Threads share it: an image that several ask for is decoded once.

    Beyond `most_bytes` those that were used longest ago are let go, and all that nobody asked for
    in `idle_s`. A file that has changed is decoded again; one that is gone is not shown.
    """

    def __init__(
        self,
        most_bytes: int = _MOST_BYTES,
        idle_s: float = _IDLE_S,
        clock: Callable[[], float] = time.monotonic,
        decode: Callable[[Path], ShownPixels] = decoded,
    ) -> None:
        self._most_bytes, self._idle_s, self._clock, self._decode = (
            most_bytes, idle_s, clock, decode,
        )  # fmt: skip
        self._kept: OrderedDict[Key, tuple[ShownPixels, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._working: dict[Key, threading.Lock] = {}
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def pixels(self, path: Path) -> ShownPixels | None:
        """The pixels of a file, None where there is no such file. Raises as `decoded`."""
        try:
            stat = path.stat()
        except OSError:
            return None
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if (found := self._used(key)) is not None:
                return found
            working = self._working.setdefault(key, threading.Lock())
        with working:
            with self._lock:
                if (found := self._used(key)) is not None:
                    return found
            try:
                with self._places:
                    found = self._decode(path)
            finally:
                with self._lock:
                    self._working.pop(key, None)
            with self._lock:
                self._kept[key] = (found, self._clock())
                self._shrink()
            return found

    @contextmanager
    def kept(self, every_s: float = 30.0) -> Iterator[None]:
        """Within the block what nobody asked for lately is let go, whether anybody asks or not."""

        def expire(stopping: threading.Event) -> None:
            while not stopping.wait(every_s):
                self.expire()

        with kept_running(expire, "pixels", within_s=None):
            yield

    def expire(self) -> None:
        """Let go of what nobody asked for lately."""
        with self._lock:
            self._shrink()

    def _used(self, key: Key) -> ShownPixels | None:
        if key not in self._kept:
            return None
        found = self._kept[key][0]
        self._kept[key] = (found, self._clock())
        self._kept.move_to_end(key)
        return found

    def _shrink(self) -> None:
        old = self._clock() - self._idle_s
        size = sum(found.pyramid.n_bytes for found, _ in self._kept.values())
        for key, (found, used_at) in list(self._kept.items()):
            if used_at > old and (size <= self._most_bytes or len(self._kept) == 1):
                break
            size -= found.pyramid.n_bytes
            del self._kept[key]
