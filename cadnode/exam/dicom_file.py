"""DICOM files are opened here, and here only: whatever is wrong in one becomes a coded reason."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Final, Literal, cast

import numpy as np
from pydicom import Dataset, config
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless
from pydicom.valuerep import STANDARD_VR

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import number
from cadnode.exam.bounded import BoundedFile, TooLarge
from cadnode.exam.encoding import (
    UNDEFINED,
    EncodedDataSet,
    Encoding,
    begin,
    is_long,
    passed_over,
    read_file_meta,
)
from cadnode.exam.header import Header, settled
from cadnode.limits import FRAGMENTS, PIXEL_BYTES, SLACK_BYTES

_PIXEL_DATA: Final = 0x7FE00010
_PIXELS: Final = (0x7FE00008, 0x7FE00009, _PIXEL_DATA)  # float, double float, integer
_SIZES: Final = (0x00280002, 0x00280008, 0x00280010, 0x00280011, 0x00280100)
_VRS = {str(vr).encode() for vr in STANDARD_VR}
_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
# Digital Signatures Sequence and Data Set Trailing Padding: all that may follow pixel data.
_TRAILERS: Final = (b"\xfa\xff\xfa\xff", b"\xfc\xff\xfc\xff")


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

    Values that cannot be decoded are left out and named in the header's `undecoded`. The transfer
    syntax in its file meta information is the one that the bytes are written in.

    Raises
    ------
    NotProcessable
        NOT_DICOM, or TRUNCATED when the file ends before it can be identified.
    """
    try:
        with path.open("rb") as file:
            prefixed = _begins_like_dicom(file)
            return _open(path, file, prefixed=prefixed)
    except OSError:
        raise NotProcessable(SkipReason.NOT_DICOM, "the file cannot be opened") from None


def is_encapsulated(syntax: UID) -> bool:
    """Whether it is known that pixel data in this transfer syntax are compressed frames."""
    return syntax.is_transfer_syntax and not syntax.is_private and syntax.is_encapsulated


def read_pixel_data(path: Path) -> bytes:
    """The value of Pixel Data, that of native pixels as it would be in little endian.

    Of encapsulated pixel data it is the items, without the sequence delimiter. Of native pixel
    data it is no more than the header states.

    Raises
    ------
    NotProcessable
        NO_PIXELS, PIXELS_UNSUPPORTED when there are more than `PIXEL_BYTES`, or PIXELS_CORRUPT
        when the file can no longer be read.
    """
    try:
        with tolerant(), path.open("rb") as file:
            data_set = begin(file, _stated_syntax(read_file_meta(file)))
            ds = data_set.read(lambda tag, _vr, _length: int(tag) >= _PIXEL_DATA, _SIZES)
            element = _next_element(data_set.stream, data_set.encoding)
            value = b""
            if element is not None and element.tag == _PIXEL_DATA:
                value = _pixel_value(data_set, element, ds)
    except NotProcessable:
        raise
    except Exception:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT, "the file cannot be read") from None
    if not value:
        raise NotProcessable(SkipReason.NO_PIXELS)
    return value


def read_attributes(file: BinaryIO, tags: Sequence[int]) -> Dataset | None:
    """Attributes of an opened file's header, nothing else of it kept; None when it is no DICOM.

    Raises
    ------
    OSError
        It cannot be read.
    """
    try:
        with tolerant():
            is_prefixed = file.read(132)[128:] == b"DICM"
            file.seek(0)
            data_set = begin(file, _stated_syntax(read_file_meta(file)))
            return data_set.read(_at_pixels, tags) if is_prefixed else None
    except OSError:
        raise
    except Exception:  # pydicom raises nearly anything on damaged input; its text may quote it
        return None


@dataclass(frozen=True, slots=True)
class _Element:
    """The head of a data element whose value begins at `start`; VR b"" when it is implicit."""

    tag: int
    vr: bytes
    length: int
    start: int


def _begins_like_dicom(file: IO[bytes]) -> bool:
    """Whether the preamble and prefix are present; raises NOT_DICOM if nothing else fits either.

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


def _open(path: Path, file: BinaryIO, *, prefixed: bool) -> DicomFile:
    unreadable = SkipReason.TRUNCATED if prefixed else SkipReason.NOT_DICOM
    damage, short = None, False
    try:
        with tolerant():
            meta = read_file_meta(file)
            data_set = begin(file, _stated_syntax(meta))
            found = _read_header(data_set)
            if isinstance(found, int):
                damage = SkipReason.PIXELS_CORRUPT
                file.seek(0)
                read_file_meta(file)
                header = _first_elements(begin(file, _stated_syntax(meta)), found)
            else:
                header, short = found
            header.file_meta = FileMetaDataset(settled(meta))
            syntax = UID(data_set.transfer_syntax_uid, config.IGNORE)
            header.file_meta.TransferSyntaxUID = syntax
    except Exception:  # pydicom raises nearly anything on damaged input
        raise NotProcessable(unreadable) from None
    if not header:
        raise NotProcessable(unreadable)
    if damage is not None:
        return DicomFile(path, header, has_pixels=True, damage=damage)
    try:
        has_pixels = _has_pixels(data_set, header, short=short or not data_set.whole)
    except NotProcessable as error:
        return DicomFile(path, header, has_pixels=True, damage=error.reason)
    except OSError:
        raise
    except Exception:
        return DicomFile(path, header, has_pixels=True, damage=SkipReason.PIXELS_CORRUPT)
    return DicomFile(path, header, has_pixels)


def _read_header(data_set: EncodedDataSet) -> tuple[Header, bool] | int:
    """The header and whether it ends within an element.

    Where there is more of it than is read: how many elements were begun, the last in vain.
    """
    bounded = BoundedFile(data_set.stream)
    begun = 0

    def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal begun
        begun += 1
        return int(tag) in _PIXELS

    try:
        return settled(data_set.read(at_pixels, stream=cast(BinaryIO, bounded))), bounded.short
    except (TooLarge, RecursionError):
        return begun


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) in _PIXELS


def _first_elements(data_set: EncodedDataSet, n_elements: int) -> Header:
    """The header's elements before the given one, sequences left out: who and what it is."""
    begun = 0

    def at_last(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal begun
        begun += 1
        return begun >= n_elements or int(tag) in _PIXELS

    raw = data_set.read(at_last)
    for tag in passed_over(raw):
        del raw[tag]
    whole = (tag for tag in list(raw.keys()) if getattr(raw.get_item(tag), "VR", "") != "SQ")
    return settled(Dataset({tag: raw.get_item(tag) for tag in whole}))


def _has_pixels(data_set: EncodedDataSet, header: Header, *, short: bool) -> bool:
    """Whether there is pixel data where the header ends; raises where it is not whole.

    Native pixel data under the label of an encapsulated syntax are known by their length: the
    header's transfer syntax is then made the true one.
    """
    stream, syntax = data_set.stream, header.file_meta.TransferSyntaxUID
    element = _next_element(stream, data_set.encoding)
    if element is None:  # the data set ends before any pixel data
        if short:
            raise NotProcessable(SkipReason.TRUNCATED)
        return False
    size = _end_of_data_set(data_set, element, header)
    encapsulated = is_encapsulated(syntax)
    if element.length == UNDEFINED:
        _refuse_cut_items(stream, element.start, size, marked=syntax != RLELossless)
        if syntax.is_transfer_syntax and not syntax.is_private and not encapsulated:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
    elif element.start + element.length > size:
        raise NotProcessable(SkipReason.TRUNCATED)
    elif encapsulated and element.length:
        if element.length != _native_length(header) or data_set.encoding.order == "big":
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return element.length > 0


def _end_of_data_set(data_set: EncodedDataSet, element: _Element, header: Dataset) -> int:
    """Where the data set ends that has this element of pixel data.

    A deflated one is inflated as far as its header states, and thrown away. More pixel data than
    are ever decoded are not inflated at all: they are taken to be there.
    """
    if data_set.inflated is None:
        return data_set.stream.seek(0, 2)
    if element.length == UNDEFINED:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT)  # PS3.5 A.5: it is native
    stated = _native_length(header, all_frames=True) or element.length
    if stated > PIXEL_BYTES:
        return element.start + element.length
    data_set.inflated.limit = element.start + stated + SLACK_BYTES
    try:
        return data_set.inflated.seek(0, 2)
    except TooLarge:
        raise NotProcessable(SkipReason.PIXELS_CORRUPT) from None


def _native_length(header: Dataset, *, all_frames: bool = False) -> int:
    """Bytes that one native frame takes, or all, padded to be even (PS3.5 section 8.1.1)."""
    cells = (number(header, "Rows") or 0) * (number(header, "Columns") or 0)
    if all_frames:
        cells *= (number(header, "NumberOfFrames") or 1) * (number(header, "SamplesPerPixel") or 1)
    n_bytes = math.ceil(cells * (number(header, "BitsAllocated") or 16) / 8)
    return max(n_bytes + n_bytes % 2, 0)


def _next_element(stream: BinaryIO, encoding: Encoding) -> _Element | None:
    """The element at the stream's position, None at its end; raises TRUNCATED within."""
    start = stream.tell()
    head = stream.read(12)
    if not head:
        return None
    order: Literal["little", "big"] = encoding.order
    group, number_in_group = (int.from_bytes(head[at : at + 2], order) for at in (0, 2))
    tag, vr = group << 16 | number_in_group, b"" if encoding.implicit else head[4:6]
    if vr not in _VRS:  # some writers leave the VR of single elements out
        vr = b""
    at, size = (4, 4) if not vr else (8, 4) if is_long(vr) else (6, 2)
    if len(head) < at + size:
        raise NotProcessable(SkipReason.TRUNCATED)
    return _Element(tag, vr, int.from_bytes(head[at : at + size], order), start + at + size)


def _pixel_value(data_set: EncodedDataSet, element: _Element, sizes: Dataset) -> bytes:
    """The value of an element of pixel data, its bytes in the order of little endian.

    In big endian the bytes of each 16-bit word are swapped where the VR is OW, whatever is in the
    words, and where a pixel takes 16 bits; OB is the same in both (PS3.5 sections 7.3 and 8.1.2).
    """
    stream = data_set.stream
    if element.length == UNDEFINED:
        if data_set.inflated is not None:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        ends = [end for _, end in _items(stream, element.start, stream.seek(0, 2))]
        return _read_value(stream, element.start, (ends or [element.start])[-1] - element.start)
    length = min(element.length, _native_length(sizes, all_frames=True) or element.length)
    if data_set.inflated is not None:
        data_set.inflated.limit = element.start + length
    value = _read_value(stream, element.start, length)
    bits_allocated = int(number(sizes, "BitsAllocated") or 16)
    if data_set.encoding.little or (element.vr != b"OW" and bits_allocated <= 8):
        return value
    even = len(value) // 2 * 2
    return np.frombuffer(value[:even], ">u2").astype("<u2").tobytes() + value[even:]


def _read_value(stream: BinaryIO, start: int, length: int) -> bytes:
    if length > PIXEL_BYTES:
        raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "the image is too large")
    stream.seek(start)
    return stream.read(length)


def _items(stream: BinaryIO, start: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the value of each item of encapsulated pixel data (PS3.5 A.4).

    Some writers leave the sequence delimiter out: the data set then ends with the last item, or
    with what may follow pixel data. Raises TRUNCATED or PIXELS_CORRUPT where an item is cut.
    """
    position, n_items = start, 0
    while position != size:
        n_items += 1
        if n_items > FRAGMENTS:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        stream.seek(position)
        item = stream.read(8)
        if item[:4] == _DELIMITER or item[:4] in _TRAILERS:
            return
        if len(item) < 8:
            raise NotProcessable(SkipReason.TRUNCATED)
        if item[:4] != _ITEM:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        end = position + 8 + int.from_bytes(item[4:], "little")
        if end > size:
            raise NotProcessable(SkipReason.TRUNCATED)
        yield position + 8, end
        position = end


def _refuse_cut_items(stream: BinaryIO, start: int, size: int, *, marked: bool) -> None:
    """Raise where encapsulated pixel data is not whole.

    A file without sequence delimiter may have been cut between two fragments. What a codec
    ends by a marker (EOI of ISO 10918-1, EOC of 15444-1, both FFD9) is then whole only with it.
    """
    tail, end = b"", start
    for first, end in _items(stream, start, size):
        stream.seek(max(first, end - 16))
        tail = (tail + stream.read(end - max(first, end - 16)))[-16:]
    stream.seek(end)
    if marked and end == size and not tail.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
        raise NotProcessable(SkipReason.TRUNCATED)


def _stated_syntax(meta: Dataset) -> str:
    """The transfer syntax that file meta information states, "" when it states none.

    Of several values, which it must not have (PS3.10 table 7.1-1), it is the first.
    """
    raw = meta.get_item(0x00020010)
    value = b"" if raw is None else raw.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.split("\\")[0].strip(" \0") if isinstance(value, str) else ""
