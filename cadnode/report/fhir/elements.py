"""What FHIR resources are made of: identifiers, references, concepts, quantities, entries."""

import uuid
from datetime import datetime
from typing import Any, Final

from pydicom.sr.coding import Code

from cadnode.report.codes import NO_UNITS, PRIVATE_SCHEME
from cadnode.report.uids import NAMESPACE

Resource = dict[str, Any]

UID_SYSTEM: Final = "urn:dicom:uid"
_OWN_SYSTEM: Final = f"urn:uuid:{NAMESPACE}"
_SYSTEMS: Final = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    PRIVATE_SCHEME: _OWN_SYSTEM,
}


def uid_identifier(uid: str) -> Resource:
    """A DICOM UID as the identifier of a resource (FHIR R5, ImagingStudy 8.18.6.1)."""
    return {"system": UID_SYSTEM, "value": f"urn:oid:{uid}"}


def full_url(uid: str) -> str:
    """`urn:uuid:` of a UID that was derived from a UUID (`2.25.…`): the entry's address."""
    return f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"


def entry(uid: str, resource: Resource) -> Resource:
    """An entry that makes the resource unless the server has one of this UID already.

    The UID is its first identifier.
    """
    identifiers = [uid_identifier(uid), *resource.get("identifier", [])]
    return {
        "fullUrl": full_url(uid),
        "resource": {**resource, "identifier": identifiers},
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={UID_SYSTEM}|urn:oid:{uid}",
        },
    }


def reference(uid: str, kind: str) -> Resource:
    """Reference to a resource of the same bundle."""
    return {"reference": full_url(uid), "type": kind}


def concept(*codes: Code, text: str = "") -> Resource:
    """CodeableConcept of one or more codes that mean the same."""
    made: Resource = {"coding": [coding(code) for code in codes]}
    return {**made, "text": text} if text else made


def coding(code: Code) -> Resource:
    """One code with its system's address."""
    return {
        "system": _SYSTEMS[code.scheme_designator],
        "code": code.value,
        "display": code.meaning,
    }


def quantity(value: float, unit: Code) -> Resource:
    """A number with its UCUM unit."""
    made = {"value": value, "system": _SYSTEMS["UCUM"], "code": unit.value}
    return made if unit == NO_UNITS else {**made, "unit": unit.value}


def instant(when: datetime) -> str | None:
    """A point in time with its zone; None where the zone is not known."""
    return when.isoformat(timespec="seconds") if when.tzinfo is not None else None


def filled(resource: Resource) -> Resource:
    """The resource without what is None or empty: FHIR has no empty values."""
    return {k: v for k, v in resource.items() if v is not None and v not in ("", [], {})}
