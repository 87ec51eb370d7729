"""What an HL7 v2.5.1 message is made of: values of its data types, and the rows of a result.

hl7apy knows the structure of the message, and escapes what is a delimiter in a text (HL7 v2.5.1
chapter 2.7).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hl7apy.v2_5_1 import ST
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from cadnode.exam.dicom_file import tolerant
from cadnode.exam.patient import UNREADABLE, patient_of

VERSION: Final = "2.5.1"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_GROUPS: Final = ("A", "I", "P")  # alphabetic, ideographic, phonetic: table 4000
PRELIMINARY: Final = "P"
NO_RESULT: Final = "X"  # "results cannot be obtained for this observation", table 0085


def text(value: str) -> str:
    """A text in one line; what is a delimiter in it is escaped."""
    return str(ST(" ".join(_UNPRINTABLE.sub(" ", value).split())).to_er7())


def composite(*parts: str) -> str:
    """A value of several components, each a text; those at the end that are empty are left out."""
    return "^".join(map(text, parts)).rstrip("^")


def coded(code: Code, also: Code | None = None, words: str = "") -> str:
    """A coded element (CE), with a second code that means the same, or other words for it."""
    second = (also.value, also.meaning, also.scheme_designator) if also else ()
    return composite(code.value, words or code.meaning, code.scheme_designator, *second)


def moment(when: datetime) -> str:
    """A time stamp (TS), with its zone where that is known."""
    return when.strftime("%Y%m%d%H%M%S") + (when.strftime("%z") if when.tzinfo else "")


@dataclass(slots=True)
class Rows:
    """The observations (OBX) of one order, numbered as they come."""

    order: Any
    count: int = 0

    def coded(self, name: Code, value: Code, part: str, status: str = PRELIMINARY) -> None:
        """A row with a code as its value."""
        self._add("CE", coded(name), coded(value), part, status)

    def number(self, name: Code, value: float, unit: Code, part: str, words: str = "") -> None:
        """A row with a number."""
        written = f"{value:.4f}".rstrip("0").rstrip(".")
        row = self._add("NM", coded(name, words=words), written, part)
        row.obx_6 = coded(unit)

    def text(self, name: Code, value: str, part: str) -> None:
        """A row with a text."""
        self._add("TX", coded(name), text(value), part)

    def identifier(self, name: Code, value: str, part: str) -> None:
        """A row with a UID or another identifier."""
        self._add("ST", coded(name), text(value), part)

    def absent(self, name: Code, part: str) -> None:
        """A row without a value: there is none."""
        self._add("NM", coded(name), "", part, NO_RESULT)

    def _add(self, kind: str, name: str, value: str, part: str, status: str = PRELIMINARY) -> Any:
        self.count += 1
        row = self.order.add_group("oru_r01_observation").obx
        row.obx_1, row.obx_2, row.obx_3, row.obx_4 = str(self.count), kind, name, text(part)
        row.obx_5, row.obx_11 = value, status
        return row


def identification(pid: Any, header: Dataset) -> None:
    """PID: who the patient is, as the DICOM header states it; nothing else of her."""
    patient = patient_of(header)
    pid.pid_1 = "1"
    number = f"{text(patient.patient_id)}^^^{_authority(header, patient.issuer)}^PI"
    pid.pid_3 = number
    for index, (kind, group) in enumerate(_name_groups(header)):
        family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
        name = composite(family, given, middle, suffix, prefix, "", "L", kind)
        (pid.add_field("pid_5") if index else pid.pid_5).value = name
    if not _name_groups(header):
        pid.pid_5 = "^^^^^^U"  # needed, and not known (table 0200)
    if patient.birth_date is not None:
        pid.pid_7 = patient.birth_date.strftime("%Y%m%d")
    pid.pid_8 = patient.sex or "U"


def _authority(header: Dataset, issuer: str) -> str:
    """Who gave the number out (HD): its name, and its universal identifier where it is stated."""
    parts = [issuer]
    for item in _items(header, "IssuerOfPatientIDQualifiersSequence")[:1]:
        parts += [_stated(item, "UniversalEntityID"), _stated(item, "UniversalEntityIDType")]
    return "&".join(map(text, parts)).rstrip("&")


def _name_groups(header: Dataset) -> list[tuple[str, str]]:
    """The groups of the name that have letters (PS3.5 6.2.1.2), each with its representation."""
    with tolerant():
        try:
            name = PersonName(str(header.get("PatientName") or ""))
            groups = (name.alphabetic, name.ideographic, name.phonetic)
        except UNREADABLE:
            return []
    return [(kind, group) for kind, group in zip(_GROUPS, groups, strict=True) if group.strip("^ ")]


def placer_number(header: Dataset) -> str:
    """The number of the order at who placed it, where the header states it (0040,2016)."""
    return _stated(header, "PlacerOrderNumberImagingServiceRequest")


def procedure(header: Dataset) -> Code | None:
    """What was done, by the first code of Procedure Code Sequence; None without one."""
    for item in _items(header, "ProcedureCodeSequence")[:1]:
        value, scheme = _stated(item, "CodeValue"), _stated(item, "CodingSchemeDesignator")
        if value and scheme:
            return Code(value, scheme, _stated(item, "CodeMeaning") or value)
    return None


def observed_at(header: Dataset) -> str:
    """When the study was made (TS), as far as it is known."""
    day = patient_of(header).study_date
    clock = re.match(r"\d{6}|\d{4}", _stated(header, "StudyTime").replace(":", ""))
    return (day.strftime("%Y%m%d") + (clock.group() if clock else "")) if day else ""


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    with tolerant():
        try:
            return list(header.get(keyword) or ())
        except UNREADABLE:
            return []


def _stated(header: Dataset, keyword: str) -> str:
    with tolerant():
        try:
            value = header.get(keyword)
        except UNREADABLE:
            return ""
    return "" if value is None or isinstance(value, bytes) else " ".join(str(value).split())
