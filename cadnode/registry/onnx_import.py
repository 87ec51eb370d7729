"""A network of another maker becomes a model's folder: an ONNX file, `spec.toml`, `card.toml`.

What the two files must state is what `docs/own-network.md` describes; what is missing or wrong is
named with the file and the key.
"""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cadnode.domain import SYSTEM_NAME, Acquisition, System, TrainingMaterial
from cadnode.errors import ModelError, SettingsError
from cadnode.files import file_sha256
from cadnode.models import onnx_child, store
from cadnode.models.breast import BreastScoring
from cadnode.models.card import (
    CARDS,
    Calibration,
    HotRegionRule,
    Metric,
    OnnxRegionCard,
    OnnxViewCard,
    TrainingData,
)
from cadnode.models.onnx_card import OnnxSource, OnnxSpec, pack
from cadnode.models.operating_point import Roc
from cadnode.registry.onnx_bundle import onnx_in

Kind = Literal["view", "region"]
MOST_TEXT: Final = 256 * 1024
_UNKNOWN_WOMEN: Final = (
    "which women it was trained on is unknown to this node: measure it on women whom it cannot "
    "have seen"
)
_Read = TypeVar("_Read", bound=BaseModel)
_Share = Annotated[float, Field(ge=0, le=1)]
_Words = Annotated[str, Field(min_length=3)]


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StatedPoint(_Stated):
    """An operating point as a paper or a vendor states it: one threshold and what it gave."""

    threshold: float = Field(gt=0, lt=1)
    sensitivity: _Share
    specificity: _Share
    measured_on: _Words
    n_pos: int = Field(ge=1)
    n_neg: int = Field(ge=1)

    @property
    def curve(self) -> Roc:
        """The curve of this point alone, twice: a curve has two points at least.

        Nothing else is known of it: with the ends of every curve, a wish for more sensitivity than
        was measured would call everything suspicious, and one for more specificity nothing.
        """
        points = ((self.threshold, self.sensitivity, self.specificity),) * 2
        return Roc(points=points, measured_on=self.measured_on, n_pos=self.n_pos, n_neg=self.n_neg)


class StatedCard(_Stated):
    """The content of `card.toml`: whose network it is, its data, its measurements, its limits.

    `calibration` is left out where the score is taken as it is. One of `roc` and
    `operating_point` is needed: without a threshold nothing is suspicious.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=100)
    version: str = Field(pattern=r"^\d{1,9}\.\d{1,9}\.\d{1,9}$")
    system: str = Field(pattern=f"^{SYSTEM_NAME}$")
    paper: _Words
    algorithm: _Words
    intended_use: _Words
    licence: _Words
    applies_to: tuple[Acquisition, ...] = Field(min_length=1)
    training_data: _Words
    training_material: tuple[TrainingMaterial, ...] = Field(min_length=1)
    training_sets: tuple[TrainingData, ...] = ()
    trained_on: date
    limits: tuple[_Words, ...] = Field(min_length=1)
    split: str = "the maker's own: unknown to this node"
    metrics: tuple[Metric, ...] = ()
    roc: Roc | None = None
    operating_point: StatedPoint | None = None
    calibration: Calibration | None = None
    hot_region: HotRegionRule | None = None

    @model_validator(mode="after")
    def _has_a_curve(self) -> "StatedCard":
        if (self.roc is None) == (self.operating_point is None):
            raise ValueError("operating_point: one of it and roc is needed, not both")
        if not System(self.system).is_brought:
            raise ValueError(f"system: {self.system} is a paper's; give yours a name of its own")
        return self

    @property
    def curve(self) -> Roc:
        """The curve that the operating point is chosen on."""
        assert self.roc is not None or self.operating_point is not None
        return self.roc if self.roc is not None else self.operating_point.curve  # type: ignore[union-attr]

    def calibrated(self) -> Calibration:
        """The calibration, or that the score is taken as it is."""
        curve = self.curve
        return self.calibration or Calibration(
            slope=1.0,
            intercept=0.0,
            fitted_on="nothing: the network's own score is taken as it is",
            prevalence=curve.n_pos / (curve.n_pos + curve.n_neg),
        )


def make(
    path: Path, kind: Kind, spec_file: Path, card_file: Path, folder: Path
) -> OnnxViewCard | OnnxRegionCard:
    """Write the model's folder of an ONNX file or a bundle (`onnx_bundle`).

    The file is opened in a process of its own (`onnx_child`).

    Raises
    ------
    MissingExtra
        The extra `onnx` is not installed.
    ModelError
        The file is refused (`onnx_gate`), or `spec.toml` or `card.toml` lacks or misstates
        something.
    SettingsError
        A file is missing.
    """
    spec, stated = _read(spec_file, OnnxSpec), _read(card_file, StatedCard)
    with onnx_in(path, spec) as found:
        if not found.is_file():
            raise SettingsError(f"there is no {found}")
        graph = onnx_child.brought(found)
        digest = file_sha256(found)
    platt = stated.calibrated()
    content: dict[str, Any] = {
        **stated.model_dump(exclude={"roc", "operating_point", "hot_region"}),
        "kind": f"onnx_{kind}",
        "system": System(stated.system),
        "roc": stated.curve,
        "calibration": platt,
        "limits": (*stated.limits, _UNKNOWN_WOMEN),
        "spec": spec,
        "source": OnnxSource(file_sha256=digest, opset=graph.opset, producer=graph.producer),
        "weights_sha256": "0" * 64,
        "command": f"cadnode models import --kind {kind}",
        **_of_views(stated, platt, kind, card_file),
    }
    card = _valid(content, spec_file)
    saved = store.save(folder, card, pack(graph.content, spec), {"train": [], "validation": []})
    assert isinstance(saved, OnnxViewCard | OnnxRegionCard)
    return saved


def _of_views(
    stated: StatedCard, platt: Calibration, kind: Kind, card_file: Path
) -> dict[str, Any]:
    if kind == "region":
        if stated.hot_region is not None:
            raise ModelError(f"{card_file}: hot_region: of networks that read whole views")
        return {}
    breast = BreastScoring(
        contralateral_weight=0.0,
        contralateral_mean=0.0,
        slope=platt.slope,
        intercept=platt.intercept,
        fitted_on=platt.fitted_on,
    )
    return {"breast": breast, "hot_region": stated.hot_region}


def _valid(content: dict[str, Any], spec_file: Path) -> OnnxViewCard | OnnxRegionCard:
    try:
        card = CARDS.validate_python(content)
    except ValidationError as error:
        raise ModelError(_named(spec_file, error)) from None
    assert isinstance(card, OnnxViewCard | OnnxRegionCard)
    return card


def _read(file: Path, model: type[_Read]) -> _Read:
    """A TOML file's content; raises where it is not what it should be, naming the key."""
    try:
        content = file.read_bytes()
    except OSError:
        raise SettingsError(f"there is no {file}, or it cannot be read") from None
    if len(content) > MOST_TEXT:
        raise ModelError(f"{file} has more than {MOST_TEXT // 1024} KB")
    try:
        return model.model_validate(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} is no TOML: {error}") from None
    except ValidationError as error:
        raise ModelError(_named(file, error)) from None


def _named(file: Path, error: ValidationError) -> str:
    """What is wrong and where, at most five of it."""
    found = []
    for one in error.errors()[:5]:
        keys = [str(part) for part in one["loc"] if not str(part).startswith("onnx_")]
        text = re.sub(r"^Value error, ", "", one["msg"])
        found.append(f"{'.'.join(keys)}: {text}" if keys else text)
    return f"{file}: " + "; ".join(found)
