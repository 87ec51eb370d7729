"""Cards of networks that a site brings as ONNX files: what goes in, what comes out, its meaning.

Its weights are the ONNX file itself, kept as a tensor of a safetensors file beside the spec that it
is read by (`pack`, `graph_of`): stores, signatures and parcels know one format, and one graph that
is read in two ways has two checksums.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cadnode.domain import System
from cadnode.errors import ModelError
from cadnode.imaging.roi_chain import RoiIntensity, RoiSpec
from cadnode.imaging.view_chain import Intensity, PreprocessSpec
from cadnode.models.breast import BreastScoring
from cadnode.models.card_parts import CardBase, HotRegionRule
from cadnode.models.scanners import LocalCard

GRAPH: Final = "onnx"
SPEC: Final = "spec"
LARGEST_SIDE: Final = 4096
_MOST_CELLS: Final = 400

RESERVED: Final = frozenset({"all", "cadnode", "ensemble", "shared", *System})
"""Names of systems, by which results call the mean of several networks, and of what is none."""

Side = Annotated[int, Field(ge=32, le=LARGEST_SIDE)]


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OnnxInput(_Stated):
    """What the network takes in.

    Parameters
    ----------
    name
        Of the graph's one input, a float32 tensor of four axes.
    layout
        `NCHW` or `NHWC`.
    channels
        1, or 3: the grey levels three times.
    height, width
        Rows and columns of the tensor in pixels.
    range
        What black and white become; `[0, 255]`, or `[1, 0]` for a network that wants dense tissue
        dark.
    mean, std
        Taken off and divided by afterwards: one number, or one for each channel.
    grey_levels
        `display` as the image is shown; `percentiles` normalised within the breast
        (`view_chain.Intensity`) or within the region's tissue (`roi_chain.RoiIntensity`).
    crop, fit, mask_outside
        Of whole views, as `PreprocessSpec`.
    chest_wall
        Of whole views: on which side it lies, whichever breast it is; `as_is` mirrors nothing.
    pixel_mm
        Of regions alone: the size of a pixel in the plane of the breast.
    """

    name: str = Field(min_length=1)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal[1, 3]
    height: Side
    width: Side
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    grey_levels: Literal["display", "percentiles"] = "display"
    crop: Literal["breast", "none"] = "breast"
    fit: Literal["pad", "fill"] = "pad"
    mask_outside: bool = True
    chest_wall: Literal["left", "right", "as_is"] = "left"
    pixel_mm: float | None = Field(None, gt=0.01, lt=2)

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _fits(self) -> "OnnxInput":
        if self.range[0] == self.range[1]:
            raise ValueError("range: black and white are the same")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"{name}: one number, or one for each of {self.channels} channels")
        if min(self.std) <= 0:
            raise ValueError("std: must be above 0")
        return self

    @property
    def preprocess(self) -> PreprocessSpec:
        """How views are preprocessed; mirroring to the right is left to the network's pass."""
        return PreprocessSpec(
            height=self.height,
            width=self.width,
            crop=self.crop,
            fit=self.fit,
            flip=self.chest_wall != "as_is",
            mask_outside=self.mask_outside,
            intensity=Intensity() if self.grey_levels == "percentiles" else None,
        )

    @property
    def roi(self) -> RoiSpec:
        """How regions are cut."""
        return RoiSpec(
            size=self.height,
            spacing_mm=self.pixel_mm or 0.1,
            intensity=RoiIntensity() if self.grey_levels == "percentiles" else None,
        )


class OnnxOutput(_Stated):
    """What the score is.

    Parameters
    ----------
    name
        Of the graph's output.
    meaning
        `probability` of malignancy or its `logit`, one number a view or region; `softmax` or
        `logits` of two or more classes.
    malignant
        The class's place among several, from 0; needed for them alone.
    """

    name: str = Field(min_length=1)
    meaning: Literal["probability", "logit", "softmax", "logits"]
    malignant: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _names_the_class(self) -> "OnnxOutput":
        several = self.meaning in ("softmax", "logits")
        if several and self.malignant is None:
            raise ValueError(f"malignant: which of the {self.meaning} classes is it, from 0?")
        if not several and self.malignant is not None:
            raise ValueError(f"malignant: a {self.meaning} has no classes")
        return self


class OnnxMap(_Stated):
    """Where the evidence lies.

    Parameters
    ----------
    kind
        `output`: the graph gives a map. `grad_cam`: of the features before the last global average
        pooling, where the score depends on them through it alone. `occlusion`: how far the score
        falls when a cell is covered. `none`: there is no map.
    output, meaning, channel
        Of `output`: its name; `probability`, `logit`, or `attention` (any scale, not negative);
        which of its channels.
    cells
        Of `occlusion`: rows and columns; the network computes once for each with tissue in it.
    """

    kind: Literal["output", "grad_cam", "occlusion", "none"] = "none"
    output: str | None = None
    meaning: Literal["probability", "logit", "attention"] | None = None
    channel: int = Field(0, ge=0)
    cells: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] = (12, 8)

    @model_validator(mode="after")
    def _names_its_output(self) -> "OnnxMap":
        given = self.output is not None and self.meaning is not None
        if self.kind == "output" and not given:
            raise ValueError("output, meaning: a map that the graph gives has a name and a meaning")
        if self.kind != "output" and (self.output is not None or self.meaning is not None):
            raise ValueError(f"output, meaning: not of a map of the kind {self.kind}")
        if self.cells[0] * self.cells[1] > _MOST_CELLS:
            raise ValueError(f"cells: {_MOST_CELLS} at most, a pass of the network each")
        return self


class OnnxSpec(_Stated):
    """Input, output and map of a network: the content of `spec.toml`."""

    input: OnnxInput
    output: OnnxOutput
    map: OnnxMap = OnnxMap()


class OnnxSource(_Stated):
    """The file that was brought: its sha256 as it came, its operator set, what had written it."""

    file_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    opset: int
    producer: str = ""


class _OnnxCard(CardBase):
    spec: OnnxSpec
    source: OnnxSource
    training_data: str = Field(min_length=1)
    limits: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_its_own_system(self) -> "_OnnxCard":
        if self.system is None or not self.system.is_brought:
            raise ValueError("system: a network that is brought has a system of its own")
        for word, others in ((self.system.value, RESERVED), (self.name, {*RESERVED, self.system})):
            if word in others:
                raise ValueError(f"{word!r} stands for something else: give it another name")
        return self

    @property
    def own_system(self) -> System:
        """Its system, which it always has."""
        assert self.system is not None
        return self.system


class OnnxViewCard(_OnnxCard, LocalCard):
    """Reads whole views by a network that a site brought.

    `hot_region` is there where the map's values are those of the score (`output`, not
    `attention`): only then are regions assessed by the map, and its peaks are findings.
    """

    kind: Literal["onnx_view"] = "onnx_view"
    breast: BreastScoring
    hot_region: HotRegionRule | None = None

    @model_validator(mode="after")
    def _reads_views(self) -> "OnnxViewCard":
        if self.spec.input.pixel_mm is not None:
            raise ValueError("input.pixel_mm: of regions alone; views are brought to the tensor")
        measured = self.spec.map.meaning in ("probability", "logit")
        if self.hot_region is not None and not measured:
            raise ValueError("hot_region: needs a map that is a probability or a logit")
        return self

    @property
    def preprocess(self) -> PreprocessSpec:
        """How views are preprocessed."""
        return self.spec.input.preprocess

    def served(self) -> "OnnxViewCard":
        """The card as a node reads with it: as it is."""
        return self


class OnnxRegionCard(_OnnxCard):
    """Reads regions of interest by a network that a site brought."""

    kind: Literal["onnx_region"] = "onnx_region"
    bf16_difference: None = None
    validation: None = None

    @model_validator(mode="after")
    def _reads_squares(self) -> "OnnxRegionCard":
        given = self.spec.input
        if given.height != given.width:
            raise ValueError("input.height, input.width: regions are squares")
        if given.height < 64:
            raise ValueError("input.height: regions have 64 pixels at least")
        if given.pixel_mm is None:
            raise ValueError("input.pixel_mm: the size of a region's pixel in mm is needed")
        if given.chest_wall == "right":
            raise ValueError("input.chest_wall: regions are never mirrored")
        return self

    @property
    def roi(self) -> RoiSpec:
        """How regions are cut."""
        return self.spec.input.roi


def pack(graph: bytes, spec: OnnxSpec) -> dict[str, torch.Tensor]:
    """A graph and its spec as the state that `store.save` writes."""
    return {
        name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for name, content in ((GRAPH, graph), (SPEC, _bytes(spec)))
    }


def graph_of(state: Mapping[str, torch.Tensor], card: "OnnxViewCard | OnnxRegionCard") -> bytes:
    """The ONNX graph in the weights of a card's model.

    Raises
    ------
    ModelError
        The weights hold something else, or a graph that was brought with another spec.
    """
    flat = all(t.dtype == torch.uint8 and t.ndim == 1 for t in state.values())
    if set(state) != {GRAPH, SPEC} or not flat:
        raise ModelError(f"the weights of {card.name} are no ONNX graph with its spec")
    if state[SPEC].numpy().tobytes() != _bytes(card.spec):
        raise ModelError(f"the weights of {card.name} were brought with another spec than its card")
    return state[GRAPH].numpy().tobytes()


def _bytes(spec: OnnxSpec) -> bytes:
    return spec.model_dump_json().encode()
