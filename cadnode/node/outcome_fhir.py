"""Outcomes in FHIR (R4 and R5): Observations of breasts become rows as a table of outcomes has.

An Observation is taken where the code of its value is one that the site names as an outcome; all
others (receptors, sizes) are passed over, and so is what is not final. Its side is its body site,
in SNOMED CT. Its exam is the ImagingStudy or the accession number that it names, or else the
DiagnosticReport whose result it is. Its subject is the Patient that it refers to in the file, or
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

_STUDY_LINKS: Final = ("partOf", "derivedFrom", "imagingStudy", "study", "focus")
_ORDER_LINKS: Final = ("basedOn",)
_DICOM_UIDS: Final = "urn:dicom:uid"
_NO_FACT: Final = frozenset(
    {"registered", "partial", "preliminary", "cancelled", "entered-in-error", "unknown"}
)  # of ObservationStatus and DiagnosticReportStatus


def rows_of(data: bytes, codes: Mapping[str, str], name: str) -> list[OutcomeRow]:
    """The rows of a file: a Bundle, one resource, or one resource a line (NDJSON).

    Raises
    ------
    DataError
        It is no JSON, or holds no FHIR resource.
    """
    resources = list(_resources(data, name))
    exams, patients = _exams_of_results(resources), _patients(resources)
    found = []
    for number, (url, resource) in enumerate(resources, 1):
        if (
            resource.get("resourceType") != "Observation"
            or str(_of(resource, "status")) in _NO_FACT
        ):
            continue
        outcome = _outcome(resource, codes)
        if outcome is None:
            continue
        exam = _exam(resource)
        if not any(exam.values()):
            exam = next((exams[key] for key in _names(url, resource) if key in exams), exam)
        stated = resource.get("effectiveDateTime") or resource.get("issued") or ""
        cells = {
            "laterality": _side(resource),
            "outcome": outcome,
            "outcome_date": str(stated)[:10],
            "patient_id": _patient_id(resource, patients),
            **exam,
        }
        found.append(OutcomeRow(number, cells))
    return found


def _resources(data: bytes, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(full URL, resource) of each."""
    try:
        documents = [json.loads(data)]
    except ValueError:
        try:
            documents = [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError:
            raise DataError(f"{name} is no JSON: a FHIR Bundle or NDJSON is needed") from None
    for document in documents:
        if not isinstance(document, dict) or "resourceType" not in document:
            raise DataError(f"{name} holds no FHIR resource")
        for one in _list(document, "entry") if document["resourceType"] == "Bundle" else ():
            if isinstance(one, dict) and isinstance(one.get("resource"), dict):
                yield str(one.get("fullUrl", "")), one["resource"]
        if document["resourceType"] != "Bundle":
            yield "", document


def _exams_of_results(
    resources: list[tuple[str, dict[str, Any]]],
) -> dict[str, dict[str, str]]:
    """The exam of each Observation that a DiagnosticReport names as its result, by reference."""
    found = {}
    for _, resource in resources:
        if resource.get("resourceType") == "DiagnosticReport" and (
            resource.get("status") != "entered-in-error"
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


def _outcome(resource: Mapping[str, Any], codes: Mapping[str, str]) -> str | None:
    codings = _list(resource.get("valueCodeableConcept"), "coding")
    found = (outcome_of(str(_of(c, "system")), str(_of(c, "code")), codes) for c in codings)
    return next((outcome for outcome in found if outcome is not None), None)


def _side(resource: Mapping[str, Any]) -> str:
    codings = _list(resource.get("bodySite"), "coding")
    return next((SIDES[c] for one in codings if (c := str(_of(one, "code"))) in SIDES), "")


def _of(value: Any, key: str) -> Any:
    return value.get(key, "") if isinstance(value, dict) else ""


def _list(value: Any, key: str) -> list[Any]:
    found = _of(value, key)
    if isinstance(found, list):
        return found
    return [found] if found else []
