"""The model card: what a model is, what it was trained and measured on, and how it is used.

A card is one of four kinds, told apart by `kind`: `dib_mg` reads whole views, `cnn` reads regions
of interest, `features` reads the features of a segmented region, `detector` filters candidates.
"""

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from cadnode.domain import Acquisition, System, TrainingMaterial
from cadnode.imaging.preprocess import PreprocessSpec
from cadnode.imaging.roi import RoiSpec
from cadnode.models.breast import BreastScoring
from cadnode.models.cnn import CnnConfig
from cadnode.models.detector import DetectorConfig
from cadnode.models.dib_mg import DibMgConfig
from cadnode.models.operating_point import Roc
from cadnode.models.stacked_autoencoder import StackedAutoencoderConfig

UnitInterval = tuple[float, float]

# What the data sets hold that `training.data` can read, by the start of their names.
_MATERIALS: Final = {
    "rsna": TrainingMaterial.DIGITAL,
    "inbreast": TrainingMaterial.DIGITAL,
    "vindr": TrainingMaterial.DIGITAL,
    "cmmd": TrainingMaterial.DIGITAL,
    "ddsm": TrainingMaterial.FILM,
    "cbis-ddsm": TrainingMaterial.FILM,
    "mini-mias": TrainingMaterial.FILM,
    "pisa": TrainingMaterial.FILM,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(_Part):
    """One measured area under a curve, or share.

    `contrast` says in a sentence what was compared with what; `unit` what was counted.
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


class HotRegion(_Part):
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
        What the weights learnt from; () where the names of `training_sets` tell it (`materials`).
    roc
        On the validation part; operating points are chosen on it.
    weights_sha256
        Of the weights' file.
    stored_as
        `float32` as they are, or `int8` with a scale per output channel (`models.weights`).
    calibration
        Of the network's log-odds.
    command, seed, trained_on
        How and when the weights were made.
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

    @property
    def materials(self) -> tuple[TrainingMaterial, ...]:
        """What the weights learnt from, phantoms first; () where the card does not tell.

        A card that does not state it is of a data set whose name tells it, or of a site's own
        data, which are then images of the kinds that the model reads.
        """
        found = set(self.training_material)
        if not found:
            for data in self.training_sets:
                found |= _materials_of(data, self.applies_to)
            if not self.training_sets and "phantom" in self.training_data.lower():
                found = {TrainingMaterial.PHANTOMS}
        return tuple(material for material in TrainingMaterial if material in found)


def _materials_of(data: TrainingData, applies_to: tuple[Acquisition, ...]) -> set[TrainingMaterial]:
    name = data.name.lower()
    if "phantom" in name:
        return {TrainingMaterial.PHANTOMS}
    known = {material for start, material in _MATERIALS.items() if name.startswith(start)}
    if known or not (data.n_women or data.n_views):
        return known
    return {TrainingMaterial(acquisition.value) for acquisition in applies_to}


class DibMgCard(_Card):
    """Reads whole views. `roc` is of breasts' scores; `breast` makes them of the views'."""

    kind: Literal["dib_mg"] = "dib_mg"
    architecture: DibMgConfig
    preprocess: PreprocessSpec
    hot_region: HotRegion
    breast: BreastScoring


class CnnCard(_Card):
    """Reads regions of interest.

    `bf16_difference` is the most that bfloat16 moved a probability of validation ROIs; None where
    it was not measured, and bfloat16 is not used.
    """

    kind: Literal["cnn"] = "cnn"
    architecture: CnnConfig
    roi: RoiSpec
    bf16_difference: float | None = Field(None, ge=0, le=1)

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


ModelCard = Annotated[DibMgCard | CnnCard | FeatureCard | DetectorCard, Field(discriminator="kind")]
CARDS: TypeAdapter[ModelCard] = TypeAdapter(ModelCard)
