"""What an ONNX file must be before anything computes it: one whole graph of standard operators.

A file from outside is data that a runtime compiles. Refused are operators of other domains (they
are code of somebody's library), random numbers (a score must be the same twice), loops (they need
not end), and weights that lie anywhere but in the file's own folder. `onnx.checker` checks the
rest against the specification. Source: ONNX specification 1.16, `docs/IR.md`, `ExternalData.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cadnode import extras
from cadnode.errors import ModelError

MOST_BYTES: Final = 512 * 1024**2
"""Of a graph with its weights."""
_MOST_NODES: Final = 20_000
_DOMAINS: Final = ("", "ai.onnx")
_OPSETS: Final = range(11, 30)
_REFUSED: Final = {
    **dict.fromkeys(("Loop", "Scan", "If", "SequenceMap"), "control flow"),
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
         "Multinomial"),
        "random numbers",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that passed, with all its weights inside; its operator set, and what wrote it."""

    content: bytes
    opset: int
    producer: str


def brought(file: Path) -> Graph:
    """The graph of a file that comes from outside.

    Raises
    ------
    MissingExtra
        The extra `onnx` is not installed.
    ModelError
        It is too large, no ONNX file, or refused; names what and where.
    """
    onnx = _onnx()
    if file.stat().st_size > MOST_BYTES:
        raise ModelError(f"{file.name} has more than {MOST_BYTES // 1024**2} MB")
    model = _parsed(onnx, file.read_bytes(), file.name)
    _take_in(onnx, model, file)
    content = model.SerializeToString()
    return Graph(content, *_passed(onnx, model, content, file.name))


def checked(content: bytes, name: str) -> Graph:
    """The graph of bytes that a model's weights hold; raises like `brought`."""
    onnx = _onnx()
    if len(content) > MOST_BYTES:
        raise ModelError(f"the graph of {name} has more than {MOST_BYTES // 1024**2} MB")
    model = _parsed(onnx, content, name)
    if outside := next((t for t in _tensors(onnx, model) if _is_external(onnx, t)), None):
        raise ModelError(f"{name}: the weights {outside.name!r} are not in the graph")
    return Graph(content, *_passed(onnx, model, content, name))


def _onnx() -> Any:
    extras.need("onnx", "an ONNX network")
    return import_module("onnx")  # an extra, without type information


def _parsed(onnx: Any, content: bytes, name: str) -> Any:
    try:
        return onnx.load_model_from_string(content)
    except Exception:  # protobuf's errors are of several classes
        raise ModelError(f"{name} is no ONNX file") from None


def _take_in(onnx: Any, model: Any, file: Path) -> None:
    """Bring weights that lie in files beside the graph into it.

    Only names of plain files in the very folder are followed: no path, no link.
    """
    folder, left = file.parent, MOST_BYTES - file.stat().st_size
    for tensor in _tensors(onnx, model):
        if not _is_external(onnx, tensor):
            continue
        stated = {entry.key: entry.value for entry in tensor.external_data}
        place = stated.get("location", "")
        beside = folder / place
        if not place or Path(place).name != place or place in {".", ".."} or "\\" in place:
            raise ModelError(f"{file.name}: the weights {tensor.name!r} lie outside its folder")
        if beside.is_symlink() or not beside.is_file():
            raise ModelError(f"{file.name}: there is no plain file {place!r} beside it")
        try:
            offset = int(stated.get("offset", "0"))
            length = int(stated.get("length", beside.stat().st_size - offset))
        except ValueError:
            offset = length = -1
        if min(offset, length) < 0 or offset + length > beside.stat().st_size:
            raise ModelError(f"{file.name}: the weights {tensor.name!r} end beyond {place!r}")
        left -= length
        if left < 0:
            raise ModelError(
                f"{file.name} has, with its weights, more than {MOST_BYTES // 1024**2} MB"
            )
        with beside.open("rb") as opened:
            opened.seek(offset)
            tensor.raw_data = opened.read(length)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT


def _passed(onnx: Any, model: Any, content: bytes, name: str) -> tuple[int, str]:
    """Operator set and producer of a graph; raises where it is refused."""
    if len(model.functions):
        raise ModelError(f"{name} has functions of its own: export it with inlined ones")
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if foreign := sorted(set(versions) - set(_DOMAINS)):
        used = {node.domain for node in _nodes(onnx, model.graph)} - set(_DOMAINS)
        if used:
            raise ModelError(f"{name} uses operators of the domain {foreign[0]!r}, which are code")
    for number, node in enumerate(_nodes(onnx, model.graph)):
        if number >= _MOST_NODES:
            raise ModelError(f"{name} has more than {_MOST_NODES} operators")
        if node.domain not in _DOMAINS:
            raise ModelError(
                f"{name}: the operator {node.op_type!r} of the domain {node.domain!r} is no "
                "standard one"
            )
        if node.op_type in _REFUSED:
            raise ModelError(f"{name}: the operator {node.op_type} ({_REFUSED[node.op_type]})")
    opset = next((versions[d] for d in _DOMAINS if d in versions), 0)
    if opset not in _OPSETS:
        raise ModelError(f"{name} has the operator set {opset}: 11 to {_OPSETS.stop - 1} are read")
    try:
        onnx.checker.check_model(content, full_check=True)
    except Exception as error:  # ValidationError, InferenceError; the text names the node
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ModelError(f"{name} is no valid ONNX graph: {first[0][:200]}") from None
    return int(opset), f"{model.producer_name} {model.producer_version}".strip()[:100]


def _nodes(onnx: Any, graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the graphs within its attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(onnx, attribute.g)
            elif attribute.type == onnx.AttributeProto.GRAPHS:
                for inner in attribute.graphs:
                    yield from _nodes(onnx, inner)


def _tensors(onnx: Any, message: Any) -> Iterator[Any]:
    """Weights and constants, wherever they are: sparse ones and those of graphs within, too."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(onnx, part)


def _is_external(onnx: Any, tensor: Any) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.external_data))
