"""What a network that a site brought is put through: its numbers are checked, not trusted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage, Laterality
from cadnode.errors import ModelError, NotProcessable
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import breast_mask
from cadnode.models import onnx_gate, store
from cadnode.models.card import OnnxRegionCard, OnnxViewCard
from cadnode.models.loading import assemble
from cadnode.models.onnx_card import graph_of
from cadnode.models.onnx_models import OnnxRegionModel, OnnxViewModel
from cadnode.models.onnx_network import OnnxNetwork
from cadnode.models.references import references

SAME: Final = 1e-3
"""Log-odds by which two passes of one image may differ, alone or among others."""
ALIKE: Final = 1e-2
"""Log-odds by which OpenVINO may differ from onnxruntime."""
_LEAST_SPREAD: Final = 1e-4  # of log-odds: below it a network answers the same whatever it sees
_REFERENCES: Final = 4
MOST_S: Final = 30.0
"""Seconds that an image may take, its map included."""

View = tuple[FloatImage, Laterality]


@dataclass(frozen=True, slots=True)
class OnnxTrial:
    """What a network answered.

    Parameters
    ----------
    scores
        Calibrated, in [0, 1]: of the views that were given, or of a region in the middle of each.
    spread
        Of the log-odds of textures and views: the highest less the lowest.
    onnxruntime
        The largest difference from onnxruntime in log-odds; None where that is not installed.
    map_cells
        Rows and columns of the map; None where there is none.
    seconds
        Of one image with its map.
    """

    scores: tuple[float, ...]
    spread: float
    onnxruntime: float | None
    map_cells: tuple[int, int] | None
    seconds: float


def tried(folder: Path, views: Sequence[View] = ()) -> OnnxTrial:
    """What the model of a folder answers to textures, and to views where they are given.

    Views are `(H, W) float32 in [0, 1]` with their sides.

    Raises
    ------
    ModelError
        The graph is refused (`onnx_gate`), or its numbers are not finite, out of range, the same
        whatever it sees, or not the same twice; names what.
    MissingExtra
        The extra `onnx` is not installed.
    """
    card, state = store.read_weights(folder)
    if not isinstance(card, OnnxViewCard | OnnxRegionCard):
        raise ModelError(f"{card.name} is no ONNX network")
    graph = graph_of(state, card)
    onnx_gate.checked(graph, card.name)
    model = assemble(card, state)
    assert isinstance(model, OnnxViewModel | OnnxRegionModel)
    side = card.spec.input
    (textures,) = references([(1, side.height, side.width)])
    images = textures[:_REFERENCES].numpy()
    logits = _steady(model.brought, images)
    began = time.monotonic()
    first = model.brought.read(images[:1])
    seconds = time.monotonic() - began
    if seconds > MOST_S:
        raise ModelError(f"{card.name} takes {seconds:.0f} s an image; {MOST_S:.0f} s are the most")
    scores, seen = _of_views(model, views)
    _refuse_constant(card.name, "views of a phantom exam", seen)
    _refuse_constant(card.name, "textures", logits)
    return OnnxTrial(
        scores=scores,
        spread=float(np.ptp(logits)),
        onnxruntime=_beside_onnxruntime(card, graph, model.brought, images, logits),
        map_cells=None if first.maps is None else first.maps.shape[1:3],
        seconds=seconds,
    )


def _steady(network: OnnxNetwork, images: FloatImage) -> FloatImage:
    """Log-odds that are the same twice, and the same alone as among others."""
    together = network.logits(images, batch_size=len(images))
    for again in (
        network.logits(images, batch_size=len(images)),
        network.logits(images, batch_size=1),
    ):
        if float(np.abs(again - together).max()) > SAME:
            raise ModelError(
                f"{network.name} gives other scores for the same images, or other ones when they "
                "are read one at a time"
            )
    return together


def _refuse_constant(name: str, what: str, logits: Sequence[float] | FloatImage) -> None:
    if len(logits) > 1 and float(np.ptp(np.asarray(logits))) < _LEAST_SPREAD:
        raise ModelError(
            f"{name} gives the same score for all {what}: range, mean and std of spec.toml, or the "
            "weights, are not what the network was trained with"
        )


def _of_views(
    model: OnnxViewModel | OnnxRegionModel, views: Sequence[View]
) -> tuple[tuple[float, ...], list[float]]:
    """Scores and log-odds of views, or of the region in the middle of each one's breast."""
    try:
        if isinstance(model, OnnxViewModel):
            read = model.score(views)
            return tuple(r.score for r in read), [r.logit for r in read]
        regions = [
            roi_chain.cut(image, _middle(image), _pixel(image), model.card.roi)
            for image, _ in views
        ]
        found = model.read(regions)
        return tuple(r.probability for r in found), [r.logit for r in found]
    except NotProcessable as error:
        raise ModelError(f"{model.card.name}: a view was not read: {error.reason.value}") from None


def _middle(image: FloatImage) -> tuple[float, float]:
    """The middle of the breast in pixels (row, column)."""
    mask = breast_mask(image)
    if mask is None:
        return image.shape[0] / 2, image.shape[1] / 2
    rows, cols = np.nonzero(mask)
    scale = image.shape[0] / mask.shape[0], image.shape[1] / mask.shape[1]
    return float(rows.mean()) * scale[0], float(cols.mean()) * scale[1]


def _pixel(image: FloatImage) -> tuple[float, float]:
    """Of a view that is 240 mm high: a trial asks for numbers, not for sizes."""
    return 240 / image.shape[0], 240 / image.shape[0]


def _beside_onnxruntime(
    card: OnnxViewCard | OnnxRegionCard,
    graph: bytes,
    network: OnnxNetwork,
    images: FloatImage,
    logits: FloatImage,
) -> float | None:
    """How far another runtime's log-odds are; None where it is not installed."""
    if find_spec("onnxruntime") is None:
        return None
    runtime: Any = import_module("onnxruntime")  # an extra, without type information
    try:
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        session = runtime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
        rows = [_row(session, network, card, image) for image in images]
    except Exception as error:  # its errors have no common class of their own
        raise ModelError(
            f"onnxruntime cannot compute the ONNX graph of {card.name} ({type(error).__name__})"
        ) from None
    apart = float(np.abs(network.log_odds(np.concatenate(rows)) - logits).max())
    if not apart <= ALIKE:
        raise ModelError(
            f"{card.name}: OpenVINO and onnxruntime disagree by {apart:.2g} in log-odds; "
            f"{ALIKE:g} is the most"
        )
    return apart


def _row(
    session: Any, network: OnnxNetwork, card: OnnxViewCard | OnnxRegionCard, image: FloatImage
) -> NDArray[np.float32]:
    given = {card.spec.input.name: network.tensor(image[None])}
    (found,) = session.run([card.spec.output.name], given)
    return np.asarray(found, np.float32)
