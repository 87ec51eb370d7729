"""Single image findings (TID 4006): what is seen in one view, and whether to show it."""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode.domain import Assessment, ExamResult, Finding, FindingKind, OperatingCurve
from cadnode.report import codes
from cadnode.report import group_parts as parts
from cadnode.report.cad_sr import calcifications, concepts, geometry, items
from cadnode.report.cad_sr.algorithms import Algorithm, named, ours
from cadnode.report.cad_sr.library import Library
from cadnode.report.cad_sr.operating_points import curve_of, step_of
from cadnode.report.edition import Edition
from cadnode.report.scores import (
    Scorer,
    assessment_scorer,
    detector,
    finding_scorer,
    suspicious_to_women_trained,
)
from cadnode.report.words import counting, origin


def rendering_intent(result: ExamResult, finding: Finding) -> Code:
    """Whether a workstation is to draw the finding.

    Required: what a person asked about, and what the counting system calls suspicious (a finding
    without an assessment is a peak of a breast that reached its operating point). Where the
    counting system learnt from phantoms alone, another must call it suspicious, or the finding is
    not for presentation: a mark on a woman's image stands for more than phantoms. Else optional.
    """
    told = counting(finding)
    if finding.marked_by is not None and finding.marked_by.by_person:
        return concepts.REQUIRED
    if finding_scorer(result, finding).phantoms_only:
        shown = suspicious_to_women_trained(result, finding)
        return concepts.REQUIRED if shown else concepts.NOT_SHOWN
    return concepts.REQUIRED if told is None or told.suspicious else concepts.OPTIONAL


def strongest(result: ExamResult, findings: Sequence[Finding]) -> Code:
    """The intent of what holds several findings: it is shown when one of them is."""
    intents = {rendering_intent(result, finding) for finding in findings}
    return next(intent for intent in concepts.INTENTS if intent in intents)


def single_image_finding(library: Library, relationship: str, index: int) -> Dataset:
    """Finding number `index` (from 0) of the result under the algorithm that counts."""
    edition = library.edition
    finding = edition.result.findings[index]
    told = counting(finding)
    scorer = finding_scorer(edition.result, finding)
    algorithm = named(edition, finding.algorithm, told.members if told else ()).adding(
        *_score(finding, scorer, finding.probability),
        *calcifications.sizes_in_words(edition, finding),
    )
    intent = rendering_intent(edition.result, finding)
    children = [
        _intent(finding, intent, curve_of(edition, finding.algorithm)),
        *tracking(f"finding {index + 1}", edition.uid("tracking-region", index)),
        *algorithm.items(),
        *geometry.of_finding(library, finding),
    ]
    if finding.cluster is not None:
        estimated = parts.diameter_is_estimated(edition, finding)
        children += calcifications.cluster(finding.cluster, estimated=estimated)
    children += _described(finding, scorer, finding.probability)
    if finding.kind is FindingKind.CALCIFICATION_CLUSTER:
        children += calcifications.individuals(
            library,
            finding,
            detection(edition, finding),
            concepts.NOT_SHOWN if intent is concepts.NOT_SHOWN else concepts.OPTIONAL,
        )
    return _finding(relationship, finding, children)


def further_statements(library: Library, relationship: str, index: int) -> list[Dataset]:
    """What the detection and each further system say of a finding: not for presentation.

    TID 4006 has room for one algorithm. A workstation draws what it is to present; the others'
    words are there for programs, under the same region. The certainty is the detection's.
    """
    edition = library.edition
    finding = edition.result.findings[index]
    others = [a for a in finding.assessments if a is not counting(finding)]
    made = [_further(library, relationship, index, told) for told in others]
    if finding.certainty is None:
        return made
    percent = 100 * parts.number(finding.certainty)
    children = [
        *_unseen(edition, index, "detection", f"finding {index + 1}: detection"),
        *detection(edition, finding).items(),
        items.number(items.PROPERTIES, codes.CERTAINTY, percent, codes.PERCENT),
        *geometry.of_finding(library, finding),
    ]
    return [_finding(relationship, finding, children), *made]


def _further(library: Library, relationship: str, index: int, told: Assessment) -> Dataset:
    edition, finding = library.edition, library.edition.result.findings[index]
    scorer = assessment_scorer(edition.result, told)
    algorithm = named(edition, told.algorithm, told.members)
    kind = f"assessment-{told.system}-{told.algorithm}"
    children = [
        *_unseen(edition, index, kind, f"finding {index + 1}: {told.system}"),
        *algorithm.adding(*_score(finding, scorer, told.probability)).items(),
        *geometry.of_finding(library, finding),
        *_described(finding, scorer, told.probability),
    ]
    return _finding(relationship, finding, children)


def _unseen(edition: Edition, index: int, kind: str, text: str) -> list[Dataset]:
    """Rendering intent and tracking of a statement that is not for presentation."""
    intent = items.code(items.MODIFIER, concepts.RENDERING_INTENT, concepts.NOT_SHOWN)
    return [intent, *tracking(text, edition.uid(f"tracking-{kind}", index))]


def tracking(text: str, uid: str) -> list[Dataset]:
    """TID 4108: the words and the UID that a finding goes by."""
    return [
        items.text(items.OBSERVATION, concepts.TRACKING_IDENTIFIER, text),
        items.uid(items.OBSERVATION, concepts.TRACKING_UID, uid),
    ]


def _finding(relationship: str, finding: Finding, children: list[Dataset]) -> Dataset:
    kind = concepts.FINDINGS[finding.kind]
    return items.code(relationship, concepts.SINGLE_IMAGE_FINDING, kind, children)


def _intent(finding: Finding, intent: Code, curve: OperatingCurve | None) -> Dataset:
    """Rendering intent; an optional finding names the step from which on it is shown.

    Only a curve of regions says that: a breast's score is not a region's.
    """
    steps = []
    if intent is concepts.OPTIONAL and curve is not None and not curve.of_breasts:
        step = max(1, step_of(curve, finding.probability))
        steps = [items.number(items.PROPERTIES, concepts.OPERATING_POINT, step, concepts.FROM_ONE)]
    return items.code(items.MODIFIER, concepts.RENDERING_INTENT, intent, steps)


def _score(finding: Finding, scorer: Scorer, value: float) -> tuple[str, ...]:
    """The CAD score as an algorithm parameter (111002).

    TID 4006 has a probability of cancer (111047) alone, which no score is, and is closed. A
    selected region has the score in its description.
    """
    if finding.kind in concepts.REGION_DESCRIPTIONS:
        return ()
    return (_in_words(scorer, value),)


def _described(finding: Finding, scorer: Scorer, value: float) -> list[Dataset]:
    """TID 4013: what a selected region is, with the score that has no item of its own."""
    if finding.kind not in concepts.REGION_DESCRIPTIONS:
        return []
    words = concepts.REGION_DESCRIPTIONS[finding.kind]
    if finding.marked_by is not None:
        words = f"Region {origin(finding.marked_by)}; no lesion was segmented"
    said = f"{words}; {_in_words(scorer, value)}"
    return [items.text(items.PROPERTIES, concepts.REGION_DESCRIPTION, said)]


def _in_words(scorer: Scorer, value: float) -> str:
    """Such as "CAD score of kang2021, 1.1.0; trained on phantoms: 0.75 (0 to 1)"."""
    return f"{scorer.code.meaning}: {parts.number(value):.4g} (0 to 1)"


def detection(edition: Edition, finding: Finding) -> Algorithm:
    """What found the region: the learned filter of clusters where there is one, else our rules."""
    found = detector(edition.result, finding)
    return ours() if found is None else named(edition, found.name)
