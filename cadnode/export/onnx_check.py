"""Whether an ONNX file answers as the node's model does."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cadnode.errors import ModelError
from cadnode.export.examples import OnnxModel
from cadnode.models.feature import FeatureModel, Features
from cadnode.models.view import ViewModel

Floats = NDArray[np.floating[Any]]
_FAILURES: Final = ("Fail", "InvalidArgument", "InvalidGraph", "NotImplemented", "RuntimeException")


@dataclass(frozen=True, slots=True)
class OnnxDifference:
    """The largest absolute differences between ONNX and the model.

    Parameters
    ----------
    inputs
        Which inputs: `random` or `real`.
    n
        How many.
    probability, log_odds
        Of the calibrated probability and of the log-odds before calibration.
    logit_map
        Of the map's log-odds, cell by cell; None where the model has none.
    """

    inputs: str
    n: int
    probability: float
    log_odds: float
    logit_map: float | None = None


def difference(model: OnnxModel, file: Path, inputs: Tensor, name: str) -> OnnxDifference:
    """The differences on `(n, …) float32` inputs: read one at a time, and three at once.

    Batches of both sizes are run, so that an axis of fixed length would be found out.

    Raises
    ------
    ModelError
        onnxruntime fails on the file.
    """
    probability, log_odds, logit_map = _model_outputs(model, inputs)
    apart = []
    for size in (1, 3):
        outputs = _onnx_outputs(file, inputs, size)
        maps = None if logit_map is None else _apart(outputs["logit_map"], logit_map)
        own = outputs["logit"] if "logit" in outputs else outputs["log_odds"]
        apart.append((_apart(outputs["probability"], probability), _apart(own, log_odds), maps))
    return OnnxDifference(
        name,
        len(inputs),
        max(p for p, _, _ in apart),
        max(z for _, z, _ in apart),
        None if logit_map is None else max(m for _, _, m in apart if m is not None),
    )


def _apart(one: Floats, other: Floats) -> float:
    """The largest absolute difference; infinite where a number is none."""
    gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(gaps.max()) if np.isfinite(gaps).all() else float("inf")


def _onnx_outputs(file: Path, inputs: Tensor, size: int) -> dict[str, Floats]:
    onnxruntime: Any = import_module("onnxruntime")  # an extra, without type information
    state: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    failures = tuple(getattr(state, name) for name in _FAILURES)
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
        names = [output.name for output in session.get_outputs()]
        parts = [
            session.run(names, {entry.name: inputs[first : first + size].numpy()})
            for first in range(0, len(inputs), size)
        ]
    except failures:
        raise ModelError(
            f"the ONNX file was refused: onnxruntime fails on {size} inputs at a time; nothing was "
            "written"
        ) from None
    return {name: np.concatenate([p[i] for p in parts]) for i, name in enumerate(names)}


def _model_outputs(model: OnnxModel, inputs: Tensor) -> tuple[Floats, Floats, Floats | None]:
    """Probabilities, log-odds and maps, by the model's own reading."""
    if isinstance(model, FeatureModel):
        rows = [Features(model.card.features, row.astype(np.float64)) for row in inputs.numpy()]
        read = model.read(rows)
        return np.array([r.probability for r in read]), np.array([r.logit for r in read]), None
    if isinstance(model, ViewModel):
        maps, logits = model.run(inputs, batch_size=1)
        return model.probability(logits), logits, maps
    log_odds, _ = model.run(inputs, batch_size=1)
    return model.probability(log_odds), log_odds, None
