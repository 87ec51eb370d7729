"""The models that a node reads with, by what they read."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace

from pydantic import BaseModel

from cadnode import __version__
from cadnode.domain import ModelUse, OperatingCurve, System, SystemStatus
from cadnode.imaging.roi_chain import RoiSpec
from cadnode.models.detector import Detector
from cadnode.models.feature import FeatureModel
from cadnode.models.mass_finder import MassFinder
from cadnode.models.roi import RoiModel
from cadnode.models.scanners import ServedScoring
from cadnode.models.view import ViewModel, view_system

ReadingModel = ViewModel | RoiModel | FeatureModel | Detector | MassFinder


@dataclass(frozen=True, slots=True)
class Choices:
    """What the admin chooses about a reading.

    Parameters
    ----------
    counts
        Whose probability is the finding's: the first of these systems that assessed it.
    flips
        Whether CNNs are averaged over mirrored regions (test-time augmentation).
    most_regions
        Detected regions per view that are assessed, the most certain first.
    age_prior
        Whether exams get a score of image and age beside the image's own.
    """

    counts: tuple[System, ...] = tuple(System)
    flips: bool = False
    most_regions: int = 4
    age_prior: bool = False

    def stated(self) -> dict[str, object]:
        """As `Readers.digest` takes them: without `age_prior` as before there was such a choice."""
        chosen = asdict(self)
        if not self.age_prior:
            del chosen["age_prior"]
        return chosen


@dataclass(frozen=True, eq=False, slots=True)
class Readers:
    """Models ready to read.

    Parameters
    ----------
    views
        Read whole views; the first that applies to a view's acquisition reads it.
    rois
        CNNs that read regions of interest: those of one system are averaged.
    features
        Read the features of segmented regions, one for each scenario.
    detector
        Filters candidates of the detection; None leaves them to their contrast and shape.
    masses
        Finds masses; None leaves them to their contrast and shape.
    systems
        Which systems are active, and why another is not.
    """

    views: tuple[ViewModel, ...] = ()
    rois: tuple[RoiModel, ...] = ()
    features: tuple[FeatureModel, ...] = ()
    detector: Detector | None = None
    masses: MassFinder | None = None
    systems: tuple[SystemStatus, ...] = ()

    def __iter__(self) -> Iterator[ReadingModel]:
        yield from self.views
        yield from self.rois
        yield from self.features
        if self.detector is not None:
            yield self.detector
        if self.masses is not None:
            yield self.masses

    @property
    def roi_specs(self) -> tuple[RoiSpec, ...]:
        """The ways in which the CNNs have regions cut, each once."""
        return tuple(dict.fromkeys(model.card.roi for model in self.rois))

    def of(self, systems: Collection[System]) -> "Readers":
        """The models of those systems; without the detectors, which are of none."""
        return replace(
            self,
            views=tuple(m for m in self.views if view_system(m.card) in systems),
            rois=tuple(m for m in self.rois if m.card.system in systems),
            features=self.features if System.WANG2016 in systems else (),
            detector=None,
            masses=None,
        )

    def use(self, name: str) -> ModelUse | None:
        """The model of that name as reports name it."""
        return next((use_of(model) for model in self if model.card.name == name), None)

    def digest(self, choices: Choices) -> str:
        """Sha256 over all that makes two readings of one exam differ by more than rounding.

        This software's version, cards, weights' hashes with them, the operating points chosen on
        them, bfloat16, and `choices`; not the device, the number of threads, or where models are.
        """
        models = sorted(json.dumps(_identity(model), sort_keys=True) for model in self)
        stated = json.dumps([__version__, models, choices.stated()])
        return hashlib.sha256(stated.encode("ascii")).hexdigest()


def use_of(model: ReadingModel, scoring: ServedScoring | None = None) -> ModelUse:
    """A model as reports name it; `scoring`: how it scored an exam that has its own."""
    card = model.card
    local = None if scoring is None else scoring.local
    return ModelUse(
        card.name,
        card.version,
        card.weights_sha256,
        _curve(model, scoring),
        card.system,
        card.materials,
        "" if local is None else str(local),
        _scores_as(model),
    )


def _scores_as(model: ReadingModel) -> str:
    """16 hex digits of what decides scores and calls where no scanner has its own calibration."""
    point = None if isinstance(model, Detector | MassFinder) else _plain(model.operating_point)
    parts = ("weights_sha256", "calibration", "breast", "roc", "exam")
    stated = [point, *(_plain(getattr(model.card, part, None)) for part in parts)]
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]


def _identity(model: ReadingModel) -> list[object]:
    """A model's card and what the settings made of it, as JSON knows them."""
    point = None if isinstance(model, Detector | MassFinder) else _plain(model.operating_point)
    return [_plain(model.card), point, getattr(model, "bf16", False)]


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else repr(value)


def _curve(model: ReadingModel, scoring: ServedScoring | None) -> OperatingCurve | None:
    """The ROC curve and the chosen threshold; None for the detectors, which count marks.

    A scanner whose calibration has a curve has that one, any other the card's.
    """
    if not isinstance(model, ViewModel | RoiModel | FeatureModel):
        return None
    local = None if scoring is None else scoring.local
    roc = model.card.curve if local is None or local.exam is None else local.exam
    point = model.operating_point if scoring is None else scoring.operating_point
    return OperatingCurve(
        points=roc.points,
        threshold=point.threshold,
        measured_on=roc.measured_on,
        n_pos=roc.n_pos,
        n_neg=roc.n_neg,
        of_breasts=isinstance(model, ViewModel),
    )
