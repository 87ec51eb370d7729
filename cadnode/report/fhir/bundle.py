"""FHIR R5 transaction of a reading: DiagnosticReport, Observations, ImagingSelections, Devices.

R5 (5.0.0) and not R4: a region of an image has a resource, ImagingSelection, only since then.

Each resource is identified by a UID that is derived as those of our DICOM objects are, and is made
only where the server holds none of it (conditional create): the same report sent twice makes
nothing twice. Observations bear the tracking UIDs of the DICOM reports' measurement groups.
Patient and study are named by identifier alone; nothing else of the patient is in the bundle.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import Finding, ModelUse, Outcome
from cadnode.errors import ReportError
from cadnode.exam.patient import patient_of
from cadnode.files import write_whole
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.fhir.elements import (
    Resource,
    concept,
    entry,
    filled,
    instant,
    reference,
    uid_identifier,
)
from cadnode.report.fhir.observations import (
    breast_observation,
    breast_uid,
    exam_observation,
    exam_uid,
    finding_observation,
    finding_uid,
    selection_uid,
    skipped_observation,
    skipped_uid,
)
from cadnode.report.scores import phantom_sentence
from cadnode.report.sr.documents import remarks
from cadnode.report.sr.finding_groups import polyline
from cadnode.report.sr.group_parts import mammogram_of
from cadnode.report.sr.measurement_groups import summary
from cadnode.report.uids import object_uid

IMAGING_STUDY: Final = Code("18748-4", "LN", "Diagnostic imaging study")
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
INPUT: Final = "SHA-256 of the input"
RADIOLOGY: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
    "code": "RAD",
    "display": "Radiology",
}


def write_bundle(path: Path, edition: Edition) -> Path:
    """`path`, now holding the bundle as JSON; it appears whole or not at all.

    A bundle that is there and reports under the same UID stays as it is: a receiver may have it.

    Raises
    ------
    ReportError
        The result does not fit the exam, a score is not finite, or the file cannot be written.
    """
    try:
        if _reports_as(path, edition.uid("fhir-report")):
            return path
        write_whole(path, json.dumps(bundle(edition), allow_nan=False).encode("ascii"))
    except OSError as error:
        raise ReportError(f"{path.name} could not be written (errno {error.errno})") from None
    return path


def _reports_as(path: Path, uid: str) -> bool:
    """Whether the file holds a bundle whose report has this UID."""
    try:
        entries = json.loads(path.read_bytes())["entry"] if path.is_file() else []
        reports = [e["resource"] for e in entries]
        return any(
            r["resourceType"] == "DiagnosticReport" and uid_identifier(uid) in r["identifier"]
            for r in reports
        )
    except (ValueError, LookupError, TypeError):
        return False


def bundle(edition: Edition) -> Resource:
    """The transaction as JSON knows it.

    Raises
    ------
    ReportError
        The exam has no DICOM header, a finding's image is not in it, or a score is not finite.
    """
    observed = _observations(edition)
    about = filled({"subject": _subject(edition), "effectiveDateTime": _study_date(edition)})
    findings = list(enumerate(edition.result.findings))
    entries = [
        entry(_device_uid(), _device("cadnode", __version__)),
        *(entry(_device_uid(model), _model(model)) for model in edition.result.models),
        *(
            entry(selection_uid(edition, n), _selection(edition, finding))
            for n, finding in findings
        ),
        *(entry(uid, {**resource, **about}) for uid, resource in observed),
        entry(
            edition.uid("fhir-report"), {**_report(edition, [uid for uid, _ in observed]), **about}
        ),
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _observations(edition: Edition) -> list[tuple[str, Resource]]:
    """UID and content of each Observation: exam, breasts, findings, images that were not read."""
    result = edition.result
    made = [(exam_uid(edition), exam_observation(edition))]
    for number, breast in enumerate(result.breasts):
        made.append((breast_uid(edition, number), breast_observation(edition, breast)))
    for number, finding in enumerate(result.findings):
        device = reference(_device_uid(edition.model(finding.algorithm)), "Device")
        resource = {**finding_observation(edition, finding, number), "device": device}
        made.append((finding_uid(edition, number), resource))
    for number, skipped in enumerate(result.skipped):
        made.append((skipped_uid(edition, number), skipped_observation(skipped)))
    return made


def _report(edition: Edition, observed: list[str]) -> Resource:
    """The report itself, without subject and time.

    Choice: its status is "partial", the only one that FHIR allows for unverified data
    ("preliminary" and "final" speak of verified results); no person has seen ours. What could not
    be read is "cancelled": the report is unavailable because the measurement was not completed.

    Choice: the code is DICOM's (111036), with LOINC's for any imaging study. LOINC 24606-6 (MG
    Breast Screening) would be untrue of diagnostic exams, and no header distinguishes them.
    """
    result = edition.result
    read = result.outcome is not Outcome.NOT_READ
    ending = summary(result)
    return filled({
        "resourceType": "DiagnosticReport",
        "identifier": [{"type": {"text": INPUT}, "value": edition.exam.content}],
        "status": "partial" if read else "cancelled",
        "category": [{"coding": [RADIOLOGY]}],
        "code": concept(concepts.REPORT, IMAGING_STUDY),
        "issued": instant(edition.made_at),
        "study": [_study(edition)],
        "result": [reference(uid, "Observation") for uid in observed],
        "conclusion": _conclusion(edition),
        "conclusionCode": [concept(ending)],
        "note": [{"text": text} for text in remarks(result)],
    })  # fmt: skip


def _conclusion(edition: Edition) -> str:
    """How the reading ended, which systems were trained on phantoms, and what it is for."""
    sentences = (
        summary(edition.result).meaning,
        phantom_sentence(edition.result),
        edition.disclaimer,
    )
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)


def _selection(edition: Edition, finding: Finding) -> Resource:
    """The finding's region: a closed POLYLINE in pixels of its image (PS3.3 C.18.6.1.2).

    (0, 0) is the top left corner of the top left pixel, x (columns) before y (rows). The image
    has one frame, so that there is no subset.
    """
    mammogram = mammogram_of(edition, finding.sop_instance_uid)
    header = mammogram.header
    points = polyline(finding, mammogram.rows, mammogram.columns)
    device = _device_uid(edition.model(finding.algorithm))
    sop_class = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{mammogram.sop_class_uid}"}
    return filled({
        "resourceType": "ImagingSelection",
        "status": "available",
        "subject": _subject(edition),
        "issued": instant(edition.made_at),
        "performer": [{"actor": reference(device, "Device")}],
        "code": concept(OF_INTEREST),
        "studyUid": str(header.StudyInstanceUID),
        "derivedFrom": [_study(edition, str(header.StudyInstanceUID))],
        "seriesUid": str(header.get("SeriesInstanceUID") or ""),
        "bodySite": {"concept": concept(concepts.SIDES[mammogram.laterality])},
        "instance": [{
            "uid": mammogram.sop_instance_uid,
            "sopClass": sop_class,
            "imageRegion2D": [{
                "regionType": "polyline",
                "coordinate": [round(float(value), 2) for value in points.ravel()],
            }],
        }],
    })  # fmt: skip


def _model(model: ModelUse) -> Resource:
    """A model as a Device within this software, with the sha256 of its weights."""
    digest = {"type": {"text": "SHA-256 of the weights"}, "valueString": model.sha256}
    parent = reference(_device_uid(), "Device")
    return {**_device(model.name, model.version), "property": [digest], "parent": parent}


def _device(name: str, version: str) -> Resource:
    """Software by its name and version."""
    return {
        "resourceType": "Device",
        "name": [{"value": name, "type": "registered-name"}],
        "version": [{"value": version}],
        "manufacturer": "cadnode",
        "type": [{"text": "Computer-aided detection of mammograms"}],
    }


def _device_uid(model: ModelUse | None = None) -> str:
    """UID of a model, the same in every report; without one, that of this software.

    An ensemble is this software's rule and has no device of its own.
    """
    device = f"{model.name} {model.version} {model.sha256}" if model else f"cadnode {__version__}"
    return object_uid(
        study_instance_uid="", source_uids=[], models=[device], fingerprint="", kind="fhir-device"
    )


def _subject(edition: Edition) -> Resource | None:
    """The patient by identifier alone; None when there is none."""
    patient = patient_of(edition.reference)
    if not patient.patient_id:
        return None
    identifier: dict[str, Any] = {"value": patient.patient_id}
    if patient.issuer:
        identifier["assigner"] = {"display": patient.issuer}
    return {"type": "Patient", "identifier": identifier}


def _study(edition: Edition, study_instance_uid: str = "") -> Resource:
    """The study by its UID: the server may or may not hold an ImagingStudy of it."""
    uid = study_instance_uid or str(edition.reference.StudyInstanceUID)
    return {"type": "ImagingStudy", "identifier": uid_identifier(uid)}


def _study_date(edition: Edition) -> str | None:
    """When the images were made, as far as it is known."""
    day = patient_of(edition.reference).study_date
    return day.isoformat() if day else None
