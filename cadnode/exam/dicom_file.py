"""DICOM files are opened here, and here only: whatever is wrong in one becomes a coded reason."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, cast

from pydicom import Dataset, config, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.header import settled

_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_VRS = {str(vr).encode() for vr in STANDARD_VR}


@dataclass(frozen=True, eq=False, slots=True)
class DicomFile:
    """A file's data set without its pixel data, and what became of that pixel data.

    `damage` is TRUNCATED or PIXELS_CORRUPT when the file is not whole: the header is then as
    far as it goes.
    """

    path: Path = field(repr=False)
    header: Dataset = field(repr=False)
    has_pixels: bool
    damage: SkipReason | None = None


@contextmanager
def tolerant() -> Iterator[None]:
    """A context in which pydicom reads what it can; no odd value warns, raises or is printed."""
    with warnings.catch_warnings(), config.disable_value_validation():
        # pydicom's warnings quote the odd value, which may be a patient's identifier.
        warnings.simplefilter("ignore")
        yield


def open_file(path: Path) -> DicomFile:
    """The header of a DICOM file (PS3.10, with or without preamble), every value decoded.

    Values that cannot be decoded are left out.

    Raises
    ------
    NotProcessable
        NOT_DICOM, or TRUNCATED when the file ends before there is anything to say about it.
    """
    try:
        with path.open("rb") as file:
            prefixed = _begins_like_dicom(file)
            return _open(path, file, prefixed=prefixed)
    except OSError:
        raise NotProcessable(SkipReason.NOT_DICOM, "the file cannot be opened") from None


def read_pixel_data(path: Path) -> tuple[bytes, bool]:
    """The value of Pixel Data as stored, and whether its native values are little endian.

    Raises
    ------
    NotProcessable
        NO_PIXELS, or PIXELS_CORRUPT when the file can no longer be read.
    """
    try:
        with tolerant():
            ds = dcmread(path, force=True, specific_tags=["PixelData"])
            value = cast(bytes | None, ds.PixelData if "PixelData" in ds else None)
            little_endian = ds.original_encoding[1] is not False
    except Exception:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "the file cannot be read") from None
    if not value:
        raise NotProcessable(SkipReason.NO_PIXELS)
    return value, little_endian


class _Watched:
    """A file that remembers whether a read came back short: the sign of a cut header."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.short = False
        self.name = ""
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        value = self._file.read(size)
        clean_end = size == 8 and not value  # where the next element would begin
        self.short = self.short or (len(value) < size and not clean_end)
        return value


def _begins_like_dicom(file: IO[bytes]) -> bool:
    """Whether the preamble and prefix are there; raises NOT_DICOM if nothing else fits either.

    Without a prefix the first element must be of group 2 or 8 and short, as in a bare data set.
    """
    start = file.read(132)
    file.seek(0)
    if start[128:] == b"DICM":
        return True
    explicit = start[4:6] in _VRS
    orders: tuple[Literal["little", "big"], ...] = ("little", "big") if explicit else ("little",)
    for order in orders:
        group = int.from_bytes(start[:2], order)
        length = int.from_bytes(start[6:8] if explicit else start[4:8], order)
        if len(start) >= 8 and group in (0x0002, 0x0008) and length <= 1024:
            return False
    raise NotProcessable(SkipReason.NOT_DICOM)


def _open(path: Path, file: IO[bytes], *, prefixed: bool) -> DicomFile:
    watched = _Watched(file)
    try:
        with tolerant():
            raw = dcmread(watched, stop_before_pixels=True, force=True)
            header = settled(raw)
            header.file_meta = FileMetaDataset(settled(raw.file_meta))
            header.file_meta.TransferSyntaxUID = UID(_transfer_syntax(raw), config.IGNORE)
    except Exception:  # pydicom raises nearly anything on damaged input
        reason = SkipReason.TRUNCATED if prefixed else SkipReason.NOT_DICOM
        raise NotProcessable(reason) from None
    if not header:
        raise NotProcessable(SkipReason.TRUNCATED if prefixed else SkipReason.NOT_DICOM)
    try:
        if header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
            has_pixels = _has_deflated_pixels(path)
        else:
            has_pixels = _has_pixels(file, header, short=watched.short)
    except NotProcessable as error:
        return DicomFile(path, header, has_pixels=True, damage=error.reason)
    return DicomFile(path, header, has_pixels)


def _has_pixels(file: IO[bytes], header: Dataset, *, short: bool) -> bool:
    """Whether there is pixel data where the header ends; raises where it is not whole."""
    element = file.read(12)
    if not element:  # the data set ends before any pixel data
        if short:
            raise NotProcessable(SkipReason.TRUNCATED)
        return False
    syntax = header.file_meta.TransferSyntaxUID
    long_form = element[4:6].decode("latin-1") in EXPLICIT_VR_LENGTH_32
    length_bytes = element[8:12] if long_form else element[4:8]
    if len(length_bytes) < 4:
        raise NotProcessable(SkipReason.TRUNCATED)
    order: Literal["little", "big"] = "big" if syntax == ExplicitVRBigEndian else "little"
    length = int.from_bytes(length_bytes, order)
    start = file.tell() - len(element) + (12 if long_form else 8)
    size = file.seek(0, 2)
    if length == _UNDEFINED:
        _walk_fragments(file, start, size)
    elif start + length > size:
        raise NotProcessable(SkipReason.TRUNCATED)
    elif syntax.is_transfer_syntax and syntax.is_encapsulated:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT)
    return length > 0


def _walk_fragments(file: IO[bytes], start: int, size: int) -> None:
    """Step over the items of encapsulated pixel data (PS3.5 A.4); raises where one is cut."""
    position = start
    while position != size:  # some writers leave the sequence delimiter out
        file.seek(position)
        item = file.read(8)
        if item[:4] == b"\xfe\xff\xdd\xe0":
            return
        if len(item) < 8:
            raise NotProcessable(SkipReason.TRUNCATED)
        if item[:4] != b"\xfe\xff\x00\xe0":
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        position += 8 + int.from_bytes(item[4:], "little")
        if position > size:
            raise NotProcessable(SkipReason.TRUNCATED)


def _has_deflated_pixels(path: Path) -> bool:
    """Whether a deflated file holds pixel data; raises where they are not whole."""
    try:
        with tolerant():
            ds = dcmread(path, force=True, specific_tags=["PixelData"])
            raw = ds.get_item(_PIXEL_DATA) if _PIXEL_DATA in ds else None
            value = b"" if raw is None else cast(bytes, raw.value or b"")
            length = getattr(raw, "length", 0)
    except Exception:  # pydicom raises nearly anything on damaged input
        raise NotProcessable(SkipReason.PIXELS_CORRUPT) from None
    if len(value) < length != _UNDEFINED:
        raise NotProcessable(SkipReason.TRUNCATED)
    return bool(value)


def _transfer_syntax(raw: Dataset) -> str:
    """The stated transfer syntax; without file meta, the one the data set is written in."""
    stated = raw.file_meta.get("TransferSyntaxUID")
    if stated:
        return str(stated)
    implicit, little = raw.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
