"""How an image of a manifest is read: DICOM as the node reads it, or a grey image file."""

from pathlib import Path
from typing import Final

from cadnode.domain import FloatImage
from cadnode.errors import NotProcessable
from cadnode.exam.read import read_instance
from cadnode.imaging import pixels
from cadnode_training.data.views import read_grey

GREY_FILES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".bmp")
"""Endings of image files; every other file is taken for DICOM."""


def load_image(path: Path) -> FloatImage | str:
    """`(H, W) float32 in [0, 1]`, dense tissue bright for DICOM, or the reason why there is none.

    Grey image files state no polarity: they come as they are stored.
    """
    if path.suffix.lower() in GREY_FILES:
        image = read_grey(path)
        return "not an 8- or 16-bit grey image" if image is None else image
    try:
        return pixels.load(read_instance(path))
    except NotProcessable as error:
        return error.reason.value
