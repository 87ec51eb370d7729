"""How old the woman was at the exam, in whole years, as headers state it."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from pydicom import Dataset

from cadnode.exam.attributes import text
from cadnode.exam.patient import patient_of

_AGE: Final = re.compile(r"(\d{3})([DWMY])")  # AS, PS3.5 table 6.2-1
_A_YEAR: Final = {"D": 365.25, "W": 365.25 / 7, "M": 12, "Y": 1}
_OLDEST: Final = 120  # beyond it a birth date is a device's default


def ages_stated(headers: Iterable[Dataset]) -> tuple[int, ...]:
    """Each age that the headers state, once.

    Those of Patient's Age (0010,1010) come first, then those between Patient's Birth Date
    (0010,0030) and Study Date (0008,0020). What is not above 0, or more than 120 years, is no age.
    """
    of = list(headers)
    found = [_stated(header) for header in of] + [_between(header) for header in of]
    return tuple(dict.fromkeys(years for years in found if years and 0 < years <= _OLDEST))


def _stated(header: Dataset) -> int | None:
    matched = _AGE.fullmatch(text(header, "PatientAge").strip())
    return int(int(matched[1]) / _A_YEAR[matched[2]]) if matched else None


def _between(header: Dataset) -> int | None:
    patient = patient_of(header)
    if patient.birth_date is None or patient.study_date is None:
        return None
    return full_years(patient.birth_date, patient.study_date)


def full_years(born: date, day: date) -> int:
    """Years between two days; negative where the second is the earlier."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
