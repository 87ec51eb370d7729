"""Small ONNX networks of another maker, and what is stated of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cadnode.models.card import OnnxRegionCard, OnnxViewCard
from cadnode.registry import onnx_import

SPEC = """
[input]
name = "image"
channels = 1
height = 64
width = 64
{input}
[output]
name = "score"
meaning = "{meaning}"
{output}
[map]
kind = "{map}"
{more}
"""
CARD = """
name = "{name}"
version = "1.0.0"
system = "{system}"
paper = "another maker's"
algorithm = "a convolution"
intended_use = "tests"
licence = "Apache-2.0"
applies_to = ["digital"]
training_data = "nothing"
training_material = ["phantoms"]
trained_on = 2026-01-02
limits = ["it was never trained"]

[operating_point]
threshold = 0.4
sensitivity = 0.8
specificity = 0.7
measured_on = "nothing"
n_pos = 3
n_neg = 4
"""
KERNELS = np.array([[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, -1.0], [1.0, -1.0]]]], np.float32)
HEAD = np.array([[2.0], [-3.0]], np.float32)


def network(
    *, last: str = "Sigmoid", classes: bool = False, extra: tuple[Any, ...] = (), batch: Any = "n",
    domain: str = "",
) -> onnx.ModelProto:  # fmt: skip
    """Two 2 × 2 convolutions of stride 8, ReLU, global average, a linear head.

    Its outputs are `score` and `map`, the first feature. `classes`: two of them, the second the
    malignant one. `extra` are nodes before the last.
    """
    head = np.concatenate([np.zeros_like(HEAD), HEAD], 1) if classes else HEAD
    nodes = [
        helper.make_node("Conv", ["image", "kernels"], ["edges"], strides=[8, 8]),
        helper.make_node("Relu", ["edges"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logit"]),
        helper.make_node("Slice", ["features", "zero", "one", "one"], ["map"]),
        *extra,
        helper.make_node(last, ["logit"], ["score"], domain=domain),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 64, 64])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [batch, head.shape[1]]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [batch, 1, 8, 8]),
        ],
        [
            numpy_helper.from_array(KERNELS, "kernels"),
            numpy_helper.from_array(head.astype(np.float32), "head"),
            numpy_helper.from_array(np.array([0]), "zero"),
            numpy_helper.from_array(np.array([1]), "one"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="test")


def spec_text(
    kind: str = "view", *, meaning: str = "probability", output: str = "", of: str = "none",
    more: str = "", given: str = "",
) -> str:  # fmt: skip
    """`spec.toml`; `of` is the kind of map."""
    given = given or ("pixel_mm = 0.4\n" if kind == "region" else "")
    return SPEC.format(input=given, meaning=meaning, output=output, map=of, more=more)


def written(
    root: Path, model: onnx.ModelProto | None = None, *, spec: str = "", name: str = "brought",
    system: str = "maker", card: str = "",
) -> tuple[Path, Path, Path]:  # fmt: skip
    """The three files that are brought: ONNX, spec and card."""
    root.mkdir(parents=True, exist_ok=True)
    files = root / "network.onnx", root / "spec.toml", root / "card.toml"
    files[0].write_bytes((model or network()).SerializeToString())
    files[1].write_text(spec or spec_text())
    files[2].write_text(CARD.format(name=name, system=system) + card)
    return files


def made(
    root: Path, kind: onnx_import.Kind = "view", **changes: Any
) -> tuple[Path, OnnxViewCard | OnnxRegionCard]:
    """The model's folder of a network that was brought, and its card."""
    file, spec, card = written(root / "brought", **changes)
    folder = root / "store" / str(changes.get("name", "brought")) / "1.0.0"
    return folder, onnx_import.make(file, kind, spec, card, folder)
