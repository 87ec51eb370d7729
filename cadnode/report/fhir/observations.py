"""FHIR R5 Observations of a reading: exam, breasts, findings, and images that were not read."""

from typing import Final

from pydicom.sr.coding import Code

from cadnode.domain import Assessment, BreastScore, ClusterDescription, Finding, Skipped
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.edition import Edition
from cadnode.report.fhir.elements import Resource, concept, filled, quantity, reference
from cadnode.report.scores import assessment_scorer, exam_scorer, finding_scorer
from cadnode.report.sr.group_parts import detection, diameter_is_estimated, mammogram_of, number
from cadnode.report.sr.measurement_groups import summary
from cadnode.report.wording import counting

IMAGING: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "imaging",
    "display": "Imaging",
}
_NOT_DONE: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
    "code": "error",
    "display": "Error",
}
FINDING: Final = Code("121071", "DCM", "Finding")


def exam_uid(edition: Edition) -> str:
    """UID of the exam's Observation, as of its measurement group."""
    return edition.uid("tracking-exam")


def breast_uid(edition: Edition, index: int) -> str:
    """UID of a breast's Observation."""
    return edition.uid("tracking-breast", index)


def finding_uid(edition: Edition, index: int) -> str:
    """UID of a finding's Observation: the tracking UID of its region."""
    return edition.uid("tracking-region", index)


def skipped_uid(edition: Edition, index: int) -> str:
    """UID of the Observation of an image that was not read."""
    return edition.uid("tracking-not-read", index)


def selection_uid(edition: Edition, index: int) -> str:
    """UID of a finding's ImagingSelection."""
    return edition.uid("fhir-selection", index)


def exam_observation(edition: Edition) -> Resource:
    """The exam's score with the operating point, or why there is none."""
    result = edition.result
    observation = _observation(exam_scorer(result).code, concept(codes.BREAST))
    point = result.operating_point
    threshold = [] if point is None else [_measured(codes.OPERATING_POINT, point, codes.NO_UNITS)]
    ending = {"code": concept(codes.SUMMARY), "valueCodeableConcept": concept(summary(result))}
    components = [ending, *_with_age(result.score_with_age()), *threshold]
    if result.exam_score is None:
        absent = {"coding": [_NOT_DONE], "text": summary(result).meaning}
        return {**observation, "dataAbsentReason": absent, "component": components}
    return {**observation, **_score(result.exam_score), "component": components}


def breast_observation(edition: Edition, breast: BreastScore) -> Resource:
    """One breast's score; that of image and age as a component, where there is one."""
    site = concept(concepts.SIDES[breast.laterality])
    observation = _observation(exam_scorer(edition.result).code, site)
    with_age = _with_age(edition.result.score_with_age(breast.laterality))
    components = {"component": with_age} if with_age else {}
    return {**observation, **_score(breast.score), **components}


def finding_observation(edition: Edition, finding: Finding, index: int) -> Resource:
    """A finding: the score that counts, what it is, and other systems' assessments of it."""
    mammogram = mammogram_of(edition, finding.sop_instance_uid)
    chosen = counting(finding)
    kind = {
        "code": concept(FINDING),
        "valueCodeableConcept": concept(codes.FINDING_KINDS[finding.kind]),
    }
    components = [kind]
    if finding.certainty is not None:
        by = _detection(edition, finding)
        text = f"{codes.CERTAINTY.meaning} by {by}"
        components.append(_measured(codes.CERTAINTY, 100 * finding.certainty, codes.PERCENT, text))
    if chosen is not None:
        components.append(_reaches(chosen))
    if finding.cluster is not None:
        estimated = diameter_is_estimated(edition, finding)
        components += _described(finding.cluster, estimated=estimated)
    if finding.marked_by is not None:
        origin = concept(codes.region_origin(finding.marked_by))
        components.append({"code": concept(codes.REGION_ORIGIN), "valueCodeableConcept": origin})
    components += [
        _component(edition, other) for other in finding.assessments if other is not chosen
    ]
    scorer = finding_scorer(edition.result, finding)
    return {
        **_observation(scorer.code, concept(concepts.SIDES[mammogram.laterality])),
        **_score(finding.probability),
        "derivedFrom": [reference(selection_uid(edition, index), "ImagingSelection")],
        "component": components,
        "note": [{"text": f"finding {index + 1}, {mammogram.laterality} {mammogram.view}, "
                  f"by {finding.algorithm}, {scorer.training}"}],
    }  # fmt: skip


def skipped_observation(skipped: Skipped) -> Resource:
    """An image that was not read, and the coded reason why not."""
    reason = concept(codes.skip_reason(skipped.reason))
    return filled({
        **_observation(codes.READING_STATUS, concept(codes.BREAST)),
        "valueCodeableConcept": concept(codes.reading_status(skipped.reason)),
        "component": [{"code": concept(codes.REASON_NOT_READ), "valueCodeableConcept": reason}],
        "note": [{"text": f"image {skipped.sop_instance_uid}"}] if skipped.sop_instance_uid else [],
    })  # fmt: skip


def _observation(code: Code, site: Resource) -> Resource:
    """What every Observation has; "preliminary", which FHIR allows to be unverified."""
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [IMAGING]}],
        "code": concept(code),
        "bodySite": site,
    }


def _score(value: float) -> Resource:
    """The value of a score, from 0 to 1: no percentage, which would look like a probability."""
    return {"valueQuantity": quantity(number(value), codes.NO_UNITS)}


def _measured(name: Code, value: float, unit: Code, text: str = "") -> Resource:
    return {"code": concept(name, text=text), "valueQuantity": quantity(number(value), unit)}


def _with_age(score: float | None) -> list[Resource]:
    """The component with a score of image and age beside the image's own, where there is one."""
    return [] if score is None else [_measured(codes.IMAGE_AGE_SCORE, score, codes.NO_UNITS)]


def _reaches(assessment: Assessment) -> Resource:
    """Whether the score reaches the operating point of its system."""
    answer = codes.YES if assessment.suspicious else codes.NO
    return {"code": concept(codes.REACHES_OPERATING_POINT), "valueCodeableConcept": concept(answer)}


def _component(edition: Edition, assessment: Assessment) -> Resource:
    """A further system's assessment of the finding; code and text name it."""
    code = assessment_scorer(edition.result, assessment).code
    text = f"{code.meaning} ({assessment.algorithm})"
    return {"code": concept(code, text=text), **_score(assessment.probability)}


def _detection(edition: Edition, finding: Finding) -> str:
    """Name and version of what found the region."""
    found = detection(edition, finding)
    return f"{found.name} {found.version}"


def _described(cluster: ClusterDescription, *, estimated: bool) -> list[Resource]:
    """A cluster's descriptors, with the concepts of TID 4010 (PS3.16).

    FHIR has no modifier of a quantity for "estimated": the text of the concept has it.
    """
    diameter = "Diameter (estimated: the image states no pixel size)" if estimated else ""
    return [
        {
            "code": concept(codes.CALCIFICATION_TYPE),
            "valueCodeableConcept": concept(codes.CALCIFICATION_TYPES[cluster.type]),
        },
        {
            "code": concept(codes.DISTRIBUTION),
            "valueCodeableConcept": concept(codes.DISTRIBUTIONS[cluster.distribution]),
        },
        _measured(codes.N_CALCIFICATIONS, cluster.count, codes.NO_UNITS),
        _measured(codes.DIAMETER, cluster.diameter_mm, codes.MILLIMETER, diameter),
    ]
