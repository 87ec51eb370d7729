"""DIB-MG on an ImageNet trunk: as the paper's, one map a view, from fewer cancers.

The trunk's features at three depths (strides 8, 16 and 32) meet at stride 16. Early stages and all
batch statistics keep ImageNet's values: minibatches are small, and some hundred cancers say
nothing of edges.
"""

from typing import Final

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from cadnode.models import imagenet
from cadnode.models.dib_mg import DibMgConfig, MapNetwork

CHANNELS: Final = 64
DEPTHS: Final = (2, 3, 4)  # of timm's feature maps
FROZEN: Final = ("conv_stem", "bn1", "blocks.0", "blocks.1")
PRIOR: Final = -2.0  # log-odds of a cell before anything is learnt: few cells are cancer


class TransferDibMg(MapNetwork):
    """An ImageNet trunk, its features joined at stride 16, and one map of log-odds."""

    def __init__(self, config: DibMgConfig) -> None:
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
