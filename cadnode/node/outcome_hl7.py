"""Outcomes in HL7 v2 (ORU^R01): observations of breasts become rows as a table of outcomes has.

An OBX segment is taken where the code of its value is one that the site names as an outcome and
its status (OBX-11) is final or corrected. Its side is the observation's site (OBX-20), else the
specimen's (SPM-8 and SPM-9 of its order, OBR-15 before version 2.5). Its exam is the DICOM study
that another OBX of the order names (113014, DCM: IHE RAD TF-2, RAD-28), or that of IPC-3, else the
accession number of IPC-1 or OBR-18 (IHE RAD TF-2, RAD-4). Its patient is PID-3, by the identifier
of the type MR or the only one.

The text is in the character set of MSH-18. An order has as many OBX as it has, and an OBX as many
values. Whatever version a message states, these segments are read as version 2.7 has them, which
has all of these fields; others are passed over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import get_message_info, parse_segment

from cadnode.errors import DataError
from cadnode.node.hl7_text import decoded, resolved, unescaped
from cadnode.node.outcome_rows import MEDICAL_RECORD, SIDES, OutcomeRow, outcome_of

_VERSION: Final = "2.7"
_LOOKED_AT: Final = ("PID", "OBR", "IPC", "SPM", "OBX")
_DELIMITERS: Final = ("COMPONENT", "REPETITION", "ESCAPE", "SUBCOMPONENT")
_ODD: Final = (
    HL7apyException, ValueError, AttributeError, LookupError, TypeError, RecursionError,
)  # fmt: skip
"""What hl7apy raises on segments that are none."""
_FACTS: Final = ("F", "C")  # HL7 table 0085: final, corrected
_STUDY: Final = ("113014", "DCM")
_BREASTS: Final[Mapping[str, str]] = {**SIDES, "L": "L", "LT": "L", "R": "R", "RT": "R", "B": "B"}
_BEGIN: Final = re.compile(rb"^\x0b?(?=MSH[^A-Za-z0-9\s])", re.MULTILINE)
_BATCH: Final = re.compile(rb"^(FHS|BHS|BTS|FTS)[^A-Za-z0-9\s].*$", re.MULTILINE)


@dataclass(slots=True)
class _Order:
    """What is known of an order (OBR) until the next one."""

    exam: dict[str, str] = field(default_factory=dict)
    side: str = ""
    found: list[dict[str, str]] = field(default_factory=list)


def rows_of(data: bytes, codes: Mapping[str, str], name: str) -> list[OutcomeRow]:
    """The rows of a file of one message or several, in a batch (HL7 v2 section 2.10.3) or not.

    A message that cannot be read is a row without cells.

    Raises
    ------
    DataError
        It has no message.
    """
    plain = _BATCH.sub(b"", data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    parts = [part for part in _BEGIN.split(plain) if part and part.strip(b"\x0b\x1c\n ")]
    if not parts or not all(part.lstrip().startswith(b"MSH") for part in parts):
        raise DataError(f"{name} is no HL7 v2: a message begins with MSH")
    found = []
    for number, part in enumerate(parts, 1):
        try:
            found += [OutcomeRow(number, cells) for cells in _rows(_segments(part), codes)]
        except _ODD:
            found.append(OutcomeRow(number, {}))
    return found


def _segments(part: bytes) -> Iterator[Any]:
    """The segments of a message that are looked at."""
    lines = decoded(part.strip(b"\x0b\x1c\n ")).split("\n")
    characters, *_ = get_message_info(lines[0] + "\r")
    if [characters[name] for name in _DELIMITERS] != ["^", "~", "\\", "&"]:
        raise ValueError("other delimiters")
    for line in lines:
        if line[:3] in _LOOKED_AT and line[3:4] == characters["FIELD"]:
            yield parse_segment(
                resolved(line.rstrip()), version=_VERSION, encoding_chars=characters,
                validation_level=VALIDATION_LEVEL.TOLERANT,
            )  # fmt: skip


def _rows(segments: Iterable[Any], codes: Mapping[str, str]) -> Iterator[dict[str, str]]:
    patient_id, order = "", _Order()
    for segment in segments:
        if segment.name == "PID":
            patient_id = _patient_id(segment)
        elif segment.name == "OBR":
            yield from _finished(order, patient_id)
            order = _Order({"accession_number": _parts(_value(segment, "obr_18"))[0]})
            order.side = _side(_parts(_value(segment, "obr_15"), "&"))
        elif segment.name == "IPC":
            order.exam["accession_number"] = _parts(_value(segment, "ipc_1"))[0]
            order.exam["study_instance_uid"] = _parts(_value(segment, "ipc_3"))[0]
        elif segment.name == "SPM":
            order.side = _side([*_coded(segment, "spm_9"), *_coded(segment, "spm_8")]) or order.side
        elif segment.name == "OBX":
            _observe(segment, order, codes)
    yield from _finished(order, patient_id)


def _observe(segment: Any, order: _Order, codes: Mapping[str, str]) -> None:
    """Add to an order what an OBX states of it."""
    what = _parts(_value(segment, "obx_3"))
    if (what[0], what[2]) == _STUDY:
        order.exam["study_instance_uid"] = _parts(_value(segment, "obx_5"))[0]
        return
    if _value(segment, "obx_11") not in _FACTS:
        return
    for text in (str(one.value) for one in segment.obx_5):
        code, _, system, *_ = _parts(text)
        if (outcome := outcome_of(system, code, codes)) is not None:
            date = _value(segment, "obx_14")[:8]
            side = _side(_coded(segment, "obx_20"))
            order.found.append({"outcome": outcome, "outcome_date": date, "laterality": side})


def _finished(order: _Order, patient_id: str) -> Iterator[dict[str, str]]:
    exam = {"study_instance_uid": "", "accession_number": "", **order.exam}
    if exam["study_instance_uid"]:
        exam["accession_number"] = ""
    for cells in order.found:
        side = cells["laterality"] or order.side
        yield {**cells, "laterality": side, "patient_id": patient_id, **exam}


def _patient_id(segment: Any) -> str:
    every = [_parts(str(one.value), least=5) for one in segment.pid_3]
    records = [one for one in every if one[4] == MEDICAL_RECORD] or every
    return records[0][0] if len(records) == 1 else ""


def _side(codes: list[str]) -> str:
    return next((_BREASTS[code] for code in codes if code in _BREASTS), "")


def _coded(segment: Any, name: str) -> list[str]:
    return [_parts(str(one.value))[0] for one in getattr(segment, name)]


def _value(segment: Any, name: str) -> str:
    return str(getattr(segment, name).value or "").strip()


def _parts(text: str, also: str = "", least: int = 3) -> list[str]:
    """The components of a field, so many at least; `also` parts them into subcomponents."""
    found = [part for one in text.split("^") for part in (one.split(also) if also else [one])]
    return [*map(unescaped, found), *[""] * (least - len(found))]
