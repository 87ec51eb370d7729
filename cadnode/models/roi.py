"""How a CNN reads regions of interest: calibrated probabilities and Grad-CAM maps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cadnode.domain import YOUDEN, FloatImage
from cadnode.errors import ModelError
from cadnode.imaging.roi_chain import Roi
from cadnode.models import engine as engines
from cadnode.models import gradcam
from cadnode.models.card import CnnCard, RegionCard
from cadnode.models.device import choose_device, run_within_memory
from cadnode.models.engine import TORCH, CompiledPass, Engine, Pass
from cadnode.networks.cnn import RoiNetwork

# bfloat16 is used when it moves no probability by this much or more.
AGREEMENT: Final = 0.01
# The axes (of B, C, H, W) that each of the four flips mirrors.
_FLIPS: Final[tuple[tuple[int, ...], ...]] = ((), (3,), (2,), (2, 3))


@dataclass(frozen=True, eq=False, slots=True)
class RoiReading:
    """A model's assessment of one region.

    Parameters
    ----------
    probability
        Of malignancy, calibrated, in [0, 1].
    logit
        The network's log-odds before calibration.
    cam
        `(h, w) float32 in [0, 1]`, covering the whole region: Grad-CAM of the class that was
        called, its highest value the probability (`saliency.shown`); None when not asked for.
    """

    probability: float
    logit: float
    cam: FloatImage | None


class RoiModel:
    """A card with its CNN: `read` reads regions.

    Parameters
    ----------
    card
        Also states how regions are cut and how probabilities are calibrated.
    network
        With the card's weights.
    device
        `"cpu"`, `"cuda"`, or `"auto"`: CUDA where there is one, else the CPU.
    operating_point
        How the probability is chosen from which on a region is suspicious (`Roc.at`).
    engine
        What the trunk is computed with. In bfloat16 where it is asked for and the card has
        measured that scores agree; by OpenVINO also where they do on its references.
    compiled
        The trunk's pass of `known_trunk`; the network then needs its head only.
    """

    def __init__(
        self,
        card: CnnCard,
        network: RoiNetwork,
        device: str = "auto",
        operating_point: str = YOUDEN,
        *,
        engine: Engine = TORCH,
        compiled: CompiledPass | None = None,
    ) -> None:
        self.card: RegionCard = card
        self.choice = operating_point
        self.operating_point = card.curve.at(operating_point)
        self.device = choose_device() if device == "auto" else device
        self.network = network.eval()
        engine, trusted = _engine(card, self.device, engine)
        self._compiled = compiled
        if compiled is None:
            self._compiled = engines.accelerated(
                network, network.trunk, _shapes(card), self._log_odds,
                engine=engine, name=card.name, sha256=card.weights_sha256, trusted=trusted,
            )  # fmt: skip
            if self._compiled is not None:
                self.network.let_trunk_go()
        self.bf16 = trusted if self._compiled is None else self._compiled.bf16

    @property
    def sha256(self) -> str:
        """Of the weights' file."""
        return self.card.weights_sha256

    def read(
        self, rois: Sequence[Roi], *, flips: bool = False, cam: bool = True, batch_size: int = 8
    ) -> list[RoiReading]:
        """Readings of regions that were cut by the card's spec.

        A region's reading never depends on the other regions.

        Parameters
        ----------
        rois
            Cut by `imaging.roi_chain` with the card's `roi`.
        flips
            Average the log-odds and the maps over the four flips (four times the work).
        cam
            Whether maps are made (3 % more work).
        batch_size
            Regions at a time, halved until they fit into the device's memory.

        Raises
        ------
        ModelError
            A region has not the card's size, or the network fails, also on the CPU.
        """
        if not rois:
            return []
        size = (1, self.card.roi.size, self.card.roi.size)
        if any(roi.image.shape != size for roi in rois):
            raise ModelError(f"{self.card.name} reads regions of {size[1]} × {size[2]} pixels")
        tensor = torch.from_numpy(np.stack([roi.image for roi in rois]))
        logits, maps = self.run(tensor, flips=flips, batch_size=batch_size)
        return [
            RoiReading(float(p), float(logit), self._shown(evidence, float(p)) if cam else None)
            for p, logit, evidence in zip(self.probability(logits), logits, maps, strict=True)
        ]

    def run(
        self, tensor: Tensor, *, flips: bool = False, batch_size: int = 8
    ) -> tuple[FloatImage, FloatImage]:
        """`(B,)` log-odds and `(B, h, w)` evidence (`saliency.grad_cam`) of `(B, 1, H, W)` regions.

        Out of memory: the batch is halved until it fits; where one region does not fit, or the
        device fails otherwise, this call continues on the CPU.

        Raises
        ------
        ModelError
            The network fails, also on the CPU.
        """

        def on(device: str, size: int) -> tuple[FloatImage, FloatImage]:
            return self._run_on(device, tensor, flips, size)

        return run_within_memory(on, self.device, batch_size, name=self.card.name, cpu_too=True)

    def probability(self, logits: FloatImage) -> NDArray[np.float64]:
        """Calibrated log-odds, as probabilities in [0, 1]."""
        platt = self.card.calibration
        raised = platt.slope * np.asarray(logits, np.float64) + platt.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(raised, -60, 60))), np.float64)

    def _shown(self, evidence: FloatImage, probability: float) -> FloatImage:
        called = probability >= self.operating_point.threshold
        return gradcam.shown(evidence, probability, malignant=called)

    def _run_on(
        self, device: str, tensor: Tensor, flips: bool, batch_size: int
    ) -> tuple[FloatImage, FloatImage]:
        if self._compiled is None:
            self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts = [
            self._forward(part.to(device, memory_format=torch.channels_last), flips)
            for part in torch.split(tensor, batch_size)
        ]
        return (
            torch.cat([log_odds for log_odds, _ in parts]).numpy(),
            torch.cat([cam for _, cam in parts]).numpy(),
        )

    @torch.inference_mode()
    def _features(self, rois: Tensor) -> Tensor:
        """`(B, C, h, w)`, the trunk's last features."""
        if self._compiled is not None:
            return self._compiled(rois)
        with torch.autocast(rois.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.trunk(rois)

    def _log_odds(self, trunk: Pass, rois: tuple[Tensor, ...]) -> NDArray[np.float64]:
        logits = self.network.head(trunk(*rois))
        return self.network.log_odds(logits).detach().numpy().astype(np.float64)

    def _forward(self, part: Tensor, flips: bool) -> tuple[Tensor, Tensor]:
        """Log-odds and evidence of one batch, on the CPU; the mean over the flips when wanted."""
        found = []
        for axes in _FLIPS if flips else _FLIPS[:1]:
            log_odds, cam = gradcam.grad_cam(self.network, self._features(part.flip(axes)))
            placed = gradcam.aligned(cam, self.network.cells, part.shape[-1])
            found.append((log_odds, placed.flip([axis - 1 for axis in axes])))
        log_odds = torch.stack([o for o, _ in found]).mean(0)
        return log_odds.float().cpu(), torch.stack([c for _, c in found]).mean(0).cpu()


def known_trunk(card: CnnCard, device: str, engine: Engine) -> CompiledPass | None:
    """The compiled trunk of the card's network where none has to be built for it."""
    engine, trusted = _engine(card, device, engine)
    return engines.known(
        _shapes(card), engine=engine, name=card.name, sha256=card.weights_sha256, trusted=trusted
    )


def _engine(card: CnnCard, device: str, engine: Engine) -> tuple[Engine, bool]:
    """The engine on a device, and whether bfloat16 is asked for and the card vouches for it."""
    engine, moved = engine.on(device), card.bf16_difference
    agrees = moved is not None and moved < AGREEMENT
    if moved is not None and not agrees:
        engine = replace(engine, bf16=False)
    return engine, agrees and engine.bf16 is True


def _shapes(card: CnnCard) -> list[tuple[int, ...]]:
    return [(1, card.roi.size, card.roi.size)]
