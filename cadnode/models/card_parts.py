"""What cards of every kind hold: data, measurements, calibration, provenance."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cadnode.domain import Acquisition, System, TrainingMaterial
from cadnode.models.materials import materials_of
from cadnode.models.operating_point import Roc

UnitInterval = tuple[float, float]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CardPart(BaseModel):
    """A part of a card: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(CardPart):
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


class Calibration(CardPart):
    """Platt's: probability = 1 / (1 + exp(−(slope · log-odds + intercept))).

    A temperature T is slope 1/T and intercept 0. `prevalence` is the share of cancers in the data
    it was fitted on: the probabilities hold for it, not for screening.
    """

    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)
    fitted_on: str
    prevalence: float = Field(gt=0, lt=1)


class HotRegionRule(CardPart):
    """From which value of the calibrated map a region is marked, and how many at most."""

    threshold: float = Field(gt=0, lt=1)
    most: int = Field(3, ge=1)
    chosen: str


class TrainingData(CardPart):
    """What the weights saw.

    `n_cancer_breasts` is None where it was not asked what is malignant.
    """

    name: str
    terms: str
    n_women: int
    n_views: int
    n_cancer_breasts: int | None

    @property
    def counts(self) -> str:
        """The counts in words."""
        seen = f"{self.n_women} women, {self.n_views} views"
        cancers = self.n_cancer_breasts
        return seen if cancers is None else f"{seen}, {cancers} cancers"


class Recalibration(CardPart):
    """How operating points were refitted (`cadnode models recalibrate`).

    `base` is the version whose weights these are.
    """

    base: str
    command: str
    on: date


class CardBase(CardPart):
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
    weights_sha256: Sha256
    stored_as: Literal["float32", "int8"] = "float32"
    seed: int | None = None
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
