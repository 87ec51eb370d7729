"""Which loss DIB-MG minimises on a minibatch."""

import torch
from torch import Tensor
from torch.nn import functional

from cadnode.networks.dib_mg import MapNetwork, breast_logit
from cadnode_training.papers.kim2018.batches import ViewBatch

# A cell is lesion from 25 % on, and neither lesion nor free of it between 2 % and 25 %.
_FREE, _LESION = 0.02, 0.25
_LESION_WEIGHT = 4.0


def loss_of(
    network: MapNetwork, logit_maps: Tensor, batch: ViewBatch, boxes: float = 0.0
) -> Tensor:
    """Simulated lesions: where they are. Pairs: which breast has the cancer.

    `logit_maps` is `(B, h, w)`; `boxes` is the weight of where in the pairs' views it lies.
    """
    simulated = batch.targets.shape[0]
    drawn = logit_maps[len(logit_maps) - simulated :]
    if batch.pairs == 0:
        present = (batch.targets >= _LESION).flatten(1).any(1).float()
        seen = functional.binary_cross_entropy_with_logits(network.pool(drawn), present)
        return 4 * location_loss(drawn, batch.targets) + 0.3 * seen
    paired = logit_maps[: 4 * batch.pairs]
    loss = pair_loss(network.pool(paired).view(batch.pairs, 2, 2))
    if boxes > 0 and batch.known.any():
        loss = loss + boxes * location_loss(paired[batch.known], batch.real[batch.known])
    return loss + 2 * location_loss(drawn, batch.targets)


def location_loss(logit_maps: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every cell of `(S, h, w)`, lesions weighted, their margins left out."""
    lesion = (targets >= _LESION).float()
    clear = ((targets <= _FREE) | (targets >= _LESION)).float()
    weight = logit_maps.new_tensor(_LESION_WEIGHT)
    cells = functional.binary_cross_entropy_with_logits(
        logit_maps, lesion, reduction="none", pos_weight=weight
    )
    return (cells * clear).mean()


def pair_loss(views: Tensor) -> Tensor:
    """Ranking of the cancer breast above the other, and each breast's and view's own label.

    `views` is `(pairs, 2, 2)` log-odds: (cancer breast, other), (two views).
    """
    breasts = breast_logit(views)
    ranking = functional.softplus(breasts[:, 1] - breasts[:, 0]).mean()
    truth = views.new_tensor([1.0, 0.0])
    own = functional.binary_cross_entropy_with_logits(breasts, truth.expand_as(breasts))
    each = functional.binary_cross_entropy_with_logits(
        views, truth[:, None].expand(views.shape[1:]).expand_as(views)
    )
    return ranking + 0.5 * own + 0.25 * each


def cosine(progress: float, peak: float, warm_up: float) -> float:
    """Learning rate at `progress` in [0, 1): rising over `warm_up`, then falling as a cosine."""
    rise = min(1.0, (progress + 1e-3) / warm_up)
    fall = 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * progress)))) + 0.02
    return peak * rise * fall
