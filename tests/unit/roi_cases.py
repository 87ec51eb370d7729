"""Cards and toy networks of models that read regions."""

from datetime import date

import numpy as np
import torch
from torch import Tensor, nn

from cadnode.domain import Acquisition, FloatImage, System
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import Placement
from cadnode.imaging.roi_chain import RoiSpec
from cadnode.models.card import Calibration, CnnCard
from cadnode.models.operating_point import Roc
from cadnode.networks.cnn import Cells, CnnConfig, RoiNetwork

SPEC = RoiSpec(size=64, spacing_mm=0.2)
CONFIG = CnnConfig(name="resnext50_32x4d", mean=0.0, std=1.0)


def card(slope: float = 1.0, intercept: float = 0.0, spec: RoiSpec = SPEC) -> CnnCard:
    return CnnCard(
        name="toy-cnn",
        version="0.0.1",
        system=System.KANG2021,
        paper="none",
        algorithm="toy",
        intended_use="tests",
        licence="Apache-2.0",
        architecture=CONFIG,
        roi=spec,
        applies_to=(Acquisition.DIGITAL,),
        training_data="nothing",
        training_sets=(),
        split="none",
        metrics=(),
        roc=Roc(
            points=((1.0, 0.0, 1.0), (0.5, 0.8, 0.8), (0.0, 1.0, 0.0)),
            measured_on="nothing", n_pos=5, n_neg=5,
        ),
        calibration=Calibration(
            slope=slope, intercept=intercept, fitted_on="nothing", prevalence=0.5
        ),
        limits=(),
        weights_sha256="0" * 64,
        seed=0,
        command="none",
        trained_on=date(2026, 1, 1),
    )  # fmt: skip


class Toy(nn.Module):
    """Two feature maps, the grey level x and 1 − x; benign 0, malignant `gain` · mean(x) + `bias`.

    Every pixel is a cell, so its Grad-CAM is known: `gain` · x / number of pixels.
    """

    def __init__(self, gain: float = 40.0, bias: float = 0.0) -> None:
        super().__init__()
        self.gain, self.bias = gain, bias
        self.anchor = nn.Parameter(torch.zeros(()))
        self.batches: list[int] = []

    def forward_features(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        return torch.cat([x, 1 - x], 1) + self.anchor

    def forward_head(self, features: Tensor) -> Tensor:
        malignant = self.gain * features.mean((2, 3))[:, 0] + self.bias
        return torch.stack([torch.zeros_like(malignant), malignant], 1)


def toy(gain: float = 40.0, bias: float = 0.0) -> RoiNetwork:
    """A network whose every pixel is a cell."""
    return RoiNetwork(CONFIG, Toy(gain, bias), Cells(0.5, 1)).eval()


def peak(cam: FloatImage, placement: Placement) -> tuple[float, float]:
    """(row, column) in source pixels of the middle of the map's highest cell inside the view."""
    inside = roi_chain.map_to_source(cam, placement)
    row, col = np.unravel_index(int(inside.argmax()), inside.shape)
    crop = placement.crop
    return (
        crop.row0 + (float(row) + 0.5) * (crop.row1 - crop.row0) / inside.shape[0],
        crop.col0 + (float(col) + 0.5) * (crop.col1 - crop.col0) / inside.shape[1],
    )
