"""Graphs of other makers, as OpenVINO has them: sizes fixed, compiled, cut at their pooling."""

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from cadnode.errors import ModelError
from cadnode.models import quiet_openvino
from cadnode.models.engine import core
from cadnode.models.onnx_card import OnnxInput, OnnxSpec

MOST_ROWS: Final = 512


def read(graph: bytes) -> Any:
    """OpenVINO's model of an ONNX file's bytes."""
    return core().read_model(graph)


class CompiledGraph:
    """A graph, compiled in float32. Threads may call it at the same time.

    Each has a request of its own, kept: requests are not made or destroyed while others compute.
    """

    def __init__(self, model: Any) -> None:
        properties = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = core().compile_model(model, "CPU", properties)
        self._of_thread = threading.local()

    def __call__(self, given: NDArray[np.float32]) -> Any:
        """The outputs, by name or place; raises `RuntimeError` where OpenVINO fails."""
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        return request.infer([given], share_inputs=True)


def reshape(model: Any, want: OnnxInput) -> bool:
    """Fix the input's size as the spec states it; whether several images go in at a time.

    Raises
    ------
    ModelError
        The graph has another input than the spec states.
    """
    openvino = quiet_openvino.openvino()

    if len(model.inputs) != 1 or want.name not in model.inputs[0].get_names():
        known = ", ".join(i.get_any_name() for i in model.inputs)
        raise ModelError(f"input.name: the graph has no input {want.name!r} alone; it has {known}")
    given, shape = model.inputs[0], model.inputs[0].get_partial_shape()
    if given.get_element_type() != openvino.Type.f32:
        raise ModelError(f"input.name: {want.name} is no float32, but {given.get_element_type()}")
    plane, colours = (want.height, want.width), (int(want.channels),)
    sizes = (*colours, *plane) if want.layout == "NCHW" else (*plane, *colours)
    fits = len(shape) == 4 and all(
        d.is_dynamic or d.get_length() == n for d, n in zip(list(shape)[1:], sizes, strict=True)
    )
    if not fits:
        raise ModelError(
            f"input: the graph takes {shape}, the spec states {want.layout} with "
            f"{want.channels} × {want.height} × {want.width}"
        )
    batched = bool(shape[0].is_dynamic)
    if not batched and shape[0].get_length() != 1:
        raise ModelError(
            f"input: the graph takes {shape[0].get_length()} images at a time, not one"
        )
    model.reshape({0: openvino.PartialShape([-1 if batched else 1, *sizes])})
    return batched


@dataclass(frozen=True, eq=False, slots=True)
class SplitGraph:
    """A network cut at its last global average pooling.

    The trunk ends with the features that are pooled, over `axes`; the head begins with what the
    pooling gives and takes `rows` of it at a time.
    """

    trunk: CompiledGraph
    head: CompiledGraph
    axes: tuple[int, ...]
    rows: int


def split(model: Any, spec: OnnxSpec, *, batched: bool) -> SplitGraph | None:
    """The two parts; None where the score depends on the input beside the pooling.

    A graph may ask the image how many there are: with one image at a time that is no dependence.
    """
    for several in (True, False) if batched else (False,):
        if (found := _cut(model, spec, batched=several)) is not None:
            return found
    return None


def _cut(model: Any, spec: OnnxSpec, *, batched: bool) -> SplitGraph | None:
    openvino = quiet_openvino.openvino()
    from openvino import opset13 as ops
    from openvino.passes import ConstantFolding, Manager

    trunk_model = model.clone()
    if not batched:
        shape = trunk_model.inputs[0].get_partial_shape()
        trunk_model.reshape({0: openvino.PartialShape([1, *list(shape)[1:]])})
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(trunk_model)
    head_model = trunk_model.clone()
    pools = [
        (of_head, of_trunk.input_value(0))
        for of_head, of_trunk in zip(
            head_model.get_ordered_ops(), trunk_model.get_ordered_ops(), strict=True
        )
        if of_head.get_type_name() == "ReduceMean" and _spatial(of_head) is not None
    ]
    if not pools:
        return None
    pool, features = pools[-1]
    axes = _spatial(pool)
    assert axes is not None
    pooled = pool.output(0)
    entry = ops.parameter(pooled.get_partial_shape(), openvino.Type.f32)
    for target in pooled.get_target_inputs():
        target.replace_source_output(entry.output(0))
    (score,) = [o for o in head_model.outputs if spec.output.name in o.get_names()]
    try:
        head = openvino.Model([ops.result(score.get_node().input_value(0))], [entry], "head")
    except RuntimeError:  # the input is reached as well
        return None
    trunk = openvino.Model([ops.result(features)], trunk_model.get_parameters(), "trunk")
    return SplitGraph(CompiledGraph(trunk), CompiledGraph(head), axes, MOST_ROWS if batched else 1)


def _spatial(op: Any) -> tuple[int, ...] | None:
    """The two axes over which a node averages features of four axes; None where it does not."""
    if op.get_input_partial_shape(0).rank.get_length() != 4:
        return None
    axes = op.input_value(1).get_node()
    if axes.get_type_name() != "Constant":
        return None
    found = tuple(sorted(int(axis) % 4 for axis in np.ravel(axes.get_data())))
    return found if found in ((2, 3), (1, 2)) else None
