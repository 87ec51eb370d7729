"""Model folders become models that are ready to read."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cadnode.domain import YOUDEN
from cadnode.errors import ModelError
from cadnode.models import mass_finder, roi, store, view
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
from cadnode.models.engine import TORCH, Engine
from cadnode.models.feature import FeatureModel
from cadnode.models.mass_finder import MassFinder
from cadnode.models.onnx_card import graph_of
from cadnode.models.onnx_models import OnnxRegionModel, OnnxViewModel
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.models.weights import fitted, unpack
from cadnode.networks import dib_mg
from cadnode.networks.cnn import head_names, head_of
from cadnode.networks.cnn import network as cnn

Model = ViewModel | RoiModel | FeatureModel | Detector | MassFinder


def load(
    folder: Path,
    device: str = "cpu",
    *,
    operating_point: str = YOUDEN,
    engine: Engine = TORCH,
) -> Model:
    """The model of a folder, of any kind of card.

    `engine`: what networks are computed with; PyTorch by default.

    Raises
    ------
    ModelError
        As `store.read_weights`, or the weights do not fit the card.
    SettingsError
        There is no such way to choose an operating point.
    """
    card, packed = store.read_packed(folder)
    known = _known(card, packed, device, operating_point, engine)
    if known is not None:
        return known
    state = unpack(packed)
    return assemble(card, state, device, operating_point=operating_point, engine=engine)


def _known(
    card: ModelCard, packed: bytes, device: str, operating_point: str, engine: Engine
) -> Model | None:
    """The model of a network that is kept compiled; PyTorch's is not built (300 MB, 3 s of timm).

    What is kept was made of these very weights when they were seen to fit the card.
    """
    if isinstance(card, DibMgCard):
        if (compiled := view.known_pass(card, device, engine)) is not None:
            bare = dib_mg.MapNetwork(card.architecture)
            return ViewModel(card, bare, device, operating_point, compiled=compiled)
    elif isinstance(card, CnnCard) and (trunk := roi.known_trunk(card, device, engine)):
        head = head_of(card.architecture, unpack(packed, head_names(card.architecture)))
        return RoiModel(card, head, device, operating_point, compiled=trunk)
    elif isinstance(card, MassFinderCard) and (
        found := mass_finder.known_pass(card, device, engine)
    ):
        return MassFinder(card, {}, device, compiled=found)
    return None


def load_view_model(
    folder: Path,
    device: str = "cpu",
    *,
    operating_point: str = YOUDEN,
    engine: Engine = TORCH,
) -> ViewModel:
    """The view model of a folder; raises like `load`, and where the card is of another kind."""
    model = load(folder, device, operating_point=operating_point, engine=engine)
    if not isinstance(model, ViewModel):
        raise ModelError(f"{model.card.name} reads no whole views: its kind is {model.card.kind}")
    return model


def assemble(
    card: ModelCard,
    state: dict[str, Tensor],
    device: str = "cpu",
    *,
    operating_point: str = YOUDEN,
    engine: Engine = TORCH,
) -> Model:
    """The model of a card and its weights; raises like `load`."""
    if isinstance(card, DibMgCard):
        network = fitted(partial(dib_mg.network, card.architecture), state, card.name)
        network = network.to(memory_format=torch.channels_last)
        return ViewModel(card, network, device, operating_point, engine=engine)
    if isinstance(card, CnnCard):
        roi_network = fitted(partial(cnn, card.architecture), state, card.name)
        return RoiModel(card, roi_network, device, operating_point, engine=engine)
    if isinstance(card, FeatureCard):
        return FeatureModel(card, state, operating_point)
    if isinstance(card, DetectorCard):
        return Detector(card, state, device, engine=engine)
    if isinstance(card, OnnxViewCard):
        return OnnxViewModel(card, graph_of(state, card), operating_point)
    if isinstance(card, OnnxRegionCard):
        return OnnxRegionModel(card, graph_of(state, card), operating_point)
    return MassFinder(card, state, device, engine=engine)
