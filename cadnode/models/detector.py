"""The learned filter of microcalcification candidates."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from cadnode.models.weights import fitted

if TYPE_CHECKING:
    from cadnode.models.card import DetectorCard


class DetectorConfig(BaseModel):
    """Shape of the network and what it looks at.

    Parameters
    ----------
    patch
        Rows and columns of the square that is cut around a candidate.
    spacing_mm
        Of its pixels.
    widths
        Channels of the stages (the stem has those of the first), each at half of the former's
        resolution.
    statistics
        How many numbers about the candidate enter beside the patch.
    members
        Networks whose log-odds are averaged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch: int = Field(64, ge=16)
    spacing_mm: float = Field(0.125, gt=0)
    widths: tuple[int, ...] = Field((16, 24, 32, 48), min_length=1)
    statistics: int = Field(10, ge=0)
    members: int = Field(2, ge=1)


class CandidateNet(nn.Module):
    """A small convolutional network with the candidate's statistics beside the patch."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        first = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*_convolution(a, b), *_convolution(b, b))
            for a, b in pairwise((first, *config.widths))
        )
        self.scale = nn.BatchNorm1d(config.statistics) if config.statistics else None
        self.hidden = nn.Linear(2 * config.widths[-1] + config.statistics, 32)
        self.out = nn.Linear(32, 1)

    def forward(self, patches: Tensor, statistics: Tensor) -> Tensor:
        """`(B,)` log-odds of `(B, 1, P, P)` patches and `(B, S)` statistics."""
        x = self.stem(patches)
        for number, stage in enumerate(self.stages):
            x = stage(functional.max_pool2d(x, 2) if number else x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        if self.scale is not None:
            pooled = torch.cat([pooled, self.scale(statistics)], 1)
        logits: Tensor = self.out(functional.relu(self.hidden(pooled)))[:, 0]
        return logits


class CandidateFilter(nn.Module):
    """Several networks that look at each patch in four directions; their mean decides."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(CandidateNet(config) for _ in range(config.members))

    def forward(self, patches: Tensor, statistics: Tensor) -> Tensor:
        """`(B,)` log-odds of `(B, 1, P, P)` patches and `(B, S)` statistics.

        A mirrored or upside-down view has the same log-odds.
        """
        turned = torch.cat([patches, patches.flip(2), patches.flip(3), patches.flip(2, 3)])
        repeated = statistics.repeat(4, 1)
        logits = torch.stack([member(turned, repeated) for member in self.members])
        return logits.mean(0).view(4, -1).mean(0)


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


class Detector:
    """A filter ready to use.

    Parameters
    ----------
    card
        Its card; `card.mark_at` is the certainty from which on a region is marked.
    state
        Its weights, by name.

    Raises
    ------
    ModelError
        The weights do not fit the card's architecture.
    """

    def __init__(self, card: "DetectorCard", state: dict[str, Tensor], device: str = "cpu") -> None:
        self.card = card
        self.network = fitted(CandidateFilter(card.architecture), state, card.name).to(device)
        self.device = device

    @property
    def config(self) -> DetectorConfig:
        """Shape of the network and what it looks at."""
        return self.card.architecture

    @property
    def mark_at(self) -> float:
        """The certainty from which on a region is marked."""
        return self.card.mark_at

    def certainty(
        self, patches: NDArray[np.float32], statistics: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(n,) float64 in [0, 1]` of `(n, P, P)` patches and `(n, S)` statistics, calibrated."""
        if not len(patches):
            return np.zeros(0)
        with torch.inference_mode():
            logits = self.network(
                torch.from_numpy(patches)[:, None].to(self.device),
                torch.from_numpy(statistics.astype(np.float32)).to(self.device),
            )
        calibration = self.card.calibration
        shifted = calibration.slope * logits.double().cpu().numpy() + calibration.intercept
        return np.asarray(1 / (1 + np.exp(-shifted)), np.float64)
