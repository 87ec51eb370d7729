"""The model card: what a model is, what it was trained and measured on, and how it is used.

A card is one of five kinds, distinguished by `kind`: `dib_mg` reads whole views, `cnn` reads
regions of interest, `features` reads the features of a segmented region, `detector` filters
candidates, `masses` finds masses in whole views.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from cadnode.domain import Acquisition, System, TrainingMaterial
from cadnode.imaging.roi_chain import RoiSpec
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models.breast import BreastScoring
from cadnode.models.materials import materials_of
from cadnode.models.operating_point import Roc
from cadnode.networks.autoencoder import StackedAutoencoderConfig
from cadnode.networks.cnn import CnnConfig
from cadnode.networks.dib_mg import DibMgConfig
from cadnode.networks.mass_map import MassMapConfig
from cadnode.networks.patch_filter import DetectorConfig

UnitInterval = tuple[float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(_Part):
    """One measured area under a curve, or share.

    `contrast` states in a sentence what was compared with what; `unit` what was counted.
    """

    name: str
    data: str
    contrast: str
    unit: str
    n_pos: int = Field(ge=0)
    n_neg: int = Field(ge=0)
    auc: float = Field(ge=0, le=1)
    auc_ci: UnitInterval
    ci_method: str


class Calibration(_Part):
    """Platt's: probability = 1 / (1 + exp(−(slope · log-odds + intercept))).

    A temperature T is slope 1/T and intercept 0. `prevalence` is the share of cancers in the data
    it was fitted on: the probabilities hold for it, not for screening.
    """

    slope: float = Field(gt=0)
    intercept: float
    fitted_on: str
    prevalence: float = Field(gt=0, lt=1)


class HotRegionRule(_Part):
    """From which value of the calibrated map a region is marked, and how many at most."""

    threshold: float = Field(gt=0, lt=1)
    most: int = Field(3, ge=1)
    chosen: str


class TrainingData(_Part):
    """What the weights saw."""

    name: str
    terms: str
    n_women: int
    n_views: int
    n_cancer_breasts: int


class Recalibration(_Part):
    """How operating points were refitted (`cadnode models recalibrate`).

    `base` is the version whose weights these are.
    """

    base: str
    command: str
    on: date


class _Card(_Part):
    """Everything that must be known to use a set of weights, beside the weights.

    Parameters
    ----------
    system
        The system it belongs to; None for what all systems share.
    applies_to
        Which acquisitions the model reads.
    training_data
        In a sentence; `training_sets` gives the counts.
    training_material
        What the weights were trained on; () where `training_sets` states it (`materials`).
    training_content
        The sha256 of each cohort that `cadnode data collect` made and the weights were trained on.
    roc
        Of scores, on the validation part.
    exam
        Of exams' scores, where the model scores exams; None on cards of before it. Operating
        points are chosen on it where it exists, otherwise on `roc`.
    weights_sha256
        Of the weights' file.
    stored_as
        `float32` as they are, or `int8` with a scale per output channel (`models.weights`).
    calibration
        Of the network's log-odds.
    command, seed, trained_on
        How and when the weights were made.
    differences, recalibrated
        Where training departed from the paper, a sentence each; how and when calibration and curves
        were refitted, None where training fitted them.
    """

    schema_version: Literal[2] = 2
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    system: System | None
    paper: str
    algorithm: str
    intended_use: str
    licence: str
    applies_to: tuple[Acquisition, ...] = Field(min_length=1)
    training_data: str
    training_sets: tuple[TrainingData, ...]
    training_material: tuple[TrainingMaterial, ...] = ()
    training_content: tuple[Sha256, ...] = ()
    split: str
    metrics: tuple[Metric, ...]
    roc: Roc
    calibration: Calibration
    limits: tuple[str, ...]
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    stored_as: Literal["float32", "int8"] = "float32"
    seed: int
    command: str
    trained_on: date
    exam: Roc | None = None
    recalibrated: Recalibration | None = None
    differences: tuple[str, ...] = ()

    @property
    def curve(self) -> Roc:
        """The curve on which a node chooses its operating point."""
        return self.exam or self.roc

    @property
    def materials(self) -> tuple[TrainingMaterial, ...]:
        """What the weights were trained on, phantoms first; () where the card does not state it.

        A card that does not state it is of a data set whose name implies it, or of a site's own
        data, which are then images of the kinds that the model reads.
        """
        found = set(self.training_material)
        if not found:
            for data in self.training_sets:
                found |= materials_of(
                    data.name, self.applies_to, seen=data.n_women + data.n_views > 0
                )
            if not self.training_sets and "phantom" in self.training_data.lower():
                found = {TrainingMaterial.PHANTOMS}
        return tuple(material for material in TrainingMaterial if material in found)


class DibMgCard(_Card):
    """Reads whole views. `breast` makes breasts' scores of the views' (`docs/models.md`).

    `roc` is of breasts' scores in the contrast that its `measured_on` names, `exam` of exams'
    scores, each the higher of its breasts'.
    """

    kind: Literal["dib_mg"] = "dib_mg"
    architecture: DibMgConfig
    preprocess: PreprocessSpec
    hot_region: HotRegionRule
    breast: BreastScoring

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


class ValidationScores(_Part):
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


class CnnCard(_Card):
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


class FeatureCard(_Card):
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


class DetectorCard(_Card):
    """Filters candidates. From `mark_at` on, a region's certainty makes it a mark."""

    kind: Literal["detector"] = "detector"
    architecture: DetectorConfig
    mark_at: float = Field(ge=0, le=1)


class FoundShare(_Part):
    """The share of lesions found at one false mark an image, with its 95 % interval by woman."""

    data: str
    contrast: str
    n_lesions: int = Field(ge=0)
    n_images: int = Field(ge=0)
    n_women: int = Field(ge=0)
    sensitivity: float = Field(ge=0, le=1)
    interval: UnitInterval


class MassFinderCard(_Card):
    """Finds masses in whole views, marked from `mark_at` on.

    Each member was trained without the women of its fold, which `store.read_folds` names.
    """

    kind: Literal["masses"] = "masses"
    architecture: MassMapConfig
    preprocess: PreprocessSpec
    mark_at: float = Field(ge=0, le=1)
    found: tuple[FoundShare, ...] = ()


ModelCard = Annotated[
    DibMgCard | CnnCard | FeatureCard | DetectorCard | MassFinderCard, Field(discriminator="kind")
]
CARDS: TypeAdapter[ModelCard] = TypeAdapter(ModelCard)
