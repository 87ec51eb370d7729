"""What a training does, as functions of its state: `engine.loop` runs it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training does, as functions of its state.

    Parameters
    ----------
    loss
        Of the network, its outputs and a minibatch.
    learning_rate
        Of epoch and step.
    validate
        Numbers of the averaged network; `score` among them is the one to raise, None skips
        the epoch.
    restart_at
        Epochs that start from the averaged weights: the beginnings of phases.
    inputs, forward
        What of a minibatch enters the network, and what of the network is its output.
    clip
        Largest norm of the gradient; 0 does not limit it.
    amp
        Whether the recipe computes convolutions in half precision (bfloat16: twice as fast also
        on CPUs that have it).
    optimizer
        Makes the optimizer of parameters; None: AdamW with `weight_decay`.
    average
        Whether the weights' exponential average is validated and kept, or the weights themselves.
    parts
        In how many parts a process that is alone runs a minibatch (`engine.gradients`).
    synchronised
        Whether several processes share the statistics of batch normalisation.
    stop_on
        Number that ends the training when it has not become better for `patience` epochs: the
        highest `score`, or the lowest `val_loss`.
    """

    epochs: int
    patience: int
    weight_decay: float
    loss: Callable[[Any, Tensor, Any], Tensor]
    learning_rate: Callable[[int, int], float]
    validate: Callable[[Any, int], dict[str, float] | None]
    restart_at: frozenset[int] = frozenset()
    inputs: Callable[[Any], Tensor] = lambda batch: batch.views
    forward: Callable[[Any, Tensor], Tensor] = lambda network, views: network.logit_map(views)
    clip: float = 2.0
    amp: bool = True
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None
    average: bool = True
    parts: int = 1
    synchronised: bool = True
    stop_on: Literal["score", "val_loss"] = "score"
