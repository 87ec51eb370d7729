"""Whose study it is, as far as a header states it, for people and programs to read."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pydicom import Dataset
from pydicom.valuerep import PersonName

from cadnode.exam.dicom_file import tolerant

# What pydicom and its codecs raise of a value that cannot be read.
UNREADABLE: Final = (ValueError, TypeError, LookupError, NotImplementedError)
_SEXES: Final = frozenset({"F", "M", "O"})


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient and a study; "" or None where the header has no value, or none that can be read.

    Parameters
    ----------
    names
        The component groups of Patient's Name (PS3.5 6.2.1.2) that are present, each as people
        write it: alphabetic ("Hong, Gildong"), ideographic, phonetic.
    patient_id, issuer
        Patient ID (0010,0020) and who gave it out (0010,0021).
    sex
        "F", "M" or "O".
    """

    names: tuple[str, ...] = ()
    patient_id: str = ""
    issuer: str = ""
    birth_date: date | None = None
    sex: str = ""
    study_date: date | None = None
    accession_number: str = ""
    study_description: str = ""


def patient_of(header: Dataset | None) -> Patient:
    """What the header states; an empty one when there is no header."""
    if header is None:
        return Patient()
    sex = _text(header, "PatientSex").upper()
    return Patient(
        names=_names(header),
        patient_id=_text(header, "PatientID"),
        issuer=_text(header, "IssuerOfPatientID"),
        birth_date=_date(header, "PatientBirthDate"),
        sex=sex if sex in _SEXES else "",
        study_date=_date(header, "StudyDate"),
        accession_number=_text(header, "AccessionNumber"),
        study_description=_text(header, "StudyDescription"),
    )


def _names(header: Dataset) -> tuple[str, ...]:
    """Each group of the name, family name first; a comma stands in the alphabetic one alone."""
    with tolerant():
        try:
            name = PersonName(str(header.get("PatientName") or ""))
            groups = (name.alphabetic, name.ideographic, name.phonetic)
        except UNREADABLE:
            return ()
    written = [_written(group, ", " if number == 0 else " ") for number, group in enumerate(groups)]
    return tuple(name for name in written if name)


def _written(group: str, after_family: str) -> str:
    """Family, given, middle; then prefix and suffix. Spaces are set in order."""
    family, _, others = group.partition("^")
    words = " ".join(others.replace("^", " ").split())
    family = " ".join(family.split())
    return f"{family}{after_family}{words}" if family and words else family or words


def _text(header: Dataset, keyword: str) -> str:
    """The attribute's first value in one line, as the patient's characters are."""
    with tolerant():
        try:
            value = header.get(keyword)
        except UNREADABLE:
            return ""
    many = not isinstance(value, str | bytes) and hasattr(value, "__iter__")
    first = next(iter(value), None) if many else value
    return "" if first is None or isinstance(first, bytes) else " ".join(str(first).split())


def _date(header: Dataset, keyword: str) -> date | None:
    """A date (DA, PS3.5 table 6.2-1); None when it is none."""
    text = _text(header, keyword).replace("-", "").replace(".", "")
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        return None
