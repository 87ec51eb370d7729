"""Whose files: the patient who is to be erased, and all by which she could be found again."""

import json
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue

from cadnode.errors import CadnodeError
from cadnode.exam.dicom_file import read_attributes, tolerant
from cadnode.exam.partition import Stated, stated_by
from cadnode.log import hashed

_LONGEST_ID: Final = 64  # LO, PS3.5 table 6.2-1
_OWN_ROOT: Final = "1.2.840.10008."  # the Standard's own UIDs: classes, syntaxes (PS3.6 annex A)


class IdentifierKind(StrEnum):
    """What an identifier is."""

    PATIENT_ID = "patient ID"
    NAME = "name"
    ACCESSION = "accession number"
    UID = "UID"
    KEY = "key"


TEXTS: Final = {
    "PatientID": IdentifierKind.PATIENT_ID,
    "OtherPatientIDs": IdentifierKind.PATIENT_ID,
    "PatientName": IdentifierKind.NAME,
    "OtherPatientNames": IdentifierKind.NAME,
    "AccessionNumber": IdentifierKind.ACCESSION,
}
"""Attributes that identify a patient by text, with what each of them holds."""

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_READ: Final = (
    0x00080005, 0x00080018, 0x00080050, 0x00100010, 0x00100020, 0x00100021, 0x00100030,
    0x00101000, 0x00101001, 0x0020000D, 0x0020000E, 0x00200052,
)  # fmt: skip


class ErasureRefused(CadnodeError):
    """Nothing is erased: what was asked for is not clear, or needs a further word."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class WantedPatient:
    """The patient, by Patient ID (0010,0020) and, where several give them out, its issuer.

    `study_uids`: in these studies alone; what is remembered of them, and names nobody, counts too.

    Raises
    ------
    ErasureRefused
        The ID is none.
    """

    patient_id: str = field(repr=False)
    issuer: str = ""
    study_uids: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        words = self.patient_id.strip(" \0")
        object.__setattr__(self, "patient_id", words)
        if not words or len(words) > _LONGEST_ID or "\\" in words or not words.isprintable():
            raise ErasureRefused(
                "a Patient ID has 1 to 64 characters and no backslash (DICOM, LO): give it as the "
                "images have it, with --patient-id ID, or --patient-id - to type it"
            )

    @property
    def studies(self) -> frozenset[str]:
        """Keys of the studies that were named."""
        return frozenset(map(hashed, self.study_uids))

    def is_meant_in(self, study: str) -> bool:
        """Whether a study may be touched at all."""
        return not self.study_uids or study in self.studies

    def is_named_by(self, stated: Stated) -> bool:
        """Whether a header names her; an issuer counts where both state one."""
        same = stated.patient_id == self.patient_id
        return same and (not self.issuer or stated.issuer in ("", self.issuer))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file states of its patient, study and itself; `stored` are texts as their bytes."""

    path: Path = field(repr=False)
    header: Dataset = field(repr=False)
    stated: Stated = field(repr=False)
    values: frozenset[tuple[IdentifierKind, str]] = field(repr=False)
    stored: frozenset[tuple[IdentifierKind, bytes]] = field(repr=False, default=frozenset())


def facts_of(path: Path) -> FileFacts | None:
    """What a DICOM file states; None when it cannot be read. Raises `OSError`."""
    with path.open("rb") as file:
        header = read_attributes(file, _READ)
    if header is None:
        return None
    stored: set[tuple[IdentifierKind, bytes]] = set()
    for keyword, kind in TEXTS.items():
        raw = header.get_item(keyword) if keyword in header else None
        if isinstance(raw, RawDataElement) and raw.value:
            stored |= {(kind, part.strip(b" \0")) for part in bytes(raw.value).split(b"\\")}
    values: set[tuple[IdentifierKind, str]] = set()
    with tolerant():
        for keyword, kind in TEXTS.items():
            values |= {(kind, text) for text in _texts(header, keyword)}
        for keyword in _UIDS:
            values |= {(IdentifierKind.UID, text) for text in _texts(header, keyword)}
        return FileFacts(path, header, stated_by(header), frozenset(values), frozenset(stored))


def _texts(header: Dataset, keyword: str) -> list[str]:
    try:
        value = header.get(keyword)
    except Exception:  # pydicom raises nearly anything on a damaged value
        return []
    many = value if isinstance(value, MultiValue) else [value]
    found = [str(one).strip(" \0") for one in many if one is not None]
    return [one for one in found if one and not one.startswith(_OWN_ROOT)]


def patient_of_bundle(path: Path) -> Stated | None:
    """The patient whom a FHIR bundle names, by identifier alone."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        for one in _references(json.loads(path.read_bytes())):
            issuer = one["identifier"].get("assigner", {}).get("display", "")
            return Stated(patient_id=str(one["identifier"]["value"]), issuer=str(issuer))
    return None


def _references(document: Any) -> list[dict[str, Any]]:
    """Every reference to a patient in a JSON document."""
    if isinstance(document, list):
        return [one for part in document for one in _references(part)]
    if not isinstance(document, dict):
        return []
    if document.get("type") == "Patient" and isinstance(document.get("identifier"), dict):
        return [document]
    return [one for part in document.values() for one in _references(part)]


@dataclass(slots=True)
class Identifiers:
    """All by which a patient could be found again. Held in memory and in an open plan alone."""

    values: set[tuple[IdentifierKind, str]] = field(default_factory=set, repr=False)
    stored: set[tuple[IdentifierKind, bytes]] = field(default_factory=set, repr=False)
    n_shared: int = 0
    """Left out, because another patient here has the same."""

    def add(self, facts: FileFacts) -> None:
        """All that a file of hers states, and the key of its instance."""
        self.values |= facts.values
        self.stored |= facts.stored
        uid = str(facts.header.get("SOPInstanceUID") or "")
        if uid:
            self.add_keys([hashed(uid)])

    def add_uids(self, uids: Iterable[str]) -> None:
        """UIDs, and the keys that are made of them."""
        for uid in filter(None, uids):
            self.values |= {(IdentifierKind.UID, uid), (IdentifierKind.KEY, hashed(uid))}

    def add_keys(self, keys: Iterable[str]) -> None:
        """Keys of studies, instances or contents."""
        self.values |= {(IdentifierKind.KEY, key) for key in keys}

    def of(self, kind: IdentifierKind) -> set[str]:
        """Those of one kind."""
        return {value for one, value in self.values if one is kind}

    def leave_out(self, others: Iterable[FileFacts], named: Set[str] = frozenset()) -> None:
        """What another patient's files state, too, or name, shows nothing of her."""
        shared = self.values & {(IdentifierKind.UID, uid) for uid in named}
        for facts in others:
            shared |= self.values & facts.values
            self.stored -= facts.stored
        uids = (value for kind, value in shared if kind is IdentifierKind.UID)
        self.values -= shared | {(IdentifierKind.KEY, hashed(uid)) for uid in uids}
        self.n_shared += len(shared)

    def merge(self, other: "Identifiers") -> None:
        """All that the other has, as well."""
        self.values |= other.values
        self.stored |= other.stored
        self.n_shared = max(self.n_shared, other.n_shared)

    def as_json(self) -> dict[str, Any]:
        """For a plan."""
        return {
            "values": sorted([kind.value, value] for kind, value in self.values),
            "stored": sorted([kind.value, data.hex()] for kind, data in self.stored),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Identifiers":
        """Raises `ValueError`, `KeyError` or `TypeError` for what `as_json` has not made."""
        return cls(
            {(IdentifierKind(kind), str(value)) for kind, value in document["values"]},
            {(IdentifierKind(kind), bytes.fromhex(data)) for kind, data in document["stored"]},
        )
