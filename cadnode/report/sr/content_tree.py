"""A tree of content items as the bytes of a document: explicit VR, little endian (PS3.5 7.1.2).

Everything else of a document is pydicom's. The tree is most of it (7,500 attributes for eleven
findings), made of a few kinds of attributes only, and half of it are coded concepts that repeat.
"""

import struct
from functools import lru_cache
from typing import Final

from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding, encode_string
from pydicom.dataelem import RawDataElement
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from cadnode.errors import ReportError
from cadnode.report.character_set import written_as_stored
from cadnode.report.sr.items import Attributes, Item, Value

_LONG: Final = frozenset({"SQ", "UT"})  # of those here: their length has 32 bits
_TEXT: Final = frozenset({"UT", "LO", "SH"})  # in the document's character set
_LONGEST_VALUE, _LONGEST_MEANING = 16, 64  # SH, LO: PS3.5 table 6.2-1
_RELATIONSHIP, _VALUE_TYPE, _NAME, _CONTENT = 0x0040A010, 0x0040A040, 0x0040A043, 0x0040A730


def add_content(ds: Dataset, root: Item) -> None:
    """Give the document its root content item, with all that is below it.

    The document's Specific Character Set is there already. pydicom writes the encoded attributes
    as they are, and reads them where somebody asks for one.

    Raises
    ------
    ReportError
        A code is longer than an attribute of its kind may be.
    """
    declared = ds.get("SpecificCharacterSet")
    encodings = tuple(convert_encodings(declared) if declared else [default_encoding])
    for tag, vr, value in _attributes(root):
        encoded = _value(vr, value, encodings)
        ds[tag] = RawDataElement(Tag(tag), vr, len(encoded), encoded, 0, False, True)
    if ds.original_encoding == (None, None):
        written_as_stored(ds)


def _attributes(item: Item) -> Attributes:
    """All attributes of a content item in the order of their tags; `children` by themselves."""
    found = list(item.attributes)
    if item.relationship:
        found.append((_RELATIONSHIP, "CS", item.relationship))
    if item.value_type:
        found.append((_VALUE_TYPE, "CS", item.value_type))
    if item.name is not None:
        found.append((_NAME, "SQ", item.name))
    if item.children:
        found.append((_CONTENT, "SQ", tuple(map(_attributes, item.children))))
    return tuple(sorted(found, key=_tag))


def _tag(attribute: tuple[int, str, Value]) -> int:
    return attribute[0]


def _value(vr: str, value: Value, encodings: tuple[str, ...]) -> bytes:
    """The value, of even length."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Code):
        return _code(value.value, value.scheme_designator, value.meaning, encodings)
    if not isinstance(value, str):
        return b"".join(_item(_encoded(item, encodings)) for item in value)
    if value.isascii() or vr not in _TEXT:
        encoded = value.encode(default_encoding)
    else:
        encoded = encode_string(value, list(encodings))
    return encoded if not len(encoded) % 2 else encoded + (b"\0" if vr == "UI" else b" ")


def _encoded(attributes: Attributes, encodings: tuple[str, ...]) -> bytes:
    return b"".join(
        _head(tag, vr, len(value)) + value
        for tag, vr, value in ((t, vr, _value(vr, v, encodings)) for t, vr, v in attributes)
    )


def _head(tag: int, vr: str, length: int) -> bytes:
    """Tag, VR and length (PS3.5 tables 7.1-1 and 7.1-2)."""
    if vr in _LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def _item(encoded: bytes) -> bytes:
    """An item of a sequence, of explicit length (PS3.5 table 7.5-1)."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(encoded)) + encoded


@lru_cache(maxsize=1024)
def _code(value: str, scheme: str, meaning: str, encodings: tuple[str, ...]) -> bytes:
    """The one item of a code sequence attribute, PS3.3 section 8.8."""
    if len(value) > _LONGEST_VALUE or len(meaning) > _LONGEST_MEANING:
        raise ReportError("a coded concept is longer than its attributes may be")
    attributes: Attributes = (
        (0x00080100, "SH", value),
        (0x00080102, "SH", scheme),
        (0x00080104, "LO", meaning),
    )
    return _item(_encoded(attributes, encodings))
