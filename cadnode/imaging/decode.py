"""Stored pixel values of one grayscale frame, from any standard transfer syntax (PS3.5 annex A)."""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import number
from cadnode.exam.dicom_file import read_pixel_data, tolerant
from cadnode.exam.exam import Mammogram

Stored = NDArray[np.unsignedinteger[Any]]
_Decode = Callable[[bytes], NDArray[Any]]

LARGEST_FRAME = 2**28  # pixels; the largest film digitized at 43 µm has some 2**26
_FORMAT = (
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
)  # fmt: skip
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
_IMAGECODECS: dict[UID, _Decode] = {
    **dict.fromkeys(_JPEG, imagecodecs.jpeg8_decode),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), imagecodecs.jpegls_decode),
    **dict.fromkeys(_JPEG_2000, partial(imagecodecs.jpeg2k_decode, numthreads=2)),
}
# pydicom's plugins for the rest, or in place of imagecodecs should it fail. What fuzzing showed:
# imagecodecs passes over errors in HTJ2K and gives half an image; of a damaged JPEG, gdcm ends
# the process and pylibjpeg's libjpeg does not come back. They are not used for those.
_PLUGINS: dict[UID, tuple[str, ...]] = {
    RLELossless: ("pylibjpeg", "pydicom"),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), ("pyjpegls",)),
    **dict.fromkeys((*_JPEG_2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), ("pylibjpeg",)),
}


def stored_codes(mammogram: Mammogram) -> tuple[Stored, int, bool]:
    """`(rows, columns) uint8 or uint16` pixel cells, their bits stored, whether signed.

    Each value is the `bits stored` of the cell, nothing above: overlay bits and sign extension
    are cut off. Of signed values it is the two's complement.

    Raises
    ------
    NotProcessable
        PIXELS_CORRUPT, PIXELS_UNSUPPORTED or NO_PIXELS.
    """
    allocated, bits, high_bit, signed = _pixel_format(mammogram)
    value = read_pixel_data(mammogram.path)
    syntax = UID(mammogram.transfer_syntax_uid, config.IGNORE)
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "an unknown transfer syntax")
    cells: NDArray[Any]
    shift = high_bit + 1 - bits
    if syntax.is_encapsulated:
        frame = single_frame(value)
        if syntax != RLELossless and (_precision(frame) or 0) <= high_bit:
            shift = 0  # the stream has the stored bits alone, not the cell around them
        cells = _decode(frame, mammogram, syntax)
        if syntax in _LOSSY:
            cells = _clipped(cells, bits + shift)
        cells = np.ascontiguousarray(cells).view(f"u{cells.dtype.itemsize}")
    else:
        cells = _native(value, mammogram, allocated)
    cells = np.right_shift(cells, cells.dtype.type(shift)) if shift else cells
    # Masking needs a pass over the image: only where a bit above is set.
    if bits < 8 * cells.dtype.itemsize and int(cells.max(initial=0)) >> bits:
        cells = cells & cells.dtype.type(2**bits - 1)
    return cells, bits, signed


def _pixel_format(mammogram: Mammogram) -> tuple[int, int, int, bool]:
    """Bits allocated, bits stored, high bit and signedness, checked (PS3.5 section 8)."""
    header = mammogram.header
    lost = [keyword for keyword in _FORMAT if keyword in getattr(header, "undecoded", ())]
    if lost:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, f"{lost[0]} cannot be decoded")
    allocated = int(number(header, "BitsAllocated") or 16)
    bits = int(number(header, "BitsStored") or allocated)
    stated = number(header, "HighBit")
    high_bit = bits - 1 if stated is None else int(stated)
    if allocated not in (8, 16):
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "neither 8 nor 16 bits allocated")
    if not (1 < bits <= high_bit + 1 <= allocated):
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "bits stored and allocated disagree")
    if mammogram.rows * mammogram.columns > LARGEST_FRAME:
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "the image is too large")
    return allocated, bits, high_bit, number(header, "PixelRepresentation") == 1


def _native(value: bytes, mammogram: Mammogram, allocated: int) -> Stored:
    dtype = np.dtype(f"<u{allocated // 8}")
    shape = (mammogram.rows, mammogram.columns)
    count = math.prod(shape)
    if len(value) < count * dtype.itemsize:
        raise NotProcessable(SkipReason.TRUNCATED)
    cells = np.frombuffer(value, dtype, count).reshape(shape)
    return cells.astype(dtype.newbyteorder("="), copy=False)


def single_frame(value: bytes) -> bytes:
    """The stream of the only frame in items of encapsulated pixel data (PS3.5 A.4).

    All fragments are joined, whatever the Basic and Extended Offset Tables state: there is only
    one frame. The first item is the table, unless it begins as a stream does: some writers leave
    the table out.

    Raises
    ------
    NotProcessable
        PIXELS_CORRUPT when these are no items, or hold nothing.
    """
    try:
        first, *others = generate_fragments(value)
    except Exception:  # pydicom's parser raises several types on damaged items
        raise NotProcessable(SkipReason.PIXELS_CORRUPT) from None
    frame = b"".join([first, *others] if _begins_a_stream(first) else others)
    if not frame:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT)
    return frame


def _begins_a_stream(item: bytes) -> bool:
    """Whether an item has the start of JPEG, JPEG 2000 or RLE; an offset table starts with 0.

    The RLE header (PS3.5 G.5) is the number of segments and 15 offsets, the first of which is 64.
    """
    if item[:3] == b"\xff\xd8\xff" or item[:4] == b"\xff\x4f\xff\x51":
        return True
    segments, first = (int.from_bytes(item[at : at + 4], "little") for at in (0, 4))
    return len(item) >= 64 and 1 <= segments <= 15 and first == 64


def _decode(frame: bytes, mammogram: Mammogram, syntax: UID) -> NDArray[Any]:
    """The cells of an encapsulated frame, by the first decoder that gives the right matrix."""
    _refuse_other_matrix(frame, mammogram)
    tried = False
    for decode in _decoders(mammogram, syntax):
        tried = True
        try:
            with warnings.catch_warnings():
                # Decoders warn of damaged or odd streams and then go on; the matrix is checked.
                warnings.simplefilter("ignore")
                cells = decode(frame)
        except Exception:  # decoders raise nearly anything
            continue
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's, of the RLE decoder
                raise
            continue
        if cells.shape == (mammogram.rows, mammogram.columns) and cells.dtype.kind in "iu":
            return cells if cells.dtype.itemsize <= 2 else cells.astype(np.uint16)
    if not tried:
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED)
    raise NotProcessable(SkipReason.PIXELS_CORRUPT)


def _clipped(cells: NDArray[Any], bits: int) -> NDArray[Any]:
    """Values that a lossy codec took past the range of `bits` are brought back to its ends.

    Cutting their upper bits instead would turn white into black.
    """
    least, greatest = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if cells.dtype.kind == "i" else (0, 2**bits - 1)
    )
    if cells.min(initial=0) >= least and cells.max(initial=0) <= greatest:
        return cells
    return cells.clip(least, greatest)


def _decoders(mammogram: Mammogram, syntax: UID) -> Iterator[_Decode]:
    if syntax in _IMAGECODECS:
        yield _IMAGECODECS[syntax]
    for plugin in _PLUGINS.get(syntax, ()):
        yield partial(_by_plugin, mammogram, syntax, plugin)


def _by_plugin(mammogram: Mammogram, syntax: UID, plugin: str, frame: bytes) -> NDArray[Any]:
    options: dict[str, Any] = {
        "rows": mammogram.rows,
        "columns": mammogram.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": int(number(mammogram.header, "BitsAllocated") or 16),
        "bits_stored": int(number(mammogram.header, "BitsStored") or 16),
        "pixel_representation": int(number(mammogram.header, "PixelRepresentation") or 0),
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,  # it would cut off the upper of left-justified values
    }
    with tolerant():
        decoder = get_decoder(syntax)
        cells, _ = decoder.as_array(
            encapsulate([frame]), decoding_plugin=plugin, raw=True, **options
        )
    return cells


def _refuse_other_matrix(frame: bytes, mammogram: Mammogram) -> None:
    """Raise PIXELS_CORRUPT when the stream's own size differs, before anything is allocated."""
    size = _stream_size(frame)
    if size is not None and size != (mammogram.rows, mammogram.columns):
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "the matrix differs from Rows × Columns")


def _stream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) by the JPEG or JPEG 2000 stream's header; None when it states none."""
    if frame[:4] == b"\xff\x4f\xff\x51":
        x1, y1, x0, y0 = (int.from_bytes(frame[i : i + 4], "big") for i in (8, 12, 16, 20))
        return y1 - y0, x1 - x0
    at = _start_of_frame(frame)
    if at is None:
        return None
    rows, columns = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
    return (rows, columns) if rows else None


def _precision(frame: bytes) -> int | None:
    """Bits of a sample by the JPEG or JPEG 2000 stream's header; None when it states none."""
    if frame[:4] == b"\xff\x4f\xff\x51":
        return (frame[42] & 0x7F) + 1 if len(frame) > 42 else None  # Ssiz of the first component
    at = _start_of_frame(frame)
    return None if at is None else frame[at + 4]


def _start_of_frame(frame: bytes) -> int | None:
    """Where the marker SOF of a JPEG or JPEG-LS stream is; None when there is none.

    SOF of ISO 10918-1 B.2.2 and 14495-1 C.2.2; of JPEG 2000 it is SIZ, ISO 15444-1 A.5.1.
    """
    position = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return position
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None
