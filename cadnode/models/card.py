"""The model card: what a model is, what it was trained and measured on, and how it is used."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import Acquisition
from cadnode.imaging.preprocess import PreprocessSpec
from cadnode.models.breast import BreastScoring
from cadnode.models.dib_mg import DibMgConfig

UnitInterval = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(_Part):
    """One measured area under the ROC curve.

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


class OperatingPoint(_Part):
    """The score from which a breast counts as suspicious, and how it was chosen."""

    threshold: float = Field(ge=0, le=1)
    chosen: str


class Calibration(_Part):
    """Platt's: probability = 1 / (1 + exp(−(slope · log-odds + intercept))).

    `prevalence` is the share of cancers in the data it was fitted on: the probabilities hold
    for it, not for screening.
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


class ModelCard(_Part):
    """Everything that must be known to use a set of weights, beside the weights.

    Parameters
    ----------
    applies_to
        Which acquisitions the model reads.
    training_data
        In a sentence; `training_sets` gives the counts.
    weights_sha256
        Of `model.safetensors`.
    calibration
        Of a view's log-odds and of the map; `breast` makes the breast's score of its views.
    command, seed, trained_on
        How and when the weights were made.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    paper: str
    algorithm: str
    intended_use: str
    licence: str
    architecture: DibMgConfig
    preprocess: PreprocessSpec
    applies_to: tuple[Acquisition, ...] = Field(min_length=1)
    training_data: str
    training_sets: tuple[TrainingData, ...]
    split: str
    metrics: tuple[Metric, ...]
    operating_point: OperatingPoint
    hot_region: HotRegion
    calibration: Calibration
    breast: BreastScoring
    limits: tuple[str, ...]
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seed: int
    command: str
    trained_on: date
