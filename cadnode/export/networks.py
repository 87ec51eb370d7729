"""A model's network, as MONAI and ONNX see it."""

from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from cadnode.errors import ModelError
from cadnode.models import store
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
from cadnode.models.feature import NETWORK, FeatureModel
from cadnode.models.feature_classifiers import Scaler
from cadnode.models.loading import Model
from cadnode.models.weights import fitted
from cadnode.networks import dib_mg
from cadnode.networks.autoencoder import MalignancyNetwork, autoencoder
from cadnode.networks.cnn import RoiNetwork
from cadnode.networks.cnn import network as cnn
from cadnode.networks.dib_mg import MapNetwork
from cadnode.networks.mass_map import MassMap
from cadnode.networks.patch_filter import CandidateFilter

_SCALER: Final = "scaler"


def network_of(card: ModelCard, state: dict[str, Tensor]) -> nn.Module:
    """The card's network with its weights, in evaluation mode.

    Raises
    ------
    ModelError
        The weights do not fit.
    """
    if isinstance(card, DibMgCard):
        return fitted(partial(dib_mg.network, card.architecture), state, card.name)
    if isinstance(card, CnnCard):
        return fitted(partial(cnn, card.architecture), state, card.name)
    if isinstance(card, DetectorCard):
        return fitted(partial(CandidateFilter, card.architecture), state, card.name)
    if isinstance(card, MassFinderCard):
        return fitted(partial(MassMap, card.architecture), state, card.name)
    if isinstance(card, OnnxViewCard | OnnxRegionCard):
        raise ModelError(
            f"{card.name} was brought as ONNX: it is not exported; sign its folder and add it "
            "where it is wanted (`cadnode models sign`, `cadnode models add`)"
        )
    own = {k.removeprefix(NETWORK): v for k, v in state.items() if k.startswith(NETWORK)}
    return fitted(partial(autoencoder, card.architecture), own, card.name)


def served(model: Model, folder: str | Path) -> nn.Module:
    """The network that a model runs.

    That of an autoencoder is rebuilt from its folder: `FeatureModel` keeps its own to itself.

    Raises
    ------
    ModelError
        As `store.read_weights`.
    """
    if isinstance(model, FeatureModel):
        return network_of(*store.read_weights(Path(folder)))
    return model.network


class Calibrated(nn.Module):
    """The card's calibration: probability = 1 / (1 + exp(−(slope · log-odds + intercept)))."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.slope, self.intercept = card.calibration.slope, card.calibration.intercept

    def forward(self, log_odds: Tensor) -> Tensor:
        """Probabilities in [0, 1], of log-odds of any shape."""
        return torch.sigmoid(self.slope * log_odds + self.intercept)


class ViewGraph(nn.Module):
    """DIB-MG with its pooling and calibration, of preprocessed views."""

    def __init__(self, card: DibMgCard, network: MapNetwork) -> None:
        super().__init__()
        self.network, self.calibrated = network, Calibrated(card)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, h, w)` logit maps, `(B,)` logits, `(B,)` probabilities of `(B, 1, H, W)` views."""
        logit_map = self.network.logit_map(views)
        logit = self.network.pool(logit_map)
        return logit_map, logit, self.calibrated(logit)


class RegionGraph(nn.Module):
    """A CNN with its calibration, of cut regions."""

    def __init__(self, card: CnnCard, network: RoiNetwork) -> None:
        super().__init__()
        self.network, self.calibrated = network, Calibrated(card)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, classes)` logits, `(B,)` log-odds, `(B,)` probabilities of `(B, 1, H, W)`."""
        logits = self.network(regions)
        log_odds = self.network.log_odds(logits)
        return logits, log_odds, self.calibrated(log_odds)


class FeatureGraph(nn.Module):
    """The autoencoder with the scaling of measured features before it and calibration after."""

    def __init__(self, card: FeatureCard, network: MalignancyNetwork, scaler: Scaler) -> None:
        super().__init__()
        self.network, self.calibrated = network, Calibrated(card)
        for name, values in (("unit", scaler.unit), ("low", scaler.low), ("high", scaler.high)):
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, 2)` logits, `(B,)` log-odds, `(B,)` probabilities of `(B, d)` as measured."""
        unit, low, high = self.get_buffer("unit"), self.get_buffer("low"), self.get_buffer("high")
        y = torch.sign(features) * torch.log(1 + torch.abs(features) / unit)
        scaled = torch.clamp((y - low) / (high - low), 0, 1)
        logits = self.network(scaled)
        log_odds = logits[:, 1] - logits[:, 0]
        return logits, log_odds, self.calibrated(log_odds)


def graph_of(card: ModelCard, state: dict[str, Tensor]) -> nn.Module:
    """The network with what belongs around it, for ONNX.

    Raises
    ------
    ModelError
        The weights do not fit, or the card's kind is not exported.
    """
    network = network_of(card, state)
    if isinstance(card, DibMgCard) and isinstance(network, MapNetwork):
        return ViewGraph(card, network).eval()
    if isinstance(card, CnnCard) and isinstance(network, RoiNetwork):
        return RegionGraph(card, network).eval()
    if isinstance(card, FeatureCard) and isinstance(network, MalignancyNetwork):
        arrays = {k: v.numpy() for k, v in state.items() if k.startswith(f"{_SCALER}.")}
        return FeatureGraph(card, network, Scaler.read(arrays, _SCALER)).eval()
    raise ModelError(
        f"{card.name} has no ONNX file: what a detector answers means nothing without cadnode's "
        "detection around it (candidates, or peaks of a map); export it as a bundle"
    )
