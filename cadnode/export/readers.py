"""How a bundle's model reads a view: by the very steps that the node takes (`cadnode.reading`).

Each reader prepares a view (MONAI's preprocessing) and reads what it prepared (MONAI's inferer).
Its reading is an `ExportRow`, ready for JSON.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from cadnode.domain import FindingKind
from cadnode.errors import ModelError
from cadnode.export.cases import ExportCase
from cadnode.models.card import ModelCard
from cadnode.models.detector import Detector
from cadnode.models.feature import FeatureModel
from cadnode.models.loading import Model
from cadnode.models.mass_finder import MassFinder
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.reading.assessment import read_features, read_roi, scenarios
from cadnode.reading.regions import Candidate, candidates, detected, usable
from cadnode.reading.verdict import ScoredView
from cadnode.reading.views import LoadedView, score_view


@dataclass(frozen=True, eq=False, slots=True)
class ExportRow:
    """The reading of a view: JSON's content, and the scored view where whole views are read."""

    content: dict[str, Any]
    scored: ScoredView | None = None


class Reader(Protocol):
    """A model that reads views for a bundle."""

    @property
    def card(self) -> ModelCard:
        """Of the model."""

    def prepare(self, view: LoadedView, case: ExportCase) -> Any:
        """What `read` needs of a view."""

    def read(self, prepared: Any, case: ExportCase) -> ExportRow:
        """The reading of what `prepare` returned."""


@dataclass(frozen=True, eq=False, slots=True)
class ViewReader:
    """DIB-MG: the view's score, and its log-odds before calibration."""

    model: ViewModel

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.model.card

    def prepare(self, view: LoadedView, case: ExportCase) -> LoadedView:
        """The view itself: the card's preprocessing is a part of `ViewModel.score`."""
        return view

    def read(self, prepared: LoadedView, case: ExportCase) -> ExportRow:
        """Score and log-odds of the view."""
        scored = score_view(prepared, self.model)
        return ExportRow({"score": scored.reading.score, "logit": scored.reading.logit}, scored)


@dataclass(frozen=True, eq=False, slots=True)
class RegionReader:
    """CNN or autoencoder: the malignancy of each region that is marked or detected in the view.

    Parameters
    ----------
    model
        Reads regions of interest, or their features.
    detector
        The learned filter of the detection; None leaves candidates to contrast and shape.
    most
        Detected regions of a view that are read, the most certain first.
    """

    model: RoiModel | FeatureModel
    detector: Detector | None
    most: int = 4

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.model.card

    def prepare(self, view: LoadedView, case: ExportCase) -> list[Candidate]:
        """Regions that the model can read, cut out and segmented as the node does."""
        found = candidates(
            view,
            (),
            usable(view, case.regions)[0],
            detector=self.detector,
            specs=[self.model.card.roi] if isinstance(self.model, RoiModel) else [],
            most=self.most,
        )
        return [candidate for candidate in found if self._fits(candidate)]

    def read(self, prepared: list[Candidate], case: ExportCase) -> ExportRow:
        """A probability of malignancy for each region."""
        return ExportRow({"regions": [region(c) | self._assessment(c) for c in prepared]})

    def _fits(self, candidate: Candidate) -> bool:
        """Features need a segmentation that allows the card's scenario."""
        if isinstance(self.model, RoiModel):
            return True
        return self.model.card.scenario in scenarios(candidate.kind, candidate.segmentation)

    def _assessment(self, candidate: Candidate) -> dict[str, Any]:
        if isinstance(self.model, RoiModel):
            reading = read_roi(self.model, candidate)
            return {"probability": reading.probability, "logit": reading.logit}
        scored = read_features(self.model, candidate)
        return {
            "probability": scored.probability,
            "logit": scored.logit,
            "beside": dict(scored.beside),
        }


@dataclass(frozen=True, eq=False, slots=True)
class DetectionReader:
    """The detector: clusters and masses that it marks, with its certainty of each."""

    model: Detector

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.model.card

    def prepare(self, view: LoadedView, case: ExportCase) -> LoadedView:
        """The view itself: candidates are a part of the detection."""
        return view

    def read(self, prepared: LoadedView, case: ExportCase) -> ExportRow:
        """Every region from the card's `mark_at` on, the most certain first."""
        regions = [
            {"kind": r.kind.value, "box": list(r.box), "certainty": r.certainty}
            for r in detected(prepared, self.model)
        ]
        return ExportRow({"regions": regions})


@dataclass(frozen=True, eq=False, slots=True)
class MassReader:
    """The detector of masses: those that it marks, with its certainty of each."""

    model: MassFinder

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.model.card

    def prepare(self, view: LoadedView, case: ExportCase) -> LoadedView:
        """The view itself: the card's preprocessing is a part of `MassFinder.find`."""
        return view

    def read(self, prepared: LoadedView, case: ExportCase) -> ExportRow:
        """Every mass from the card's `mark_at` on, the most certain first."""
        found = self.model.find(prepared.image, prepared.mammogram.laterality)
        regions = [
            {"kind": FindingKind.MASS.value, "box": list(m.box), "certainty": m.certainty}
            for m in found
            if m.certainty >= self.model.mark_at
        ]
        return ExportRow({"regions": regions})


def reader(model: Model, detector: Model | None = None, most: int = 4) -> Reader:
    """The reader of a model.

    Parameters
    ----------
    model
        Of any kind.
    detector
        Looks for the regions that a CNN or an autoencoder reads; not used by the other kinds.
    most
        Detected regions of a view that are read.

    Raises
    ------
    ModelError
        `detector` is a model of another kind.
    """
    if detector is not None and not isinstance(detector, Detector):
        raise ModelError(f"{detector.card.name} is no detector: its kind is {detector.card.kind}")
    if isinstance(model, ViewModel):
        return ViewReader(model)
    if isinstance(model, Detector):
        return DetectionReader(model)
    if isinstance(model, MassFinder):
        return MassReader(model)
    return RegionReader(model, detector, most)


def region(candidate: Candidate) -> dict[str, Any]:
    """Kind, box in source pixels as stored, and the detection's certainty (None: marked)."""
    return {
        "kind": candidate.kind.value,
        "box": list(candidate.box),
        "certainty": candidate.certainty,
    }
