"""How certain a cluster of calcifications is: the learned filter of candidates, with its card."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cadnode.models.weights import fitted
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig

if TYPE_CHECKING:
    from cadnode.models.card import DetectorCard


class Detector:
    """A filter ready to use.

    Parameters
    ----------
    card
        Its card; `card.mark_at` is the certainty from which on a region is marked.
    state
        Its weights, by name.

    Raises
    ------
    ModelError
        The weights do not fit the card's architecture.
    """

    def __init__(self, card: "DetectorCard", state: dict[str, Tensor], device: str = "cpu") -> None:
        self.card = card
        make = partial(CandidateFilter, card.architecture)
        self.network = fitted(make, state, card.name).to(device)
        self.device = device

    @property
    def config(self) -> DetectorConfig:
        """Shape of the network and of its input."""
        return self.card.architecture

    @property
    def mark_at(self) -> float:
        """The certainty from which on a region is marked."""
        return self.card.mark_at

    def certainty(
        self, patches: NDArray[np.float32], statistics: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`(n,) float64 in [0, 1]` of `(n, P, P)` patches and `(n, S)` statistics, calibrated."""
        if not len(patches):
            return np.zeros(0)
        with torch.inference_mode():
            logits = self.network(
                torch.from_numpy(patches)[:, None].to(self.device),
                torch.from_numpy(statistics.astype(np.float32)).to(self.device),
            )
        calibration = self.card.calibration
        shifted = calibration.slope * logits.double().cpu().numpy() + calibration.intercept
        return np.asarray(1 / (1 + np.exp(-shifted)), np.float64)
