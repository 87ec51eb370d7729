"""Digests of what goes into an exam: equal content has an equal digest, wherever it is stored."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import DataElement, Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from cadnode.exam.attributes import items
from cadnode.exam.dicom_file import tolerant
from cadnode.exam.header import as_stored
from cadnode.exam.patient import UNREADABLE

CONTRIBUTION: Final = "Computer-aided detection"
_PREAMBLE_BYTES: Final = 128
_META_GROUP: Final = b"\x02\x00"
_LONG_VRS: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_STATED: Final = re.compile(r"input sha256:([0-9a-f]{64})")


def data_set_digest(path: Path) -> str:
    """Sha256, as 64 hex digits, of a DICOM file's data set: header and pixel data as stored.

    Preamble and File Meta Information (PS3.10 section 7.1) do not count: they name the writer of
    the file, and another writer of the same object differs in them. A single other byte of the
    header or of the pixels is another digest. Memory does not depend on the file's size.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(_data_set_offset(file))
        return hashlib.file_digest(file, "sha256").hexdigest()


def header_digest(header: Dataset, only: Collection[int] | None = None) -> str:
    """Sha256, as 64 hex digits, of a header's values, text as it was stored.

    `only` are the tags that count; without it, all do.
    """
    with tolerant():
        elements = _elements(header, only)
    return hashlib.sha256(json.dumps(elements).encode("ascii")).hexdigest()


def input_digest(digests: Iterable[str]) -> str:
    """One sha256 for many: of the digests, sorted and joined by line feeds."""
    return hashlib.sha256("\n".join(sorted(digests)).encode("ascii")).hexdigest()


def contribution(digest: str) -> str:
    """Contribution Description (0018,A003) of an object made from an input of that digest, if any.

    PS3.3 C.12.1: "description of the contribution the equipment made to the composite instance".
    """
    return f"{CONTRIBUTION}; input sha256:{digest}" if digest else CONTRIBUTION


def stated_input(ds: Dataset) -> str:
    """Digest of the input that an object of ours states; "" when it states none.

    It stands in Contributing Equipment Sequence (0018,A001), PS3.3 C.12.1.
    """
    for item in items(ds, "ContributingEquipmentSequence"):
        found = _STATED.search(str(item.get("ContributionDescription") or ""))
        if found is not None and str(item.get("Manufacturer") or "").strip() == "cadnode":
            return found[1]
    return ""


def _data_set_offset(file: BinaryIO) -> int:
    """Where the file meta elements end, which are in Explicit VR Little Endian (PS3.10 7.1).

    Their stated group length is not relied on: some writers get it wrong.
    """
    file.seek(0)
    head = file.read(_PREAMBLE_BYTES + 4)
    position = len(head) if head[_PREAMBLE_BYTES:] == b"DICM" else 0
    while True:
        file.seek(position)
        element = file.read(12)
        if element[:2] != _META_GROUP or len(element) < 8:
            return position
        if element[4:6] in _LONG_VRS:
            position += 12 + int.from_bytes(element[8:12], "little")
        else:
            position += 8 + int.from_bytes(element[6:8], "little")


def _elements(ds: Dataset, only: Collection[int] | None = None) -> list[object]:
    """[tag, value] of each element, as JSON knows them, in order of their tags."""
    tags = sorted(Tag(tag) for tag in ds.keys())  # noqa: SIM118  iteration would decode values
    return [[int(tag), _value(ds, tag)] for tag in tags if only is None or tag in only]


def _value(ds: Dataset, tag: BaseTag) -> object:
    try:
        element = as_stored(ds, tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            return [_elements(item) for item in element.value or ()]
    except UNREADABLE:
        return None  # a value that cannot be read is not copied either
    return _plain(element.value)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return [str(part) for part in value]
