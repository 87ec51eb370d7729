"""ImageNet weights: from safetensors only, for one grey channel."""

import pickle
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cadnode.errors import ModelError
from cadnode.networks import imagenet
from cadnode.networks.cnn import CnnConfig, network


def coloured(name: str) -> nn.Module:
    """A network of timm's for three colours and ImageNet's thousand classes, random weights."""
    torch.manual_seed(1)
    body: nn.Module = timm.create_model(name).eval()
    return body


def features(body: nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = body.forward_features(image)  # type: ignore[operator]
    return found


def test_a_grey_image_gives_what_three_equal_channels_gave() -> None:
    teacher = coloured("resnet18")
    body = timm.create_model("resnet18", in_chans=1, num_classes=2).eval()
    image = torch.rand(1, 1, 64, 64)

    imagenet.start_from(body, dict(teacher.state_dict()), "resnet18")

    expected = features(teacher, image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features(body, image), expected, atol=1e-4, rtol=1e-4)


def test_torchvisions_names_of_a_densenets_layers_are_understood() -> None:
    teacher = coloured("densenet121")
    state = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value
        for key, value in teacher.state_dict().items()
        if "num_batches_tracked" not in key  # older files lack it
    }
    body = timm.create_model("densenet121", in_chans=1, num_classes=2).eval()
    image = torch.rand(1, 1, 64, 64)

    imagenet.start_from(body, state, "densenet121")

    expected = features(teacher, image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features(body, image), expected, atol=1e-4, rtol=1e-4)


def test_the_classifier_of_imagenet_is_left_out() -> None:
    state = dict(coloured("resnet18").state_dict())
    state["AuxLogits.fc.weight"] = torch.zeros(1)
    body = timm.create_model("resnet18", in_chans=1, num_classes=2)
    before = body.fc.weight.detach().clone()

    imagenet.start_from(body, state, "resnet18")

    torch.testing.assert_close(body.fc.weight.detach(), before)


@pytest.mark.parametrize("change", ["another network", "a layer less", "a layer more"])
def test_weights_of_another_network_are_refused(change: str) -> None:
    state = dict(coloured("resnet34" if change == "another network" else "resnet18").state_dict())
    if change == "a layer less":
        del state["layer4.1.conv2.weight"]
    if change == "a layer more":
        state["layer5.weight"] = torch.zeros(3)
    body = timm.create_model("resnet18", in_chans=1, num_classes=2)

    with pytest.raises(ModelError, match="do not fit resnet18"):
        imagenet.start_from(body, state, "resnet18")


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3.0)}, tmp_path / "model.safetensors")

    assert imagenet.read(tmp_path / "model.safetensors")["a"].tolist() == [0, 1, 2]


class Trap:
    """What a malicious pickle does when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise AssertionError('code ran from a weights file')",))


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "pytorch_model.bin", "model"])
def test_a_pickle_is_refused_and_the_message_says_how_to_go_on(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ModelError, match=r"safetensors\.torch\.save_file"):
        imagenet.read(tmp_path / name)


def test_a_pickle_under_another_name_is_refused_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ModelError, match="damaged"):
        imagenet.read(tmp_path / "model.safetensors")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        imagenet.read(tmp_path / "model.safetensors")


def test_offline_the_message_says_which_file_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(repository: str, filename: str) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)

    with pytest.raises(ModelError, match=r"timm/legacy_xception\.tf_in1k") as caught:
        network(CnnConfig(name="xception"), pretrained=True)
    assert ".safetensors" in str(caught.value)


def test_fetched_weights_are_where_the_network_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = coloured("resnext50_32x4d")
    save_file(dict(teacher.state_dict()), tmp_path / "model.safetensors")
    asked = []

    def fetched(repository: str, filename: str) -> str:
        asked.append((repository, filename))
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetched)
    config = CnnConfig(name="resnext50_32x4d")

    online = network(config, pretrained=True)
    offline = network(config, pretrained=tmp_path / "model.safetensors")

    assert asked == [("timm/resnext50_32x4d.tv_in1k", "model.safetensors")]
    for cnn in (online, offline):
        torch.testing.assert_close(
            cnn.body.layer4[2].conv2.weight.detach(), teacher.layer4[2].conv2.weight.detach()
        )
