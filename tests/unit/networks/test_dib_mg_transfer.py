"""DIB-MG on an ImageNet trunk, and ensembles of maps."""

import pytest
import timm
import torch
from torch import nn

from cadnode.errors import ModelError
from cadnode.networks import dib_mg
from cadnode.networks.dib_mg import DibMgConfig, MapEnsemble, TransferDibMg

LITE = DibMgConfig(trunk="tf_efficientnet_lite0", top_cells=3)


@pytest.fixture(scope="module")
def network() -> TransferDibMg:
    torch.manual_seed(0)
    built = dib_mg.network(LITE)
    assert isinstance(built, TransferDibMg)
    return built.eval()


@torch.inference_mode()
def test_a_map_has_a_cell_for_each_16_by_16_pixels(network: TransferDibMg) -> None:
    assert network.logit_map(torch.rand(2, 1, 96, 64)).shape == (2, 6, 4)


@torch.inference_mode()
def test_sizes_that_no_stride_divides_are_read_too(network: TransferDibMg) -> None:
    assert network.logit_map(torch.rand(1, 1, 100, 70)).shape == (1, 7, 5)


def test_training_keeps_the_batch_statistics_and_the_first_stages_of_imagenet() -> None:
    network = dib_mg.network(LITE).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network.pool(network.logit_map(torch.rand(2, 1, 64, 64))).sum().backward()
    optimizer.step()
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert any(k.startswith("body.blocks.4") for k in changed)
    assert not any(
        "running_" in k or k.startswith(("body.conv_stem", "body.blocks.0")) for k in changed
    )


def test_imagenet_weights_of_the_trunk_are_taken_with_colours_summed(
    network: TransferDibMg,
) -> None:
    coloured = timm.create_model("tf_efficientnet_lite0")
    network.start_from(coloured.state_dict())
    taken = network.body.state_dict()
    whole = coloured.state_dict()
    assert torch.allclose(taken["conv_stem.weight"], whole["conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(taken["blocks.3.1.conv_pw.weight"], whole["blocks.3.1.conv_pw.weight"])


def test_weights_of_another_network_are_refused(network: TransferDibMg) -> None:
    with pytest.raises(ModelError, match="do not fit tf_efficientnet_lite0"):
        network.start_from({"conv1.weight": torch.zeros(1)})


@torch.inference_mode()
def test_an_ensemble_averages_its_members_maps_cell_by_cell() -> None:
    small = DibMgConfig(widths=(4, 4, 8, 8, 8, 8), members=2)
    ensemble = dib_mg.network(small).eval()
    assert isinstance(ensemble, MapEnsemble)
    views = torch.rand(1, 1, 64, 48)
    one, two = (member.logit_map(views) for member in ensemble.members)  # type: ignore[operator]
    assert not torch.equal(one, two)
    assert torch.allclose(ensemble.logit_map(views), (one + two) / 2)


def test_networks_of_cards_without_a_trunk_are_the_papers() -> None:
    assert isinstance(dib_mg.network(DibMgConfig()), nn.Module)
    assert dib_mg.convolutions(dib_mg.network(DibMgConfig())) == 19
