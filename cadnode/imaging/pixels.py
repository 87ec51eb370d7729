"""A mammogram's image as it is meant to be seen, decoded from any standard transfer syntax."""

import threading
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode.errors import NotProcessable
from cadnode.exam.exam import Mammogram
from cadnode.exam.pixel_checks import PixelChecks, same_bytes
from cadnode.imaging.decode import Stored, stored_codes
from cadnode.imaging.grayscale import Window, brightness_table

__all__ = ["CHECKS", "ImageCache", "Window", "counts_of", "load", "same_pixels"]

_MOST_BYTES: Final = 1 << 30  # four full-field views are about 220 MB


def load(mammogram: Mammogram, *, voi: Window | None = None) -> FloatImage:
    """`(rows, columns) float32 in [0, 1]` in source geometry, dense tissue bright, padding 0.

    Modality LUT, VOI and polarity are applied as the header states (PS3.4 N.2); overlays are not.
    `voi` is used in place of the header's; without any, the robust range of the pixels is.

    Raises
    ------
    NotProcessable
        NO_PIXELS, TRUNCATED, PIXELS_CORRUPT or PIXELS_UNSUPPORTED.
    """
    cells, bits, signed = stored_codes(mammogram)
    table = brightness_table(
        mammogram.header,
        bits=bits,
        signed=signed,
        counts=lambda: counts_of(cells, bits),
        intent=mammogram.intent,
        voi=voi,
    )
    image = np.empty(cells.shape, np.float32)
    for rows in _blocks(cells):  # numpy widens every index to 64 bits
        np.take(table, cells[rows], out=image[rows], mode="clip")
    return image


class ImageCache:
    """The images of the exam in hand: the reading and its report decode each once.

    A file that has changed is decoded again. Beyond `most_bytes` the oldest images are let go.
    Threads may share it: who asks for an image that another decodes waits for it.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._images: dict[tuple[str, int, int], FloatImage] = {}
        self._lock = threading.Lock()

    def load(self, mammogram: Mammogram) -> FloatImage:
        """As `pixels.load`; the same array for the same file, not to be written to."""
        try:
            found = mammogram.path.stat()
        except OSError:
            return load(mammogram)  # which says what is wrong with the file
        key = (str(mammogram.path), found.st_mtime_ns, found.st_size)
        with self._lock:
            if key not in self._images:
                image = load(mammogram)
                self._images[key] = image
                self._shrink()
                return image
            return self._images[key]

    def clear(self) -> None:
        """Let go of every image."""
        with self._lock:
            self._images.clear()

    def _shrink(self) -> None:
        while sum(image.nbytes for image in self._images.values()) > self._most_bytes:
            del self._images[next(iter(self._images))]


def same_pixels(one: Mammogram, other: Mammogram) -> bool:
    """Whether two files hold the same stored values, in whatever lossless transfer syntax.

    One that cannot be decoded contradicts nothing: it came damaged, and again whole.
    """
    if same_bytes(one, other):
        return True
    try:
        (cells, *form), (others, *other_form) = stored_codes(one), stored_codes(other)
    except NotProcessable:
        return True
    return form == other_form and np.array_equal(cells, others)


def fault(mammogram: Mammogram) -> NotProcessable | None:
    """Why its pixels cannot be decoded; None where they can."""
    try:
        stored_codes(mammogram)
    except NotProcessable as error:
        return error
    return None


CHECKS: Final = PixelChecks(same_pixels, fault)


def counts_of(cells: Stored, bits: int) -> NDArray[np.int64]:
    """`(2**bits,)` how many pixels have each value."""
    counts = np.zeros(2**bits, np.int64)
    for rows in _blocks(cells):
        counts += np.bincount(cells[rows].ravel(), minlength=2**bits)
    return counts


def _blocks(cells: Stored) -> Iterator[slice]:
    """Slices of 128 rows that cover the image: temporary copies stay small."""
    return (slice(row, row + 128) for row in range(0, cells.shape[0], 128))
