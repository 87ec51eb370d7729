"""A network that a site brought, computed by OpenVINO: log-odds and maps of images in [0, 1].

Its outputs are never trusted: of every pass, shapes, ranges and finite numbers are checked.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode.errors import ModelError
from cadnode.models.onnx_card import OnnxSpec
from cadnode.models.onnx_graph import CompiledGraph, read, reshape, split

_SURE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1: log-odds within ±13.8."""
_OFF: Final = 1e-3  # what rounding may do to a probability, or to a sum of them
_STEP: Final = 1e-2  # of the pooled features' root mean square, for the gradient
Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class OnnxPass:
    """`(B,)` log-odds and `(B, h, w)` maps in the direction of the tensor; None where none is."""

    logits: FloatImage
    maps: Maps | None


class OnnxNetwork:
    """A compiled graph. Threads may use it at the same time.

    Parameters
    ----------
    graph
        An ONNX file's bytes, looked through by `onnx_gate.checked` when it was brought.
    spec
        What its input, output and map are.
    name
        Of the model, for errors.

    Raises
    ------
    ModelError
        OpenVINO is missing or cannot compute the graph, or it is not as the spec states.
    """

    def __init__(self, graph: bytes, spec: OnnxSpec, name: str) -> None:
        self.spec, self.name = spec, name
        try:
            model = read(graph)
            self._batched = reshape(model, spec.input)
            self._check_names(model)
            self._whole = CompiledGraph(model)
            self._parts = None
            if spec.map.kind == "grad_cam":
                self._parts = split(model, spec, batched=self._batched)
        except ImportError:
            raise ModelError(f"{name} needs OpenVINO: pip install openvino") from None
        except (RuntimeError, ValueError, TypeError, LookupError):
            raise ModelError(f"OpenVINO cannot compute the ONNX graph of {name}") from None
        if spec.map.kind == "grad_cam" and self._parts is None:
            raise ModelError(
                f"map.kind: the score of {name} does not depend on its input through one global "
                "average pooling alone, as Grad-CAM needs; use 'occlusion' or 'none'"
            )

    def logits(self, images: FloatImage, *, batch_size: int = 8) -> FloatImage:
        """`(B,) float32` log-odds of `(B, 1, H, W) float32 in [0, 1]` images.

        Raises
        ------
        ModelError
            The network fails, or answers with other numbers than its spec states.
        """
        return self.log_odds(self._run(images, batch_size)[self.spec.output.name])

    def read(self, images: FloatImage, *, batch_size: int = 8) -> OnnxPass:
        """Log-odds and maps; raises like `logits`.

        A map of `output` has the values that the graph gives; those of the other kinds are evidence
        for malignancy in log-odds, below 0 against it.
        """
        kind = self.spec.map.kind
        found = self._run(images, batch_size)
        logits = self.log_odds(found[self.spec.output.name])
        if kind == "output":
            return OnnxPass(logits, self._turned(self._given_map(found)))
        if kind == "grad_cam":
            return OnnxPass(logits, self._turned(np.stack([self._grad_cam(one) for one in images])))
        if kind == "occlusion":
            pairs = zip(images, logits, strict=True)
            covered = [self._occluded(one, float(z), batch_size) for one, z in pairs]
            return OnnxPass(logits, np.stack(covered))
        return OnnxPass(logits, None)

    def _run(self, images: FloatImage, batch_size: int) -> dict[str, NDArray[np.float32]]:
        """The outputs that the spec names, by name."""
        size = batch_size if self._batched else 1
        wanted = [self.spec.output.name]
        if self.spec.map.output is not None:
            wanted.append(self.spec.map.output)
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}
        for first in range(0, len(images), size):
            given = self.tensor(images[first : first + size])
            found = _infer(self._whole, given, self.name)
            for name in wanted:
                value = np.array(found[name], np.float32)
                if value.ndim == 0 or len(value) != len(given):
                    raise ModelError(f"output {name} of {self.name} has no row for each image")
                if not np.isfinite(value).all():
                    raise ModelError(
                        f"output {name} of {self.name} holds numbers that are not finite"
                    )
                parts[name].append(value)
        return {name: np.concatenate(several) for name, several in parts.items()}

    def tensor(self, images: FloatImage) -> NDArray[np.float32]:
        """`(B, C, H, W)` or `(B, H, W, C) float32` as the network wants `(B, 1, H, W)` images."""
        want = self.spec.input
        if images.shape[1:] != (1, want.height, want.width):
            raise ModelError(f"{self.name} takes images of {want.height} × {want.width} pixels")
        black, white = want.range
        tensor = np.repeat(images, want.channels, axis=1) * np.float32(white - black) + black
        each = (-1, 1, 1)
        tensor = (tensor - np.reshape(want.mean, each)) / np.reshape(want.std, each)
        if want.chest_wall == "right":
            tensor = tensor[..., ::-1]
        if want.layout == "NHWC":
            tensor = tensor.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(tensor, np.float32)

    def _turned(self, maps: Maps) -> Maps:
        """Maps in the direction of the images that came in."""
        return np.ascontiguousarray(
            maps[..., ::-1] if self.spec.input.chest_wall == "right" else maps
        )

    def log_odds(self, values: NDArray[np.float32]) -> FloatImage:
        """`(B,)` log-odds of the score's output, by its meaning; raises like `logits`."""
        out = self.spec.output
        rows = values.reshape(len(values), -1).astype(np.float64)
        if out.malignant is None:
            if rows.shape[1] != 1:
                raise ModelError(
                    f"output {out.name} of {self.name} has {rows.shape[1]} numbers an image; "
                    f"a {out.meaning} is one"
                )
            return _float(rows[:, 0] if out.meaning == "logit" else self._of_share(rows[:, 0]))
        if not out.malignant < rows.shape[1] or rows.shape[1] < 2:
            raise ModelError(
                f"output {out.name} of {self.name} has {rows.shape[1]} classes; there is no class "
                f"{out.malignant}, counted from 0, or no other one"
            )
        if out.meaning == "logits":
            others = np.delete(rows, out.malignant, axis=1)
            most = others.max(1, keepdims=True)
            rest = most[:, 0] + np.log(np.exp(others - most).sum(1))
            return _float(rows[:, out.malignant] - rest)
        if (np.abs(rows.sum(1) - 1) > _OFF).any():
            raise ModelError(f"output {out.name} of {self.name} is no softmax: its sum is not 1")
        return _float(self._of_share(rows[:, out.malignant]))

    def _of_share(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        if (shares < -_OFF).any() or (shares > 1 + _OFF).any():
            raise ModelError(
                f"output {self.spec.output.name} of {self.name} is no probability: it lies "
                "outside [0, 1]"
            )
        kept = shares.clip(_SURE, 1 - _SURE)
        return np.asarray(np.log(kept / (1 - kept)), np.float64)

    def _given_map(self, found: dict[str, NDArray[np.float32]]) -> Maps:
        of = self.spec.map
        values = found[str(of.output)]
        if values.ndim == 4 and self.spec.input.layout == "NHWC":
            values = values.transpose(0, 3, 1, 2)
        if values.ndim == 3:
            values = values[:, None]
        if values.ndim != 4 or not of.channel < values.shape[1] or min(values.shape[2:]) < 2:
            raise ModelError(f"output {of.output} of {self.name} is no map with such a channel")
        chosen = values[:, of.channel]
        if of.meaning != "logit" and float(chosen.min()) < -_OFF:
            raise ModelError(f"map {of.output} of {self.name} is below 0")
        if of.meaning == "probability" and float(chosen.max()) > 1 + _OFF:
            raise ModelError(f"map {of.output} of {self.name} is above 1")
        return np.asarray(chosen, np.float32)

    def _grad_cam(self, image: FloatImage) -> Maps:
        """`(h, w)` evidence of one image: Σ αₖ Aₖ (Selvaraju 2017, equations 1 and 2).

        αₖ, the mean gradient over a feature's positions, is that of its mean: the score depends on
        the features through their global average. It is taken by central differences.
        """
        assert self._parts is not None
        trunk, head, axes = self._parts.trunk, self._parts.head, self._parts.axes
        features = np.array(_first(_infer(trunk, self.tensor(image[None]), self.name)), np.float32)
        pooled = features.mean(axis=axes).reshape(-1)
        step = _STEP * max(float(np.sqrt(np.mean(pooled**2))), 1e-3)
        shape = [1 if axis in axes else n for axis, n in enumerate(features.shape)][1:]
        moved = np.eye(len(pooled), dtype=np.float32) * step
        rows = np.concatenate([pooled + moved, pooled - moved]).reshape(-1, *shape)
        size = self._parts.rows
        scores = np.concatenate(
            [
                self.log_odds(
                    np.array(_first(_infer(head, rows[n : n + size], self.name)), np.float32)
                )
                for n in range(0, len(rows), size)
            ]
        )
        alpha = (scores[: len(pooled)] - scores[len(pooled) :]) / (2 * step)
        planes = features[0] if axes == (2, 3) else features[0].transpose(2, 0, 1)
        return np.asarray(np.tensordot(alpha, planes, axes=1), np.float32)

    def _occluded(self, image: FloatImage, logit: float, batch_size: int) -> Maps:
        """`(rows, columns)` by how much the log-odds fall when a cell shows the mean tissue.

        Zeiler MD, Fergus R. Visualizing and understanding convolutional networks. ECCV 2014,
        section 4.2. Deviation: cells do not overlap, because each costs a pass.
        """
        rows, cols = self.spec.map.cells
        found = np.zeros((rows, cols), np.float32)
        tissue = image > 0
        if not tissue.any():
            return found
        grey = np.float32(image[tissue].mean())
        edges = [
            np.linspace(0, n, k + 1).astype(int)
            for n, k in zip(image.shape[1:], (rows, cols), strict=True)
        ]
        cells = []
        for row in range(rows):
            for col in range(cols):
                at = (0, slice(*edges[0][row : row + 2]), slice(*edges[1][col : col + 2]))
                if tissue[at].any():
                    cells.append((row, col, at))
        for first in range(0, len(cells), batch_size):  # all at once would take gigabytes
            several = cells[first : first + batch_size]
            covered = np.repeat(image[None], len(several), axis=0)
            for one, (_, _, at) in zip(covered, several, strict=True):
                one[at] = np.where(tissue[at], grey, image[at])
            logits = self.logits(covered, batch_size=batch_size)
            for (row, col, _), z in zip(several, logits, strict=True):
                found[row, col] = logit - float(z)
        return found

    def _check_names(self, model: Any) -> None:
        """Raise where input or outputs are not those that the spec names."""
        wanted, of_map = self.spec.output.name, self.spec.map.output
        there = {name for output in model.outputs for name in output.get_names()}
        for key, name in (("output.name", wanted), ("map.output", of_map)):
            if name is not None and name not in there:
                known = ", ".join(sorted(there))
                raise ModelError(f"{key}: {self.name} has no output {name!r}; it has {known}")


def _float(values: NDArray[np.float64]) -> FloatImage:
    return np.asarray(values, np.float32)


def _infer(compiled: CompiledGraph, given: NDArray[np.float32], name: str) -> Any:
    try:
        return compiled(given)
    except RuntimeError:
        raise ModelError(f"the ONNX graph of {name} fails on an image") from None


def _first(found: Any) -> Any:
    return found[0]
