"""The regions of an active reading, assessed again by those models of regions that differ.

A region's squares and features are a function of its view and its box, so that each is cut again
exactly as it was; what unchanged members of a system said of it is taken over.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from cadnode.app.shadow_lineup import Lineup
from cadnode.detect.features import features_of
from cadnode.domain import Acquisition, Assessment, ExamResult, Finding, ModelUse, System
from cadnode.errors import ModelError, NotProcessable
from cadnode.exam.model import Exam, Mammogram
from cadnode.imaging import pixels
from cadnode.imaging.spacing import spacing_of
from cadnode.models.card import CnnCard, FeatureCard, ModelCard
from cadnode.models.feature_model import FeatureModel
from cadnode.models.loading import Model, load
from cadnode.models.roi_model import RoiModel
from cadnode.read.assessing import scenarios
from cadnode.read.regions import Candidate, Cutter
from cadnode.settings import Reading


def read_regions(exam: Exam, active: ExamResult, models: Lineup, reading: Reading) -> ExamResult:
    """The active result with the changed systems' assessments in place of theirs.

    Raises
    ------
    ModelError
        A model that is needed is damaged.
    """
    again = _Again(models, reading)
    by_view: dict[str, list[Finding]] = {}
    for finding in active.findings:
        by_view.setdefault(finding.sop_instance_uid, []).append(finding)
    findings: list[Finding] = []
    for mammogram in exam.mammograms:
        if mammogram.sop_instance_uid in by_view:
            findings += again.of_view(mammogram, by_view[mammogram.sop_instance_uid])
    used = tuple(ModelUse(c.name, c.version, c.weights_sha256) for c in models.shadows)
    return replace(active, findings=tuple(findings), models=used, heat_maps=())


class _Again:
    """The systems that assess again, with the models that they need."""

    def __init__(self, models: Lineup, reading: Reading) -> None:
        self._systems = models.systems
        self._flips = reading.flips
        self._choice = reading.operating_point
        self._members = _one_each([c for c in models.cards.values() if isinstance(c, CnnCard)])
        cnns = [c for c in self._members if c.name in models.names]
        self._cnns = {
            card.name: model
            for card in cnns
            if isinstance(model := self._load(models, card), RoiModel)
        }
        features = [c for c in models.cards.values() if isinstance(c, FeatureCard)]
        wanted = features if System.WANG2016 in self._systems else []
        loaded = [self._load(models, card) for card in wanted]
        self._features = [m for m in loaded if isinstance(m, FeatureModel)]

    def of_view(self, mammogram: Mammogram, findings: Sequence[Finding]) -> list[Finding]:
        """A view's findings with the systems' new assessments; without any, where it is unread."""
        try:
            image = pixels.load(mammogram)
        except NotProcessable:
            return [self._with(f, []) for f in findings]
        specs = tuple(dict.fromkeys(m.card.roi for m in self._cnns.values()))
        cutter = Cutter(image, mammogram, spacing_of(mammogram), specs)
        return [
            self._with(
                f, self._said(f, cutter.candidate(f.kind, f.box, f.outline), mammogram.acquisition)
            )
            for f in findings
        ]

    def _with(self, finding: Finding, said: list[Assessment]) -> Finding:
        kept = [a for a in finding.assessments if a.system not in self._systems]
        return replace(finding, assessments=(*kept, *said))

    def _said(self, old: Finding, cut: Candidate, acquisition: Acquisition) -> list[Assessment]:
        found = []
        for system in self._systems:
            try:
                if system is System.WANG2016:
                    found += self._by_features(cut, acquisition)
                else:
                    found += self._by_cnns(system, old, cut, acquisition)
            except ModelError:  # as in an active reading: the other systems go on
                continue
        return found

    def _by_cnns(
        self, system: System, old: Finding, cut: Candidate, acquisition: Acquisition
    ) -> list[Assessment]:
        """The mean of the members; raises ModelError where one has said nothing."""
        members = [c for c in self._members if c.system is system and acquisition in c.applies_to]
        if not members:
            return []
        before = _before(old, system)
        said = tuple((c.name, self._probability(c, cut, before)) for c in members)
        probability = fmean(p for _, p in said)
        threshold = fmean(c.roc.at(self._choice).threshold for c in members)
        alone = len(members) == 1
        return [
            Assessment(
                system,
                members[0].name if alone else system.value,
                probability,
                suspicious=probability >= threshold,
                members=() if alone else said,
            )
        ]

    def _probability(self, card: CnnCard, cut: Candidate, before: dict[str, float]) -> float:
        model = self._cnns.get(card.name)
        if model is not None:
            (reading,) = model.read([cut.rois[card.roi]], flips=self._flips, cam=False)
            return reading.probability
        if card.name not in before:
            raise ModelError(f"{card.name} said nothing of the region")
        return before[card.name]

    def _by_features(self, cut: Candidate, acquisition: Acquisition) -> list[Assessment]:
        for scenario in scenarios(cut.kind, cut.segmentation):
            for model in self._features:
                if model.card.scenario == scenario and acquisition in model.card.applies_to:
                    score = model.score(features_of(cut.segmentation, scenario)).probability
                    called = score >= model.operating_point.threshold
                    return [Assessment(System.WANG2016, model.card.name, score, suspicious=called)]
        return []

    def _load(self, models: Lineup, card: ModelCard) -> Model:
        return load(models.folder(card), operating_point=self._choice)


def _before(old: Finding, system: System) -> dict[str, float]:
    """What each member of a system said in the active reading."""
    said = next((a for a in old.assessments if a.system is system), None)
    if said is None:
        return {}
    return dict(said.members) or {said.algorithm: said.probability}


def _one_each(cards: Sequence[CnnCard]) -> list[CnnCard]:
    """As the active reading: the first of several of one system and architecture."""
    first = {(c.system, c.architecture.name): c for c in reversed(cards)}
    return [first[key] for key in sorted(first, key=str)]
