"""Comprehensive SR of an exam's reading, by template TID 1500 (PS3.16)."""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    MeasurementReport,
    ObservationContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import (
    contributing_equipment,
    file_meta,
    patient_and_study,
    stamp,
)
from cadnode.report.scores import took_part
from cadnode.report.sr.documents import (
    add_document,
    document_uid,
    observer,
    predecessors,
    remarks,
)
from cadnode.report.sr.image_library import evidence, image_library, images, markers
from cadnode.report.sr.measurement_groups import measurement_groups, summary

SERIES_NUMBER: Final = 901
SERIES_DESCRIPTION: Final = "cadnode CAD report"
_CONTAINS = RelationshipTypeValues.CONTAINS


def measurement_sr(edition: Edition, replaced: Sequence[Dataset] = ()) -> Dataset:
    """The report as a data set with file meta information, ready to be written.

    `replaced` are the SRs of earlier readings of the same images; the new document names them
    in Predecessor Documents Sequence, unless its content is the same.

    Raises
    ------
    ReportError
        The exam has no DICOM header, or the result does not fit the exam.
    """
    headers = images(edition)
    old = predecessors(edition, replaced, "sr")
    ds = patient_and_study(edition.reference, [edition.disclaimer, *remarks(edition.result)])
    ds.SOPClassUID = ComprehensiveSRStorage
    ds.SOPInstanceUID = document_uid(edition, "sr", old)
    ds.Modality = "SR"
    ds.SeriesInstanceUID = edition.uid("sr-series")
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
    )
    ds.CodingSchemeIdentificationSequence = [codes.private_scheme_item()]
    add_document(ds, old)
    if headers:
        ds.CurrentRequestedProcedureEvidenceSequence = evidence([*headers, *markers(edition)])
    for element in _content(edition, headers):
        ds[element.tag] = element
    as_lists(ds)
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def as_lists(item: Dataset) -> None:
    """Mark all containers as lists; renderers leave names out of what they take for a sentence."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence") or []:
        as_lists(child)


def _content(edition: Edition, headers: list[Dataset]) -> Dataset:
    """Root container: TID 1500 with image library, measurements and the disclaimer."""
    report = MeasurementReport(
        observation_context=ObservationContext(observer(edition)),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=measurement_groups(edition),
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root: Dataset = report[0]
    *context, measurements = root.ContentSequence
    library = image_library(edition, headers)
    root.ContentSequence = ContentSequence(
        [*context, *([library] if library else []), measurements, _remarks(edition)]
    )
    return root


def _remarks(edition: Edition) -> ContainerContentItem:
    """Qualitative Evaluations container (TID 1500): how the reading ended, and the disclaimer.

    Scores are declared to be no probabilities. Each system is named; when it took no part, or not
    with all of its models, or was trained on phantoms, a comment states it.
    """
    result = edition.result
    evaluations = [(codes.SUMMARY, summary(result))]
    if result.views:
        evaluations.append((codes.CALIBRATION, codes.UNCALIBRATED))
    for status in result.systems:
        part = codes.TOOK_PART if took_part(result, status) else codes.ABSENT
        evaluations.append((codes.system(status.system), part))
    container = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    comments = [*remarks(result), edition.disclaimer]
    container.ContentSequence = ContentSequence(
        [
            *(CodeContentItem(name, value, _CONTAINS) for name, value in evaluations),
            *(TextContentItem(codes.COMMENT, comment, _CONTAINS) for comment in comments),
        ]
    )
    return container
