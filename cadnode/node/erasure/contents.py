"""What a file says once it is unpacked: zip and gzip, text in PNG, streams and text of PDF, DICOM.

For a search through files: everything is given as bytes, and nothing is kept of it. What is packed
larger than `MOST` is said not to have been read.
"""

import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile

import pydicom
from pydicom import Dataset

from cadnode.exam.dicom_file import tolerant
from cadnode.exam.encoding import read_file_meta

MOST: Final = 1 << 28
_OF_TEXT: Final = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UN", "UT"})
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_STREAM: Final = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_TO_UNICODE: Final = re.compile(rb"<([0-9A-Fa-f]+)>\s+<([0-9A-Fa-f]+)>")
_RANGE: Final = re.compile(rb"<([0-9A-Fa-f]+)>\s+<([0-9A-Fa-f]+)>\s+<([0-9A-Fa-f]+)>")
_SHOWN: Final = re.compile(
    rb"\[((?:\s*(?:<[0-9A-Fa-f\s]*>|-?[\d.]+))+)\s*\]\s*TJ|<([0-9A-Fa-f]+)>\s*Tj"
)
_HEX: Final = re.compile(rb"<([0-9A-Fa-f\s]*)>")


class NotRead(Exception):
    """A part of a file cannot be read, or is larger than `MOST`."""


def unpacked(data: bytes) -> Iterator[bytes]:
    """What is packed in a file's bytes; nothing of a file that is as it looks.

    Raises
    ------
    NotRead
        It is damaged, or too large.
    """
    if data.startswith(b"PK\x03\x04"):
        yield from _members(data)
    elif data.startswith(b"\x1f\x8b"):
        yield _inflated(data, zlib.MAX_WBITS | 16)
    elif data.startswith(_PNG):
        yield from _png_texts(data)
    elif data[128:132] == b"DICM":
        yield from _dicom(data)
    if b"%PDF-" in data[: 1 << 20]:
        yield from _pdf(data[data.index(b"%PDF-") :])


def dicom_values(data: bytes) -> Iterator[tuple[str, str]]:
    """(keyword, value) of each value of text in a DICOM file, those in its sequences, too.

    None of another file, and no number or code.
    """
    if data[128:132] != b"DICM":
        return
    with tolerant():
        try:
            ds = pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=True)
        except Exception:  # damaged: its bytes are searched as they are
            return
        yield from _values(ds.file_meta)
        yield from _values(ds)


def _values(ds: Dataset) -> Iterator[tuple[str, str]]:
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
        except Exception:  # pydicom raises nearly anything on a damaged value
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _values(item)
        elif element.VR in _OF_TEXT and element.value is not None:
            many = element.value if element.VM > 1 else [element.value]
            yield from ((element.keyword, str(one).strip(" \0")) for one in many)


def _members(data: bytes) -> Iterator[bytes]:
    try:
        with ZipFile(BytesIO(data)) as found:
            for member in found.infolist():
                yield member.filename.encode()
                if member.file_size > MOST:
                    raise NotRead
                yield found.read(member)
    except (BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, zlib.error):
        raise NotRead from None


def _inflated(data: bytes, window: int = zlib.MAX_WBITS) -> bytes:
    reader = zlib.decompressobj(window)
    try:
        found = reader.decompress(data, MOST)
    except zlib.error:
        raise NotRead from None
    if reader.unconsumed_tail:
        raise NotRead
    return found


def _png_texts(data: bytes) -> Iterator[bytes]:
    """Values of tEXt, zTXt and iTXt (ISO/IEC 15948, 11.3.4)."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        value = data[at + 8 : at + 8 + length]
        if kind == b"tEXt":
            yield value.partition(b"\0")[2]
        elif kind == b"zTXt":
            yield _inflated(value.partition(b"\0")[2][1:])
        elif kind == b"iTXt":
            rest = value.partition(b"\0")[2]
            text = rest[2:].split(b"\0", 2)[-1]
            yield _inflated(text) if rest[:1] == b"\1" else text
        at += 12 + length


def _dicom(data: bytes) -> Iterator[bytes]:
    """A deflated data set (PS3.5 A.5), and the document that an object holds (PS3.3 C.24)."""
    with tolerant():
        try:
            meta = read_file_meta(BytesIO(data))
            syntax = str(meta.get("TransferSyntaxUID") or "")
            length = int(meta.get("FileMetaInformationGroupLength") or 0)
        except Exception:  # damaged: its bytes are searched as they are
            return
    if syntax in ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1"):
        yield _inflated(data[144 + length :], -zlib.MAX_WBITS)


def _pdf(data: bytes) -> Iterator[bytes]:
    """Inflated streams, and the text that is shown, by each font's ToUnicode (ISO 32000-1 9.10)."""
    streams = []
    for found in _STREAM.finditer(data):
        try:
            streams.append(_inflated(found[1]))
        except NotRead:
            streams.append(found[1])
    yield from streams
    shown = [_shown(one) for one in streams if b"TJ" in one or b"Tj" in one]
    for letters in (_letters(one) for one in streams if b"beginbf" in one):
        for codes in shown:
            yield "".join(letters.get(code, "") for code in codes).encode("utf-8", "replace")


def _shown(stream: bytes) -> list[int]:
    """The two-byte codes that a page shows, one after the other; 0 between two runs of text."""
    codes: list[int] = []
    for run in _SHOWN.finditer(stream):
        text = b"".join(_HEX.findall(run[1])) if run[1] is not None else run[2]
        digits = b"".join(text.split())
        codes += [int(digits[n : n + 4], 16) for n in range(0, len(digits) - 3, 4)]
        codes.append(0)
    return codes


def _letters(stream: bytes) -> dict[int, str]:
    """What the codes of a font mean; 0 is a space here."""
    letters: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", stream, re.DOTALL):
        for code, text in _TO_UNICODE.findall(block):
            letters[int(code, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be", "replace")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", stream, re.DOTALL):
        for first, last, text in _RANGE.findall(block):
            start = int(text, 16)
            for n in range(min(int(last, 16) - int(first, 16), 0xFFFF) + 1):
                letters[int(first, 16) + n] = chr(min(start + n, 0x10FFFF))
    return letters | {0: " "}
