"""What a finding is called and who speaks for it, the same wherever it is shown to people."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    Assessment,
    ClusterDescription,
    ExamResult,
    Finding,
    FindingKind,
    Laterality,
    RoiReference,
    SkipReason,
    System,
    TrainingMaterial,
)
from cadnode.phrases import N_

KIND_NAMES = {
    FindingKind.CALCIFICATION_CLUSTER: N_("calcification cluster"),
    FindingKind.MASS: N_("mass"),
    FindingKind.SUSPICIOUS_REGION: N_("suspicious region"),
    FindingKind.MARKED_REGION: N_("marked region"),
}

METHODS: Final = {
    System.KIM2018: N_("weakly supervised network (DIB-MG), whole views"),
    System.KANG2021: N_("mean of five CNNs, regions"),
    System.HELSINKI_DTL: N_("ResNeXt, double transfer learning, regions"),
    System.WANG2016: N_("stacked autoencoder on measured features, regions"),
}

BROUGHT: Final = N_("network of another maker, brought as ONNX")

SIDES: Final = {Laterality.RIGHT: "right", Laterality.LEFT: "left"}
_COMMAND: Final = re.compile(r"`|\bcadnode (models|train)\b")


def method_of(system: System) -> str:
    """What a system is, in words; of a network that a site brought, that it is one."""
    return METHODS.get(system, BROUGHT)


def listed(names: Iterable[str]) -> str:
    """Such as "a", "a and b", "a, b and c"."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def material_words(materials: Sequence[TrainingMaterial]) -> str:
    """Such as "phantoms", "film mammograms", "phantoms and digital mammograms"; "" of none."""
    kinds = [m.value for m in materials if m is not TrainingMaterial.PHANTOMS]
    names = ["phantoms"] if TrainingMaterial.PHANTOMS in materials else []
    return listed([*names, f"{listed(kinds)} mammograms"] if kinds else names)


def origin(marked_by: RoiReference) -> str:
    """Who marked a region, as far as its object names anybody."""
    return (
        N_("drawn by a person")
        if marked_by.by_person
        else N_("marked by a device or an unnamed person")
    )


def plain(reason: str) -> str:
    """A system's reason without shell commands, which are for the command line and its admin.

    Of "2 of 5 active: resnet101, xception; the others: `cadnode train …`" the first clause is left.
    """
    kept = []
    for clause in reason.split("; "):
        command = _COMMAND.search(clause)
        if command is None:
            kept.append(clause)
            continue
        head = clause[: command.start()].rstrip()
        if head.endswith(":") and head != "the others:":
            kept.append(head[:-1])
    return "; ".join(filter(None, kept))


def below_operating_point(result: ExamResult) -> str:
    """Why a finding may be suspicious in an exam that is not; "" where there is no such finding.

    A system's operating point for regions is chosen apart from the one for exams.
    """
    score, point = result.exam_score, result.operating_point
    if score is None or point is None or score >= point:
        return ""
    found = [
        str(number)
        for number, finding in enumerate(result.findings, start=1)
        if any(a.suspicious for a in finding.assessments)
    ]
    if not found:
        return ""
    subject = (
        f"finding {found[0]} reaches" if len(found) == 1 else f"findings {listed(found)} reach"
    )
    return (
        f"The exam's score is below its operating point; {subject} the operating point of a system"
        " for regions, which is chosen apart from it and does not make the exam suspicious"
    )


def counting(finding: Finding) -> Assessment | None:
    """The assessment whose score counts as the finding's; None where no system assessed it."""
    return next((a for a in finding.assessments if a.algorithm == finding.algorithm), None)


def assessment_by(finding: Finding, system: System) -> Assessment | None:
    """That system's assessment of the finding, if it has one.

    The counting assessment is preferred where a system has more than one.
    """
    of_system = [a for a in finding.assessments if a.system is system]
    chosen = counting(finding)
    return chosen if chosen in of_system else next(iter(of_system), None)


def descriptors(cluster: ClusterDescription, *, estimated: bool = False) -> str:
    """Such as "fine pleomorphic · grouped · 12 · 8 mm": type, distribution, count, diameter.

    "estimated 8 mm" where the header states no pixel size, which the reading or the caller knows.
    """
    words = (cluster.type.value.replace("_", " "), cluster.distribution.value)
    size = f"{cluster.diameter_mm:.{0 if cluster.diameter_mm >= 2 else 1}f} mm"
    size = f"estimated {size}" if estimated or cluster.diameter_estimated else size
    return " · ".join((*words, str(cluster.count), size))


def missing_breasts(result: ExamResult) -> list[str]:
    """A sentence on the breast of which the exam has no image, or none that is known to be hers.

    An image whose side is unknown may show either.
    """
    shown = [side for side in Laterality if result.shows(side)]
    if len(shown) != 1:
        return []
    breast = f"the {SIDES[shown[0].other]} breast"
    if any(s.reason is SkipReason.LATERALITY_UNKNOWN for s in result.skipped):
        return [f"No image is known to show {breast}"]
    return [f"The exam has no image that shows {breast}"]


def calibrations(result: ExamResult) -> list[str]:
    """By which scanner's calibration a model scored the exam, in a sentence each."""
    return [
        f"Scores of breasts and exam by {used.name} are calibrated locally for {used.calibration}"
        for used in result.models
        if used.calibration
    ]


def image_and_age(result: ExamResult) -> list[str]:
    """The scores of image and age in a sentence, or why there are none; [] where not asked for."""
    both = result.image_and_age
    if both is None:
        return []
    if both.exam_score is None:
        why = NO_AGE_SCORE_MEANINGS[both.reason] if both.reason else "nothing was scored"
        return [f"No score of image and age: {why[:1].lower()}{why[1:]}"]
    scores = [f"exam {both.exam_score:.2f}"]
    scores += [f"{SIDES[b.laterality]} breast {b.score:.2f}" for b in both.breasts]
    return [
        f"Score of image and age together by {both.algorithm}, apart from the image's own score "
        f"and without an operating point: {', '.join(scores)}"
    ]


def contradictions(result: ExamResult) -> list[str]:
    """How the sources of images that were not read contradict each other, in a sentence each."""
    unknown = (SkipReason.LATERALITY_UNKNOWN, SkipReason.VIEW_UNKNOWN)
    found = Counter(s.detail for s in result.skipped if s.reason in unknown and s.detail)
    return [
        f"{n} image{' was' if n == 1 else 's were'} not read: {detail}"
        for detail, n in found.items()
    ]
