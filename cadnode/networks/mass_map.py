"""Where masses lie in a view: a map of centres and sizes, after CenterNet (Zhou et al. 2019).

Zhou X, Wang D, Krähenbühl P. Objects as points. arXiv:1904.07850. Each cell has the log-odds that
a mass has its centre there, and the logarithms of the mass's height and width.

Deviation: an EfficientNet-Lite0 from ImageNet up to stride 16, its depths joined at stride 8,
instead of the paper's much larger networks: it has to be quick on processors, and some hundred
films do not teach one from nothing.
"""

from typing import Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from cadnode.networks import imagenet

STRIDE: Final = 8
TRUNK: Final = "tf_efficientnet_lite0"
OUTPUTS: Final = 3
_PRIOR: Final = -4.0  # log-odds of a cell before training: one in some hundred is a centre
_FINE, _MIDDLE, _DEEP = 40, 80, 112  # channels at strides 8, 16 and 16
_BLOCKS: Final = 5


class MassMapConfig(BaseModel):
    """Shape of the network.

    Parameters
    ----------
    members
        Networks whose log-odds are averaged. They share the trunk, which keeps ImageNet's weights.
    channels
        Of the features that are joined at stride 8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(3, ge=1, le=10)
    channels: int = Field(48, ge=8, multiple_of=8)


class MassTrunk(nn.Module):
    """The trunk up to stride 16, with ImageNet's weights; its two depths on one grid."""

    def __init__(self) -> None:
        super().__init__()
        trunk = _Trunk()
        self.first, self.fine, self.middle = trunk.first, trunk.fine, trunk.middle
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 120, H/8, W/8)` features of `(B, 1, H, W)` views in [0, 1].

        The last 80 channels are those of stride 16, each repeated four times.
        """
        fine = self.fine(self.first(2 * x - 1))
        return torch.cat([fine, functional.interpolate(self.middle(fine), scale_factor=2.0)], 1)


class MassNet(nn.Module):
    """One member: the trunk's last stage, and the head that joins it at stride 8."""

    def __init__(self, config: MassMapConfig) -> None:
        super().__init__()
        width = config.channels
        self.deep = _Trunk().deep
        self.from_trunk = nn.Conv2d(_FINE + _MIDDLE, width, 1)
        self.from_deep = nn.Conv2d(_DEEP, width, 1)
        self.drop = nn.Dropout2d(0.1)
        self.mix = nn.Sequential(*(_mixing(width) for _ in range(2)))
        self.head = nn.Conv2d(width, OUTPUTS, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, 0.0)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.bias[0] = _PRIOR  # type: ignore[index]

    def forward(self, features: Tensor) -> Tensor:
        """`(B, 3, H/8, W/8)` of the trunk's features: log-odds, log height, log width.

        Heights and widths are in shares of the tensor's.
        """
        middle = functional.avg_pool2d(features[:, _FINE:], 2)  # as it was before it was repeated
        deep = functional.interpolate(
            self.from_deep(self.deep(middle)), scale_factor=2.0, mode="bilinear"
        )
        joined = self.drop(functional.relu(self.from_trunk(features) + deep))
        found: Tensor = self.head(self.mix(joined))
        return found


class MassMap(nn.Module):
    """Members on one trunk; the mean of their maps decides."""

    def __init__(self, config: MassMapConfig) -> None:
        super().__init__()
        self.trunk = MassTrunk()
        self.members = nn.ModuleList(MassNet(config) for _ in range(config.members))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H/8, W/8)` of `(B, 1, H, W)` views in [0, 1]; H and W multiples of 16."""
        features = self.trunk(x)
        return torch.stack([member(features) for member in self.members]).mean(0)

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Take ImageNet weights of the trunk (timm's names) for all members.

        Raises
        ------
        ModelError
            The weights are another network's.
        """
        trunk = _Trunk(state)
        for name in ("first", "fine", "middle"):
            getattr(self.trunk, name).load_state_dict(getattr(trunk, name).state_dict())
        for member in self.members:
            member.deep.load_state_dict(trunk.deep.state_dict())  # type: ignore[union-attr]


class _Trunk(nn.Module):
    """EfficientNet-Lite0 up to stride 16, its batch normalisations folded into its convolutions.

    Minibatches are small, so ImageNet's statistics are kept; folded in, they cost no time.
    """

    def __init__(self, state: dict[str, Tensor] | None = None) -> None:
        import timm  # 3 s, and what imports this file's config does not need it

        super().__init__()
        whole = timm.create_model(TRUNK, in_chans=1)
        if state is not None:
            imagenet.start_from(whole, state, TRUNK)
        body: Any = whole.eval()
        blocks = [_folded(block) for block in body.blocks[:_BLOCKS]]
        first = _folded(nn.Sequential(body.conv_stem, body.bn1))
        self.first = nn.Sequential(first, *blocks[:2])
        self.fine, self.middle, self.deep = blocks[2:]


def _folded(module: nn.Module) -> Any:
    """The module, each convolution with the normalisation after it as one, in place."""
    before: nn.Module | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            mean: Any = child.running_mean
            variance: Any = child.running_var
            weight, bias = fuse_conv_bn_weights(
                before.weight, before.bias, mean, variance, child.eps, child.weight, child.bias
            )
            before.weight, before.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _folded(child)
        before = child
    return module


def _mixing(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(8, width), nn.ReLU()
    )
