"""Outcomes in FHIR (R4 and R5): Observations and DiagnosticReports become rows of outcomes.

An Observation is taken where the code of its value is one that the site names as an outcome, and a
DiagnosticReport where a code of its conclusion is; all others (receptors, sizes) are passed over,
and so is what is not final. The side is the body site, in SNOMED CT, or that of the specimen. The
exam is the ImagingStudy or the accession number that it names, of an Observation else that of the
DiagnosticReport whose result it is. The subject is the Patient that it refers to in the file, or
the identifier that the reference itself has.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cadnode.errors import DataError
from cadnode.node.outcome_rows import (
    ACCESSION,
    MEDICAL_RECORD,
    SIDES,
    OutcomeRow,
    outcome_of,
)

_VALUES: Final = {"Observation": "valueCodeableConcept", "DiagnosticReport": "conclusionCode"}
"""Where a resource has what was found, as codes."""
_STUDY_LINKS: Final = ("partOf", "derivedFrom", "imagingStudy", "study", "focus")
_ORDER_LINKS: Final = ("basedOn",)
_DICOM_UIDS: Final = "urn:dicom:uid"
_NO_FACT: Final = frozenset(
    {"registered", "partial", "preliminary", "cancelled", "entered-in-error", "unknown"}
)  # of ObservationStatus and DiagnosticReportStatus


def rows_of(data: bytes, codes: Mapping[str, str], name: str) -> list[OutcomeRow]:
    """The rows of a file: a Bundle, one resource, or one resource a line (NDJSON).

    A line that holds no resource is a row without cells.

    Raises
    ------
    DataError
        It is no JSON, or holds no FHIR resource.
    """
    resources = list(_resources(data, name))
    exams, patients = _exams_of_results(resources), _patients(resources)
    specimens = _specimens(resources)
    found = []
    for number, (url, resource) in enumerate(resources, 1):
        if not resource:
            found.append(OutcomeRow(number, {}))
            continue
        values = _VALUES.get(str(resource.get("resourceType")), "")
        if not values or str(_of(resource, "status")) in _NO_FACT:
            continue
        exam = _exam(resource)
        if not any(exam.values()):
            exam = next((exams[key] for key in _names(url, resource) if key in exams), exam)
        for value in _list(resource, values):
            outcome = _outcome(value, codes)
            if outcome is not None:
                cells = {
                    "laterality": _side(resource, specimens),
                    "outcome": outcome,
                    "outcome_date": _date(resource),
                    "patient_id": _patient_id(resource, patients),
                    **exam,
                }
                found.append(OutcomeRow(number, cells))
    return found


def _resources(data: bytes, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(full URL, resource) of each; an empty one stands for a line that has none."""
    documents: list[Any]
    try:
        documents = [json.loads(data)]
    except (ValueError, RecursionError):
        documents = [_document(line) for line in data.splitlines() if line.strip()]
        if not any(documents):
            raise DataError(f"{name} is no JSON: a FHIR Bundle or NDJSON is needed") from None
    if not any(isinstance(one, dict) and "resourceType" in one for one in documents):
        raise DataError(f"{name} holds no FHIR resource")
    for document in documents:
        if not isinstance(document, dict) or "resourceType" not in document:
            yield "", {}
        elif document["resourceType"] == "Bundle":
            for one in _list(document, "entry"):
                resource = _of(one, "resource")
                yield str(_of(one, "fullUrl")), resource if isinstance(resource, dict) else {}
        else:
            yield "", document


def _document(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _exams_of_results(
    resources: list[tuple[str, dict[str, Any]]],
) -> dict[str, dict[str, str]]:
    """The exam of each Observation that a DiagnosticReport names as its result, by reference."""
    found = {}
    for _, resource in resources:
        if resource.get("resourceType") == "DiagnosticReport" and (
            str(_of(resource, "status")) != "entered-in-error"
        ):
            exam = _exam(resource)
            for link in _list(resource, "result"):
                if reference := str(_of(link, "reference")):
                    found[reference] = exam
    return found


def _patients(resources: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """PatientID by each name of a Patient: its identifier of the type MR, or its only one."""
    found: dict[str, str] = {}
    for url, resource in resources:
        if resource.get("resourceType") == "Patient":
            every = _list(resource, "identifier")
            records = [one for one in every if _is_of_type(one, MEDICAL_RECORD)] or every
            patient_id = str(_of(records[0], "value")) if len(records) == 1 else ""
            found |= dict.fromkeys((url, f"Patient/{resource.get('id', '')}"), patient_id)
    return found


def _patient_id(resource: Mapping[str, Any], patients: Mapping[str, str]) -> str:
    subject = resource.get("subject")
    named = str(_of(_of(subject, "identifier"), "value"))
    return named or patients.get(str(_of(subject, "reference")), "")


def _names(url: str, resource: Mapping[str, Any]) -> tuple[str, ...]:
    return url, f"Observation/{resource.get('id', '')}"


def _exam(resource: Mapping[str, Any]) -> dict[str, str]:
    """Study Instance UID and accession number, as far as a resource names them."""
    uid = accession = ""
    own = [one for one in _list(resource, "identifier") if _is_accession(one)]
    links = [_of(link, "identifier") for key in _STUDY_LINKS for link in _list(resource, key)]
    orders = [_of(link, "identifier") for key in _ORDER_LINKS for link in _list(resource, key)]
    for one in links:
        if _of(one, "system") == _DICOM_UIDS:
            uid = uid or str(_of(one, "value")).removeprefix("urn:oid:")
    for one in (*own, *orders, *links):
        if _is_accession(one):
            accession = accession or str(_of(one, "value"))
    return {"study_instance_uid": uid, "accession_number": "" if uid else accession}


def _is_accession(identifier: Any) -> bool:
    return _is_of_type(identifier, ACCESSION)


def _is_of_type(identifier: Any, code: str) -> bool:
    codings = _list(_of(identifier, "type"), "coding")
    return any(_of(coding, "code") == code for coding in codings)


def _outcome(value: Any, codes: Mapping[str, str]) -> str | None:
    """What the site takes a CodeableConcept for; None where it names none of its codes."""
    found = (outcome_of(str(_of(c, "system")), str(_of(c, "code")), codes) for c in _codings(value))
    return next((outcome for outcome in found if outcome is not None), None)


def _date(resource: Mapping[str, Any]) -> str:
    period = resource.get("effectivePeriod")
    stated = resource.get("effectiveDateTime") or _of(period, "end") or resource.get("issued")
    return str(stated or "")[:10]


def _side(resource: Mapping[str, Any], specimens: Mapping[str, str]) -> str:
    """That of its body site, else of the specimens that it refers to, where they have one."""
    own = _side_of(resource.get("bodySite"))
    links = (str(_of(link, "reference")) for link in _list(resource, "specimen"))
    sides = {side for link in links if (side := specimens.get(link, ""))}
    return own or (sides.pop() if len(sides) == 1 else "")


def _specimens(resources: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """The side by each name of a Specimen."""
    found: dict[str, str] = {}
    for url, resource in resources:
        if resource.get("resourceType") == "Specimen":
            site = _of(_of(resource, "collection"), "bodySite")
            side = _side_of(_of(site, "concept") or site)  # R5 has a CodeableReference
            found |= dict.fromkeys((url, f"Specimen/{resource.get('id', '')}"), side)
    return found


def _side_of(site: Any) -> str:
    return next((SIDES[c] for one in _codings(site) if (c := str(_of(one, "code"))) in SIDES), "")


def _codings(concept: Any) -> list[Any]:
    return _list(concept, "coding")


def _of(value: Any, key: str) -> Any:
    return value.get(key, "") if isinstance(value, dict) else ""


def _list(value: Any, key: str) -> list[Any]:
    found = _of(value, key)
    if isinstance(found, list):
        return found
    return [found] if found else []
