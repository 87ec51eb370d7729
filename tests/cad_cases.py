"""Results that show what a CAD report has beyond the cases of all reports."""

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from cadnode.domain import (
    Box,
    Calcification,
    Correspondence,
    ExamResult,
    Finding,
    ModelUse,
    OperatingCurve,
    Skipped,
    SkipReason,
)
from cadnode.exam.exam import Exam, Mammogram
from cadnode.report.cad_sr import cad_sr
from cadnode.report.edition import Edition
from tests.report_cases import (
    AUTOENCODER,
    MADE_AT,
    MODEL,
    OUTCOMES,
    cluster_finding,
    mass_finding,
    result_of,
    with_marker,
)

CAD_OUTCOMES = [*OUTCOMES, "pairs", "implants", "nothing_tried", "system_failed"]
DETECTOR = ModelUse("microcalcification-detector", "1.1.0", "cd" * 32)

# Thresholds 1.0, 0.9, … 0.0; one step of sensitivity and specificity each.
CURVE = OperatingCurve(
    points=tuple((i / 10, 1 - i / 10, i / 10) for i in range(10, -1, -1)),
    threshold=0.6,
    measured_on="made-up lesions",
    n_pos=40,
    n_neg=60,
    of_breasts=False,
)
CURVES = {AUTOENCODER: CURVE, MODEL.name: replace(CURVE, threshold=0.5, of_breasts=True)}


def located(finding: Finding, view: Mammogram) -> Finding:
    """The finding with three calcifications in its box."""
    box = finding.box
    middle = (box.row0 + box.row1) / 2, (box.col0 + box.col1) / 2
    specks = tuple(
        Calcification(middle[0] + shift, middle[1] - shift, 0.04, 0.225, 0.25)
        for shift in (-2.5, 0.0, 2.5)
    )
    return replace(finding, sop_instance_uid=view.sop_instance_uid, calcifications=specks)


def cad_result(exam: Exam, outcome: str) -> ExamResult:
    """What a reading might have said; beyond `result_of`, four more outcomes."""
    if outcome in OUTCOMES:
        return result_of(exam, outcome)
    if outcome == "implants":
        return _implants(exam, result_of(exam, "partial"), read=2)
    if outcome == "nothing_tried":
        return _implants(exam, result_of(exam, "failed"), read=0)
    whole = result_of(exam, "systems")
    if outcome == "system_failed":
        broken = [replace(s, failed=True, reason="a model failed") for s in whole.systems[2:3]]
        return replace(whole, systems=(*whole.systems[:2], *broken, *whole.systems[3:]))
    cc, mlo = exam.mammograms[0], exam.mammograms[2]
    findings = (
        located(cluster_finding(cc), cc),
        located(cluster_finding(mlo), mlo),
        mass_finding(mlo),
        replace(mass_finding(mlo), sop_instance_uid=cc.sop_instance_uid),
        replace(
            mass_finding(mlo), box=Box(5, 5, 25, 25), outline=((5.0, 5.0), (5.0, 25.0), (25.0, 5.0))
        ),
    )
    low = [replace(a, suspicious=False) for a in findings[2].assessments]
    findings = (*findings[:2], *(replace(f, assessments=tuple(low)) for f in findings[2:]))
    return replace(
        whole,
        findings=findings,
        models=(*whole.models, DETECTOR),
        correspondences=(
            Correspondence(0, 1, (52.5, 55.5), 0.8),
            Correspondence(3, 2, (30.0, 37.5), 0.5),
        ),
    )


def _implants(exam: Exam, result: ExamResult, read: int) -> ExamResult:
    """Views after the first `read` were left alone: the breast has an implant."""
    skipped = tuple(Skipped(m.sop_instance_uid, SkipReason.IMPLANT) for m in exam.mammograms[read:])
    kept = {m.sop_instance_uid for m in exam.mammograms[:read]}
    return replace(
        result,
        views=tuple(v for v in result.views if v.sop_instance_uid in kept),
        findings=tuple(f for f in result.findings if f.sop_instance_uid in kept),
        heat_maps=tuple(h for h in result.heat_maps if h.sop_instance_uid in kept),
        skipped=skipped,
    )


def cad_of(exam: Exam, outcome: str, replaced: Sequence[Dataset] = ()) -> Dataset:
    """The CAD report of that outcome, operating points included."""
    exam = with_marker(exam) if outcome == "marked" else exam
    result = cad_result(exam, outcome)
    models = tuple(replace(m, curve=CURVES.get(m.name)) for m in result.models)
    edition = Edition(exam, replace(result, models=models), MADE_AT)
    made = cad_sr(edition, replaced)
    assert made is not None
    return made
