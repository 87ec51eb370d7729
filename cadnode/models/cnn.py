"""The CNNs of Kang 2021 and of the Helsinki double transfer learning, built by timm."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Architecture = Literal[
    "resnet101",
    "xception",
    "inception_v3",
    "inception_resnet_v2",
    "densenet201",
    "resnext50_32x4d",
]


class CnnConfig(BaseModel):
    """Which network, and what its outputs stand for.

    Parameters
    ----------
    name
        timm's name of the architecture.
    classes
        What the outputs mean, in order; one of them is `malignant`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Architecture
    classes: tuple[Literal["benign", "malignant"], ...] = ("benign", "malignant")
