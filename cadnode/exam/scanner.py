"""Which machine acquired an exam, as its header states it: nothing of a patient is in it."""

from dataclasses import dataclass
from typing import Final

from pydicom import Dataset

from cadnode.exam.attributes import text, texts
from cadnode.exam.mammogram import vendor_of

_LONGEST: Final = 64  # characters; the Standard's own limit of LO (PS3.5 6.2)
_MOST_PARTS: Final = 16  # values of Software Versions


@dataclass(frozen=True, slots=True)
class Scanner:
    """A mammography system (General Equipment Module, PS3.3 C.7.5.1); "" for what is unstated.

    `vendor` is one of a closed set of names (`vendor_of`); all else is text as the header has it,
    in capitals and of 64 characters a value at most. `software` has all its values, whole: a
    release may change the last of them alone.
    """

    vendor: str = ""
    manufacturer: str = ""
    model: str = ""
    station: str = ""
    serial: str = ""
    software: str = ""


def scanner_of(header: Dataset | None) -> Scanner:
    """The machine that a header names; of no header, or one that states nothing, an empty one."""
    if header is None:
        return Scanner()
    software = texts(header, "SoftwareVersions")[:_MOST_PARTS]
    return Scanner(
        vendor=vendor_of(header),
        manufacturer=_short(text(header, "Manufacturer")),
        model=_short(text(header, "ManufacturerModelName")),
        station=_short(text(header, "StationName")),
        serial=_short(text(header, "DeviceSerialNumber")),
        software="; ".join(filter(None, map(_short, software))),
    )


def _short(stated: str) -> str:
    return "".join(c for c in stated if c.isprintable())[:_LONGEST]
