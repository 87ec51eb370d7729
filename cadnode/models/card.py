"""The model card: what a model is, what it was trained and measured on, and how it is used.

A card is one of seven kinds, distinguished by `kind`: `dib_mg` reads whole views, `cnn` reads
regions of interest, `features` reads the features of a segmented region, `detector` filters
candidates, `masses` finds masses in whole views; `onnx_view` and `onnx_region` are networks that
sites bring (`models.onnx_card`).
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from cadnode.imaging.roi_chain import RoiSpec
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models.age_prior import AgePrior
from cadnode.models.breast import BreastScoring
from cadnode.models.card_parts import (
    Calibration,
    CardBase,
    CardPart,
    HotRegionRule,
    Metric,
    Recalibration,
    TrainingData,
    UnitInterval,
)
from cadnode.models.onnx_card import OnnxRegionCard, OnnxViewCard
from cadnode.models.scanners import LocalCard
from cadnode.networks.autoencoder import StackedAutoencoderConfig
from cadnode.networks.cnn import CnnConfig
from cadnode.networks.dib_mg import DibMgConfig
from cadnode.networks.mass_map import MassMapConfig
from cadnode.networks.patch_filter import DetectorConfig

__all__ = [
    "CARDS",
    "Calibration",
    "CnnCard",
    "DetectorCard",
    "DibMgCard",
    "FeatureCard",
    "FoundShare",
    "HotRegionRule",
    "MassFinderCard",
    "Metric",
    "ModelCard",
    "OnnxRegionCard",
    "OnnxViewCard",
    "Recalibration",
    "RegionCard",
    "Scenario",
    "TrainingData",
    "UnitInterval",
    "ValidationScores",
    "ViewCard",
]


class DibMgCard(LocalCard):
    """Reads whole views. `breast` makes breasts' scores of the views' (`docs/models.md`).

    `roc` is of breasts' scores in the contrast that its `measured_on` names, `exam` of exams'
    scores, each the higher of its breasts'. `age_prior` makes the score of image and age beside
    them, where the settings ask for it.
    """

    kind: Literal["dib_mg"] = "dib_mg"
    architecture: DibMgConfig
    preprocess: PreprocessSpec
    hot_region: HotRegionRule
    breast: BreastScoring
    age_prior: AgePrior | None = None

    def served(self) -> "DibMgCard":
        """The card as a node reads with it.

        A card that compares a woman's breasts and has no curve of exams scores each breast alone
        instead: of two scores that add up to one the higher reaches any operating point that was
        chosen on breasts, so that no exam could come out negative.
        """
        if self.exam is not None or self.breast.contralateral_weight == 0:
            return self
        alone = self.breast.model_copy(update={"contralateral_weight": 0.0})
        return self.model_copy(update={"breast": alone})


class ValidationScores(CardPart):
    """A network's probabilities of the cases on which its operating points were chosen.

    Networks that are averaged need the curve of their mean, which cannot be had from their own
    curves: it is computed from these (`models.ensemble`).

    Parameters
    ----------
    data
        The data set and its part.
    cases
        First 16 hexadecimal digits of the sha256 of the cases' keys and labels in their order:
        members whose cases differ are not averaged here.
    malignant
        A `1` or `0` for each case.
    scores
        The probability of each case.
    """

    data: str
    cases: str = Field(pattern=r"^[0-9a-f]{16}$")
    malignant: str = Field(pattern=r"^[01]+$")
    scores: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _one_score_a_case(self) -> "ValidationScores":
        if len(self.malignant) != len(self.scores) or len(set(self.malignant)) < 2:
            raise ValueError("not one score for each case, or a class is missing")
        return self

    @property
    def labels(self) -> tuple[bool, ...]:
        """Whether each case is malignant."""
        return tuple(mark == "1" for mark in self.malignant)


class CnnCard(CardBase):
    """Reads regions of interest.

    `bf16_difference` is the most that bfloat16 moved a probability of validation ROIs; None where
    it was not measured, and bfloat16 is not used. `validation` is None on cards of before it:
    such a network takes part in an ensemble that has no curve of its own.
    """

    kind: Literal["cnn"] = "cnn"
    architecture: CnnConfig
    roi: RoiSpec
    bf16_difference: float | None = Field(None, ge=0, le=1)
    validation: ValidationScores | None = None

    @model_validator(mode="after")
    def _knows_malignant(self) -> "CnnCard":
        if "malignant" not in self.architecture.classes:
            raise ValueError("no class is 'malignant'")
        return self


Scenario = Literal["calcifications", "masses", "both"]


class FeatureCard(CardBase):
    """Reads the features of a segmented region; `beside` are reported with the autoencoder."""

    kind: Literal["features"] = "features"
    scenario: Scenario
    features: tuple[str, ...] = Field(min_length=1)
    architecture: StackedAutoencoderConfig
    beside: tuple[Literal["svm", "knn", "lda"], ...] = ("svm", "knn", "lda")

    @model_validator(mode="after")
    def _inputs_are_features(self) -> "FeatureCard":
        if self.architecture.inputs != len(self.features):
            raise ValueError("the network's inputs are not as many as the features")
        return self


class DetectorCard(CardBase):
    """Filters candidates. From `mark_at` on, a region's certainty makes it a mark."""

    kind: Literal["detector"] = "detector"
    architecture: DetectorConfig
    mark_at: float = Field(ge=0, le=1)


class FoundShare(CardPart):
    """The share of lesions found at one false mark an image, with its 95 % interval by woman."""

    data: str
    contrast: str
    n_lesions: int = Field(ge=0)
    n_images: int = Field(ge=0)
    n_women: int = Field(ge=0)
    sensitivity: float = Field(ge=0, le=1)
    interval: UnitInterval


class MassFinderCard(CardBase):
    """Finds masses in whole views, marked from `mark_at` on.

    Each member was trained without the women of its fold, which `store.read_folds` names.
    """

    kind: Literal["masses"] = "masses"
    architecture: MassMapConfig
    preprocess: PreprocessSpec
    mark_at: float = Field(ge=0, le=1)
    found: tuple[FoundShare, ...] = ()


ViewCard = DibMgCard | OnnxViewCard
"""Cards of models that read whole views."""

RegionCard = CnnCard | OnnxRegionCard
"""Cards of networks that read regions."""

ModelCard = Annotated[
    DibMgCard
    | CnnCard
    | FeatureCard
    | DetectorCard
    | MassFinderCard
    | OnnxViewCard
    | OnnxRegionCard,
    Field(discriminator="kind"),
]
CARDS: TypeAdapter[ModelCard] = TypeAdapter(ModelCard)
