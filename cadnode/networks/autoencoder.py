"""The stacked denoising autoencoder of Wang et al. 2016 (Methods, Deep learning model).

Wang J, Yang X, Cai H, et al. Discrimination of breast cancer with microcalcifications on
mammography by deep learning. Sci Rep 6, 27327 (2016).
"""

from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class StackedAutoencoderConfig(BaseModel):
    """Shape of the network.

    Parameters
    ----------
    inputs
        Number of features: 15, 26 or 41 in the paper.
    hidden
        Units of the hidden layers: (200, 200) for calcifications and for masses, (400, 400) for
        both together (Results).
    members
        Networks of this shape, learnt from different seeds, whose log-odds are averaged. One in
        the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: int = Field(ge=1)
    hidden: tuple[int, ...] = Field((200, 200), min_length=1)
    members: int = Field(1, ge=1, le=64)

    @property
    def one(self) -> "StackedAutoencoderConfig":
        """Of a single member."""
        return self.model_copy(update={"members": 1})


class MalignancyNetwork(nn.Module):
    """What reads scaled features: `(B, inputs) float32 in [0, 1]` → `(B, 2)` logits.

    Parameters
    ----------
    config
        Its shape, and how many networks it is the mean of.
    """

    def __init__(self, config: StackedAutoencoderConfig) -> None:
        super().__init__()
        self.config = config

    def log_odds(self, features: Tensor) -> Tensor:
        """`(B,)` log-odds of malignant: the difference of the two logits."""
        logits: Tensor = self(features)
        return logits[:, 1] - logits[:, 0]


class StackedAutoencoder(MalignancyNetwork):
    """Encoders on top of each other, and a softmax over (benign, malignant) on top of them.

    Input is `(B, inputs) float32 in [0, 1]`, as the sigmoid decoders that train the encoders
    need it. The decoders are gone after training: eqs. 6 and 7 do not take part in reading.
    """

    def __init__(self, config: StackedAutoencoderConfig) -> None:
        super().__init__(config)
        self.encoders = nn.ModuleList(
            nn.Linear(a, b) for a, b in pairwise((config.inputs, *config.hidden))
        )
        self.softmax = nn.Linear(config.hidden[-1], 2)

    def encode(self, features: Tensor, layers: int | None = None) -> Tensor:
        """`(B, hidden)` activations of the first `layers` encoders (eqs. 1, 4 and 5); all: None."""
        for encoder in self.encoders[:layers]:
            features = torch.sigmoid(encoder(features))
        return features

    def forward(self, features: Tensor) -> Tensor:
        """`(B, 2)` logits of benign and malignant; their softmax are the network's outputs."""
        logits: Tensor = self.softmax(self.encode(features))
        return logits


class AveragedAutoencoders(MalignancyNetwork):
    """Several autoencoders beside each other; the mean of their logits is the logit."""

    def __init__(self, config: StackedAutoencoderConfig) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(StackedAutoencoder(config.one) for _ in range(config.members))

    def forward(self, features: Tensor) -> Tensor:
        """`(B, 2)` mean logits of benign and malignant."""
        return torch.stack([member(features) for member in self.members]).mean(0)


def autoencoder(config: StackedAutoencoderConfig) -> MalignancyNetwork:
    """The network of a configuration, with random weights."""
    return AveragedAutoencoders(config) if config.members > 1 else StackedAutoencoder(config)
