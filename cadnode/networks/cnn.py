"""The CNNs of Kang 2021 and of the Helsinki double transfer learning, built by timm.

Kang D, Gweon HM, Eun NL, et al. A convolutional deep learning model for improving mammographic
breast-microcalcification diagnosis. Sci Rep 11, 23925 (2021): DCNN architectures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from cadnode.networks import imagenet

Architecture = Literal[
    "resnet101",
    "xception",
    "inception_v3",
    "inception_resnet_v2",
    "densenet201",
    "resnext50_32x4d",
]


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the cells of a network's last features lie along each axis of its input.

    The receptive field of cell i is centred at `first` + i · `step` in input pixels: a 3 × 3
    convolution of stride 2 with padding 1 keeps the first centre at 0.5, one without padding moves
    it inwards.
    """

    first: float
    step: float


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """What must be known of an architecture.

    Parameters
    ----------
    timm, tag
        timm's name of it and of its ImageNet weights. Choice: the first published weights, as
        the papers' tools had them; timm's newer recipes score higher on ImageNet, but nothing
        states that they transfer better.
    mean, std
        Of grey levels in [0, 1] as these weights saw them: timm's, averaged over the colours.
    cells
        Of the features before pooling; from the strides and paddings of timm's layers.
    classifier
        timm's name of the last layer.
    """

    timm: str
    tag: str
    mean: float
    std: float
    cells: Cells
    classifier: str = "fc"


FACTS: Final[dict[Architecture, ArchitectureFacts]] = {
    "resnet101": ArchitectureFacts("resnet101", "tv_in1k", 0.449, 0.226, Cells(0.5, 32)),
    "xception": ArchitectureFacts("legacy_xception", "tf_in1k", 0.5, 0.5, Cells(3.5, 32)),
    "inception_v3": ArchitectureFacts("inception_v3", "tv_in1k", 0.5, 0.5, Cells(37.5, 32)),
    "inception_resnet_v2": ArchitectureFacts(
        "inception_resnet_v2", "tf_in1k", 0.5, 0.5, Cells(37.5, 32), "classif"
    ),
    "densenet201": ArchitectureFacts(
        "densenet201", "tv_in1k", 0.449, 0.226, Cells(14.5, 32), "classifier"
    ),
    "resnext50_32x4d": ArchitectureFacts(
        "resnext50_32x4d", "tv_in1k", 0.449, 0.226, Cells(0.5, 32)
    ),
}


class CnnConfig(BaseModel):
    """Which network, what goes in, and what its outputs stand for.

    Parameters
    ----------
    name
        The architecture, as its authors' papers and timm call it.
    classes
        What the outputs mean, in order; one of them is `malignant`.
    mean, std
        The network's first step is (x − mean) / std on grey levels in [0, 1]. By default those
        of the architecture's ImageNet weights (0.5, 0.5 is the papers' 2 · x − 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Architecture
    classes: tuple[Literal["benign", "malignant"], ...] = ("benign", "malignant")
    mean: float = Field(ge=0, le=1)
    std: float = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _of_the_architecture(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") in FACTS:
            facts = FACTS[values["name"]]
            return {"mean": facts.mean, "std": facts.std, **values}
        return values

    @classmethod
    def of(cls, name: str) -> "CnnConfig":
        """An architecture as its ImageNet weights take grey levels."""
        return cls.model_validate({"name": name})


class RoiNetwork(nn.Module):
    """A timm CNN that reads grey regions: normalisation, trunk, head.

    Parameters
    ----------
    config
        States what the network is.
    body
        timm's network with one input channel and as many outputs as classes.
    cells
        Of the trunk's features.
    """

    def __init__(self, config: CnnConfig, body: nn.Module, cells: Cells) -> None:
        super().__init__()
        self.cells = cells
        self.config = config
        self.body = body

    def trunk(self, x: Tensor) -> Tensor:
        """`(B, C, h, w)` features, the last before pooling, of `(B, 1, H, W)` in [0, 1]."""
        features: Tensor = self.body.forward_features((x - self.config.mean) / self.config.std)  # type: ignore[operator]
        return features

    def let_trunk_go(self) -> None:
        """Free the trunk's weights, where something else computes it; the head stays."""
        classifier = getattr(self.body, "get_classifier", None)
        if classifier is None:
            return
        kept = {id(parameter) for parameter in classifier().parameters()}
        for module in self.body.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if id(parameter) not in kept:
                    nothing = nn.Parameter(parameter.to("meta"), requires_grad=False)
                    setattr(module, name, nothing)

    def head(self, features: Tensor) -> Tensor:
        """`(B, classes)` logits of the trunk's features."""
        logits: Tensor = self.body.forward_head(features)  # type: ignore[operator]
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """`(B, classes)` logits of `(B, 1, H, W)` regions in [0, 1]."""
        return self.head(self.trunk(x))

    def log_odds(self, logits: Tensor) -> Tensor:
        """`(B,)` log-odds of malignant against the other classes; `logits` is `(B, classes)`."""
        index = self.config.classes.index("malignant")
        malignant = logits[:, index]
        if logits.shape[1] == 1:
            return malignant
        others = [i for i in range(logits.shape[1]) if i != index]
        return malignant - logits[:, others].logsumexp(1)


def network(config: CnnConfig, *, pretrained: bool | Path = False) -> RoiNetwork:
    """The network of a config, with random weights or, but for its classifier, ImageNet's.

    Parameters
    ----------
    config
        Also states how many outputs it has.
    pretrained
        True fetches the weights by timm's name (or takes them from the cache); a path is a
        `.safetensors` file of them.

    Raises
    ------
    ModelError
        The weights cannot be fetched, are no safetensors, or are another network's.
    """
    import timm  # 3 s, and the cards that import this file do not need it

    facts = FACTS[config.name]
    body = timm.create_model(facts.timm, in_chans=1, num_classes=len(config.classes))
    if pretrained is not False:
        found = imagenet.download(f"{facts.timm}.{facts.tag}") if pretrained is True else pretrained
        imagenet.start_from(body, imagenet.read(found), config.name)
    return RoiNetwork(config, body, facts.cells)


class PooledClassifier(nn.Module):
    """What timm's networks do behind their trunk: the mean over positions, and a linear layer."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        self.classifier.weight = nn.Parameter(weight)
        self.classifier.bias = nn.Parameter(bias)

    def forward_head(self, features: Tensor) -> Tensor:
        """`(B, classes)` logits of `(B, C, h, w)` features."""
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits


def head_names(config: CnnConfig) -> tuple[str, str]:
    """Names of the classifier's weight and bias among a network's weights."""
    layer = f"body.{FACTS[config.name].classifier}"
    return f"{layer}.weight", f"{layer}.bias"


def head_of(config: CnnConfig, state: Mapping[str, Tensor]) -> RoiNetwork:
    """The network of a config without its trunk, which something else computes; without timm.

    `state` holds the tensors of `head_names`.
    """
    weight, bias = (state[name] for name in head_names(config))
    body = PooledClassifier(weight, bias)
    return RoiNetwork(config, body, FACTS[config.name].cells).eval()
