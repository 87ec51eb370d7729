"""Text of a source in the character set of a report: copied as it is, or decoded for UTF-8.

PS3.3 C.12.1.1.2 Specific Character Set, PS3.5 chapter 6. Sources often lie about theirs.
"""

import unicodedata
import warnings
from collections.abc import Iterable
from typing import Any, Final, Literal

from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings, default_encoding, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, PersonName
from pydicom.values import convert_value

from cadnode.exam.header import as_stored

UTF8: Final = "ISO_IR 192"
_CHARACTER_SET: Final = Tag("SpecificCharacterSet")
_CHARACTERS: Final = frozenset(map(str, CUSTOMIZABLE_CHARSET_VR))
# Sets in which text of any kind is written without code extensions. The others (Japanese, Korean
# and Chinese by ISO 2022) would need escape sequences; their names are no names of codecs.
_PLAIN: Final = frozenset(
    {"GB18030", "GBK", UTF8}
    | {f"ISO_IR {n}" for n in (100, 101, 109, 110, 126, 127, 138, 144, 148, 166)}
)


def carries(source: Dataset, texts: Iterable[str]) -> bool:
    """Whether the source's character set can hold these texts; all of them hold ASCII."""
    texts = tuple(texts)
    if all(text.isascii() for text in texts):
        return True
    declared = source.get("SpecificCharacterSet") or ""
    if not isinstance(declared, str) or declared not in _PLAIN:
        return False
    try:
        for text in texts:
            text.encode(python_encoding[declared])
    except (UnicodeError, LookupError):
        return False
    return True


def is_truthful(source: Dataset, tags: Iterable[BaseTag]) -> bool:
    """Whether the text of these attributes means something in the set that the source declares."""
    for tag in tags:
        element = as_stored(source, tag) if tag in source else None
        if isinstance(element, RawDataElement) and not element.value.isascii():  # type: ignore[union-attr]
            try:
                _decoded(element, _codecs(source.get("SpecificCharacterSet")))
            except (UnicodeError, LookupError, Warning):
                return False
    return True


def unchanged(source: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """The element with the very bytes of the source, those in its sequence items as well."""
    element = as_stored(source, tag)
    if element.VR != "SQ":
        return element
    items = [
        written_as_stored(Dataset({inner: unchanged(item, inner) for inner in tuple(item.keys())}))
        for item in source[tag].value or ()
    ]
    return DataElement(tag, "SQ", Sequence(items))


def written_as_stored(ds: Dataset) -> Dataset:
    """`ds`, whose `unchanged` elements pydicom will write without decoding them first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        declared = ds.get("SpecificCharacterSet")
        encodings = convert_encodings(declared) if declared else default_encoding
    ds.set_original_encoding(False, True, encodings)  # explicit, little endian: as we write
    return ds


def is_for_text(declared: Any) -> bool:
    """Whether text can be written in a declared set.

    pydicom takes names of Python's codecs, too, and some of these (`hex`) are for bytes alone.
    """
    if not declared:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for encoding in convert_encodings(declared):
                "".encode(encoding)
        except LookupError:
            return False
    return True


def as_unicode(source: Dataset, tag: BaseTag, declared: object = None) -> DataElement:
    """The element with its text decoded, to be encoded again.

    Text that the declared set (an item's own, or that of the data set around it) cannot mean is
    taken for UTF-8 when it is that, else for Latin 1. No character set is left in items.
    """
    declared = source.get("SpecificCharacterSet") or declared
    element = as_stored(source, tag)
    if element.VR == "SQ":
        items = [_item(item, declared) for item in source[tag].value or ()]
        return DataElement(tag, "SQ", Sequence(items))
    if isinstance(element, RawDataElement):
        if element.VR in _CHARACTERS and not (element.value or b"").isascii():
            return _guessed(element, declared)
        element = source[tag]
    if element.VR != "PN":
        return DataElement(element.tag, element.VR, element.value)
    names = [element.value] if element.VM <= 1 else list(element.value)
    return DataElement(tag, "PN", "\\".join(str(name) for name in names if name is not None))


def in_ascii(value: object) -> list[str]:
    """Each value as at most 64 characters of ASCII (LO): accents off, what is left of none out.

    For text that goes with another source's character set, which may not hold it.
    """
    plain = (unicodedata.normalize("NFKD", str(v or "")) for v in _each(value))
    printable = ("".join(c for c in text if " " <= c <= "~" and c != "\\") for text in plain)
    return [text for p in printable if (text := p.strip()[:64].strip())]


def _item(item: Dataset, declared: object) -> Dataset:
    tags = [tag for tag in tuple(item.keys()) if tag != _CHARACTER_SET]
    return Dataset({tag: as_unicode(item, tag, declared) for tag in tags})


def _guessed(raw: RawDataElement, declared: object) -> DataElement:
    """The element decoded by the first set that all of its bytes have a meaning in.

    Sets declared for code extensions count alone, too: some writers leave the escapes out.
    """
    codecs = _codecs(declared)
    for encodings in (codecs, *([codec] for codec in codecs[1:]), ["utf8"]):
        try:
            return _decoded(raw, encodings)
        except (UnicodeError, LookupError, Warning):
            continue
    return _decoded(raw, ["latin_1"], "ignore")


def _decoded(
    raw: RawDataElement, encodings: list[str], doubts: Literal["error", "ignore"] = "error"
) -> DataElement:
    with warnings.catch_warnings():
        warnings.simplefilter(doubts)  # pydicom warns of what it cannot decode, and goes on
        value = convert_value(str(raw.VR), raw, encodings)
    if isinstance(value, PersonName):
        value = str(value)
    elif raw.VR == "PN":
        value = "\\".join(map(str, value))
    return DataElement(raw.tag, str(raw.VR), value)


def _codecs(declared: object) -> list[str]:
    """Python's names for a declared character set; ASCII for the default and for unknown ones."""
    values = _each(declared) or [""]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, *others = convert_encodings([str(value or "") for value in values])
    return ["ascii" if first == default_encoding else first, *others]


def _each(value: object) -> list[object]:
    """The values of an attribute, of which there may be one, several or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
