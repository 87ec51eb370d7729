"""Which vendors' scanners a model's card names: what it was trained or measured on."""

import re
from typing import Final

_NAMES: Final = {
    "hologic": r"hologic|lorad|selenia",
    "ge": r"GE|General Electric|GENERAL ELECTRIC|[Ss]enograph\w*",
    "siemens": r"siemens|mammomat",
    "fujifilm": r"fuji\w*|amulet",
    "philips": r"philips|sectra|microdose",
    "ims": r"i\.?m\.?s\.? giotto|giotto",
    "planmed": r"planmed",
    "carestream": r"carestream|kodak",
    "konica": r"konica",
    "agfa": r"agfa",
    "metaltronica": r"metaltronica",
    "canon": r"canon",
}


def vendors_named(card: str) -> frozenset[str]:
    """The vendors, as `exam.mammogram.vendor_of` calls them, that a card's text names.

    The text is the card's without `scanners`: a local calibration is for a scanner, and makes it
    none that the model has seen.
    """
    found = (v for v, words in _NAMES.items() if re.search(rf"\b(?:{words})\b", card, _flags(v)))
    return frozenset(found)


def _flags(vendor: str) -> re.RegexFlag:
    return re.RegexFlag(0) if vendor == "ge" else re.IGNORECASE
