"""Grad-CAM: where in a region the evidence for what it was called lies.

Selvaraju RR, Cogswell M, Das A, et al. Grad-CAM: visual explanations from deep networks via
gradient-based localization. ICCV 2017, section 3; Kang 2021, Interpretation of DCNN models via
Grad-CAM.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cadnode.domain import FloatImage
from cadnode.networks.cnn import Cells, RoiNetwork

# A map is drawn with this many points to a cell of the features.
_FINER: Final = 4


def grad_cam(network: RoiNetwork, features: Tensor) -> tuple[Tensor, Tensor]:
    """`(B,)` log-odds of malignancy and `(B, h, w)` maps of what speaks for it, below 0 against.

    The map is Σ αₖ Aₖ with A the trunk's last features and αₖ the mean over positions of the
    gradient (equations 1 and 2); `shown` takes the ReLU, of the class that was called. The trunk
    has run once and without gradients; only the head is differentiated, always in float32.

    Choice: the gradient is that of the log-odds, not of the malignant logit alone, because the
    probability depends on the difference of the logits only.

    Parameters
    ----------
    network
        In evaluation mode.
    features
        `(B, C, h, w)` of `network.trunk`.
    """
    device = features.device.type
    with torch.autocast(device, enabled=False), torch.enable_grad():
        leaf = features.float().clone().requires_grad_()
        log_odds = network.log_odds(network.head(leaf))
        (gradient,) = torch.autograd.grad(log_odds.sum(), leaf)
    weights = gradient.mean((2, 3), keepdim=True)
    return log_odds.detach(), (weights * leaf.detach()).sum(1)


def aligned(cams: Tensor, cells: Cells, size: int) -> Tensor:
    """`(B, n, n)`: the maps resampled to the cells' receptive fields, covering the whole region.

    Without it a map of a ResNet would lie half a cell (16 pixels) too far down and right, and
    one of an Inception, which pads nothing, would be stretched by up to 40 pixels at the edge.
    Between the cells' centres it is bilinear; beyond the outermost it stays the same.

    Parameters
    ----------
    cams
        `(B, h, w)`, a value a cell.
    cells
        Of the network (`RoiNetwork.cells`).
    size
        Rows and columns of the region in pixels.
    """
    points = max(1, round(size * _FINER / cells.step))
    centres = (torch.arange(points, device=cams.device) + 0.5) * (size / points)
    cell = (centres - cells.first) / cells.step
    rows, cols = (2 * (cell + 0.5) / length - 1 for length in cams.shape[1:])
    grid = torch.stack(torch.meshgrid(rows, cols, indexing="ij")[::-1], dim=-1)
    brought = functional.grid_sample(
        cams[:, None],
        grid.expand(len(cams), -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return brought[:, 0]


def shown(evidence: FloatImage, probability: float, *, malignant: bool) -> FloatImage:
    """`(h, w) float32 in [0, probability]`: the map as it is painted.

    value = ReLU of the evidence for the called class / its maximum × probability of malignancy:
    the strongest evidence of a region is as red as the region is suspicious, and a region that
    was called benign stays pale. Of a region without any evidence for its call: zeros.

    Choice: the class that was called (Selvaraju, section 3: the class of interest), because a
    map of what speaks for malignancy in a region called benign is highest where nothing is: it
    lay on the lesion in 13 of 35 rightly benign phantom regions, this one in 25.

    Parameters
    ----------
    evidence
        `(h, w)` of `grad_cam`.
    probability
        Of malignancy, in [0, 1].
    malignant
        Whether the region was called malignant.
    """
    cam = np.maximum(evidence if malignant else -evidence, 0)
    highest = float(cam.max())
    if not highest > 0:
        return np.zeros(cam.shape, np.float32)
    return np.asarray(cam * (probability / highest), np.float32)
