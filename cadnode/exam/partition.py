"""Whose images: the instances of one study are parted by patient before anything is read.

Patient ID decides, compared as DICOM compares LO (PS3.5 6.2: leading and trailing spaces mean
nothing), with Issuer of Patient ID where both state one. One ID with another name *and* another
birth date is another woman. Without an ID an instance belongs to the patient whose name and birth
date it states, or to the study's only patient if it contradicts nothing; else it is unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydicom import Dataset

from cadnode.domain import Evidence, EvidenceLevel
from cadnode.exam.cbis_ddsm import parse_name
from cadnode.exam.mammogram import Instance

_PATIENT_GROUP: Final = 0x0010  # every whole data set has elements in later groups


@dataclass(frozen=True, slots=True)
class Stated:
    """What a header states of its patient, as it is compared; "" where it states nothing."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""

    def covers(self, other: "Stated") -> bool:
        """Whether all that the other states is stated here, and the same."""
        return all(
            not theirs or theirs == ours
            for ours, theirs in zip(_all(self), _all(other), strict=True)
        )

    def contradicts(self, other: "Stated") -> bool:
        """Whether both cannot be one patient, by ID, issuer, or name and birth date together."""
        return (
            _differ(self.patient_id, other.patient_id)
            or _differ(self.issuer, other.issuer)
            or (_differ(self.name, other.name) and _differ(self.birth_date, other.birth_date))
        )


@dataclass(frozen=True, eq=False, slots=True)
class PatientShare:
    """The instances of one patient, and what shows whose each is, by SOP Instance UID.

    `is_known` is False for those whose patient is unclear: they are shown in no report.
    """

    instances: tuple[Instance, ...]
    evidence: dict[str, Evidence] = field(repr=False)
    is_known: bool = True


def stated_by(header: Dataset) -> Stated:
    """What the header states of its patient; of CBIS-DDSM the woman in its Patient ID."""
    cbis = parse_name(header)
    if cbis is not None:
        return Stated(patient_id=cbis.woman)
    if max((tag.group for tag in header.keys()), default=0) <= _PATIENT_GROUP:  # noqa: SIM118
        return Stated()  # the file was cut here: half an ID is another woman's
    return Stated(
        patient_id=_value(header, "PatientID"),
        issuer=_value(header, "IssuerOfPatientID"),
        name=_name(header),
        birth_date="".join(filter(str.isdigit, _value(header, "PatientBirthDate"))),
    )


def only_patient(headers: Iterable[Dataset]) -> Stated | None:
    """All that is stated of the one patient whom these headers name, each of them surely.

    None when they name several, or nobody by a Patient ID, or when one of them is unclear.
    """
    stated = [stated_by(header) for header in headers]
    patients = _patients(stated)
    if len(patients) != 1 or not patients[0].patient_id:
        return None
    return None if any(_patient_of(one, patients)[0] is None for one in stated) else patients[0]


def by_patient(instances: Sequence[Instance]) -> tuple[PatientShare, ...]:
    """The instances in shares of one patient each, those of unclear patients last.

    Does not depend on their order. Instances without a header (no DICOM) go with the first share.
    """
    stated = [(i, stated_by(i.header)) for i in instances if i.header is not None]
    patients = _patients(s for _, s in stated)
    shares: dict[int, list[tuple[Instance, Evidence]]] = defaultdict(list)
    for instance, one in stated:
        number, how = _patient_of(one, patients)
        if number is None:
            number = len(patients)  # behind all that are known
            how = replace(how, says="unclear", counts=False)
        shares[number].append((instance, how))
    made = [
        PatientShare(
            tuple(i for i, _ in share),
            {i.sop_instance_uid: how for i, how in share},
            is_known=number < len(patients),
        )
        for number, share in sorted(
            shares.items(),
            key=lambda it: (it[0] == len(patients), min(i.sop_instance_uid for i, _ in it[1])),
        )
    ]
    strays = tuple(i for i in instances if i.header is None)
    if not strays:
        return tuple(made)
    first = made[0] if made else PatientShare((), {})
    return (replace(first, instances=(*first.instances, *strays)), *made[1:])


def _patients(all_stated: Iterable[Stated]) -> list[Stated]:
    """The patients that the headers name, each by all that is stated of her."""
    distinct = sorted(set(all_stated), key=lambda s: (s.patient_id, s.issuer, s.name, s.birth_date))
    identified = [s for s in distinct if s.patient_id]
    if not identified:
        return [s for s in distinct if not any(o != s and o.covers(s) for o in distinct)]
    patients: list[Stated] = []
    for of_id in _grouped(identified, lambda s: s.patient_id):
        issuers = sorted({s.issuer for s in of_id} - {""})
        for issuer in issuers or [""]:
            of_issuer = [s for s in of_id if s.issuer == issuer or len(issuers) < 2]
            patients += [_joined(people) for people in _people(of_issuer)]
    return patients


def _people(stated: Sequence[Stated]) -> list[list[Stated]]:
    """Those of one ID: one person, unless both name and birth date differ."""
    if not any(a.contradicts(b) for a in stated for b in stated):
        return [list(stated)]
    return _grouped([s for s in stated if s.birth_date], lambda s: s.birth_date)


def _joined(people: Sequence[Stated]) -> Stated:
    """What is stated of one patient; of a detail that is stated in two ways, the first.

    A name that changed under one ID (marriage, a typing error) makes no second patient.
    """
    details = (
        next((value for s in people if (value := getattr(s, name))), "")
        for name in ("patient_id", "issuer", "name", "birth_date")
    )
    return Stated(*details)


def _patient_of(stated: Stated, patients: Sequence[Stated]) -> tuple[int | None, Evidence]:
    """The patient's place among `patients`, and how it is known; None when it is not."""
    only = len(patients) == 1
    says = "the study's only patient" if only else f"one of the study's {len(patients)} patients"
    if stated.patient_id:
        same = [n for n, p in enumerate(patients) if p.patient_id == stated.patient_id]
        fitting = same if len(same) == 1 else [n for n in same if _is_the_same(stated, patients[n])]
        how = Evidence("patient", "PatientID", EvidenceLevel.IMAGE, says)
        return (fitting[0] if len(fitting) == 1 else None), how
    fitting = [
        n for n, p in enumerate(patients)
        if stated.name and stated.birth_date and p.covers(replace(stated, issuer=""))
    ]  # fmt: skip
    if len(fitting) == 1:
        return fitting[0], Evidence("patient", "PatientName", EvidenceLevel.LABEL, says)
    how = Evidence("patient", "StudyInstanceUID", EvidenceLevel.STUDY, says)
    return (0 if only and not _is_somebody_else(stated, patients[0]) else None), how


def _is_the_same(stated: Stated, patient: Stated) -> bool:
    """Whether a header of an ID that several patients have matches this one itself."""
    if stated.contradicts(patient):
        return False
    return bool(
        (stated.issuer and stated.issuer == patient.issuer)
        or (stated.birth_date and stated.birth_date == patient.birth_date)
        or (stated.name and stated.name == patient.name)
    )


def _is_somebody_else(stated: Stated, patient: Stated) -> bool:
    """Whether an instance without an ID states another name or another birth date."""
    return _differ(stated.name, patient.name) or _differ(stated.birth_date, patient.birth_date)


def _grouped(stated: Sequence[Stated], key: Callable[[Stated], Hashable]) -> list[list[Stated]]:
    groups: dict[Hashable, list[Stated]] = {}
    for one in stated:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _all(stated: Stated) -> tuple[str, str, str, str]:
    return stated.patient_id, stated.issuer, stated.name, stated.birth_date


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _value(header: Dataset, keyword: str) -> str:
    """The value as it is compared: without outer spaces; the case of letters counts."""
    value = header.get(keyword)
    return "" if value is None or isinstance(value, bytes) else str(value).strip(" \0")


def _name(header: Dataset) -> str:
    """The name as it is compared: its parts in capitals, without spaces around them."""
    value = header.get("PatientName")
    groups = "" if value is None else str(value).partition("=")[0]
    parts = [" ".join(part.upper().split()) for part in groups.split("^")]
    return "^".join(parts).rstrip("^")
