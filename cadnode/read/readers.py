"""The models that a node reads with, by what they read."""

from collections.abc import Iterator
from dataclasses import dataclass

from cadnode.domain import ModelUse, OperatingCurve, SystemStatus
from cadnode.models.detector import Detector
from cadnode.models.feature_model import FeatureModel
from cadnode.models.roi_model import RoiModel
from cadnode.models.view_model import ViewModel

ReadingModel = ViewModel | RoiModel | FeatureModel | Detector


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
    systems
        Which systems are active, and why another is not.
    """

    views: tuple[ViewModel, ...] = ()
    rois: tuple[RoiModel, ...] = ()
    features: tuple[FeatureModel, ...] = ()
    detector: Detector | None = None
    systems: tuple[SystemStatus, ...] = ()

    def __iter__(self) -> Iterator[ReadingModel]:
        yield from self.views
        yield from self.rois
        yield from self.features
        if self.detector is not None:
            yield self.detector

    def use(self, name: str) -> ModelUse | None:
        """The model of that name as reports name it."""
        for model in self:
            if model.card.name == name:
                card = model.card
                return ModelUse(
                    name,
                    card.version,
                    card.weights_sha256,
                    _curve(model),
                    card.system,
                    card.materials,
                )
        return None


def _curve(model: ReadingModel) -> OperatingCurve | None:
    """The card's ROC curve and the chosen threshold; None for the detector, which counts marks."""
    if not isinstance(model, ViewModel | RoiModel | FeatureModel):
        return None
    roc = model.card.roc
    return OperatingCurve(
        points=roc.points,
        threshold=model.operating_point.threshold,
        measured_on=roc.measured_on,
        n_pos=roc.n_pos,
        n_neg=roc.n_neg,
        of_breasts=isinstance(model, ViewModel),
    )
