"""A network of another maker is computed as its file says, and its numbers are checked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from cadnode.errors import ModelError
from cadnode.models.onnx_card import OnnxInput, OnnxMap, OnnxOutput, OnnxSpec
from cadnode.models.onnx_network import OnnxNetwork
from tests.unit import onnx_cases

IMAGES = np.random.default_rng(4).random((3, 1, 64, 64)).astype(np.float32)


def spec(
    given: dict[str, object] | None = None, of: dict[str, object] | None = None,
    meaning: str = "probability", malignant: int | None = None,
) -> OnnxSpec:  # fmt: skip
    size = {"name": "image", "channels": 1, "height": 64, "width": 64}
    return OnnxSpec(
        input=OnnxInput.model_validate(size | (given or {})),
        output=OnnxOutput.model_validate(
            {"name": "score", "meaning": meaning, "malignant": malignant}
        ),
        map=OnnxMap.model_validate(of or {}),
    )


def network(how: OnnxSpec, **changes: object) -> OnnxNetwork:
    graph = onnx_cases.network(**changes).SerializeToString()  # type: ignore[arg-type]
    return OnnxNetwork(graph, how, "toy")


def by_torch(images: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
    """`(B,)` log-odds of `onnx_cases.network`."""
    kernels, head = torch.from_numpy(onnx_cases.KERNELS), torch.from_numpy(onnx_cases.HEAD)
    features = functional.conv2d(torch.from_numpy(images), kernels, stride=8).relu()
    return (features.mean((2, 3)) @ head)[:, 0]


def test_log_odds_are_those_of_the_file_alone_and_together() -> None:
    toy = network(spec())
    wanted = by_torch(IMAGES).numpy()

    assert toy.logits(IMAGES) == pytest.approx(wanted, abs=1e-4)
    assert toy.logits(IMAGES, batch_size=1) == pytest.approx(wanted, abs=1e-4)


def test_a_graph_of_one_image_at_a_time_reads_several() -> None:
    toy = network(spec(), batch=1)

    assert toy.logits(IMAGES) == pytest.approx(by_torch(IMAGES).numpy(), abs=1e-4)


@pytest.mark.parametrize(("meaning", "last"), [("softmax", "Softmax"), ("logits", "Identity")])
def test_of_two_classes_the_malignant_one_counts(meaning: str, last: str) -> None:
    wanted = by_torch(IMAGES).numpy()
    second = network(spec(meaning=meaning, malignant=1), last=last, classes=True)
    first = network(spec(meaning=meaning, malignant=0), last=last, classes=True)

    assert second.logits(IMAGES) == pytest.approx(wanted, abs=1e-4)
    assert first.logits(IMAGES) == pytest.approx(-wanted, abs=1e-4)


def test_channels_come_last_where_the_layout_says_so_and_grey_is_repeated() -> None:
    from onnx import TensorProto, helper

    model = onnx_cases.network()
    mean = helper.make_node("ReduceMean", ["image"], ["grey"], axes=[3], keepdims=1)
    turned = helper.make_node("Transpose", ["grey"], ["first"], perm=[0, 3, 1, 2])
    model.graph.node[0].input[0] = "first"
    model.graph.node.insert(0, turned)
    model.graph.node.insert(0, mean)
    shape = ["n", 64, 64, 3]
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    toy = OnnxNetwork(model.SerializeToString(), spec({"layout": "NHWC", "channels": 3}), "toy")

    assert toy.logits(IMAGES) == pytest.approx(by_torch(IMAGES).numpy(), abs=1e-4)


def test_grey_levels_are_brought_to_the_stated_range_and_normalised() -> None:
    toy = network(spec({"range": (0, 255), "mean": 100.0, "std": 50.0}), last="Identity")
    with pytest.raises(ModelError, match=r"no probability: it lies outside \[0, 1\]"):
        toy.logits(IMAGES)

    odds = network(spec({"range": (1, 0)}, meaning="logit"), last="Identity").logits(IMAGES)
    assert odds == pytest.approx(by_torch(1 - IMAGES).numpy(), abs=1e-4)


def test_the_map_of_the_file_is_given_back_in_the_direction_of_the_image() -> None:
    image = np.zeros((1, 1, 64, 64), np.float32)
    image[..., 8:16, 56:64] = 1  # a row below the top, at the right
    of = {"kind": "output", "output": "map", "meaning": "attention"}
    for side in ("left", "right"):
        maps = network(spec({"chest_wall": side}, of)).read(image).maps
        assert maps is not None
        assert np.unravel_index(maps[0].argmax(), (8, 8)) == (1, 7), side


def test_grad_cam_is_the_gradient_of_the_log_odds() -> None:
    kernels, head = torch.from_numpy(onnx_cases.KERNELS), torch.from_numpy(onnx_cases.HEAD)
    features = functional.conv2d(torch.from_numpy(IMAGES[:1]), kernels, stride=8).relu()
    features.requires_grad_()
    (features.mean((2, 3)) @ head).sum().backward()
    assert features.grad is not None
    alpha = features.grad.mean((2, 3)) * 64  # the mean's own gradient is a 64th of each cell's
    wanted = (alpha[:, :, None, None] * features.detach()).sum(1)

    maps = network(spec(of={"kind": "grad_cam"})).read(IMAGES[:1]).maps

    assert maps == pytest.approx(wanted.numpy(), abs=2e-2)


def test_occlusion_falls_most_where_the_evidence_lies() -> None:
    image = np.full((1, 1, 64, 64), 0.2, np.float32)
    image[..., 32:48, 16:32] = 1
    maps = network(spec(of={"kind": "occlusion", "cells": (4, 4)})).read(image).maps

    assert maps is not None
    assert np.unravel_index(maps[0].argmax(), (4, 4)) == (2, 1)
    assert network(spec(of={"kind": "occlusion"})).read(0 * image).maps == pytest.approx(0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (spec({"name": "x"}), "no input 'x' alone; it has image"),
        (spec({"height": 128}), r"the spec states NCHW with 1 × 128 × 64"),
        (spec({"channels": 3}), r"the spec states NCHW with 3 × 64 × 64"),
        (spec(of={"kind": "output", "output": "y", "meaning": "logit"}), "no output 'y'"),
        (spec(meaning="softmax", malignant=1), "there is no class 1"),
    ],
)
def test_a_graph_that_is_not_as_stated_is_refused_with_the_key(how: OnnxSpec, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network(how).logits(IMAGES)


def test_numbers_that_are_not_finite_are_refused() -> None:
    broken = IMAGES.copy()
    broken[0, 0, 0, 0] = np.inf

    with pytest.raises(ModelError, match="not finite"):
        network(spec(meaning="logit"), last="Identity").logits(broken)


def test_a_head_that_sees_the_image_beside_the_pooling_has_no_grad_cam(tmp_path: Path) -> None:
    from onnx import helper

    beside = (
        helper.make_node("ReduceMax", ["image"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["brightest", "one"], ["brightest2"]),
        helper.make_node("Add", ["logit", "brightest2"], ["sum"]),
    )
    graph = onnx_cases.network(extra=beside)
    graph.graph.node[-1].input[0] = "sum"

    with pytest.raises(ModelError, match="through one global average pooling alone"):
        OnnxNetwork(graph.SerializeToString(), spec(of={"kind": "grad_cam"}), "toy")
