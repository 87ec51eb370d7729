"""How certain a cluster of calcifications is: the learned filter of candidates, with its card."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cadnode.models import engine as engines
from cadnode.models.engine import TORCH, Engine, Pass
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

    device, engine
        Where and with what the network is computed.

    Raises
    ------
    ModelError
        The weights do not fit the card's architecture.
    """

    def __init__(
        self, card: "DetectorCard", state: dict[str, Tensor], device: str = "cpu",
        *, engine: Engine = TORCH,
    ) -> None:  # fmt: skip
        self.card = card
        make, shape = partial(CandidateFilter, card.architecture), card.architecture
        self.network = fitted(make, state, card.name).to(device)
        self.device = device
        compiled = engines.accelerated(
            self.network, self.network.forward,
            [(1, shape.patch, shape.patch), (shape.statistics,)], _logits,
            engine=engine.on(device), name=card.name, sha256=card.weights_sha256,
        )  # fmt: skip
        self.bf16 = compiled is not None and compiled.bf16
        self._logits: Pass = compiled or self.network

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
            logits = self._logits(
                torch.from_numpy(patches)[:, None].to(self.device),
                torch.from_numpy(statistics.astype(np.float32)).to(self.device),
            )
        calibration = self.card.calibration
        shifted = calibration.slope * logits.double().cpu().numpy() + calibration.intercept
        return np.asarray(1 / (1 + np.exp(-shifted)), np.float64)


def _logits(forward: Pass, inputs: tuple[Tensor, ...]) -> NDArray[np.float64]:
    return forward(*inputs).numpy().astype(np.float64)
