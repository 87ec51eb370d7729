"""How a network is trained: MONAI's `SupervisedTrainer` with the handlers of every paper.

Deterministic for a seed, and resumable: a killed training continues from its last complete
epoch and ends with the same weights as one that was not.
"""

import copy
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
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

from cadnode import terminal
from cadnode.errors import DataError
from cadnode_training.engine import checkpoint, tracking
from cadnode_training.engine.batch_norm import over_processes
from cadnode_training.engine.checkpoint import CHECKPOINT
from cadnode_training.engine.gradients import Gradients
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.plan import TrainingPlan
from cadnode_training.engine.prefetch import EpochData, Feed, moved


def bar_of(*, quiet: bool) -> Progress:
    """A bar with the time that is left, and a field `note` for the last epoch's numbers."""
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        console=terminal.console(stderr=True), disable=quiet,
    )  # fmt: skip


HISTORY: Final = "history.jsonl"
T = TypeVar("T")


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
        What `Plan.forward` runs.
    data
        Its minibatches.
    out
        Receives `last.pt` after each epoch, and `history.jsonl`.
    machine
        Where it runs; without one, a single process on `device`.
    """

    def __init__(
        self, network: Any, data: EpochData, plan: TrainingPlan, out: Path, *, device: str = "cpu",
        quiet: bool, machine: Machine | None = None,
    ) -> None:  # fmt: skip
        self.machine = machine or Machine(device)
        self.data, self.plan, self.out, self.quiet = data, plan, out, quiet
        self.device = self.machine.device
        if self.machine.world > 1 and plan.synchronised:
            network = over_processes(network, self.machine.device)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        made = plan.optimizer or _adamw(plan.weight_decay)
        self.optimizer: torch.optim.Optimizer = made(self.network.parameters())
        self.dtype = self.machine.dtype(amp=plan.amp)
        self.scaler = torch.amp.GradScaler(self.machine.device, enabled=self.dtype is torch.float16)
        self.stopping = _stopping(plan)
        self.progressed, self.parts = Progressed(), plan.parts
        self._losses: list[float] = []

    def run(self, *, resume: bool) -> Progressed:
        """Train to the end; the best epoch's averaged weights are in `best_state`."""
        self.out.mkdir(parents=True, exist_ok=True)
        done = self._load() if resume else 0
        self._keep_history(done)
        if done < self.plan.epochs and not self._out_of_patience():
            self.gradients = Gradients(
                self.network, self.plan.forward, self.machine, self.dtype,
                scale=self.scaler.scale, parts=self.parts,
                notify=terminal.console(stderr=True, quiet=self.quiet).print,
            )  # fmt: skip
            trainer = self._trainer(done)
            with bar_of(quiet=self.quiet or not self.machine.first) as bar:
                self._attach(trainer, bar)
                trainer.run()
        return self.progressed

    def _trainer(self, done: int) -> Engine:
        trainer = SupervisedTrainer(
            device=torch.device(self.device),
            max_epochs=self.plan.epochs,
            train_data_loader=Feed(self.data, self.machine),
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
        self.stopping.trainer = trainer
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: bar.advance(task))
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch, bar, task)
        tracking.attach(trainer, self.machine, self.out)

    def _start_epoch(self, trainer: Engine) -> None:
        epoch = trainer.state.epoch - 1
        self.data.epoch = epoch
        self._losses = []
        if epoch in self.plan.restart_at:
            self.network.load_state_dict(self.average.state_dict())
            self.progressed.updates = 0
            self.optimizer.state.clear()

    def _step(self, trainer: Engine, batch: Any) -> dict[str, float]:
        """One update."""
        step = (trainer.state.iteration - 1) % len(self.data)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate(trainer.state.epoch - 1, step)
        self.network.train()
        batch = moved(batch, self.device)
        inputs = self.plan.inputs(batch).to(memory_format=torch.channels_last)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.gradients.of(inputs, lambda out: self.plan.loss(self.network, out, batch))
        self.scaler.unscale_(self.optimizer)
        if self.plan.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._update_average()
        self._losses.append(loss)
        return {"loss": loss}

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential average of the weights: short at first, some hundred steps later.

        The weights themselves where the plan takes no average.
        """
        if not self.plan.average:
            self.average.load_state_dict(self.network.state_dict())
            return
        self.progressed.updates += 1
        decay = min(0.997, self.progressed.updates / (self.progressed.updates + 20))
        new = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - decay)
            else:
                value.copy_(new[name])

    def _end_epoch(self, trainer: Engine, bar: Progress, task: Any) -> None:
        """Validate, count for early stopping, and write both into one checkpoint."""
        epoch = trainer.state.epoch - 1
        mine = self.plan.validate(self.average, epoch) if self.machine.first else None
        validated = self.machine.agreed(mine)
        trainer.state.metrics = {"mean_loss": float(np.mean(self._losses))} | (validated or {})
        if validated is not None:
            self._keep_best(validated["score"], epoch)
            self.stopping(trainer)
        if self.machine.first:
            numbers = {"epoch": epoch, "loss": float(np.mean(self._losses))} | (validated or {})
            with (self.out / HISTORY).open("a") as history:
                history.write(json.dumps(numbers) + "\n")
            self._save(epoch + 1)
            note = (f"{k} {v:.3f}" for k, v in numbers.items() if k != "epoch")
            bar.update(task, note=" ".join(note))

    def _keep_best(self, score: float, epoch: int) -> None:
        if score > self.progressed.best_score:
            self.progressed.best_score, self.progressed.best_epoch = score, epoch
            self.progressed.best_state = copy.deepcopy(self.average.state_dict())

    def _out_of_patience(self) -> bool:
        return bool(self.stopping.counter >= self.stopping.patience)

    def _save(self, done: int) -> None:
        state = {
            "done": done,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "stopping": {"counter": self.stopping.counter, "best": self.stopping.best_score},
            "best_score": self.progressed.best_score,
            "best_epoch": self.progressed.best_epoch,
            "best_state": self.progressed.best_state,
            "updates": self.progressed.updates,
            "parts": self.gradients.parts,
        }
        checkpoint.write(self.out / CHECKPOINT, state)

    def _load(self) -> int:
        """Epochs done according to the checkpoint, whose state is taken over."""
        state = checkpoint.read(self.out / CHECKPOINT, self.device)
        if state is None:
            return 0
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler.is_enabled() and state.get("scaler"):
                self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, KeyError, ValueError):
            raise DataError(
                f"{CHECKPOINT} does not belong to this recipe; start from scratch"
            ) from None
        self.progressed = Progressed(
            state["best_score"], state["best_epoch"], state["best_state"], state["updates"]
        )
        # A part's batch statistics are its own: more memory than before must not change them.
        self.parts = max(self.parts, state.get("parts", 1))
        counted = state.get("stopping", {"counter": 0, "best": None})
        self.stopping.counter, self.stopping.best_score = counted["counter"], counted["best"]
        return int(state["done"])

    def _keep_history(self, done: int) -> None:
        """Only the epochs that the checkpoint knows of stay in the history."""
        file = self.out / HISTORY
        if self.machine.first and file.exists():
            lines = file.read_text().splitlines()
            kept = [one for one in lines if one.endswith("}") and json.loads(one)["epoch"] < done]
            file.write_text("".join(f"{one}\n" for one in kept))


def _adamw(weight_decay: float) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    return lambda weights: torch.optim.AdamW(weights, lr=1e-3, weight_decay=weight_decay)


def _stopping(plan: TrainingPlan) -> EarlyStopping:
    """Ignite's handler; it is called before the checkpoint is written, to be part of it."""

    def better(trainer: Engine) -> float:
        value = float(trainer.state.metrics[plan.stop_on])
        return value if plan.stop_on == "score" else -value

    return EarlyStopping(max(plan.patience, 1), better, Engine(lambda engine, batch: None))


def in_batches(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`rows` in parts of at most `size`."""
    return (rows[first : first + size] for first in range(0, len(rows), size))
