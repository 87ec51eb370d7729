"""A network with stored weights has exactly those, and draws none of its own before."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from cadnode.errors import ModelError
from cadnode.models.weights import fitted
from cadnode.networks.autoencoder import StackedAutoencoderConfig, autoencoder
from cadnode.networks.dib_mg import DibMgConfig, network
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig

MAKES: dict[str, Callable[[], nn.Module]] = {
    "a map of nineteen layers": lambda: network(DibMgConfig()),
    "an ensemble of autoencoders": lambda: autoencoder(
        StackedAutoencoderConfig(inputs=15, members=2)
    ),
    "a filter of candidates": lambda: CandidateFilter(DetectorConfig(widths=(4, 8))),
    "normal weights": lambda: timm.create_model("resnet10t", in_chans=1, num_classes=2),
    "truncated normal weights": lambda: _truncated(),
}


def _truncated() -> nn.Module:
    """As inception-v3 draws its weights."""
    layer = nn.Linear(8, 8)
    timm.layers.trunc_normal_(layer.weight, std=0.1)
    return layer


def everything(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, also those that are not stored."""
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


@pytest.mark.parametrize("name", MAKES)
def test_what_is_loaded_is_what_was_stored_and_nothing_is_drawn(name: str) -> None:
    wanted = MAKES[name]()
    drawn_to = torch.get_rng_state()

    found = fitted(MAKES[name], wanted.state_dict(), name)

    assert not found.training
    assert everything(found).keys() == everything(wanted).keys()
    for part, value in everything(wanted).items():
        torch.testing.assert_close(everything(found)[part], value, rtol=0, atol=0)
    torch.testing.assert_close(torch.get_rng_state(), drawn_to, rtol=0, atol=0)


def test_weights_that_do_not_fit_are_refused_and_later_networks_draw_theirs() -> None:
    with pytest.raises(ModelError, match="of mine do not fit"):
        fitted(lambda: nn.Linear(3, 2), nn.Linear(2, 2).state_dict(), "mine")

    assert 0 < float(nn.Linear(100, 100).weight.detach().std()) < 1
