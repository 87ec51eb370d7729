"""The six CNNs, built by timm for one grey channel, and where their features look."""

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn

from cadnode.models import gradcam
from cadnode.networks.cnn import FACTS, Architecture, Cells, CnnConfig, RoiNetwork, network
from tests.unit.roi_cases import toy

ALL: list[Architecture] = [
    "resnet101", "xception", "inception_v3", "inception_resnet_v2", "densenet201",
    "resnext50_32x4d",
]  # fmt: skip


def test_every_architecture_of_the_papers_is_known() -> None:
    assert list(FACTS) == ALL


@pytest.mark.parametrize("name", ALL)
def test_each_reads_one_grey_channel_and_explains_itself(name: Architecture) -> None:
    torch.manual_seed(0)
    cnn = network(CnnConfig(name=name)).eval()
    rois = torch.rand(1, 1, 96, 96)

    with torch.inference_mode():
        logits = cnn(rois)
    log_odds, cam = gradcam.grad_cam(cnn, cnn.trunk(rois).detach())

    assert logits.shape == (1, 2)
    torch.testing.assert_close(log_odds, logits[:, 1] - logits[:, 0], atol=1e-5, rtol=1e-5)
    assert cam.shape[0] == 1
    assert torch.isfinite(cam).all()


@pytest.mark.parametrize("name", ALL)
def test_grey_levels_are_normalised_as_the_imagenet_weights_saw_them(name: Architecture) -> None:
    facts = FACTS[name]
    theirs = timm.models.get_pretrained_cfg(f"{facts.timm}.{facts.tag}")
    config = CnnConfig(name=name)

    assert config.mean == pytest.approx(np.mean(theirs.mean), abs=0.001)
    assert config.std == pytest.approx(np.mean(theirs.std), abs=0.001)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "xception", "inception_v3", "densenet201"])
def test_a_cell_looks_where_the_table_says(
    name: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With equal weights and averages for maxima a cell's gradient is symmetric about its place."""
    monkeypatch.setattr(torch.nn.functional, "max_pool2d", torch.nn.functional.avg_pool2d)
    cnn = _with_equal_weights(network(CnnConfig(name=name)).eval())
    rois = torch.ones(1, 1, 256, 256, requires_grad=True)

    features = cnn.trunk(rois)
    cell = features.shape[-1] // 2
    (gradient,) = torch.autograd.grad(features[0, :, cell, cell].sum(), rois)

    weight = gradient[0, 0].double().sum(1)
    centre = float((weight * (torch.arange(256) + 0.5)).sum() / weight.sum())
    assert centre == pytest.approx(cnn.cells.first + cell * cnn.cells.step, abs=5)


def _with_equal_weights(cnn: RoiNetwork) -> RoiNetwork:
    for module in list(cnn.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                average = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(module, name, average)
    return cnn


def test_the_first_step_of_the_network_is_its_configs() -> None:
    body = toy().body
    config = CnnConfig(name="inception_v3")

    features = RoiNetwork(config, body, Cells(0.5, 1)).trunk(torch.full((1, 1, 2, 2), 0.75))

    assert features[0, 0, 0, 0].item() == pytest.approx(2 * 0.75 - 1)


def test_log_odds_are_of_malignant_wherever_it_stands() -> None:
    logits = torch.tensor([[1.0, 3.5]])
    turned = CnnConfig(name="inception_v3", classes=("malignant", "benign"))
    alone = CnnConfig(name="inception_v3", classes=("malignant",))
    body = nn.Identity()

    assert toy().log_odds(logits).tolist() == [2.5]
    assert RoiNetwork(turned, body, Cells(0.5, 1)).log_odds(logits).tolist() == [-2.5]
    assert RoiNetwork(alone, body, Cells(0.5, 1)).log_odds(logits[:, :1]).tolist() == [1.0]


def test_a_config_survives_its_card_and_keeps_its_own_normalisation() -> None:
    config = CnnConfig(name="densenet201", mean=0.4, std=0.2)

    assert CnnConfig.model_validate_json(config.model_dump_json()) == config
    assert CnnConfig.model_validate({"name": "densenet201"}).mean == 0.449


def test_another_network_is_refused() -> None:
    with pytest.raises(ValidationError):
        CnnConfig.model_validate({"name": "vgg16"})
