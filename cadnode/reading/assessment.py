"""Each system's assessment of a region: its probability, and its map where it has one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cadnode.detect.features import features_of
from cadnode.detect.regions import Segmentation
from cadnode.domain import (
    Acquisition,
    Assessment,
    Box,
    FindingKind,
    HeatMap,
    System,
    in_order,
)
from cadnode.errors import ModelError
from cadnode.exam.exam import Mammogram
from cadnode.explain.maps import heat_map
from cadnode.explain.overlay import place
from cadnode.models.card import Scenario
from cadnode.models.ensemble import ensemble, operating_point
from cadnode.models.feature import FeatureModel, FeatureReading
from cadnode.models.roi import RoiModel, RoiReading
from cadnode.models.view import ViewModel, assesses_regions, view_system
from cadnode.reading.readers import Readers
from cadnode.reading.regions import Candidate
from cadnode.reading.verdict import ScoredView

_OWN: Final[Mapping[FindingKind, Scenario]] = {
    FindingKind.CALCIFICATION_CLUSTER: "calcifications",
    FindingKind.MASS: "masses",
}
_STEPS: Final = 64  # samples along each side of a box: finer than the map's cells


@dataclass(frozen=True, eq=False, slots=True)
class SystemMaps:
    """A system's maps of one region: each member's, and their mean (none where there is no map).

    A system of one CNN has no members' maps beside the mean.
    """

    members: tuple[HeatMap, ...]
    mean: tuple[HeatMap, ...]


@dataclass(slots=True)
class Assessor:
    """Assesses regions of one exam with a node's models.

    `flips` averages CNNs over mirrored regions. `failed` collects the systems that a model's
    failure kept from assessing a region; the others continue.
    """

    readers: Readers
    flips: bool = False
    failed: set[System] = field(default_factory=set)

    def assess(
        self, candidate: Candidate, view: ScoredView, *, suspicious_breast: bool
    ) -> tuple[tuple[Assessment, ...], tuple[SystemMaps, ...]]:
        """Each system's assessment of the region, and the maps of those that have one."""
        whole = by_view_map(candidate.box, view, suspicious_breast=suspicious_breast)
        assessments, maps = self.of_region(candidate, view.mammogram)
        return (*whole, *assessments), maps

    def of_region(
        self, candidate: Candidate, mammogram: Mammogram
    ) -> tuple[tuple[Assessment, ...], tuple[SystemMaps, ...]]:
        """As `assess`, by the systems that read regions alone."""
        assessments: list[Assessment] = []
        maps: list[SystemMaps] = []
        for system in in_order(m.card.system for m in self.readers.rois):
            members = cnns_of(system, self.readers, mammogram.acquisition)
            if not members:
                continue
            try:
                assessment, shown = self._cnns(
                    system, members, candidate, mammogram.sop_instance_uid
                )
            except ModelError:
                self.failed.add(system)
                continue
            assessments.append(assessment)
            maps.append(shown)
        assessments += self._wang2016(candidate, mammogram.acquisition)
        return tuple(assessments), tuple(maps)

    def _cnns(
        self, system: System, members: Sequence[RoiModel], candidate: Candidate, uid: str
    ) -> tuple[Assessment, SystemMaps]:
        """The mean of the system's CNNs (Kang 2021, Ensemble), with their Grad-CAM maps.

        It is suspicious from the mean's own operating point on.
        """
        readings: dict[str, RoiReading] = {}
        maps = []
        for model in members:
            reading = read_roi(model, candidate, flips=self.flips)
            readings[model.card.name] = reading
            if reading.cam is not None:
                placement = candidate.rois[model.card.roi].placement
                maps.append(heat_map(reading.cam, placement, uid, model.card.name))
        together = ensemble(readings)
        alone = len(members) == 1
        name = members[0].card.name if alone else system.value
        threshold = operating_point([m.card for m in members], members[0].choice).threshold
        placement = candidate.rois[members[0].card.roi].placement
        mean = () if together.cam is None else (heat_map(together.cam, placement, uid, name),)
        assessment = Assessment(
            system,
            name,
            together.probability,
            suspicious=together.probability >= threshold,
            members=() if alone else together.members,
        )
        return assessment, SystemMaps(members=() if alone else tuple(maps), mean=mean)

    def _wang2016(self, candidate: Candidate, acquisition: Acquisition) -> list[Assessment]:
        """The autoencoder of the first scenario that has a model; its rivals beside it."""
        for scenario in scenarios(candidate.kind, candidate.segmentation):
            model = next(
                (m for m in self.readers.features
                 if m.card.scenario == scenario and acquisition in m.card.applies_to),
                None,
            )  # fmt: skip
            if model is not None:
                return [_by_features(model, candidate)]
        return []


def by_view_map(box: Box, view: ScoredView, *, suspicious_breast: bool) -> tuple[Assessment, ...]:
    """As `by_map`; () where the view's model has no map, or one whose values are no scores."""
    if view.heat_map is None or not assesses_regions(view.model.card):
        return ()
    return (by_map(box, view.heat_map, view.model, suspicious_breast=suspicious_breast),)


def by_map(box: Box, heat_map: HeatMap, model: ViewModel, *, suspicious_breast: bool) -> Assessment:
    """A view model's assessment of a region: the highest value of its map (the DIB) inside it."""
    peak, rule = highest(heat_map, box), model.card.hot_region
    hot = rule is not None and peak >= rule.threshold
    return Assessment(
        view_system(model.card), model.card.name, peak, suspicious=hot and suspicious_breast
    )


def cnns_of(system: System, readers: Readers, acquisition: Acquisition) -> list[RoiModel]:
    """The CNNs of a system that read regions of so acquired images."""
    return [
        m for m in readers.rois
        if m.card.system is system and acquisition in m.card.applies_to
    ]  # fmt: skip


def read_roi(model: RoiModel, candidate: Candidate, *, flips: bool = False) -> RoiReading:
    """A CNN's reading of a region; raises ModelError where its network fails."""
    (reading,) = model.read([candidate.rois[model.card.roi]], flips=flips)
    return reading


def read_features(model: FeatureModel, candidate: Candidate) -> FeatureReading:
    """An autoencoder's reading of a region whose segmentation allows the card's scenario."""
    return model.score(features_of(candidate.segmentation, model.card.scenario))


def _by_features(model: FeatureModel, candidate: Candidate) -> Assessment:
    reading = read_features(model, candidate)
    return Assessment(
        System.WANG2016,
        model.card.name,
        reading.probability,
        suspicious=reading.probability >= model.operating_point.threshold,
        members=tuple(reading.beside.items()),
    )


def scenarios(kind: FindingKind, segmentation: Segmentation) -> tuple[Scenario, ...]:
    """The scenarios of Wang 2016 by which a region can be read, the one that suits it best first.

    What was detected as a cluster or as a mass is read as that; of what a person marked or the
    DIB map shows, the segmentation decides, the fullest scenario first. Choice: on phantoms nearly
    every cluster has a tissue shape that can be outlined, and read as `both` its AUC fell from
    0.823 to 0.809 (masses: 0.758 to 0.747).
    """
    allowed: tuple[Scenario, ...] = ()
    if bool(segmentation.calcifications.any()):
        allowed = ("calcifications",)
    if segmentation.mass is not None:
        allowed = ("both", *allowed, "masses") if allowed else ("masses",)
    own = _OWN.get(kind)
    return tuple(sorted(allowed, key=lambda scenario: scenario != own))


def highest(of: HeatMap, box: Box) -> float:
    """The highest value in [0, 1] that a map takes inside a box of its source image."""
    top, left = box.row0, box.col0
    row0, col0, row1, col1 = of.box
    shifted = replace(of, box=Box(row0 - top, col0 - left, row1 - top, col1 - left))
    size = (box.row1 - top, box.col1 - left)
    return float(place(shifted, size, (min(_STEPS, size[0]), min(_STEPS, size[1]))).max())
