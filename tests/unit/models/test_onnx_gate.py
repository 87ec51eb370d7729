"""An ONNX file from outside is data: what could run, read elsewhere or differ is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cadnode.errors import ModelError
from cadnode.models import onnx_gate
from tests.unit import onnx_cases


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    file = folder / "network.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def outside(model: onnx.ModelProto, **stated: str) -> onnx.ModelProto:
    """The model with its kernels in another file."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in stated.items():
        tensor.external_data.add(key=key, value=value)
    return model


def test_a_whole_graph_passes_with_what_is_known_of_it(tmp_path: Path) -> None:
    graph = onnx_gate.brought(saved(tmp_path, onnx_cases.network()))

    assert (graph.opset, graph.producer) == (17, "test")
    assert onnx_gate.checked(graph.content, "toy") == graph


def test_weights_beside_the_file_are_taken_into_it(tmp_path: Path) -> None:
    whole = onnx_cases.network()
    (tmp_path / "network.bin").write_bytes(b"\0" * 8 + onnx_cases.KERNELS.tobytes())
    size = str(onnx_cases.KERNELS.nbytes)
    apart = outside(onnx_cases.network(), location="network.bin", offset="8", length=size)

    graph = onnx_gate.brought(saved(tmp_path, apart))

    found = onnx.load_model_from_string(graph.content).graph.initializer[0]
    wanted = whole.graph.initializer[0]
    assert np.array_equal(numpy_helper.to_array(found), numpy_helper.to_array(wanted))
    with pytest.raises(ModelError, match="'kernels' are not in the graph"):
        onnx_gate.checked(apart.SerializeToString(), "toy")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"location": "../secret"}, "lie outside its folder"),
        ({"location": "/etc/passwd"}, "lie outside its folder"),
        ({"location": ".."}, "lie outside its folder"),
        ({"location": "link"}, "no plain file 'link'"),
        ({"location": "missing"}, "no plain file 'missing'"),
        ({"location": "short", "length": "99"}, "end beyond 'short'"),
        ({"location": "short", "offset": "-4"}, "end beyond 'short'"),
        ({"location": "short", "offset": "x"}, "end beyond 'short'"),
    ],
)
def test_weights_anywhere_else_are_refused(
    tmp_path: Path, stated: dict[str, str], message: str
) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 400)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "short").write_bytes(b"x" * 8)
    (folder / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(ModelError, match=message):
        onnx_gate.brought(saved(folder, outside(onnx_cases.network(), **stated)))


def test_sparse_weights_in_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(onnx_cases.KERNELS.tobytes())
    monkeypatch.chdir(tmp_path)  # where a runtime looks for what a graph in memory names
    values = TensorProto(
        name="sparse", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
    )
    values.external_data.add(key="location", value="secret")
    indices = helper.make_tensor("at", TensorProto.INT64, [2], [0, 1])
    node = helper.make_node(
        "Constant", [], ["c"], sparse_value=helper.make_sparse_tensor(values, indices, [2])
    )
    model = onnx_cases.network(extra=(node,))

    with pytest.raises(ModelError, match="'sparse' are not in the graph"):
        onnx_gate.checked(model.SerializeToString(), "toy")
    (tmp_path / "in").mkdir()
    with pytest.raises(ModelError, match="no plain file 'secret'"):
        onnx_gate.brought(saved(tmp_path / "in", model))


def test_a_graph_and_its_weights_are_too_large_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "network.bin").write_bytes(onnx_cases.KERNELS.tobytes())
    file = saved(tmp_path, outside(onnx_cases.network(), location="network.bin"))
    monkeypatch.setattr(onnx_gate, "MOST_BYTES", file.stat().st_size + 8)

    with pytest.raises(ModelError, match="with its weights, more than"):
        onnx_gate.brought(file)


def looped() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )  # fmt: skip
    return onnx_cases.network(extra=(helper.make_node("Loop", ["", ""], [], body=body),))


def randomly() -> onnx.ModelProto:
    return onnx_cases.network(extra=(helper.make_node("RandomNormalLike", ["logit"], ["noise"]),))


def with_function() -> onnx.ModelProto:
    model = onnx_cases.network()
    node = helper.make_node("Relu", ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], opset))
    return model


def of_another_set() -> onnx.ModelProto:
    model = onnx_cases.network()
    model.opset_import[0].version = 9
    return model


def dangling() -> onnx.ModelProto:
    model = onnx_cases.network()
    model.graph.node[0].input[0] = "nowhere"
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (onnx_cases.network(last="Magic", domain="com.maker"), "the domain 'com.maker'"),
        (looped(), "the operator Loop"),
        (randomly(), "the operator RandomNormalLike"),
        (with_function(), "functions of its own"),
        (of_another_set(), "the operator set 9"),
        (dangling(), "no valid ONNX graph"),
        (b"PK\3\4 what is this", "no ONNX file"),
    ],
)
def test_what_is_no_plain_graph_is_refused(tmp_path: Path, model: Any, message: str) -> None:
    file = tmp_path / "network.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())

    with pytest.raises(ModelError, match=message):
        onnx_gate.brought(file)


def test_what_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_gate, "MOST_BYTES", 100)

    with pytest.raises(ModelError, match="more than 0 MB"):
        onnx_gate.brought(saved(tmp_path, onnx_cases.network()))
