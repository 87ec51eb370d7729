"""What readers said of a report's findings: an SR of its own, by template TID 1500.

It is made of the report alone, as it was sent: its patient, its findings with their tracking UIDs
and regions. So it can be made as well when the images are not here any more.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    RelationshipTypeValues,
    TextContentItem,
    ValueTypeValues,
)
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from cadnode.errors import ReportError
from cadnode.report import codes
from cadnode.report.identity import (
    contributing_equipment,
    file_meta,
    patient_and_study,
    stamp,
    zone_of,
)
from cadnode.report.sr.documents import add_document
from cadnode.report.sr.image_library import evidence
from cadnode.report.uids import object_uid

SERIES_NUMBER: Final = 913
SERIES_DESCRIPTION: Final = "cadnode readers' verdicts"
KIND: Final = "reader-verdicts"
NOBODY_KNOWN: Final = "Who gave a verdict without a person observer is not known by name"
_CONTAINS = RelationshipTypeValues.CONTAINS
_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
_GROUP: Final = "125007"
_TRACKING_IDENTIFIER: Final = "112039"
_KEPT_NAMES: Final = frozenset({_TRACKING_IDENTIFIER, "112040", "121071", "363698007"})
_KEPT_TYPES: Final = frozenset({"SCOORD", "IMAGE", "COMPOSITE"})
_ROOT: Final = (
    "ValueType", "ConceptNameCodeSequence", "ContinuityOfContent", "ContentTemplateSequence",
)  # fmt: skip
_OF_ROOT: Final = frozenset({"HAS CONCEPT MOD", "HAS OBS CONTEXT"})
_LONGEST_NAME: Final = 64  # of a component group of PN, PS3.5 section 6.2


@dataclass(frozen=True, slots=True)
class SaidOfFinding:
    """A reader's last word on the finding of that number, from 1.

    `verdict` is one of `codes.ACCEPTED`, `REJECTED` and `WITHDRAWN`; `at` is in seconds since the
    epoch; `reader` is the name that the person logs in under, "" where it is no person's.
    """

    number: int
    verdict: Code
    at: float
    reader: str


def verdict_sr(
    report: Dataset,
    said: Sequence[SaidOfFinding],
    *,
    name: str,
    made_at: datetime,
    disclaimer: str,
    before: Dataset | None = None,
) -> Dataset:
    """The verdicts as a data set with file meta information, ready to be written.

    `report` is our SR whose findings they are about. The UID depends on it and on `name`. `before`
    is the document that this one replaces.

    Raises
    ------
    ReportError
        The report has no finding of such a number.
    """
    texts = [disclaimer, *(one.reader for one in said)]
    ds = patient_and_study(report, texts)
    series_uid = _uid(report, "", f"{KIND}-series")
    goes_on = before is not None and str(before.SeriesInstanceUID) == series_uid
    ds.SOPClassUID = ComprehensiveSRStorage
    ds.SOPInstanceUID = _uid(report, name, KIND)
    ds.Modality = "SR"
    ds.SeriesInstanceUID = series_uid
    ds.InstanceNumber = int(before.InstanceNumber) + 1 if goes_on and before is not None else 1
    stamp(
        ds, made_at=made_at, series_number=SERIES_NUMBER, description=SERIES_DESCRIPTION
    )  # fmt: skip
    ds.CodingSchemeIdentificationSequence = [codes.private_scheme_item()]
    add_document(ds, evidence([before]) if before is not None else [])
    observer = said[0].reader if len({one.reader for one in said}) == 1 else ""
    groups = [
        _group(_finding(report, one), one, _moment(one.at, ds, made_at), names_reader=not observer)
        for one in said
    ]
    ds.CurrentRequestedProcedureEvidenceSequence = _evidence(report, groups)
    for element in _content(report, groups, observer, _remarks(said, disclaimer)):
        ds[element.tag] = element
    _as_lists(ds)
    ds.ContributingEquipmentSequence = [
        *_makers(report), *contributing_equipment(Dataset(), made_at)
    ]  # fmt: skip
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def named_before(document: Dataset) -> frozenset[str]:
    """SOP Instance UIDs of the documents that this one replaces."""
    return frozenset(_uids_of(document.get("PredecessorDocumentsSequence") or ()))


def evidence_of(document: Dataset) -> frozenset[str]:
    """SOP Instance UIDs of the images and the report that this document is about."""
    return frozenset(_uids_of(document.get("CurrentRequestedProcedureEvidenceSequence") or ()))


def _uid(report: Dataset, name: str, kind: str) -> str:
    return object_uid(
        study_instance_uid=str(report.StudyInstanceUID),
        source_uids=[str(report.SOPInstanceUID)],
        models=[],
        fingerprint=name,
        kind=kind,
    )


def _finding(report: Dataset, one: SaidOfFinding) -> Dataset:
    """The report's group of a finding, with its region."""
    for container in report.get("ContentSequence") or ():
        if _code(container) == codes.IMAGING_MEASUREMENTS.value:
            group: Dataset
            for group in container.get("ContentSequence") or ():
                if _code(group) == _GROUP and _is_finding(group, one.number):
                    return group
    raise ReportError("the report does not have a finding that a reader judged")


def _is_finding(group: Dataset, number: int) -> bool:
    items = group.ContentSequence
    has_region = any(item.ValueType == "SCOORD" for item in items)
    return has_region and any(
        _code(i) == _TRACKING_IDENTIFIER and i.TextValue == f"finding {number}" for i in items
    )


def _group(finding: Dataset, one: SaidOfFinding, moment: str, *, names_reader: bool) -> Dataset:
    """TID 1410: identity, kind, site and region of the finding, and the verdict; no score.

    Where several readers judged, each group names its own: what stands below the root holds there
    (PS3.3 C.17.5). No row of the template has it; TID 1410 is extensible.
    """
    group = copy.deepcopy(finding)
    items = group.ContentSequence
    kept = [i for i in items if _code(i) in _KEPT_NAMES or i.ValueType in _KEPT_TYPES]
    verdict = CodeContentItem(codes.READER_VERDICT, one.verdict, _CONTAINS)
    verdict.ObservationDateTime = moment
    person = _person(one.reader) if names_reader and one.reader else []
    group.ContentSequence = [*kept, *person, verdict]
    return group


def _moment(at: float, ds: Dataset, made_at: datetime) -> str:
    """Date and time in the document's zone; DCMTK knows none that states its offset."""
    zone = zone_of(ds) or made_at.tzinfo
    return datetime.fromtimestamp(at, zone).strftime("%Y%m%d%H%M%S")


def _person(login: str) -> list[ContentItem]:
    """TID 1002 and 1003: the name is mandatory, and only the log-in is known: it stands in both."""
    name = ContentItem(ValueTypeValues.PNAME, codes.PERSON_NAME, _CONTEXT)
    written = "".join(" " if c in "^=\\" or not c.isprintable() else c for c in login)
    name.PersonName = f"{written[: _LONGEST_NAME - 1]}^"
    return [
        CodeContentItem(codes.OBSERVER_TYPE, codes.PERSON, _CONTEXT),
        name,
        TextContentItem(codes.LOGIN_NAME, login, _CONTEXT),
    ]


def _content(report: Dataset, groups: Sequence[Dataset], reader: str, remarks: Dataset) -> Dataset:
    """Root container: TID 1500 as the report's, a reader of all before the device as observers."""
    root = Dataset()
    for keyword in _ROOT:
        root[keyword] = copy.deepcopy(report[keyword])
    head = [copy.deepcopy(i) for i in report.ContentSequence if i.RelationshipType in _OF_ROOT]
    at = next(n for n, i in enumerate(head) if _code(i) == codes.OBSERVER_TYPE.value)
    person = _person(reader) if reader else []
    measurements = _container(codes.IMAGING_MEASUREMENTS, groups)
    root.ContentSequence = [*head[:at], *person, *head[at:], measurements, remarks]
    return root


def _as_lists(item: Dataset) -> None:
    """Mark all containers as lists; renderers leave names out of what they take for a sentence."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence") or []:
        _as_lists(child)


def _container(name: Code, items: Sequence[Dataset]) -> Dataset:
    """A container as a plain data set: its items need not be of highdicom."""
    container = Dataset()
    for element in ContainerContentItem(name, relationship_type=_CONTAINS):
        container[element.tag] = element
    container.ContentSequence = list(items)
    return container


def _remarks(said: Sequence[SaidOfFinding], disclaimer: str) -> Dataset:
    texts = [disclaimer] if all(one.reader for one in said) else [NOBODY_KNOWN, disclaimer]
    comments = [TextContentItem(codes.COMMENT, text, _CONTAINS) for text in texts]
    return _container(codes.QUALITATIVE_EVALUATIONS, comments)


def _evidence(report: Dataset, groups: Sequence[Dataset]) -> list[Dataset]:
    """The report, and of its evidence what the groups refer to."""
    wanted = {uid for group in groups for uid in _references(group)}
    headers = [_named(report, report.SeriesInstanceUID, report.SOPClassUID, report.SOPInstanceUID)]
    for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                if str(one.ReferencedSOPInstanceUID) in wanted:
                    uids = (one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
                    headers.append(_named(study, series.SeriesInstanceUID, *uids))
    return evidence(headers)


def _named(study: Dataset, series_uid: str, class_uid: str, uid: str) -> Dataset:
    """The four UIDs by which a document names another object."""
    ds = Dataset()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.StudyInstanceUID, series_uid
    ds.SOPClassUID, ds.SOPInstanceUID = class_uid, uid
    return ds


def _references(item: Dataset) -> Iterator[str]:
    for one in item.get("ReferencedSOPSequence") or ():
        yield str(one.ReferencedSOPInstanceUID)
    for child in item.get("ContentSequence") or ():
        yield from _references(child)


def _makers(report: Dataset) -> list[Dataset]:
    """What made the images, as the report states it."""
    found = report.get("ContributingEquipmentSequence") or ()
    acquisition = codes.ACQUISITION_EQUIPMENT.value
    return [
        copy.deepcopy(item)
        for item in found
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == acquisition
    ]


def _uids_of(studies: Sequence[Dataset]) -> Iterator[str]:
    for study in studies:
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                yield str(one.ReferencedSOPInstanceUID)


def _code(item: Dataset) -> str:
    """Code value of a content item's name; "" of one without."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""
