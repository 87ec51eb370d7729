"""How networks that a site brought read views and regions, as the node's own models do."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cadnode.domain import YOUDEN, FloatImage, Laterality
from cadnode.errors import ModelError
from cadnode.imaging import view_chain
from cadnode.imaging.geometry import Placement
from cadnode.imaging.roi_chain import Roi
from cadnode.models import gradcam
from cadnode.models.onnx_card import OnnxRegionCard, OnnxViewCard
from cadnode.models.onnx_network import OnnxNetwork
from cadnode.models.roi import RoiModel, RoiReading
from cadnode.models.view import ViewModel, ViewReading, hot_regions


class OnnxViewModel(ViewModel):
    """A card with the network that a site brought: `score` reads views.

    It computes on the processor, by OpenVINO in float32, whatever device and engine the settings
    name.
    """

    def __init__(self, card: OnnxViewCard, graph: bytes, operating_point: str = YOUDEN) -> None:
        self.card = self._own = card
        self.choice = operating_point
        self.operating_point = card.curve.at(operating_point)
        self.device, self.bf16 = "cpu", False
        self.brought = OnnxNetwork(graph, card.spec, card.name)
        self._chain = view_chain.build(card.preprocess)

    def score(
        self, views: Sequence[tuple[FloatImage, Laterality | str]], *, batch_size: int = 8
    ) -> list[ViewReading]:
        """As `ViewModel.score`; the map is None where the network has none."""
        ready = [self.prepared(image, side) for image, side in views]
        if not ready:
            return []
        found = self.brought.read(np.stack([v.image for v in ready]), batch_size=batch_size)
        return [
            self._reading(None if found.maps is None else found.maps[n], logit, view.placement)
            for n, (logit, view) in enumerate(zip(found.logits, ready, strict=True))
        ]

    def run(self, tensor: Tensor, *, batch_size: int = 8) -> tuple[FloatImage, FloatImage]:
        """Log-odds of preprocessed views, each also as a map of one cell: maps cost passes."""
        logits = self.brought.logits(tensor.numpy(), batch_size=batch_size)
        return logits[:, None, None], logits

    def _reading(
        self, found: FloatImage | None, logit: np.float32, placement: Placement
    ) -> ViewReading:
        score = float(self.probability(np.asarray(logit, np.float32)))
        values = None if found is None else self._values(found, score)
        rule = self._own.hot_region
        regions = (
            ()
            if rule is None or values is None
            else hot_regions(values, placement, rule.threshold, most=rule.most)
        )
        return ViewReading(
            score=score,
            logit=float(logit),
            cancer_map=None if values is None else placement.map_to_source(values),
            map_box=placement.crop,
            hot_regions=regions,
        )

    def _values(self, found: FloatImage, score: float) -> FloatImage:
        """`(h, w) float32 in [0, 1]`: probabilities calibrated like the score, or evidence.

        Evidence is brought to the score: the strongest is as red as the view is suspicious.
        """
        meaning = self._own.spec.map.meaning
        if meaning == "logit":
            return self.probability(found)
        if meaning == "probability":
            kept = found.astype(np.float64).clip(1e-6, 1 - 1e-6)
            return self.probability(np.asarray(np.log(kept / (1 - kept)), np.float32))
        called = meaning == "attention" or score >= self.operating_point.threshold
        return gradcam.shown(found, score, malignant=called)


class OnnxRegionModel(RoiModel):
    """A card with the network that a site brought: `read` reads regions.

    It computes where `OnnxViewModel` does.
    """

    def __init__(self, card: OnnxRegionCard, graph: bytes, operating_point: str = YOUDEN) -> None:
        self.card = self._own = card
        self.choice = operating_point
        self.operating_point = card.curve.at(operating_point)
        self.device, self.bf16 = "cpu", False
        self.brought = OnnxNetwork(graph, card.spec, card.name)

    def read(
        self, rois: Sequence[Roi], *, flips: bool = False, cam: bool = True, batch_size: int = 8
    ) -> list[RoiReading]:
        """As `RoiModel.read`; no map where the network has none.

        Choice: `flips` are left out: it is unknown whether the network was trained on mirrored
        regions.
        """
        if not rois:
            return []
        size = self.card.roi.size
        if any(roi.image.shape != (1, size, size) for roi in rois):
            raise ModelError(f"{self.card.name} reads regions of {size} × {size} pixels")
        images = np.stack([roi.image for roi in rois])
        if not cam:
            logits, maps = self.brought.logits(images, batch_size=batch_size), None
        else:
            found = self.brought.read(images, batch_size=batch_size)
            logits, maps = found.logits, found.maps
        return [
            RoiReading(
                float(p), float(logit), None if maps is None else self._shown(maps[n], float(p))
            )
            for n, (p, logit) in enumerate(zip(self.probability(logits), logits, strict=True))
        ]

    def run(
        self, tensor: Tensor, *, flips: bool = False, batch_size: int = 8
    ) -> tuple[FloatImage, FloatImage]:
        """Log-odds and maps of regions; maps of one cell that hold nothing where there are none."""
        found = self.brought.read(tensor.numpy(), batch_size=batch_size)
        none = torch.zeros(len(tensor), 1, 1).numpy()
        return found.logits, none if found.maps is None else found.maps

    def _shown(self, evidence: FloatImage, probability: float) -> FloatImage:
        """`(h, w) float32 in [0, probability]`; a map that the graph gives is never below 0."""
        if self._own.spec.map.kind == "output":
            if self._own.spec.map.meaning == "logit":
                evidence = np.asarray(1 / (1 + np.exp(-np.clip(evidence, -60, 60))), np.float32)
            return gradcam.shown(evidence, probability, malignant=True)
        return super()._shown(evidence, probability)
