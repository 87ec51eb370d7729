"""The learned filter of microcalcification candidates: small patches and their statistics."""

from itertools import pairwise

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional


class DetectorConfig(BaseModel):
    """Shape of the network and of its input.

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
