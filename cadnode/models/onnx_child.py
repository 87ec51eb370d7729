"""ONNX files from outside are opened and tried in a process of its own, within limits.

Parsers and compilers of graphs are large libraries in C++, and a graph is whatever its maker wrote.
What happens to the child is a sentence to the parent: it may run out of memory or time, or crash.
`python -m cadnode.models.onnx_child FOLDER` answers in `FOLDER/answer.json`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cadnode.domain import Laterality
from cadnode.errors import CadnodeError, MissingExtra, ModelError
from cadnode.models import onnx_gate
from cadnode.models.onnx_gate import Graph

if TYPE_CHECKING:  # torch, which opening a file does without, takes seconds
    from cadnode.models.onnx_trial import OnnxTrial, View

MOST_ADDRESS_BYTES: Final = 24 << 30  # torch alone reserves several GB that it never touches
MOST_CPU_S: Final = 900
MOST_S: Final = 600.0
_MOST_ANSWER: Final = 1 << 20
_ORDER, _ANSWER, _GRAPH, _VIEWS = "order.json", "answer.json", "graph.onnx", "views.npz"


def brought(file: Path) -> Graph:
    """As `onnx_gate.brought`, in a process of its own.

    Raises
    ------
    MissingExtra, ModelError
        As that, or the process ran out of memory or time, or crashed.
    """
    with tempfile.TemporaryDirectory(prefix="cadnode-onnx-") as name:
        place = Path(name)
        answer = _asked(place, {"act": "bring", "file": str(file.absolute())}, file.name)
        content = (place / _GRAPH).read_bytes()
    return Graph(content, int(answer["opset"]), str(answer["producer"]))


def tried(folder: Path, name: str, views: "Sequence[View]" = ()) -> "OnnxTrial":
    """As `onnx_trial.tried`, in a process of its own; `name` is the model's. Raises like `brought`.

    Raises
    ------
    MissingExtra, ModelError
        As that, or the process ran out of memory or time, or crashed.
    """
    from cadnode.models.onnx_trial import OnnxTrial

    with tempfile.TemporaryDirectory(prefix="cadnode-onnx-") as made:
        place = Path(made)
        if views:
            images = {f"{n}{side}": image for n, (image, side) in enumerate(views)}
            np.savez(place / _VIEWS, allow_pickle=False, **images)
        found = _asked(place, {"act": "try", "folder": str(folder.absolute())}, name)
    cells = found["map_cells"]
    return OnnxTrial(
        tuple(map(float, found["scores"])),
        float(found["spread"]),
        None if found["onnxruntime"] is None else float(found["onnxruntime"]),
        None if cells is None else (int(cells[0]), int(cells[1])),
        float(found["seconds"]),
    )


def _asked(place: Path, order: dict[str, str], name: str) -> dict[str, Any]:
    (place / _ORDER).write_text(json.dumps(order))
    try:
        done = subprocess.run(
            # -P: modules in the folder where the command is given are the maker's, never ours.
            [sys.executable, "-P", "-m", "cadnode.models.onnx_child", str(place)], cwd=place,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=MOST_S, check=False, env=_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{name} was refused: looking at it took more than {MOST_S:.0f} s"
        ) from None
    file = place / _ANSWER
    if done.returncode != 0 or not file.is_file() or file.stat().st_size > _MOST_ANSWER:
        raise ModelError(
            f"{name} was refused: the process that looked at it crashed, or ran out of memory or "
            f"time (exit code {done.returncode})"
        )
    answer: dict[str, Any] = json.loads(file.read_bytes())
    if problem := answer.get("problem"):
        raise MissingExtra(problem) if answer.get("missing") else ModelError(problem)
    return answer


def _environment() -> dict[str, str]:
    """The parent's search path of modules, and nothing of its secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")
    found = {key: os.environ[key] for key in kept if key in os.environ}
    return {**found, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _limit() -> None:
    """No core dumps, files of a graph's size at most, an end to memory and processor time."""
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, onnx_gate.MOST_BYTES + (1 << 20)),
        (resource.RLIMIT_CPU, MOST_CPU_S),
        (resource.RLIMIT_AS, MOST_ADDRESS_BYTES),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _answered(place: Path) -> dict[str, Any]:
    order = json.loads((place / _ORDER).read_bytes())
    if order["act"] == "bring":
        graph = onnx_gate.brought(Path(order["file"]))
        (place / _GRAPH).write_bytes(graph.content)
        return {"opset": graph.opset, "producer": graph.producer}
    from cadnode.models import onnx_trial

    views: list[View] = []
    if (place / _VIEWS).is_file():
        with np.load(place / _VIEWS, allow_pickle=False) as images:
            views = [(images[key], Laterality(key[-1])) for key in sorted(images)]
    return asdict(onnx_trial.tried(Path(order["folder"]), views))


def main() -> None:
    """Answer the order of the folder that the command line names."""
    place = Path(sys.argv[1])
    _limit()
    try:
        answer = _answered(place)
    except CadnodeError as error:
        answer = {"problem": str(error), "missing": isinstance(error, MissingExtra)}
    except (OSError, MemoryError) as error:
        answer = {"problem": f"the ONNX file could not be read ({type(error).__name__})"}
    (place / _ANSWER).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
