"""A header with every value decoded that still has the bytes of its text, as they were stored."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import STR_VR

from cadnode.exam.bounded import TooLarge
from cadnode.exam.encoding import passed_over
from cadnode.limits import DEPTH, ELEMENTS

_TEXT: Final = frozenset(map(str, STR_VR))
_NUMBERS: Final = ("DS", "IS")
_WORDS: Final = ("US", "SS", "US or SS")
_PADDING: Final = b" \0\t\r\n"
_DECIMAL: Final = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # PS3.5 6.2, DS
_LONGEST_NUMBER: Final = 64  # of 16 that PS3.5 allows; matching takes the square of the length
_WITH_COMMA: Final = re.compile(rb"([+-]?)(\d*),(\d*)([eE][+-]?\d+)?")


class Header(Dataset):
    """A data set whose values are decoded and whose items are `Header`, too.

    Decoding loses what a wrong Specific Character Set makes unreadable; `as_stored` has it.
    `undecoded` names the attributes whose values mean nothing, `repaired` those whose values were
    read in another way than they are written: decimal commas, integers under the VR of bytes. An
    item has its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored: dict[BaseTag, tuple[RawDataElement, object]] = {}
        self.undecoded: tuple[str, ...] = ()
        self.repaired: tuple[str, ...] = ()

    def remember(self, raw: RawDataElement) -> None:
        """Keep the bytes of an element of text that is in the data set."""
        if str(raw.VR) in _TEXT and raw.value:
            self._stored[raw.tag] = (raw, self[raw.tag].value)

    def stored(self, tag: BaseTag) -> RawDataElement | None:
        """The element as the file has it; None when it was changed since, or never was text."""
        raw, value = self._stored.get(tag, (None, None))
        return raw if tag in self and self[tag].value is value else None


def settled(raw: Dataset) -> Header:
    """`raw` with every value converted now, so that no later access can warn or raise.

    Values that cannot be converted are left out; text that should be a number and is none stays
    as text. Both are named in `undecoded`. Decimal commas, which PS3.5 forbids and some writers
    use, become points where nothing else can be meant (`_decimal`). Sequences deeper than
    `DEPTH` in others count as values that cannot be converted.

    Raises
    ------
    TooLarge
        There are more than `ELEMENTS` elements, those of items included.
    """
    return _Settling().settled(raw)


class _Settling:
    """The way through one header and its items, which count together."""

    def __init__(self) -> None:
        self._elements_left = ELEMENTS
        self._depth = 0

    def settled(self, raw: Dataset, *, commas: bool = False) -> Header:
        """As above; `commas`: the data set around this item is known to have decimal commas."""
        self._elements_left -= len(raw) + 1
        if self._elements_left < 0:
            raise TooLarge
        header, odd = Header(), _Odd()
        for tag in passed_over(raw):
            odd.undecoded[_name(tag)] = None
            del raw[tag]
        commas = commas or _has_decimal_commas(raw)
        for tag in list(raw.keys()):
            try:
                self._settle(raw, tag, header, odd, commas=commas)
            except TooLarge:
                raise
            except Exception:  # a value that cannot be decoded is as good as absent
                odd.undecoded.pop(_name(tag), None)
                odd.undecoded[_name(tag)] = None
        header.undecoded, header.repaired = tuple(odd.undecoded), tuple(odd.repaired)
        return header

    def _settle(
        self, raw: Dataset, tag: BaseTag, header: Header, odd: "_Odd", *, commas: bool
    ) -> None:
        stored = raw.get_item(tag)
        if isinstance(stored, RawDataElement) and stored.value:
            if _is_number(stored):
                stored = _settle_number(raw, stored, odd, commas=commas)
            elif _is_mislabelled_word(stored):
                raw[tag] = stored._replace(VR="US")
                odd.repaired[_name(tag)] = None
        element = raw[tag]
        if element.VR == "SQ":
            element.value = self._items(element.value or (), commas=commas)
        elif element.VR == "PN":
            str(element.value)
        if _name(tag) in odd.undecoded and not _is_text(element.value):
            return
        header[tag] = element
        if isinstance(stored, RawDataElement):
            header.remember(stored._replace(VR=str(element.VR)))

    def _items(self, items: Iterable[Dataset], *, commas: bool) -> list[Header]:
        self._depth += 1
        try:
            if self._depth > DEPTH:
                raise ValueError
            return [self.settled(item, commas=commas) for item in items]
        finally:
            self._depth -= 1


@dataclass(slots=True)
class _Odd:
    """Names of attributes, in the order in which they were met."""

    undecoded: dict[str, None] = field(default_factory=dict)
    repaired: dict[str, None] = field(default_factory=dict)


def _name(tag: BaseTag) -> str:
    """The keyword of a standard attribute, the tag of any other."""
    return keyword_for_tag(tag) or str(tag)


def _is_number(raw: RawDataElement) -> bool:
    """Whether the element should hold numbers in text, whatever VR of text it is stored under."""
    vr = str(raw.VR or "UN")
    if vr in _NUMBERS:
        return True
    known = dictionary_VR(raw.tag) if dictionary_has_tag(raw.tag) else ""
    return known in _NUMBERS and (vr == "UN" or vr in _TEXT)


def _is_mislabelled_word(raw: RawDataElement) -> bool:
    """Whether 16-bit numbers are stored under a VR of bytes or words, from which none are read."""
    known = dictionary_VR(raw.tag) if dictionary_has_tag(raw.tag) else ""
    return known in _WORDS and str(raw.VR) in ("OB", "OW")


def _is_text(value: object) -> bool:
    """Whether nothing in the value of an element is a number."""
    many = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
    return not any(isinstance(item, int | float) for item in many)  # type: ignore[attr-defined]


def _settle_number(
    raw: Dataset, stored: RawDataElement, odd: _Odd, *, commas: bool
) -> RawDataElement | None:
    """Put a number in place of one with decimal commas; None when its bytes are not to be kept."""
    parts = [part.strip(_PADDING) for part in (stored.value or b"").split(b"\\")]
    commas = commas or any(_is_decimal_comma(part) for part in parts)
    numbers = [_decimal(part, commas=commas) for part in parts]
    if None in numbers:
        odd.undecoded[_name(stored.tag)] = None
    elif numbers != parts:
        value = b"\\".join(number or b"" for number in numbers)
        known = dictionary_VR(stored.tag) if dictionary_has_tag(stored.tag) else str(stored.VR)
        raw[stored.tag] = stored._replace(VR=known, value=value, length=len(value))
        odd.repaired[_name(stored.tag)] = None
        return None
    return stored


def _decimal(text: bytes, *, commas: bool) -> bytes | None:
    """A number as PS3.5 section 6.2 writes it; None when `text` is none, or may be two.

    One comma in place of the point is the decimal separator. "1,234" may as well be a thousand
    and some: it is a decimal only among `commas`, in other values that can be nothing else. Dots
    and commas together, several commas, units and other trailing characters mean nothing.
    """
    if not text:
        return text
    if len(text) > _LONGEST_NUMBER:
        return None
    found = _WITH_COMMA.fullmatch(text)
    if found and (commas or _is_decimal_comma(text)):
        text = text.replace(b",", b".")
    if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return text


def _is_decimal_comma(text: bytes) -> bool:
    """Whether the comma in a number can only be a decimal separator.

    It separates thousands only after one to three digits of which the first is no zero, and
    before exactly three.
    """
    found = _WITH_COMMA.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if not found:
        return False
    _, whole, fraction, exponent = found.groups()
    grouped = 1 <= len(whole) <= 3 and not whole.startswith(b"0") and len(fraction) == 3
    return bool(whole or fraction) and (exponent is not None or not grouped)


def _has_decimal_commas(raw: Dataset) -> bool:
    """Whether the writer's numbers have decimal commas for sure, and none has a point."""
    elements = (raw.get_item(tag) for tag in raw.keys())  # noqa: SIM118 - the values are not raw
    parts = [
        part.strip(_PADDING)
        for element in elements
        if isinstance(element, RawDataElement) and element.value and _is_number(element)
        for part in element.value.split(b"\\")
    ]
    return any(map(_is_decimal_comma, parts)) and not any(b"." in part for part in parts)


def as_stored(ds: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """The element, with the bytes of its text as the file holds them where they are known.

    Text of an odd length, which is forbidden and common, gets its padding (PS3.5 section 6.2).
    """
    raw: object = ds.get_item(tag)
    if not isinstance(raw, RawDataElement):
        raw = ds.stored(tag) if isinstance(ds, Header) else None
    if not isinstance(raw, RawDataElement):
        return ds[tag]
    vr = str(raw.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"))
    if vr not in _TEXT or not raw.value:
        return ds[tag]
    return raw._replace(VR=vr, value=raw.value + b" " * (len(raw.value) % 2))
