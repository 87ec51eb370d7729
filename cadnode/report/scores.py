"""What a score is called, wherever it stands: whose it is, and what that system was trained on.

No object says "probability of cancer" (111047, DCM): a score is calibrated, if at all, on the data
that its model's card names, with their share of cancers, and phantoms have no cancer at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import (
    Assessment,
    ExamResult,
    Finding,
    FindingKind,
    ModelUse,
    System,
    SystemStatus,
    TrainingMaterial,
    in_order,
)
from cadnode.phrases import N_, phrase
from cadnode.report import codes
from cadnode.report.wording import counting, listed, material_words, plain

_LONGEST: Final = 64  # of a Code Meaning (LO)
PHANTOM_NOTE: Final = (
    "computed images with drawn lesions, not mammograms of women;"
    " what a score of theirs means for a woman has not been measured"
)


@dataclass(frozen=True, slots=True)
class ScoringSystem:
    """Whose score it is: the system (else the algorithm), its version, what it was trained on."""

    name: str
    version: str
    materials: tuple[TrainingMaterial, ...]

    @property
    def phantoms_only(self) -> bool:
        """Whether it never saw a woman's mammogram."""
        return self.materials == (TrainingMaterial.PHANTOMS,)

    @property
    def training(self) -> str:
        """Such as "trained on phantoms"."""
        words = material_words(self.materials)
        return f"trained on {words}" if words else "training data not stated"

    @property
    def code(self) -> Code:
        """CAD_SCORE, its meaning "CAD score of SYSTEM, VERSION; trained on …".

        Viewers show the meaning. Where it is longer than it may be, "film and digital" is left
        out, then the version, which the algorithm identification beside it has.
        """
        short = self.training.replace("film and digital ", "")
        wordings = (
            f"CAD score of {self.name}, {self.version}; {self.training}",
            f"CAD score of {self.name}, {self.version}; {short}",
            f"CAD score of {self.name}; {short}",
        )
        fitting = (wording for wording in wordings if len(wording) <= _LONGEST)
        return codes.cad_score(next(fitting, wordings[-1][:_LONGEST]))


def exam_scorer(result: ExamResult) -> ScoringSystem:
    """The models that scored the exam and its breasts: those that scored views."""
    names = dict.fromkeys(view.algorithm for view in result.views)
    found = [view_scorer(result, name) for name in names]
    if not found:
        return ScoringSystem("cadnode", __version__, ())
    return ScoringSystem(
        listed(dict.fromkeys(one.name for one in found)),
        listed(dict.fromkeys(one.version for one in found)),
        _together(one.materials for one in found),
    )


def view_scorer(result: ExamResult, algorithm: str) -> ScoringSystem:
    """The model that scored a view."""
    return _scorer(result, system_of(result, algorithm), algorithm, ())


def assessment_scorer(result: ExamResult, assessment: Assessment) -> ScoringSystem:
    """What assessed a region: a model, or an ensemble, trained on what its members were."""
    return _scorer(result, assessment.system, assessment.algorithm, assessment.members)


def finding_scorer(result: ExamResult, finding: Finding) -> ScoringSystem:
    """Whose score counts as the finding's."""
    counted = counting(finding)
    return assessment_scorer(result, counted) if counted else view_scorer(result, finding.algorithm)


def _scorer(
    result: ExamResult,
    system: System | None,
    algorithm: str,
    members: Sequence[tuple[str, float]],
) -> ScoringSystem:
    name = algorithm if system is None else system.value
    model = _model(result, algorithm)
    if model is not None:
        return ScoringSystem(name, model.version, model.trained_on)
    used = [_model(result, member) for member, _ in members]
    return ScoringSystem(name, __version__, _together(m.trained_on for m in used if m is not None))


def _model(result: ExamResult, name: str) -> ModelUse | None:
    return next((m for m in result.models if m.name == name), None)


def _together(materials: Iterable[tuple[TrainingMaterial, ...]]) -> tuple[TrainingMaterial, ...]:
    found = {material for several in materials for material in several}
    return tuple(material for material in TrainingMaterial if material in found)


def system_of(result: ExamResult, algorithm: str) -> System | None:
    """The system that a model belongs to, as far as the result names it."""
    model = _model(result, algorithm)
    if model is not None and model.system is not None:
        return model.system
    by_status = [s.system for s in result.systems if algorithm in s.models]
    assessed = (a.system for f in result.findings for a in f.assessments)
    known = in_order((*System, *(s.system for s in result.systems), *assessed))
    by_name = [system for system in known if system.value == algorithm]
    return next(iter([*by_status, *by_name]), None)


def read_something(result: ExamResult) -> frozenset[System]:
    """The systems that scored a view or assessed a region of this exam."""
    scored = {system_of(result, view.algorithm) for view in result.views}
    assessed = {a.system for f in result.findings for a in f.assessments}
    return frozenset(system for system in scored | assessed if system is not None)


def took_part(result: ExamResult, status: SystemStatus) -> bool:
    """Whether the system scored a view or assessed a region of this exam."""
    return status.active and status.system in read_something(result)


def why_not_assessed(result: ExamResult, system: System) -> str:
    """Why a system has no assessment of a finding."""
    status = next((s for s in result.systems if s.system is system), None)
    if status is not None and not status.active:
        why = plain(status.reason) or phrase("no model of it is active")
        return phrase("not active: %(why)s", why=why)
    if status is None or took_part(result, status):
        return N_("took part, but does not assess this finding")
    why = plain(status.reason) or phrase("nothing in this exam was for it to read")
    return phrase("took no part: %(why)s", why=why)


def phantom_systems(result: ExamResult) -> list[str]:
    """The systems that assessed a region or scored a view and never saw a woman's mammogram."""
    scorers = [assessment_scorer(result, a) for f in result.findings for a in f.assessments]
    scorers += [finding_scorer(result, finding) for finding in result.findings]
    scorers += [view_scorer(result, view.algorithm) for view in result.views]
    found = {scorer.name for scorer in scorers if scorer.phantoms_only}
    order = [system.value for system in System]
    return sorted(found, key=lambda name: (order.index(name) if name in order else 99, name))


def phantom_sentence(result: ExamResult) -> str:
    """What a reader must know of systems trained on phantoms; "" where none took part."""
    found = phantom_systems(result)
    return f"{listed(found)}: trained on phantoms ({PHANTOM_NOTE})" if found else ""


def suspicious_to_women_trained(result: ExamResult, finding: Finding) -> bool:
    """Whether a system that did not learn from phantoms alone calls the finding suspicious.

    A finding without assessments is a peak of a breast that reached its operating point.
    """
    if not finding.assessments:
        return not finding_scorer(result, finding).phantoms_only
    return any(
        a.suspicious and not assessment_scorer(result, a).phantoms_only for a in finding.assessments
    )


def detector(result: ExamResult, finding: Finding) -> ModelUse | None:
    """The model whose certainty a detected cluster has; None where this software's rules found it.

    It is the one that took part and neither scored a view nor assessed a region. Masses are found
    by rules alone.
    """
    if finding.kind is not FindingKind.CALCIFICATION_CLUSTER:
        return None
    return cluster_detector(result)


def cluster_detector(result: ExamResult) -> ModelUse | None:
    """The learned filter of calcification clusters, where there is one."""
    others = {view.algorithm for view in result.views}
    for assessment in (a for f in result.findings for a in f.assessments):
        others |= {assessment.algorithm, *(name for name, _ in assessment.members)}
    others |= {name for status in result.systems for name in status.models}
    return next((m for m in result.models if m.system is None and m.name not in others), None)
