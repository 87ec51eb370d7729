"""How a model reads the features of a segmented region: autoencoder, and SVM, KNN, LDA beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cadnode.domain import YOUDEN
from cadnode.errors import ModelError
from cadnode.models.card import FeatureCard
from cadnode.models.feature_classifiers import Knn, Lda, Scaler, Svm, sigmoid
from cadnode.models.weights import fitted
from cadnode.networks.autoencoder import autoencoder

NETWORK: Final = "sae."
_BESIDE: Final[Mapping[str, type[Svm | Knn | Lda]]] = {"svm": Svm, "knn": Knn, "lda": Lda}


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Measured features.

    Parameters
    ----------
    names
        Stable identifiers with units, such as `area_mm2`.
    values
        `(n,) float64`, all finite, in the order of the names.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names),):
            raise ValueError("as many values as names are needed")

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.names.index(name)])

    def __add__(self, other: "Features") -> "Features":
        return Features(self.names + other.names, np.concatenate([self.values, other.values]))


@dataclass(frozen=True, slots=True)
class FeatureReading:
    """A model's assessment of a region, from its features.

    Parameters
    ----------
    probability
        Of malignancy, the autoencoder's, calibrated, in [0, 1].
    logit
        The network's log-odds before calibration.
    beside
        Probabilities of the classifiers that the paper compares with, by their names.
    """

    probability: float
    logit: float
    beside: Mapping[str, float]


class FeatureModel:
    """A card with its autoencoder and classifiers: `score` reads features.

    Parameters
    ----------
    card
        Also states which features are read, and how probabilities are calibrated.
    state
        The weights: `sae.*` the network, `scaler.*`, `svm.*`, `knn.*`, `lda.*` arrays.
    operating_point
        How the probability is chosen from which on a region is suspicious (`Roc.at`).

    Raises
    ------
    ModelError
        The weights do not fit the card.
    """

    def __init__(
        self, card: FeatureCard, state: Mapping[str, Tensor], operating_point: str = YOUDEN
    ) -> None:
        self.card = card
        self.operating_point = card.curve.at(operating_point)
        network = {k.removeprefix(NETWORK): v for k, v in state.items() if k.startswith(NETWORK)}
        arrays = {k: v.numpy() for k, v in state.items() if not k.startswith(NETWORK)}
        self._network = fitted(partial(autoencoder, card.architecture), network, card.name)
        self._scaler = Scaler.read(arrays, "scaler")
        self._beside = {name: _BESIDE[name].read(arrays, name) for name in card.beside}
        if self._scaler.unit.shape != (len(card.features),):
            raise ModelError(f"the weights of {card.name} do not fit its features")

    @property
    def sha256(self) -> str:
        """Of the weights' file."""
        return self.card.weights_sha256

    def score(self, features: Features) -> FeatureReading:
        """The reading of a region's features; features that the card does not name are ignored.

        Raises
        ------
        ModelError
            A feature of the card is missing.
        """
        return self.read([features])[0]

    def read(self, several: Sequence[Features]) -> list[FeatureReading]:
        """As `score`, of several regions; a region's reading never depends on the others."""
        if not several:
            return []
        scaled = self.scaled(np.stack([self._picked(features) for features in several]))
        logits = self.logits(scaled)
        platt = self.card.calibration
        probabilities = sigmoid(platt.slope * logits + platt.intercept)
        rows = np.asarray(scaled, np.float64)
        beside = {name: model.probability(rows) for name, model in self._beside.items()}
        return [
            FeatureReading(float(p), float(z), {name: float(b[i]) for name, b in beside.items()})
            for i, (p, z) in enumerate(zip(probabilities, logits, strict=True))
        ]

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """`(n, d) float32 in [0, 1]`: the network's input for `(n, d)` measured features."""
        return self._scaler(values)

    @torch.inference_mode()
    def logits(self, scaled: NDArray[np.float32]) -> NDArray[np.float64]:
        """`(n,)` log-odds of malignant for `(n, d)` scaled features."""
        return np.asarray(self._network.log_odds(torch.from_numpy(scaled)), np.float64)

    def _picked(self, features: Features) -> NDArray[np.float64]:
        known = dict(zip(features.names, features.values, strict=True))
        missing = [name for name in self.card.features if name not in known]
        if missing:
            raise ModelError(f"{self.card.name} needs the features {', '.join(missing)}")
        return np.array([known[name] for name in self.card.features], np.float64)
