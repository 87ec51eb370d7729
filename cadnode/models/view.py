"""How a model reads views: scores, maps and hot regions in the source image's pixels."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cadnode.domain import YOUDEN, Box, FloatImage, Laterality, System
from cadnode.imaging import view_chain
from cadnode.imaging.geometry import Placement
from cadnode.imaging.view_chain import View
from cadnode.models import engine as engines
from cadnode.models.card import DibMgCard, ViewCard
from cadnode.models.device import run_within_memory
from cadnode.models.engine import TORCH, CompiledPass, Engine, Pass
from cadnode.networks import dib_mg
from cadnode.networks.dib_mg import MapNetwork

# Each cell is drawn this many times finer; odd, so that its own value is among the finer ones.
_OUTLINE_SCALE: Final = 9


@dataclass(frozen=True, eq=False, slots=True)
class HotRegion:
    """A region of the map above the card's threshold.

    `box` and `outline` (closed polygon of (row, column), first point not repeated) are in source
    pixels; `probability` is the map's peak inside.
    """

    box: Box
    outline: tuple[tuple[float, float], ...]
    probability: float


@dataclass(frozen=True, eq=False, slots=True)
class ViewReading:
    """A model's reading of one view.

    Parameters
    ----------
    score
        Calibrated, in [0, 1].
    logit
        The network's log-odds before calibration.
    cancer_map
        `(h, w) float32 in [0, 1]`, calibrated like the score, covering exactly `map_box` of the
        source image; bilinear enlargement brings it to source pixels. None where the model, a
        network that a site brought, has none.
    map_box
        The part of the source image that the map covers.
    hot_regions
        Highest peak first.
    """

    score: float
    logit: float
    cancer_map: FloatImage | None
    map_box: Box
    hot_regions: tuple[HotRegion, ...]


class ViewModel:
    """A card with its DIB-MG network: `score` reads views.

    Parameters
    ----------
    card
        Also states how views are preprocessed, how scores are calibrated, and from which value on
        a region of the map is hot.
    network
        In evaluation mode.
    device
        `"cpu"` or `"cuda"`.
    operating_point
        How the score is chosen from which on an exam and a breast are suspicious (`Roc.at`).
    engine
        What the network is computed with.
    compiled
        The pass of `known_pass`; the network then needs no weights (a bare `MapNetwork`).
    """

    def __init__(
        self,
        card: DibMgCard,
        network: MapNetwork,
        device: str = "cpu",
        operating_point: str = YOUDEN,
        *,
        engine: Engine = TORCH,
        compiled: CompiledPass | None = None,
    ) -> None:
        card = card.served()
        self.card: ViewCard = card
        self.choice = operating_point
        self.operating_point = card.curve.at(operating_point)
        self._hot_region = card.hot_region
        self.device = device
        self.network = network.eval().to(device)
        self._chain = view_chain.build(card.preprocess)
        if compiled is None:
            compiled = engines.accelerated(
                self.network, self.network.logit_map, _shapes(card), self._pooled,
                engine=engine.on(device), name=card.name, sha256=card.weights_sha256,
            )  # fmt: skip
            if compiled is not None:
                self.network = MapNetwork(network.config)  # pools; the weights are let go
        self.bf16 = compiled is not None and compiled.bf16
        self._logit_map: Pass = compiled or self.network.logit_map

    def by_member(self, number: int) -> "ViewModel":
        """The model that this member alone makes up: it has not seen the women of its fold.

        Only with PyTorch's network.
        """
        alone = copy.copy(self)
        alone.network = dib_mg.members_of(self.network)[number]
        alone._logit_map = alone.network.logit_map
        return alone

    @property
    def sha256(self) -> str:
        """Of the weights' file."""
        return self.card.weights_sha256

    def score(
        self, views: Sequence[tuple[FloatImage, Laterality | str]], *, batch_size: int = 8
    ) -> list[ViewReading]:
        """Readings of `(H, W) float32 in [0, 1]` images (dense tissue bright) and their sides.

        A view's reading never depends on the other views.

        Raises
        ------
        NotProcessable
            No breast was found in a view.
        ModelError
            The network fails on the device, also one view at a time.
        """
        ready = [self.prepared(image, side) for image, side in views]
        tensor = torch.from_numpy(np.stack([v.image for v in ready])) if ready else None
        if tensor is None:
            return []
        logit_maps, logits = self.run(tensor, batch_size=batch_size)
        return [
            self._reading(logit_map, logit, view.placement)
            for logit_map, logit, view in zip(logit_maps, logits, ready, strict=True)
        ]

    def prepared(self, image: FloatImage, laterality: Laterality | str) -> View:
        """The view as the network takes it in, by the card's preprocessing.

        Raises
        ------
        NotProcessable
            No breast was found in it.
        """
        return self._chain(view_chain.start(image, laterality))

    def run(self, tensor: Tensor, *, batch_size: int = 8) -> tuple[FloatImage, FloatImage]:
        """`(B, h, w)` logit maps and `(B,)` logits of `(B, 1, H, W) float32` preprocessed views.

        Out of memory: the batch is halved until it fits. The network stays on its device.

        Raises
        ------
        ModelError
            The network fails on the device, also one view at a time.
        """

        def batches(device: str, size: int) -> list[tuple[FloatImage, FloatImage]]:
            return [self._forward(part) for part in torch.split(tensor, size)]

        parts = run_within_memory(
            batches, self.device, batch_size, name=self.card.name, cpu_too=False
        )
        return np.concatenate([m for m, _ in parts]), np.concatenate([s for _, s in parts])

    def probability(self, logits: FloatImage) -> FloatImage:
        """Calibrated log-odds, as probabilities."""
        platt = self.card.calibration
        raised = platt.slope * np.asarray(logits, np.float64) + platt.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(raised, -60, 60))), np.float32)

    def _pooled(self, logit_map: Pass, views: tuple[Tensor, ...]) -> NDArray[np.float64]:
        return self.network.pool(logit_map(*views)).numpy().astype(np.float64)

    @torch.inference_mode()
    def _forward(self, part: Tensor) -> tuple[FloatImage, FloatImage]:
        placed = part.to(self.device, memory_format=torch.channels_last)
        logit_map = self._logit_map(placed)
        return logit_map.cpu().numpy(), self.network.pool(logit_map).cpu().numpy()

    def _reading(
        self, logit_map: FloatImage, logit: np.float32, placement: Placement
    ) -> ViewReading:
        probability_map, rule = self.probability(logit_map), self._hot_region
        return ViewReading(
            score=float(self.probability(np.asarray(logit, np.float32))),
            logit=float(logit),
            cancer_map=placement.map_to_source(probability_map),
            map_box=placement.crop,
            hot_regions=hot_regions(probability_map, placement, rule.threshold, most=rule.most),
        )


def view_system(card: ViewCard) -> System:
    """Whose score the card's model gives; DIB-MG's where it names no system."""
    return card.system or System.KIM2018


def assesses_regions(card: ViewCard) -> bool:
    """Whether the map's values are scores, so that regions can be assessed by them."""
    return card.hot_region is not None


def known_pass(card: DibMgCard, device: str, engine: Engine) -> CompiledPass | None:
    """The compiled pass of the card's network where none has to be built for it."""
    return engines.known(
        _shapes(card), engine=engine.on(device), name=card.name, sha256=card.weights_sha256
    )


def _shapes(card: DibMgCard) -> list[tuple[int, ...]]:
    return [(1, card.preprocess.height, card.preprocess.width)]


def hot_regions(
    probability_map: FloatImage, placement: Placement, threshold: float, *, most: int
) -> tuple[HotRegion, ...]:
    """Connected regions of the map at or above the threshold, at most `most`, highest first.

    `probability_map` is `(h, w) float32 in [0, 1]`, covering the network's whole input.
    """
    size = (probability_map.shape[1] * _OUTLINE_SCALE, probability_map.shape[0] * _OUTLINE_SCALE)
    smooth = cv2.resize(probability_map, size, interpolation=cv2.INTER_LINEAR)
    binary = np.asarray(smooth >= threshold, np.uint8)
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array(placement.shape) / binary.shape
    found = []
    for contour in contours:
        filled = cv2.drawContours(np.zeros_like(binary), [contour], -1, 1, -1)
        peak = float(smooth[filled > 0].max())
        simple = cv2.approxPolyDP(contour, 0.75, closed=True)[:, 0, ::-1]
        region = _region((simple + 0.5) * scale, placement, peak)
        if region is not None:
            found.append(region)
    return tuple(sorted(found, key=lambda r: -r.probability)[:most])


def _region(
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]], placement: Placement, peak: float
) -> HotRegion | None:
    """The region of an outline in output positions; None when it encloses nothing."""
    if len(points) < 3:
        return None
    crop = placement.crop
    source = placement.to_source(points)
    source = np.clip(source, (crop.row0, crop.col0), (crop.row1, crop.col1))
    row0, col0 = np.floor(source.min(0)).astype(int)
    row1, col1 = np.ceil(source.max(0)).astype(int)
    if row1 <= row0 or col1 <= col0:
        return None
    outline = tuple((float(row), float(col)) for row, col in source)
    return HotRegion(Box(int(row0), int(col0), int(row1), int(col1)), outline, peak)
