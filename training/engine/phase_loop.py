"""How small networks are trained by one running generator: MONAI's trainer, resumable by file.

`engine.loop` makes each minibatch of epoch and step alone; here they are drawn from one
generator, one after another, whose state is therefore part of the checkpoint.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from cadnode.errors import DataError
from cadnode_training.engine import checkpoint, tracking
from cadnode_training.engine.machine import Machine


class Stateful(Protocol):
    """A network, an optimizer, a generator: what a checkpoint is made of."""

    def state_dict(self) -> Any:
        """Everything that its future depends on."""

    def load_state_dict(self, state: Any) -> Any:
        """Take a state over."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the states of phases are kept, and whose scalars are written.

    Parameters
    ----------
    folder
        Each phase has a file in it, from which it resumes.
    every
        So many epochs lie between two checkpoints.
    machine
        Names the trackers that are wanted; None: none.
    """

    folder: Path
    every: int = 1
    machine: Machine | None = None

    def inside(self, name: str) -> "Kept":
        """A folder in the folder, without trackers."""
        return Kept(self.folder / name, self.every)


@dataclass(frozen=True, slots=True)
class Phase:
    """Epochs of one kind.

    Parameters
    ----------
    name
        Names its file.
    parts
        Its whole state, by name.
    batches
        The minibatches of the next epoch.
    step
        One update; returns the loss.
    steps, epochs
        Minibatches of an epoch, and epochs at most.
    after
        Called when an epoch has ended, before it is kept: validation.
    ended
        Whether the phase ends after so many epochs, by `parts`' state: early stopping. Choice:
        ours instead of ignite's handler, because the best epoch's weights must come back with it.
    """

    name: str
    parts: Mapping[str, Stateful]
    batches: Callable[[], Iterable[Any]]
    step: Callable[[Any], Tensor]
    steps: int
    epochs: int
    after: Callable[[int, float], None] = lambda epoch, loss: None
    ended: Callable[[int], bool] = lambda done: False


def learn(phase: Phase, kept: Kept | None = None) -> None:
    """Run a phase to its end, from the state in its file.

    Raises
    ------
    DataError
        The file is of another training.
    """
    done = _load(phase, kept)
    if done >= phase.epochs or phase.ended(done):
        return
    losses: list[float] = []

    def update(trainer: Engine, batch: Any) -> dict[str, float]:
        losses.append(float(phase.step(batch).detach()))
        return {"loss": losses[-1]}

    def end(trainer: Engine) -> None:
        epoch = trainer.state.epoch
        mean = float(np.mean(losses))
        losses.clear()
        trainer.state.metrics = {"mean_loss": mean}
        phase.after(epoch - 1, mean)
        last = epoch >= phase.epochs or phase.ended(epoch)
        if kept and (last or epoch % kept.every == 0):
            _save(phase, kept, epoch)
        if last:
            trainer.terminate()

    network = next(p for p in phase.parts.values() if isinstance(p, nn.Module))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=phase.epochs, train_data_loader=_Epochs(phase),
        network=network, optimizer=phase.parts["optimizer"], loss_function=nn.Identity(),
        epoch_length=phase.steps, iteration_update=update,
    )  # fmt: skip
    trainer.state.epoch, trainer.state.iteration = done, done * phase.steps
    trainer.add_event_handler(Events.EPOCH_COMPLETED, end)
    if kept and kept.machine:
        tracking.attach(trainer, kept.machine, kept.folder / phase.name)
    trainer.run()


class _Epochs:
    def __init__(self, phase: Phase) -> None:
        self.phase = phase

    def __len__(self) -> int:
        return self.phase.steps

    def __iter__(self) -> Iterator[Any]:
        yield from self.phase.batches()


def _load(phase: Phase, kept: Kept | None) -> int:
    """Epochs done according to the phase's file, whose state is taken over."""
    state = checkpoint.read(kept.folder / f"{phase.name}.pt") if kept else None
    if state is None:
        return 0
    try:
        for name, part in phase.parts.items():
            part.load_state_dict(state[name])
    except (RuntimeError, KeyError, ValueError, TypeError):
        raise DataError(
            f"{phase.name}.pt does not belong to this recipe; start from scratch"
        ) from None
    return int(state["done"])


def _save(phase: Phase, kept: Kept, done: int) -> None:
    kept.folder.mkdir(parents=True, exist_ok=True)
    states = {name: part.state_dict() for name, part in phase.parts.items()}
    checkpoint.write(kept.folder / f"{phase.name}.pt", states | {"done": done})


@dataclass(frozen=True, slots=True)
class TorchRandom:
    """A torch generator as a part of a checkpoint."""

    generator: torch.Generator

    def state_dict(self) -> dict[str, Tensor]:
        """Its state."""
        return {"state": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Set it."""
        self.generator.set_state(state["state"])


@dataclass(frozen=True, slots=True)
class NumpyRandom:
    """A NumPy generator as a part of a checkpoint."""

    generator: np.random.Generator

    def state_dict(self) -> dict[str, str]:
        """Its state."""
        return {"state": json.dumps(self.generator.bit_generator.state)}

    def load_state_dict(self, state: Mapping[str, str]) -> None:
        """Set it."""
        self.generator.bit_generator.state = json.loads(state["state"])


@dataclass(slots=True)
class Best:
    """The epoch of the lowest validation loss, and its weights."""

    loss: float = float("inf")
    epoch: int = -1
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, loss: float, epoch: int, network: nn.Module) -> None:
        """Take the epoch where its loss is lower."""
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            self.weights = copy.deepcopy(network.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Everything."""
        return {"loss": self.loss, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it over."""
        self.loss, self.epoch, self.weights = state["loss"], state["epoch"], state["weights"]
