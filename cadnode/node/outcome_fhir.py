"""Outcomes in FHIR (R4 and R5): Observations of breasts become rows as a table of outcomes has.

An Observation is taken where the code of its value is one that the site names as an outcome; all
others (receptors, sizes) are passed over, and so is what is not final. Its side is its body site,
in SNOMED CT. Its exam is the ImagingStudy or the accession number that it names, or else the
DiagnosticReport whose result it is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cadnode.errors import DataError

_SIDES: Final = {"80248007": "L", "73056007": "R", "63762007": "B"}
_STUDY_LINKS: Final = ("partOf", "derivedFrom", "imagingStudy", "study", "focus")
_ORDER_LINKS: Final = ("basedOn",)
_DICOM_UIDS: Final = "urn:dicom:uid"
_ACCESSION: Final = "ACSN"  # HL7 table 0203
_NO_FACT: Final = frozenset(
    {"registered", "partial", "preliminary", "cancelled", "entered-in-error", "unknown"}
)  # of ObservationStatus and DiagnosticReportStatus


@dataclass(frozen=True, slots=True)
class FhirRow:
    """A row, and which resource of the file it comes from, from 1."""

    number: int
    cells: Mapping[str, str]


def codes_of(rows: list[dict[str, str]]) -> dict[str, str]:
    """Outcomes by code, of a table with the columns `code` (`SYSTEM|CODE` or `CODE`), `outcome`."""
    return {row["code"]: row["outcome"] for row in rows if row.get("code") and row.get("outcome")}


def rows_of(data: bytes, codes: Mapping[str, str], name: str) -> list[FhirRow]:
    """The rows of a file: a Bundle, one resource, or one resource a line (NDJSON).

    Raises
    ------
    DataError
        It is no JSON, or holds no FHIR resource.
    """
    resources = list(_resources(data, name))
    exams = _exams_of_results(resources)
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
            **exam,
        }
        found.append(FhirRow(number, cells))
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
    codings = _list(_of(identifier, "type"), "coding")
    return any(_of(coding, "code") == _ACCESSION for coding in codings)


def _outcome(resource: Mapping[str, Any], codes: Mapping[str, str]) -> str | None:
    for coding in _list(resource.get("valueCodeableConcept"), "coding"):
        code = str(_of(coding, "code"))
        for key in (f"{_of(coding, 'system')}|{code}", code):
            if key in codes:
                return codes[key]
    return None


def _side(resource: Mapping[str, Any]) -> str:
    codings = _list(resource.get("bodySite"), "coding")
    return next((_SIDES[c] for one in codings if (c := str(_of(one, "code"))) in _SIDES), "")


def _of(value: Any, key: str) -> Any:
    return value.get(key, "") if isinstance(value, dict) else ""


def _list(value: Any, key: str) -> list[Any]:
    found = _of(value, key)
    if isinstance(found, list):
        return found
    return [found] if found else []
