"""Synthetic pixel data in every transfer syntax the node takes (DICOM PS3.5 annex A)."""

import hashlib
import zlib
from copy import deepcopy
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
LOSSLESS = (
    *NATIVE,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
TRANSFER_SYNTAXES = LOSSLESS + LOSSY

_LOSSY_METHODS = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}


def uid(*parts: object) -> str:
    """A UID that depends on `parts` only (DICOM PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


def encode(ds: Dataset, transfer_syntax_uid: str) -> Dataset:
    """A copy of a native little endian `ds` with its pixel data in another transfer syntax.

    JPEG Baseline holds 8 bits: wider pixels are shifted down, window and rescale with them.
    Lossy syntaxes set the lossy attributes; their error is small (quality 95, near 2 …), except
    that JPEG Extended and JPEG-LS cannot hold signed values lossily. Extended holds 12 bits.
    """
    copy = deepcopy(ds)
    syntax = UID(transfer_syntax_uid)
    copy.file_meta.TransferSyntaxUID = syntax
    stored = stored_values(ds)
    if syntax == JPEGBaseline8Bit and ds.BitsStored > 8:
        stored = _reduce_to_8_bits(copy, stored)
    if syntax == ExplicitVRBigEndian:
        copy.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
        copy["PixelData"].VR = "OW"
    if syntax.is_encapsulated:
        frame = _encode_frame(stored, copy, syntax)
        copy.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
        copy["PixelData"].VR = "OB"
        copy["PixelData"].is_undefined_length = True
        if syntax in LOSSY:
            copy.LossyImageCompression = "01"
            copy.LossyImageCompressionRatio = f"{stored.nbytes / len(frame):.4f}"
            copy.LossyImageCompressionMethod = _LOSSY_METHODS[syntax]
            copy.SOPInstanceUID = uid(ds.SOPInstanceUID, syntax)
            copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copy


def labelled(ds: Dataset, label: str, written: str) -> bytes:
    """A file whose file meta information says `label`, its data set written in `written`.

    Both are native syntaxes, or `label` an encapsulated one. The pixel data of `ds` are written
    as they are but for big endian, where 16-bit words are swapped. `label` may be "".
    """
    syntax = UID(written)
    copy = deepcopy(ds)
    if not syntax.is_little_endian and copy["PixelData"].VR == "OW":
        copy.PixelData = np.frombuffer(copy.PixelData, "<u2").byteswap().tobytes()
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    write_dataset(buffer, copy)
    data = buffer.getvalue()
    if syntax.is_deflated:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflate.compress(data) + deflate.flush()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.FileMetaInformationVersion, meta.FileMetaInformationGroupLength = b"\0\1", 0
    if label:
        meta.TransferSyntaxUID = label
    head = DicomBytesIO()
    write_file_meta_info(head, meta, enforce_standard=False)
    return b"\0" * 128 + b"DICM" + head.getvalue() + data


def item(value: bytes) -> bytes:
    """One item of encapsulated pixel data (PS3.5 A.4)."""
    return b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value


def stored_values(ds: Dataset) -> NDArray[Any]:
    """`(rows, columns)` stored integers of a native little endian `ds`."""
    dtype = np.dtype(f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}")
    count = ds.Rows * ds.Columns
    return np.frombuffer(ds.PixelData, dtype, count).reshape(ds.Rows, ds.Columns)


def _reduce_to_8_bits(ds: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    shift = ds.BitsStored - 8
    offset = 2 ** (ds.BitsStored - 1) if ds.PixelRepresentation else 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.RescaleIntercept = "0"
    ds.WindowCenter = str(float(ds.WindowCenter) / 2**shift)
    ds.WindowWidth = str(float(ds.WindowWidth) / 2**shift)
    return ((stored.astype(np.int64) + offset) >> shift).astype(np.uint8)


def _encode_frame(stored: NDArray[Any], ds: Dataset, syntax: UID) -> bytes:
    """One frame as the codec's bit stream; signed values as two's complement of BitsStored."""
    bits = int(ds.BitsStored)
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    twos = (stored.astype(np.int64) & (2**bits - 1)).astype(unsigned)
    if syntax == RLELossless:
        return RLELosslessEncoder.encode(stored, **_rle_options(ds))
    if syntax in (JPEG2000Lossless, JPEG2000):
        level = {} if syntax == JPEG2000Lossless else {"level": 60, "reversible": False}
        return bytes(
            imagecodecs.jpeg2k_encode(
                stored, codecformat="j2k", bitspersample=bits, **{"reversible": True, **level}
            )
        )
    if syntax in (HTJ2KLossless, HTJ2KLosslessRPCL):
        return bytes(imagecodecs.htj2k_encode(stored, tlm=syntax == HTJ2KLosslessRPCL))
    if syntax == HTJ2K:
        return bytes(imagecodecs.htj2k_encode(stored, 0.0001, reversible=False))
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return bytes(imagecodecs.jpegls_encode(twos, 0 if syntax == JPEGLSLossless else 2))
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if syntax == JPEGLosslessSV1 else 6
        return bytes(
            imagecodecs.jpeg8_encode(twos, lossless=True, predictor=predictor, bitspersample=bits)
        )
    return bytes(imagecodecs.jpeg8_encode(twos, 95, bitspersample=8 if bits == 8 else 12))


def _rle_options(ds: Dataset) -> dict[str, Any]:
    return {
        "rows": ds.Rows,
        "columns": ds.Columns,
        "samples_per_pixel": 1,
        "bits_allocated": ds.BitsAllocated,
        "bits_stored": ds.BitsStored,
        "pixel_representation": ds.PixelRepresentation,
        "photometric_interpretation": ds.PhotometricInterpretation,
        "number_of_frames": 1,
        "encoding_plugin": "pydicom",
    }
