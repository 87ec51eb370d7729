"""Single image findings (TID 4006): what is seen in one view, and whether to show it.

With a cluster's calcifications (TID 4010, 4009) and where they lie: centre and outline, by
reference into the image library (TID 4021).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from cadnode.domain import (
    Assessment,
    Calcification,
    ClusterDescription,
    ExamResult,
    Finding,
    FindingKind,
    OperatingCurve,
)
from cadnode.report import codes
from cadnode.report.cad_sr import concepts
from cadnode.report.cad_sr.tid4019_algorithms import named, ours
from cadnode.report.cad_sr.tid4020_image_library import Library
from cadnode.report.cad_sr.tid4023_operating_points import curve_of, step_of
from cadnode.report.edition import Edition
from cadnode.report.scores import (
    ScoringSystem,
    assessment_scorer,
    detector,
    finding_scorer,
    suspicious_to_women_trained,
)
from cadnode.report.sr import group_parts as parts
from cadnode.report.sr import items
from cadnode.report.sr.finding_groups import polyline
from cadnode.report.sr.group_parts import Algorithm
from cadnode.report.sr.items import Item
from cadnode.report.wording import counting, origin


def rendering_intent(result: ExamResult, finding: Finding) -> Code:
    """Whether a workstation is to draw the finding.

    Required: what a person asked about, and what the counting system calls suspicious (a finding
    without an assessment is a peak of a breast that reached its operating point). Where the
    counting system was trained on phantoms alone, another must call it suspicious, or it is not
    for presentation: a mark on a woman's image stands for more than phantoms. Else optional.
    """
    counted = counting(finding)
    if finding.marked_by is not None and finding.marked_by.by_person:
        return concepts.REQUIRED
    if finding_scorer(result, finding).phantoms_only:
        shown = suspicious_to_women_trained(result, finding)
        return concepts.REQUIRED if shown else concepts.NOT_SHOWN
    return concepts.REQUIRED if counted is None or counted.suspicious else concepts.OPTIONAL


def strongest(result: ExamResult, findings: Sequence[Finding]) -> Code:
    """The intent of what holds several findings: it is shown when one of them is."""
    intents = {rendering_intent(result, finding) for finding in findings}
    return next(intent for intent in concepts.INTENTS if intent in intents)


def single_image_finding(library: Library, relationship: str, index: int) -> Item:
    """Finding number `index` (from 0) of the result under the algorithm that counts."""
    edition = library.edition
    finding = edition.result.findings[index]
    counted = counting(finding)
    scorer = finding_scorer(edition.result, finding)
    algorithm = named(edition, finding.algorithm, counted.members if counted else ()).adding(
        *_score(finding, scorer, finding.probability),
        *_sizes_in_words(edition, finding),
    )
    intent = rendering_intent(edition.result, finding)
    children = [
        _intent(finding, intent, curve_of(edition, finding.algorithm)),
        *parts.tracking(f"finding {index + 1}", edition.uid("tracking-region", index)),
        *algorithm.items(items.PROPERTIES),
        *_location_of_finding(library, finding),
    ]
    if finding.cluster is not None:
        estimated = parts.diameter_is_estimated(edition, finding)
        children += _cluster(finding.cluster, estimated=estimated)
    children += _described(finding, scorer, finding.probability)
    if finding.kind is FindingKind.CALCIFICATION_CLUSTER:
        children += _individuals(
            library,
            finding,
            detection(edition, finding),
            concepts.NOT_SHOWN if intent is concepts.NOT_SHOWN else concepts.OPTIONAL,
        )
    return _finding(relationship, finding, children)


def further_statements(library: Library, relationship: str, index: int) -> list[Item]:
    """What the detection and each further system state of a finding: not for presentation.

    TID 4006 has room for one algorithm. A workstation draws what it is to present; the others'
    words are there for programs, under the same region. The certainty is the detection's.
    """
    edition = library.edition
    finding = edition.result.findings[index]
    others = [a for a in finding.assessments if a is not counting(finding)]
    made = [_further(library, relationship, index, other) for other in others]
    if finding.certainty is None:
        return made
    percent = 100 * parts.number(finding.certainty)
    children = [
        *_unseen(edition, index, "detection", f"finding {index + 1}: detection"),
        *detection(edition, finding).items(items.PROPERTIES),
        items.number(items.PROPERTIES, codes.CERTAINTY, percent, codes.PERCENT),
        *_location_of_finding(library, finding),
    ]
    return [_finding(relationship, finding, children), *made]


def _further(library: Library, relationship: str, index: int, assessment: Assessment) -> Item:
    edition, finding = library.edition, library.edition.result.findings[index]
    scorer = assessment_scorer(edition.result, assessment)
    algorithm = named(edition, assessment.algorithm, assessment.members)
    kind = f"assessment-{assessment.system}-{assessment.algorithm}"
    children = [
        *_unseen(edition, index, kind, f"finding {index + 1}: {assessment.system}"),
        *algorithm.adding(*_score(finding, scorer, assessment.probability)).items(items.PROPERTIES),
        *_location_of_finding(library, finding),
        *_described(finding, scorer, assessment.probability),
    ]
    return _finding(relationship, finding, children)


def _unseen(edition: Edition, index: int, kind: str, text: str) -> list[Item]:
    """Rendering intent and tracking of a statement that is not for presentation."""
    intent = items.code(items.MODIFIER, concepts.RENDERING_INTENT, concepts.NOT_SHOWN)
    return [intent, *parts.tracking(text, edition.uid(f"tracking-{kind}", index))]


def _finding(relationship: str, finding: Finding, children: list[Item]) -> Item:
    kind = concepts.FINDINGS[finding.kind]
    return items.code(relationship, concepts.SINGLE_IMAGE_FINDING, kind, children)


def _intent(finding: Finding, intent: Code, curve: OperatingCurve | None) -> Item:
    """Rendering intent; an optional finding names the step from which on it is shown.

    Only a curve of regions gives that: a breast's score is not a region's.
    """
    steps = []
    if intent is concepts.OPTIONAL and curve is not None and not curve.of_breasts:
        step = max(1, step_of(curve, finding.probability))
        steps = [items.number(items.PROPERTIES, concepts.OPERATING_POINT, step, concepts.FROM_ONE)]
    return items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent, steps)


def _score(finding: Finding, scorer: ScoringSystem, value: float) -> tuple[str, ...]:
    """The CAD score as an algorithm parameter (111002).

    TID 4006 has a probability of cancer (111047) alone, which no score is, and is closed. A
    selected region has the score in its description.
    """
    if finding.kind in concepts.REGION_DESCRIPTIONS:
        return ()
    return (_in_words(scorer, value),)


def _described(finding: Finding, scorer: ScoringSystem, value: float) -> list[Item]:
    """TID 4013: what a selected region is, with the score that has no item of its own."""
    if finding.kind not in concepts.REGION_DESCRIPTIONS:
        return []
    words = concepts.REGION_DESCRIPTIONS[finding.kind]
    if finding.marked_by is not None:
        words = f"Region {origin(finding.marked_by)}; no lesion was segmented"
    text = f"{words}; {_in_words(scorer, value)}"
    return [items.text(items.PROPERTIES, concepts.REGION_DESCRIPTION, text)]


def _in_words(scorer: ScoringSystem, value: float) -> str:
    """Such as "CAD score of kang2021, 1.1.0; trained on phantoms: 0.75 (0 to 1)"."""
    return f"{scorer.code.meaning}: {parts.number(value):.4g} (0 to 1)"


def detection(edition: Edition, finding: Finding) -> Algorithm:
    """What found the region: the learned filter of clusters where there is one, else our rules."""
    found = detector(edition.result, finding)
    return ours() if found is None else named(edition, found.name)


def _cluster(described: ClusterDescription, *, estimated: bool) -> list[Item]:
    """Type (CID 6010), distribution (CID 6012), number, and the diameter in mm (TID 1400).

    TID 1400 has no "estimated", and the template is closed: a diameter that rests on a
    guessed pixel size is left to `sizes_in_words`.
    """
    kind = codes.CALCIFICATION_TYPES[described.type]
    distribution = codes.DISTRIBUTIONS[described.distribution]
    made = [
        items.code(items.PROPERTIES, codes.CALCIFICATION_TYPE, kind),
        items.code(items.PROPERTIES, codes.DISTRIBUTION, distribution),
        items.number(items.PROPERTIES, codes.N_CALCIFICATIONS, described.count, codes.NO_UNITS),
    ]
    if estimated:
        return made
    diameter = parts.number(described.diameter_mm)
    return [*made, items.number(items.PROPERTIES, codes.DIAMETER, diameter, codes.MILLIMETER)]


def _sizes_in_words(edition: Edition, finding: Finding) -> tuple[str, ...]:
    """The diameter that has no item of its own, as an algorithm parameter (111002)."""
    if finding.cluster is None or not parts.diameter_is_estimated(edition, finding):
        return ()
    diameter = parts.number(finding.cluster.diameter_mm)
    return (f"estimated diameter {diameter:g} mm: the image states no pixel size",)


def _individuals(
    library: Library, finding: Finding, algorithm: Algorithm, intent: Code
) -> list[Item]:
    """The calcifications of a cluster, each a finding that it is inferred from (TID 4006).

    Their rendering is never required: the cluster's outline stands for them. TID 4009 has nothing
    to add: the type was estimated for the whole cluster.
    """
    rendering = items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent)
    return [
        items.code(
            items.INFERRED,
            concepts.SINGLE_IMAGE_FINDING,
            concepts.CALCIFICATION,
            [
                rendering,
                *algorithm.items(items.PROPERTIES),
                *_location_of_calcification(library, finding, one),
            ],
        )
        for one in finding.calcifications
    ]


def _location_of_finding(library: Library, finding: Finding) -> list[Item]:
    """Centre (POINT) and outline (closed POLYLINE) of a finding."""
    mammogram = parts.mammogram_of(library.edition, finding.sop_instance_uid)
    outline = polyline(finding, mammogram.rows, mammogram.columns)
    image = library.selected(finding.sop_instance_uid)
    return [
        items.coordinates(items.PROPERTIES, concepts.CENTER, "POINT", [_centre(outline)], image),
        items.coordinates(items.PROPERTIES, concepts.OUTLINE, "POLYLINE", outline, image),
    ]


def _location_of_calcification(
    library: Library, finding: Finding, one: Calcification
) -> list[Item]:
    """Centre of one calcification of a finding."""
    image = library.selected(finding.sop_instance_uid)
    point = (one.col, one.row)
    return [items.coordinates(items.PROPERTIES, concepts.CENTER, "POINT", [point], image)]


def _centre(outline: NDArray[np.float32]) -> tuple[float, float]:
    """(column, row) centre of gravity of a closed polygon of `(n, 2)` (column, row) points."""
    moments = cv2.moments(outline[:-1])
    if moments["m00"] == 0:
        column, row = outline[:-1].mean(axis=0)
        return float(column), float(row)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
