"""What the choice of images asks of their pixels: whether two are one image, whether one is whole.

Who decodes pixels answers it (`imaging.pixels.CHECKS`); files alone give `BYTES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cadnode.errors import NotProcessable
from cadnode.exam.dicom_file import read_pixel_data
from cadnode.exam.exam import Mammogram


@dataclass(frozen=True, slots=True)
class PixelChecks:
    """`same`: whether two files hold one image; `fault`: why one cannot be decoded, or None."""

    same: Callable[[Mammogram, Mammogram], bool]
    fault: Callable[[Mammogram], NotProcessable | None]


def same_bytes(one: Mammogram, other: Mammogram) -> bool:
    """Whether two files hold the very same pixel data bytes."""
    try:
        return read_pixel_data(one.path) == read_pixel_data(other.path)
    except NotProcessable:
        return False


BYTES: Final = PixelChecks(same_bytes, lambda _: None)
