"""Whether a model's folder is whole: card, weights, shapes, and a dry run on a synthetic input."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cadnode.domain import FloatImage, Laterality
from cadnode.errors import ModelError, NotProcessable, SettingsError
from cadnode.imaging import roi_chain
from cadnode.models import onnx_child, store
from cadnode.models.card import (
    CnnCard,
    DetectorCard,
    DibMgCard,
    FeatureCard,
    MassFinderCard,
    ModelCard,
    OnnxRegionCard,
    OnnxViewCard,
)
from cadnode.models.detector import Detector
from cadnode.models.feature import NETWORK, FeatureModel, Features
from cadnode.models.loading import Model, assemble
from cadnode.models.mass_finder import MassFinder
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.networks import dib_mg
from cadnode.networks.autoencoder import autoencoder
from cadnode.networks.cnn import network as cnn
from cadnode.networks.mass_map import MassMap
from cadnode.networks.patch_filter import CandidateFilter

# Far more than any of the papers' inputs (1600 pixels); a typing error must not fill the memory.
LARGEST_SIDE: Final = 4096
_FAILURES: Final = (
    NotProcessable, SettingsError, RuntimeError, ValueError, TypeError, LookupError,
    ArithmeticError, MemoryError, cv2.error,
)  # fmt: skip


def examine(folder: Path) -> ModelCard:
    """The card of a folder whose model works: everything is read, and a dry run is finite.

    Checked, in this order: the card's schema, the weights' sha256 and format, their shapes
    and values, the list of women, the preprocessing, and the model's answer to a synthetic input.

    Raises
    ------
    ModelError
        Something is missing, damaged or does not fit; names what and where.
    """
    card, state = store.read_weights(folder)
    if isinstance(card, OnnxViewCard | OnnxRegionCard):
        return _brought(folder, card)
    if problem := _misfit(card, state) or _not_finite(state) or _too_large(card):
        raise ModelError(f"{card.name} {card.version} in {folder}: {problem}")
    store.seen_women(folder)
    try:
        numbers = _dry_run(assemble(card, state))
    except ModelError as error:
        raise ModelError(f"{card.name} {card.version} in {folder} does not work: {error}") from None
    except _FAILURES as error:
        raise ModelError(
            f"{card.name} {card.version} in {folder} does not work: a synthetic input ended in "
            f"{type(error).__name__}; its card and its weights do not make up a model"
        ) from None
    if not np.isfinite(numbers).all():
        raise ModelError(
            f"{card.name} {card.version} in {folder} answers a synthetic input with numbers that "
            "are not finite: its weights or its calibration are damaged"
        )
    return card


def _brought(folder: Path, card: OnnxViewCard | OnnxRegionCard) -> ModelCard:
    """The card of a network that a site brought, which was tried in a process of its own."""
    store.seen_women(folder)
    try:
        onnx_child.tried(folder, card.name, [(_breast(), Laterality.LEFT)])
    except ModelError as error:
        raise ModelError(f"{card.name} {card.version} in {folder} does not work: {error}") from None
    return card


def _misfit(card: ModelCard, state: Mapping[str, Tensor]) -> str:
    """The first tensor that is missing, superfluous or of another shape; "" when all fit.

    The network is built without memory for its weights: a card cannot claim a huge one.
    """
    with torch.device("meta"):
        wanted = {name: tuple(t.shape) for name, t in _network(card).state_dict().items()}
    prefix = NETWORK if isinstance(card, FeatureCard) else ""
    found = {
        name.removeprefix(prefix): tuple(tensor.shape)
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            return f"its weights lack {prefix}{name}, which its architecture has"
        if name not in wanted:
            return f"its weights hold {prefix}{name}, which its architecture has not"
        if wanted[name] != found[name]:
            return (
                f"{prefix}{name} has the shape {found[name]} in its weights and {wanted[name]} in "
                "its architecture"
            )
    return ""


def _network(card: ModelCard) -> nn.Module:
    if isinstance(card, DibMgCard):
        return dib_mg.network(card.architecture)
    if isinstance(card, CnnCard):
        return cnn(card.architecture)
    if isinstance(card, FeatureCard):
        return autoencoder(card.architecture)
    if isinstance(card, MassFinderCard):
        return MassMap(card.architecture)
    if isinstance(card, OnnxViewCard | OnnxRegionCard):
        raise ModelError(f"{card.name} was brought as ONNX: it has no architecture of cadnode's")
    return CandidateFilter(card.architecture)


def _not_finite(state: Mapping[str, Tensor]) -> str:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"{name} holds values that are not finite"
    return ""


def _too_large(card: ModelCard) -> str:
    """Which side of the card's input is unreasonable; "" when none is."""
    sides: tuple[int | None, ...] = ()
    if isinstance(card, DibMgCard | MassFinderCard):
        sides = (card.preprocess.height, card.preprocess.width, card.preprocess.stretch_to)
    elif isinstance(card, CnnCard):
        sides = (card.roi.size,)
    elif isinstance(card, DetectorCard):
        sides = (card.architecture.patch,)
    largest = max((side or 0 for side in sides), default=0)
    if largest <= LARGEST_SIDE:
        return ""
    return f"its input has a side of {largest} pixels; {LARGEST_SIDE} is the most"


def _dry_run(model: Model) -> NDArray[np.float64]:
    """Every number a model answers a synthetic input with, in one row."""
    if isinstance(model, ViewModel):
        (view,) = model.score([(_breast(), Laterality.LEFT)])
        assert view.cancer_map is not None  # every network of ours that reads views has one
        return np.append(view.cancer_map.astype(np.float64).ravel(), (view.score, view.logit))
    if isinstance(model, RoiModel):
        region = roi_chain.cut(_breast(), (256.0, 100.0), (0.1, 0.1), model.card.roi)
        (reading,) = model.read([region], cam=False)
        return np.array([reading.probability, reading.logit])
    if isinstance(model, FeatureModel):
        ones = Features(model.card.features, np.ones(len(model.card.features)))
        scored = model.score(ones)
        return np.array([scored.probability, scored.logit, *scored.beside.values()])
    if isinstance(model, MassFinder):
        return np.array([m.certainty for m in model.find(_breast(), Laterality.LEFT)])
    return _dry_detection(model)


def _dry_detection(model: Detector) -> NDArray[np.float64]:
    config = model.card.architecture
    patches = np.stack([_breast(config.patch, config.patch)] * 2)
    return model.certainty(patches, np.ones((2, config.statistics)))


def _breast(rows: int = 512, cols: int = 320) -> FloatImage:
    """`(rows, cols) float32 in [0, 1]`: half an ellipse of uneven tissue at the left edge."""
    row, col = np.mgrid[:rows, :cols]
    depth = 1 - ((row / rows - 0.5) / 0.45) ** 2 - (col / cols / 0.8) ** 2
    tissue = 0.35 + 0.25 * depth + 0.1 * np.sin(row / 9) * np.sin(col / 7)
    return np.asarray(np.where(depth > 0, tissue.clip(0.1, 1), 0), np.float32)
