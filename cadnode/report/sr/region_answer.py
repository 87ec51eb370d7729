"""The answer to one region that somebody asked about: an SR of its own, by template TID 1500.

It holds one measurement group (TID 1410) with the region, its image and the score of each system,
each score with its own algorithm (TID 300). Viewers that want a region in every group draw it, and
show all scores as one measurement.
"""

from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    Measurement,
    MeasurementReport,
    ObservationContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations as Region
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from cadnode.domain import Assessment, Finding
from cadnode.errors import ReportError
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.identity import contributing_equipment, file_meta, patient_and_study, stamp
from cadnode.report.scores import assessment_scorer, phantom_sentence, took_part
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr.documents import absences, add_document, observer
from cadnode.report.sr.finding_groups import drawn_in, image_region, reaches
from cadnode.report.sr.image_library import evidence, image_library, markers
from cadnode.report.sr.measurement_report import as_lists
from cadnode.report.wording import counting

SERIES_NUMBER: Final = 912
SERIES_DESCRIPTION: Final = "cadnode answer to a region"
KIND: Final = "region-answer"
_CONTAINS = RelationshipTypeValues.CONTAINS


def region_answer_sr(edition: Edition, region: str) -> Dataset:
    """The answer as a data set with file meta information, ready to be written.

    The edition's result has one finding, and its exam that finding's view alone. `region` names
    the region among all that were asked about: its UIDs depend on it, and on the edition. Each is
    a series of its own: of a series of SRs viewers show the last one only.

    Raises
    ------
    ReportError
        The result has not one finding, or its view or the object it was drawn in is missing.
    """
    if len(edition.result.findings) != 1:
        raise ReportError("an answer is about one region")
    (finding,) = edition.result.findings
    header = parts.mammogram_of(edition, finding.sop_instance_uid).header
    ds = patient_and_study(edition.reference, [edition.disclaimer, *_comments(edition)])
    ds.SOPClassUID = ComprehensiveSRStorage
    ds.SOPInstanceUID = edition.uid(KIND, after=region)
    ds.Modality = "SR"
    ds.SeriesInstanceUID = edition.uid(f"{KIND}-series", after=region)
    ds.InstanceNumber = 1
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=SERIES_NUMBER,
        description=SERIES_DESCRIPTION,
    )
    ds.CodingSchemeIdentificationSequence = [codes.private_scheme_item()]
    add_document(ds, [])
    ds.CurrentRequestedProcedureEvidenceSequence = evidence([header, *markers(edition)])
    for element in _content(edition, finding, header, region):
        ds[element.tag] = element
    as_lists(ds)
    ds.ContributingEquipmentSequence = contributing_equipment(
        edition.reference, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, ExplicitVRLittleEndian)
    return ds


def _content(edition: Edition, finding: Finding, header: Dataset, region: str) -> Dataset:
    report = MeasurementReport(
        observation_context=ObservationContext(observer(edition)),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=[_group(edition, finding, region)],
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root: Dataset = report[0]
    *context, measurements = root.ContentSequence
    library = image_library(edition, [header])
    root.ContentSequence = ContentSequence(
        [*context, *([library] if library else []), measurements, _remarks(edition)]
    )
    return root


def _group(edition: Edition, finding: Finding, region: str) -> Region:
    """The region and its scores, the one that counts first."""
    chosen = counting(finding)
    mammogram = parts.mammogram_of(edition, finding.sop_instance_uid)
    scored = sorted(finding.assessments, key=lambda a: a is not chosen)
    evaluations = [reaches(chosen)] if chosen else []
    if finding.marked_by is not None:
        origin = codes.region_origin(finding.marked_by)
        evaluations.append(QualitativeEvaluation(codes.REGION_ORIGIN, origin))
    tracking = parts.tracking(edition, f"{KIND}-{region}", 0, "region asked about")
    group = Region(
        tracking_identifier=tracking,
        referenced_region=image_region(mammogram, finding),
        finding_type=codes.FINDING_KINDS[finding.kind],
        finding_sites=parts.site(mammogram.laterality),
        algorithm_id=parts.algorithm_with_members(
            edition, finding.algorithm, chosen.members if chosen else ()
        ),
        measurements=[_score(edition, assessment) for assessment in scored],
        qualitative_evaluations=evaluations,
    )
    if finding.marked_by is not None and finding.marked_by.sop_instance_uid:
        group[0].ContentSequence.append(drawn_in(finding))
    return group


def _score(edition: Edition, found: Assessment) -> Measurement:
    return Measurement(
        assessment_scorer(edition.result, found).code,
        parts.number(found.probability),
        codes.NO_UNITS,
        algorithm_id=parts.algorithm_with_members(edition, found.algorithm, found.members),
    )


def _remarks(edition: Edition) -> ContainerContentItem:
    """Qualitative Evaluations (TID 1500): which systems took part, why others did not."""
    result = edition.result
    items: list[CodeContentItem | TextContentItem] = [
        CodeContentItem(
            codes.system(status.system),
            codes.TOOK_PART if took_part(result, status) else codes.ABSENT,
            _CONTAINS,
        )
        for status in result.systems
    ]
    texts = [*_comments(edition), edition.disclaimer]
    items += [TextContentItem(codes.COMMENT, text, _CONTAINS) for text in texts]
    container = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _comments(edition: Edition) -> list[str]:
    """What a reader must know beside the numbers, each a sentence without its stop."""
    result = edition.result
    reached = [
        f"{a.system}: the score of the region "
        f"{'reaches' if a.suspicious else 'does not reach'} its operating point"
        for a in result.findings[0].assessments
    ]
    return [*reached, *filter(None, [phantom_sentence(result)]), *absences(result)]
