"""Which codec reads which transfer syntax; runs in the decoding process only.

Nothing is imported but numpy and, at first use, the codec that is needed.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from cadnode.codecs.frame import Frame

Cells = NDArray[Any]
_Decode = Callable[[bytes], Cells]

RLE: Final = "1.2.840.10008.1.2.5"
JPEG: Final = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS: Final = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
JPEG_2000: Final = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91))
HTJ2K: Final = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))

IMAGECODECS: dict[str, _Decode] = {
    **dict.fromkeys(JPEG, imagecodecs.jpeg8_decode),
    **dict.fromkeys(JPEG_LS, imagecodecs.jpegls_decode),
    **dict.fromkeys(JPEG_2000, partial(imagecodecs.jpeg2k_decode, numthreads=2)),
}
# pydicom's plugins for the rest, or in place of imagecodecs should it fail. What fuzzing showed:
# imagecodecs passes over errors in HTJ2K and gives half an image; of a damaged JPEG, gdcm ends
# the process and pylibjpeg's libjpeg does not come back. They are not used for those.
PLUGINS: dict[str, tuple[str, ...]] = {
    RLE: ("pylibjpeg", "pydicom"),
    **dict.fromkeys(JPEG_LS, ("pyjpegls",)),
    **dict.fromkeys((*JPEG_2000, *HTJ2K), ("pylibjpeg",)),
}


class Unsupported(Exception):
    """There is no codec for the transfer syntax."""


class Corrupt(Exception):
    """No codec gives the matrix that is stated."""


def decode(stream: bytes, frame: Frame) -> Cells:
    """`(rows, columns)` cells of 8 or 16 bits, by the first codec that gives the right matrix.

    Raises
    ------
    Unsupported, Corrupt
        As they say.
    """
    tried = False
    for attempt in _decoders(frame):
        tried = True
        try:
            with warnings.catch_warnings():
                # Decoders warn of damaged or odd streams and then go on; the matrix is checked.
                warnings.simplefilter("ignore")
                cells = attempt(stream)
        except Exception:  # decoders raise nearly anything
            continue
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's, of the RLE decoder
                raise
            continue
        if cells.shape == (frame.rows, frame.columns) and cells.dtype.kind in "iu":
            return cells if cells.dtype.itemsize <= 2 else cells.astype(np.uint16)
    raise Corrupt if tried else Unsupported


def _decoders(frame: Frame) -> Iterator[_Decode]:
    if frame.transfer_syntax_uid in IMAGECODECS:
        yield IMAGECODECS[frame.transfer_syntax_uid]
    for plugin in PLUGINS.get(frame.transfer_syntax_uid, ()):
        yield partial(_by_plugin, frame, plugin)


def _by_plugin(frame: Frame, plugin: str, stream: bytes) -> Cells:
    from pydicom import config
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    options: dict[str, Any] = {
        "rows": frame.rows,
        "columns": frame.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": frame.bits_allocated,
        "bits_stored": frame.bits_stored,
        "pixel_representation": int(frame.signed),
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,  # it would cut off the upper of left-justified values
    }
    with config.disable_value_validation():
        decoder = get_decoder(UID(frame.transfer_syntax_uid))
        cells, _ = decoder.as_array(
            encapsulate([stream]), decoding_plugin=plugin, raw=True, **options
        )
    return cells
