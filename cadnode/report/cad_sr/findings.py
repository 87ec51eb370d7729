"""Single image findings (TID 4006): what is seen in one view, and whether to show it."""

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import Assessment, Finding, FindingKind, OperatingCurve
from cadnode.report import codes
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import calcifications, concepts, geometry, items
from cadnode.report.cad_sr.algorithms import Algorithm, named, ours
from cadnode.report.cad_sr.library import Library
from cadnode.report.cad_sr.operating_points import curve_of, step_of
from cadnode.report.words import counting


def rendering_intent(finding: Finding) -> Code:
    """Required for suspicious findings and for those that a person asked about, else optional.

    A finding without an assessment is a peak of a breast that reached its operating point.
    """
    told = counting(finding)
    if finding.marked_by is not None or told is None or told.suspicious:
        return concepts.REQUIRED
    return concepts.OPTIONAL


def single_image_finding(library: Library, relationship: str, index: int) -> Dataset:
    """Finding number `index` (from 0) of the result under the algorithm that counts."""
    finding = library.edition.result.findings[index]
    told = counting(finding)
    algorithm = named(library.edition, finding.algorithm, told.members if told else ())
    algorithm = algorithm.adding(*calcifications.sizes_in_words(library.edition, finding))
    intent = _intent(finding, curve_of(library.edition, finding.algorithm))
    uid = library.edition.uid("tracking-region", index)
    children = [
        intent,
        *tracking(f"finding {index + 1}", uid),
        *_body(library, finding, algorithm, finding.probability),
    ]
    if finding.cluster is not None:
        estimated = parts.diameter_is_estimated(library.edition, finding)
        children += calcifications.cluster(finding.cluster, estimated=estimated)
    children += _described(finding, finding.probability)
    if finding.kind is FindingKind.CALCIFICATION_CLUSTER:
        children += calcifications.individuals(library, finding, _detector(library))
    return _finding(relationship, finding, children)


def further_assessments(library: Library, relationship: str, index: int) -> list[Dataset]:
    """What each further system says of a finding: findings that are not for presentation.

    TID 4006 has room for one algorithm. A workstation draws what it is to present; the others'
    words are there for programs, under the same region.
    """
    finding = library.edition.result.findings[index]
    others = [a for a in finding.assessments if a is not counting(finding)]
    return [_further(library, relationship, index, told) for told in others]


def _further(library: Library, relationship: str, index: int, told: Assessment) -> Dataset:
    edition, finding = library.edition, library.edition.result.findings[index]
    uid = edition.uid(f"tracking-assessment-{told.system}-{told.algorithm}", index)
    algorithm = named(edition, told.algorithm, told.members)
    children = [
        items.code(items.MODIFIER, concepts.RENDERING_INTENT, concepts.NOT_SHOWN),
        *tracking(f"finding {index + 1}: {told.system}", uid),
        *_body(library, finding, algorithm, told.probability),
    ]
    children += _described(finding, told.probability)
    return _finding(relationship, finding, children)


def tracking(text: str, uid: str) -> list[Dataset]:
    """TID 4108: the words and the UID that a finding goes by."""
    return [
        items.text(items.OBSERVATION, concepts.TRACKING_IDENTIFIER, text),
        items.uid(items.OBSERVATION, concepts.TRACKING_UID, uid),
    ]


def _finding(relationship: str, finding: Finding, children: list[Dataset]) -> Dataset:
    kind = concepts.FINDINGS[finding.kind]
    return items.code(relationship, concepts.SINGLE_IMAGE_FINDING, kind, children)


def _intent(finding: Finding, curve: OperatingCurve | None) -> Dataset:
    """Rendering intent; an optional finding names the step from which on it is shown.

    Only a curve of regions says that: a breast's score is not a region's probability.
    """
    intent = rendering_intent(finding)
    steps = []
    if intent is concepts.OPTIONAL and curve is not None and not curve.of_breasts:
        step = max(1, step_of(curve, finding.probability))
        steps = [items.number(items.PROPERTIES, concepts.OPERATING_POINT, step, concepts.FROM_ONE)]
    return items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent, steps)


def _body(
    library: Library, finding: Finding, algorithm: Algorithm, probability: float
) -> list[Dataset]:
    """Algorithm, certainty that there is something, probability of cancer, and where it is."""
    certainty = []
    if finding.certainty is not None:
        percent = 100 * parts.number(finding.certainty)
        certainty = [items.number(items.PROPERTIES, codes.CERTAINTY, percent, codes.PERCENT)]
    return [
        *algorithm.items(),
        *certainty,
        *_probability(finding, probability),
        *geometry.of_finding(library, finding),
    ]


def _probability(finding: Finding, probability: float) -> list[Dataset]:
    """Probability of cancer in percent; a selected region may have none (TID 4006 row 7)."""
    if finding.kind in concepts.REGION_DESCRIPTIONS:
        return []
    percent = 100 * parts.number(probability)
    return [items.number(items.PROPERTIES, codes.PROBABILITY_OF_CANCER, percent, codes.PERCENT)]


def _described(finding: Finding, probability: float) -> list[Dataset]:
    """TID 4013: what a selected region is, with the probability that has no item of its own."""
    if finding.kind not in concepts.REGION_DESCRIPTIONS:
        return []
    words = concepts.REGION_DESCRIPTIONS[finding.kind]
    said = f"{words}; probability of cancer {100 * parts.number(probability):.4g} %"
    return [items.text(items.PROPERTIES, concepts.REGION_DESCRIPTION, said)]


def _detector(library: Library) -> Algorithm:
    """What found the calcifications: the learned filter where there is one."""
    found = detectors(library)
    return found[0] if found else ours()


def detectors(library: Library) -> list[Algorithm]:
    """Models that took part and neither scored a view nor assessed a region."""
    result = library.edition.result
    others = {view.algorithm for view in result.views}
    for told in (a for f in result.findings for a in f.assessments):
        others |= {told.algorithm, *(name for name, _ in told.members)}
    others |= {name for status in result.systems for name in status.models}
    return [named(library.edition, m.name) for m in result.models if m.name not in others]
