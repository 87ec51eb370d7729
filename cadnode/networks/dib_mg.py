"""DIB-MG: the data-driven imaging biomarker of Kim et al. 2018 (Figs. 1 and 2).

A `MapNetwork` gives a map of log-odds for each view; `DibMg` is the paper's. `TransferDibMg` has an
ImageNet trunk, whose features at three depths (strides 8, 16 and 32) meet at stride 16. Its early
stages and all batch statistics keep ImageNet's values: minibatches are small, and some hundred
cancers say nothing of edges. `network` builds what a config names.

Kim EK, Kim HE, Han K, et al. Applying data-driven imaging biomarker in mammography for breast
cancer screening: preliminary study. Sci Rep 8, 2762 (2018).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from cadnode.networks import imagenet

# Of the ImageNet trunk's reader.
CHANNELS: Final = 64
DEPTHS: Final = (2, 3, 4)  # of timm's feature maps
FROZEN: Final = ("conv_stem", "bn1", "blocks.0", "blocks.1")
PRIOR: Final = -2.0  # log-odds of a cell before training: few cells are cancer


class DibMgConfig(BaseModel):
    """Shape of the network.

    Parameters
    ----------
    trunk
        `"residual19"`, the paper's nineteen convolutions, or timm's name of an ImageNet network
        (`networks.dib_mg`).
        Deviation: an ImageNet trunk, because some hundred cancers do not teach one from nothing.
    members
        Networks of one shape whose maps are averaged: trained from other seeds or at other ends.
    widths
        Channels of the two initial and the four residual blocks. The paper is silent on them:
        ours are multiples of 16, which CPUs convolve fastest.
    first_kernel, first_stride
        Of the first convolution. The paper is silent; a stride of 2 saves a third of the work.
    pooling
        How a view's map becomes its score: `"gap"`, the mean over the map (the paper's global
        average pooling), or `"topk"`, the mean over its `top_cells` highest cells.
        Deviation: `"topk"` is the default, because a lesion fills a few of some hundred cells
        and averages away where there are only hundreds of cancers to learn from.
    top_cells
        Number of cells that `"topk"` averages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trunk: Literal["residual19", "tf_efficientnet_lite0"] = "residual19"
    members: int = Field(1, ge=1, le=10)
    widths: tuple[int, int, int, int, int, int] = (16, 32, 64, 64, 128, 192)
    first_kernel: Literal[3, 5, 7] = 5
    first_stride: Literal[1, 2] = 2
    pooling: Literal["gap", "topk"] = "topk"
    top_cells: int = Field(8, ge=1)


class InitBlock(nn.Sequential):
    """One convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """Four convolutions, an identity skip over each two (Fig. 1, lower right).

    Where the width grows, the skip's missing channels are zeros (He et al. 2016, option A), so
    that the network has nineteen convolutions and no more.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = (inputs, outputs, outputs, outputs)
        self.convs = nn.ModuleList(nn.Conv2d(n, outputs, 3, 1, 1, bias=False) for n in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in widths)
        self.grow = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """`(B, outputs, H, W)` of `(B, inputs, H, W)`."""
        for first in (0, 2):
            y = functional.relu(self.norms[first](self.convs[first](x)))
            y = self.norms[first + 1](self.convs[first + 1](y))
            skip = functional.pad(x, (0, 0, 0, 0, 0, self.grow)) if first == 0 else x
            x = functional.relu(y + skip)
        return x


class MapNetwork(nn.Module):
    """A network that gives a map of log-odds for each view, and pools it to the view's."""

    def __init__(self, config: DibMgConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 1, h, w)` log-odds of cancer of `(B, 1, H, W)` views in [0, 1]."""
        return self.logit_map(x)[:, None]

    def logit_map(self, x: Tensor) -> Tensor:
        """`(B, h, w)` log-odds of cancer, cell by cell, of `(B, 1, H, W)` views in [0, 1]."""
        raise NotImplementedError

    def pool(self, logit_map: Tensor) -> Tensor:
        """`(B,)` log-odds of a view: the first stage of pooling, over the map."""
        cells = logit_map.flatten(1)
        if self.config.pooling == "gap":
            return cells.mean(1)
        return cells.topk(min(self.config.top_cells, cells.shape[1]), dim=1).values.mean(1)


class DibMg(MapNetwork):
    """Nineteen convolutions to two maps per view, cancer and normal (the DIB).

    With the default config a map cell covers 16 × 16 pixels: stride 2, then max-pooling after
    the second initial block and after the first two residual blocks.
    """

    def __init__(self, config: DibMgConfig) -> None:
        super().__init__(config)
        widths = config.widths
        self.init1 = InitBlock(1, widths[0], config.first_kernel, config.first_stride)
        self.init2 = InitBlock(widths[0], widths[1], 3, 1)
        self.residual = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(widths[1:]))
        self.aggregate = nn.Conv2d(widths[-1], 2, 1)
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 2, h, w)` maps, cancer and normal, of `(B, 1, H, W)` views in [0, 1]."""
        x = self.init2(self.init1(2 * x - 1))  # the paper's [−1, 1]
        x = functional.max_pool2d(x, 2)
        for number, block in enumerate(self.residual):
            x = block(x)
            if number < 2:
                x = functional.max_pool2d(x, 2)
        maps: Tensor = self.aggregate(x)
        return maps

    def logit_map(self, x: Tensor) -> Tensor:
        """`(B, h, w)` log-odds of cancer against normal, cell by cell (softmax of the two maps)."""
        maps: Tensor = self(x)
        return (maps[:, 0] - maps[:, 1]).float()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.aggregate.weight, std=0.01)
        if self.aggregate.bias is not None:
            nn.init.zeros_(self.aggregate.bias)


class MapEnsemble(MapNetwork):
    """Networks of one shape whose maps are averaged, cell by cell: one map explains the score."""

    def __init__(self, config: DibMgConfig, members: Sequence[MapNetwork]) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(members)

    def logit_map(self, x: Tensor) -> Tensor:
        """`(B, h, w)`, the mean of the members' maps."""
        maps: list[Tensor] = [member.logit_map(x) for member in self.members]  # type: ignore[operator]
        return torch.stack(maps).mean(0)


def network(config: DibMgConfig) -> MapNetwork:
    """The network that a config names, with random weights."""
    members = [_member(config) for _ in range(config.members)]
    return joined(config, members)


def joined(config: DibMgConfig, members: Sequence[MapNetwork]) -> MapNetwork:
    """The network of a config that these, trained each for itself, make up."""
    return members[0] if config.members == 1 else MapEnsemble(config, members)


def members_of(network: MapNetwork) -> Sequence[MapNetwork]:
    """The networks whose maps are averaged, or the only one."""
    return list(network.members) if isinstance(network, MapEnsemble) else [network]  # type: ignore[arg-type]


def _member(config: DibMgConfig) -> MapNetwork:
    if config.trunk == "residual19":
        return DibMg(config)
    return TransferDibMg(config)


def convolutions(model: nn.Module) -> int:
    """Number of convolutions: nineteen in the paper."""
    return sum(isinstance(m, nn.Conv2d) for m in model.modules())


def breast_logit(views: Tensor) -> Tensor:
    """Log-odds of a breast: the second stage of pooling, the mean over its views (last axis)."""
    return torch.mean(views, dim=-1)


class TransferDibMg(MapNetwork):
    """An ImageNet trunk, its features joined at stride 16, and one map of log-odds."""

    def __init__(self, config: DibMgConfig) -> None:
        import timm  # 3 s, and the cards that import this file do not need it

        super().__init__(config)
        self.body = timm.create_model(
            config.trunk, features_only=True, in_chans=1, out_indices=DEPTHS
        )
        widths: list[int] = self.body.feature_info.channels()
        self.reduce = nn.ModuleList(nn.Conv2d(width, CHANNELS, 1) for width in widths)
        self.drop = nn.Dropout2d(0.1)
        self.mix = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.head = nn.Conv2d(CHANNELS, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, PRIOR)  # type: ignore[arg-type]
        for name, parameter in self.body.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))

    def train(self, mode: bool = True) -> "TransferDibMg":
        """In training mode, but with ImageNet's batch statistics."""
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    @property
    def imagenet_name(self) -> str:
        """Timm's name of the ImageNet weights that fit the trunk."""
        return f"{self.config.trunk}.in1k"

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Take ImageNet weights of the trunk; see `imagenet.start_from`.

        Raises
        ------
        ModelError
            The weights are another network's.
        """
        import timm

        whole = timm.create_model(self.config.trunk, in_chans=1)
        imagenet.start_from(whole, state, self.config.trunk)
        own, found = self.body.state_dict(), whole.state_dict()
        self.body.load_state_dict({key: found[key] for key in own})

    def logit_map(self, x: Tensor) -> Tensor:
        """`(B, ⌈H/16⌉, ⌈W/16⌉)` log-odds of cancer of `(B, 1, H, W)` views in [0, 1]."""
        features: list[Tensor] = self.body(2 * x - 1)
        size = (features[1].shape[-2], features[1].shape[-1])
        joined = torch.stack(
            [_sized(reduce(f), size) for reduce, f in zip(self.reduce, features, strict=True)]
        ).sum(0)
        mixed = functional.relu(self.mix(self.drop(functional.relu(joined))))
        logits: Tensor = self.head(mixed)
        return logits[:, 0].float()


def _sized(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Features brought to the middle depth's grid: averaged when finer, repeated when coarser."""
    if tuple(features.shape[-2:]) == size:
        return features
    if features.shape[-1] > size[-1]:
        return functional.adaptive_avg_pool2d(features, size)
    return functional.interpolate(features, size=size, mode="nearest")
