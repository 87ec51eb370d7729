"""The training loop: MONAI's `SupervisedTrainer` with the handlers that every paper needs.

Deterministic for a seed, and resumable: a training that was killed goes on from its last whole
epoch and ends with the same weights as one that was not.
"""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from cadnode.errors import DataError

CHECKPOINT, HISTORY = "last.pt", "history.jsonl"


class EpochData(Protocol):
    """Minibatches that depend on the epoch's number."""

    epoch: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training does, as functions of its state.

    Parameters
    ----------
    loss
        Of the network's logit maps and a minibatch.
    learning_rate
        Of epoch and step.
    validate
        Numbers of the averaged network; `score` among them is the one to raise, None skips
        the epoch.
    restart_at
        Epochs that start from the averaged weights: the beginnings of phases.
    """

    epochs: int
    patience: int
    weight_decay: float
    loss: Callable[[Any, Tensor, Any], Tensor]
    learning_rate: Callable[[int, int], float]
    validate: Callable[[Any, int], dict[str, float] | None]
    restart_at: frozenset[int] = frozenset()


@dataclass(slots=True)
class Progressed:
    """How far a training has come, and its best epoch."""

    best_score: float = -1.0
    best_epoch: int = -1
    best_state: dict[str, Tensor] = field(default_factory=dict)
    updates: int = 0


def seed_everything(seed: int) -> None:
    """Same seed, same training, on the same machine and number of threads."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Training:
    """One training in one folder.

    Parameters
    ----------
    network
        With `logit_map`.
    data
        Minibatches with a `views` tensor.
    out
        Receives `last.pt` after each epoch, and `history.jsonl`.
    """

    def __init__(
        self, network: Any, data: EpochData, plan: Plan, out: Path, *, device: str, quiet: bool
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.data, self.plan, self.out, self.device, self.quiet = data, plan, out, device, quiet
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-3, weight_decay=plan.weight_decay
        )
        self.progressed = Progressed()
        self._losses: list[float] = []

    def run(self, *, resume: bool) -> Progressed:
        """Train to the end; the best epoch's averaged weights are in `best_state`."""
        self.out.mkdir(parents=True, exist_ok=True)
        done = self._load() if resume else 0
        if not resume:
            (self.out / HISTORY).unlink(missing_ok=True)
        if done < self.plan.epochs and not self._out_of_patience(done):
            trainer = self._trainer(done)
            with self._bar() as bar:
                self._attach(trainer, bar)
                trainer.run()
        return self.progressed

    def _trainer(self, done: int) -> Engine:
        trainer = SupervisedTrainer(
            device=torch.device(self.device),
            max_epochs=self.plan.epochs,
            train_data_loader=self.data,
            network=self.network,
            optimizer=self.optimizer,
            loss_function=nn.Identity(),
            epoch_length=len(self.data),
            iteration_update=self._step,
        )
        trainer.state.epoch = done
        trainer.state.iteration = done * len(self.data)
        return trainer

    def _attach(self, trainer: Engine, bar: Progress) -> None:
        total = self.plan.epochs * len(self.data)
        task = bar.add_task("training", total=total, completed=trainer.state.iteration, note="")
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: bar.advance(task))
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch, bar, task)

    def _start_epoch(self, trainer: Engine) -> None:
        epoch = trainer.state.epoch - 1
        self.data.epoch = epoch
        self._losses = []
        if epoch in self.plan.restart_at:
            self.network.load_state_dict(self.average.state_dict())
            self.progressed.updates = 0
            self.optimizer.state.clear()

    def _step(self, trainer: Engine, batch: Any) -> dict[str, float]:
        """One update; convolutions in bfloat16, twice as fast on CPUs that have it."""
        step = (trainer.state.iteration - 1) % len(self.data)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate(trainer.state.epoch - 1, step)
        self.network.train()
        views = batch.views.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16):
            maps = self.network.logit_map(views)
        loss = self.plan.loss(self.network, maps, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self._update_average()
        self._losses.append(float(loss.detach()))
        return {"loss": self._losses[-1]}

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential average of the weights: short at first, some hundred steps later."""
        self.progressed.updates += 1
        decay = min(0.997, self.progressed.updates / (self.progressed.updates + 20))
        new = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - decay)
            else:
                value.copy_(new[name])

    def _end_epoch(self, trainer: Engine, bar: Progress, task: Any) -> None:
        epoch = trainer.state.epoch - 1
        numbers = {"epoch": epoch, "loss": float(np.mean(self._losses))}
        validated = self.plan.validate(self.average, epoch)
        if validated is not None:
            numbers |= validated
            if validated["score"] > self.progressed.best_score:
                self.progressed.best_score, self.progressed.best_epoch = validated["score"], epoch
                self.progressed.best_state = copy.deepcopy(self.average.state_dict())
        with (self.out / HISTORY).open("a") as history:
            history.write(json.dumps(numbers) + "\n")
        self._save(epoch + 1)
        bar.update(task, note=" ".join(f"{k} {v:.3f}" for k, v in numbers.items() if k != "epoch"))
        if self._out_of_patience(epoch + 1):
            trainer.terminate()

    def _out_of_patience(self, done: int) -> bool:
        best = self.progressed.best_epoch
        return best >= 0 and done - 1 - best >= self.plan.patience

    def _save(self, done: int) -> None:
        """The whole state, replaced at once: a kill leaves the old checkpoint or the new one."""
        state = {
            "done": done,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_score": self.progressed.best_score,
            "best_epoch": self.progressed.best_epoch,
            "best_state": self.progressed.best_state,
            "updates": self.progressed.updates,
        }
        partial = self.out / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        os.replace(partial, self.out / CHECKPOINT)

    def _load(self) -> int:
        """Epochs done according to the checkpoint, whose state is taken over."""
        file = self.out / CHECKPOINT
        if not file.exists():
            return 0
        try:
            state = torch.load(file, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, KeyError, ValueError):
            raise DataError(f"{file.name} does not belong to this recipe; start anew") from None
        self.progressed = Progressed(
            state["best_score"], state["best_epoch"], state["best_state"], state["updates"]
        )
        return int(state["done"])

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            disable=self.quiet,
        )  # fmt: skip


def in_batches(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """`rows` in parts of at most `size`."""
    return (rows[first : first + size] for first in range(0, len(rows), size))
