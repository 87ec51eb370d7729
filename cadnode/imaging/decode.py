"""Stored pixel values of one grayscale frame, from any standard transfer syntax (PS3.5 annex A)."""

import math
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.encaps import generate_fragments
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from cadnode.codecs.decoder import decode_frame
from cadnode.codecs.frame import Frame
from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import number
from cadnode.exam.dicom_file import read_pixel_data
from cadnode.exam.exam import Mammogram
from cadnode.limits import FRAGMENTS, FRAME_PIXELS

Stored = NDArray[np.unsignedinteger[Any]]

_FORMAT = (
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
)  # fmt: skip
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)


def stored_codes(mammogram: Mammogram) -> tuple[Stored, int, bool]:
    """`(rows, columns) uint8 or uint16` pixel cells, their bits stored, whether signed.

    Each value is the `bits stored` of the cell, nothing above: overlay bits and sign extension
    are cut off. Of signed values it is the two's complement.

    Raises
    ------
    NotProcessable
        PIXELS_CORRUPT, PIXELS_UNSUPPORTED or NO_PIXELS.
    DecoderUnavailable
        No process to decode it in can be had.
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
    if mammogram.rows < 1 or mammogram.columns < 1:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "Rows or Columns is no size")
    if mammogram.rows * mammogram.columns > FRAME_PIXELS:
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
        first, *others = islice(generate_fragments(value), FRAGMENTS)
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


def _decode(stream: bytes, mammogram: Mammogram, syntax: UID) -> NDArray[Any]:
    """The cells of an encapsulated frame, decoded in the decoding process."""
    _refuse_other_matrix(stream, mammogram)
    header = mammogram.header
    frame = Frame(
        transfer_syntax_uid=str(syntax),
        rows=mammogram.rows,
        columns=mammogram.columns,
        bits_allocated=int(number(header, "BitsAllocated") or 16),
        bits_stored=int(number(header, "BitsStored") or 16),
        signed=number(header, "PixelRepresentation") == 1,
        n_bytes=len(stream),
    )
    return decode_frame(stream, frame)


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


def _refuse_other_matrix(frame: bytes, mammogram: Mammogram) -> None:
    """Raise PIXELS_CORRUPT when the stream's own size differs, before anything is allocated."""
    size = _stream_size(frame)
    if size is not None and size != (mammogram.rows, mammogram.columns, 1):
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "the matrix differs from Rows × Columns")


def _stream_size(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, components) by a JPEG or JPEG 2000 stream's header; None if it states none.

    A JPEG stream that gives its rows at its end only (DNL, ISO 10918-1 B.2.5) states none: it
    is held to its size when it is decoded.
    """
    if frame[:4] == b"\xff\x4f\xff\x51":
        x1, y1, x0, y0 = (int.from_bytes(frame[i : i + 4], "big") for i in (8, 12, 16, 20))
        return y1 - y0, x1 - x0, int.from_bytes(frame[40:42], "big")
    at = _start_of_frame(frame)
    if at is None or len(frame) < at + 10:
        return None
    rows, columns = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
    return (rows, columns, frame[at + 9]) if rows else None


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
