"""A header with every value decoded that still has the bytes of its text, as they were stored."""

from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import STR_VR

_TEXT: Final = frozenset(map(str, STR_VR))


class Header(Dataset):
    """A data set whose values are decoded and whose items are `Header`, too.

    Decoding loses what a wrong Specific Character Set makes unreadable; `as_stored` has it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored: dict[BaseTag, tuple[RawDataElement, object]] = {}

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

    Values that cannot be converted are left out.
    """
    header = Header()
    for tag in list(raw.keys()):
        try:
            stored = raw.get_item(tag)
            element = raw[tag]
            if element.VR == "SQ":
                element.value = [settled(item) for item in element.value or ()]
            elif element.VR == "PN":
                str(element.value)
            header[tag] = element
            if isinstance(stored, RawDataElement):
                header.remember(stored._replace(VR=str(element.VR)))
        except Exception:  # a value that cannot be decoded is as good as absent
            continue
    return header


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
