"""How the members are fitted: one minibatch for all, each without the women of its fold."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cadnode import terminal
from cadnode.models import engine as engines
from cadnode.models.engine import Engine, Pass
from cadnode.networks.mass_map import MassMap
from cadnode_training.data.views import fold_of
from cadnode_training.engine.phase_loop import Kept, NumpyRandom, Phase, Stateful, learn
from cadnode_training.engine.prefetch import ahead
from cadnode_training.papers.detection.masses import windows
from cadnode_training.papers.detection.masses.config import MassRecipe, MassSchedule
from cadnode_training.papers.detection.masses.material import PHANTOM, MassViews
from cadnode_training.papers.detection.masses.windows import MassBatch

AUTO: Final = Engine("auto")
"""OpenVINO in float32 where it is installed, else PyTorch."""
EVERYONE: Final = -1
"""The fold of views that every member learns from: phantoms."""
# Cells this near to a centre learn its size.
_NEAR: Final = 0.4


def fit(
    views: MassViews, recipe: MassRecipe, start: dict[str, Tensor] | None, seed: int, *,
    quiet: bool = False, kept: Kept | None = None, engine: Engine = AUTO,
) -> MassMap:  # fmt: skip
    """The members, in evaluation mode: the moving average of their weights.

    Parameters
    ----------
    views
        Of all women who are learnt from.
    recipe, seed
        Of the training.
    start
        ImageNet weights by timm's names; None starts from random ones.
    quiet
        No lines of progress.
    kept
        Where the training is kept, and resumed from.
    engine
        What the frozen layers are computed with.
    """
    torch.manual_seed(seed)
    rng, plan = np.random.default_rng([seed, 21]), recipe.schedule
    network = MassMap(recipe.network)
    if start is not None:
        network.start_from(start)
    network.to(memory_format=torch.channels_last)
    blend = get_ema_multi_avg_fn(plan.average)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=blend)
    optimizer = _optimizer(network, plan)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=plan.steps * plan.epochs, pct_start=plan.warm_up,
    )  # fmt: skip
    folds, odds = folds_of(views, plan.folds), _odds(views, plan.drawn)
    console = terminal.console(stderr=True, quiet=quiet)

    trunk = _trunk_pass(network, recipe, engine)

    def make(_: int) -> tuple[MassBatch, Tensor]:
        chosen = rng.choice(len(views), plan.batch, p=odds)
        batch = windows.draw(views, chosen, rng, recipe.input, recipe.augmentation)
        with torch.no_grad():
            return batch, trunk(batch.windows)

    def batches() -> Iterator[tuple[MassBatch, Tensor]]:
        network.train()
        yield from ahead(make, plan.steps, 1)  # one thread: one generator, in order

    def step(drawn: tuple[MassBatch, Tensor]) -> Tensor:
        batch, features = drawn
        loss = batch_loss(network, batch, features, folds[batch.views], plan.size_weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for member in network.members:
            nn.utils.clip_grad_norm_(member.parameters(), plan.clip)
        optimizer.step()
        rate.step()
        average.update_parameters(network)
        return loss

    def after(epoch: int, loss: float) -> None:
        console.print(f"epoch {epoch + 1}/{plan.epochs}: loss {loss:.3f}")

    parts: dict[str, Stateful] = {
        "network": network, "average": average, "optimizer": optimizer, "rate": rate,
        "random": NumpyRandom(rng), "torch": TorchState(),
    }  # fmt: skip
    learn(
        Phase("last", parts, batches, step, steps=plan.steps, epochs=plan.epochs, after=after), kept
    )
    network.load_state_dict(average.module.state_dict())
    return network.eval()


class TorchState:
    """Torch's own generator, of dropout, as a part of a checkpoint."""

    def state_dict(self) -> dict[str, Tensor]:
        """Its state."""
        return {"state": torch.get_rng_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set it."""
        torch.set_rng_state(state["state"])


def _trunk_pass(network: MassMap, recipe: MassRecipe, engine: Engine) -> Pass:
    """The frozen layers' pass."""
    size = recipe.input
    compiled = engines.accelerated(
        network.trunk, network.trunk.forward, [(1, size.window_height, size.window_width)],
        lambda forward, inputs: forward(*inputs).flatten(1).mean(1).numpy().astype(np.float64),
        engine=engine.on("cpu"), name="mass-trunk", sha256="",
    )  # fmt: skip
    return compiled or network.trunk


def batch_loss(
    network: MassMap, batch: MassBatch, features: Tensor, folds: NDArray[np.intp],
    size_weight: float,
) -> Tensor:  # fmt: skip
    """Mean loss of the members, each of the windows of women whom it may learn from.

    Parameters
    ----------
    network, batch
        What learns, from what.
    features
        The trunk's, of the batch's windows.
    folds
        `(B,)`: the member that must not see each window, `EVERYONE` for none.
    size_weight
        As `loss_of`.
    """
    features = features.contiguous(memory_format=torch.channels_last)
    losses = []
    for number, member in enumerate(network.members):
        mine = torch.from_numpy(np.flatnonzero(folds != number))
        if len(mine):
            found = member(features[mine])
            losses.append(loss_of(found, batch.centres[mine], batch.sizes[mine], size_weight))
    if not losses:  # every window is of women whom no member may learn from
        return 0.0 * torch.stack([p.sum() for p in network.members.parameters()]).sum()
    return torch.stack(losses).mean()


def loss_of(found: Tensor, centres: Tensor, sizes: Tensor, size_weight: float) -> Tensor:
    """Quality focal loss of centres for each mass, and L1 of the logarithmic sizes around them.

    Li X et al., Generalized focal loss, NeurIPS 2020, eq. 3.

    Parameters
    ----------
    found
        `(B, 3, h, w)` of the network.
    centres, sizes
        `(B, h, w)` and `(B, 2, h, w)` as `MassBatch` has them.
    size_weight
        Of the second.
    """
    logits = found[:, 0]
    away = (torch.sigmoid(logits) - centres).abs().square()
    entropy = functional.binary_cross_entropy_with_logits(logits, centres, reduction="none")
    masses = (centres > 0.999).sum().clamp_min(1)
    near = centres * (centres > _NEAR)
    missed = ((found[:, 1:] - sizes).abs().sum(1) * near).sum() / near.sum().clamp_min(1)
    return (away * entropy).sum() / masses + size_weight * missed


def folds_of(views: MassViews, folds: int) -> NDArray[np.intp]:
    """`(n,)` fold of each view's woman; `EVERYONE` for phantoms."""
    return np.array(
        [EVERYONE if name == PHANTOM else fold_of(woman, folds)
         for woman, name in zip(views.women, views.datasets, strict=True)], np.intp,
    )  # fmt: skip


def _odds(views: MassViews, drawn: float) -> NDArray[np.float64]:
    """`(n,)` probabilities of being drawn: phantoms have the share `drawn` together."""
    phantom = np.array([name == PHANTOM for name in views.datasets])
    if phantom.all() or not phantom.any():
        return np.full(len(views), 1 / len(views))
    share = np.where(phantom, drawn / phantom.sum(), (1 - drawn) / (~phantom).sum())
    return np.asarray(share / share.sum(), np.float64)


def _optimizer(network: MassMap, plan: MassSchedule) -> torch.optim.Optimizer:
    trunk: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for member in network.members:
        for name, parameter in member.named_parameters():
            ours = name.startswith(("from_", "mix", "head"))
            (new if ours else trunk).append(parameter)
    return torch.optim.AdamW(
        [{"params": new, "lr": plan.rate}, {"params": trunk, "lr": plan.trunk_rate}],
        weight_decay=plan.weight_decay,
    )
