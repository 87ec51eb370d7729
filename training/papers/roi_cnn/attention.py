"""Which loss makes a network decide by what lies in the lesion's box.

Where lesions are annotated, a network that is right for the wrong place is penalised. Deviation:
the papers train by labels alone; without ImageNet's weights and with some thousand ROIs, what
spoke for benign was found anywhere but in the lesion.
"""

import torch
from torch import Tensor
from torch.nn import functional

from cadnode.networks.cnn import Cells, RoiNetwork


def with_evidence(network: RoiNetwork, images: Tensor) -> Tensor:
    """`(B, outputs + h · w)`: the logits of `(B, 1, H, W)` ROIs, then the evidence of each cell.

    Evidence is a cell's share of the log-odds of malignant against benign, the first two outputs:
    Grad-CAM's map before its ReLU (`models.gradcam`), since all heads pool by the mean.
    """
    features = network.trunk(images)
    weight = network.body.get_classifier().weight  # type: ignore[operator]
    evidence = torch.einsum("bchw,c->bhw", features, (weight[1] - weight[0]).to(features.dtype))
    return torch.cat([network.head(features), evidence.flatten(1)], 1)


def loss(evidence: Tensor, inside: Tensor) -> Tensor:
    """Cross-entropy of where the evidence is strongest against the cells of the lesion.

    The size of the evidence over its own spread is taken for the log-probability of its peak
    being there; the loss is that of a peak in the lesion. ROIs without a box do not count.

    Parameters
    ----------
    evidence
        `(B, cells)`.
    inside
        `(B, cells) bool`.
    """
    known = inside.any(1)
    if not bool(known.any()):
        return evidence.sum() * 0
    size = evidence[known].float().abs()
    spread = size.detach().std(1, keepdim=True).clamp_min(1e-6)
    log_p = functional.log_softmax(size / spread, dim=1)
    return -log_p.masked_fill(~inside[known], -torch.inf).logsumexp(1).mean()


def inside(cells: Cells, count: int, affines: Tensor, boxes: Tensor) -> Tensor:
    """`(B, count) bool`: cells of a square map in the lesion's box or half a cell beside it.

    `affines` and `boxes` are those of `Batch`; a box that is not known holds no cell.
    """
    side = round(count**0.5)
    centres = cells.first + cells.step * torch.arange(side, device=boxes.device) - 0.5
    row, col = torch.meshgrid(centres, centres, indexing="ij")
    at = torch.stack([col, row, torch.ones_like(row)]).float()
    x, y = (torch.einsum("bij,jhw->ibhw", affines, at) + 0.5).unbind(0)
    row0, col0, row1, col1 = (edge[:, None, None] for edge in boxes.unbind(1))
    near = cells.step / 2
    rows = (y >= row0 - near) & (y <= row1 + near)
    cols = (x >= col0 - near) & (x <= col1 + near)
    return (rows & cols).flatten(1)
