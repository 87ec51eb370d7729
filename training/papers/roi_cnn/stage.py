"""One learning stage: a network, its start, MONAI's trainer, the weights it ends with."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from ignite.engine import Engine
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from cadnode.domain import FloatImage
from cadnode.errors import DataError
from cadnode.models.cnn import RoiNetwork
from cadnode.models.weights import pack, unpack
from training.papers.roi_cnn.augment import centre
from training.papers.roi_cnn.batches import Batch, Batches
from training.papers.roi_cnn.config import Member, Recipe, Stage
from training.papers.roi_cnn.rois import RoiSet
from training.papers.roi_cnn.tasks import task
from training.workflow import HISTORY, Plan, Training, in_batches, seed_everything

WEIGHTS: Final = "weights.safetensors"
_VALIDATION_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class StageData:
    """The parts that a stage learns from and chooses its best epoch on."""

    train: RoiSet
    validation: RoiSet


def learn(
    network: RoiNetwork, stage: Stage, member: Member, recipe: Recipe, data: StageData, out: Path,
    *, seed: int, device: str, resume: bool, quiet: bool,
) -> Path:  # fmt: skip
    """The file of the weights that the stage ended with: those of its best epoch.

    A stage that has ended is not learnt again when resumed.

    Raises
    ------
    DataError
        The folder holds a training of another recipe, or no epoch could be validated.
    """
    file = out / WEIGHTS
    if resume and file.exists():
        return file
    seed_everything(seed)
    batch = stage.batch or member.batch
    batches = Batches(
        data.train,
        stage,
        recipe.augmentation,
        batch=batch,
        whole=recipe.input.size,
        seed=seed + member.seed,
    )
    plan = _plan(stage, recipe, data.validation, len(batches), device)
    training = RoiTraining(network, batches, plan, out, stage, recipe, device=device, quiet=quiet)
    progressed = training.run(resume=resume)
    if not progressed.best_state:
        raise DataError(f"stage {stage.name}: no epoch could be validated")
    file.write_bytes(pack(progressed.best_state))
    return file


def take_over(network: RoiNetwork, file: Path, *, classifier: bool) -> list[str]:
    """Load the weights that fit; returns the names that stay at their random start.

    With `classifier` the last layer is taken over too, of several outputs the first ones; the
    papers replace it (Kang 2021: "randomly initialised").

    Raises
    ------
    ModelError
        The file is no safetensors.
    DataError
        It is missing, or nothing of it fits.
    """
    try:
        state = unpack(file.read_bytes())
    except OSError:
        raise DataError(f"there is no checkpoint {file.name}") from None
    own, last = network.state_dict(), _classifier_of(network)
    fits = {}
    for name, value in state.items():
        if name.rpartition(".")[0] == last:
            if classifier and len(value) >= len(own[name]):
                fits[name] = value[: len(own[name])]
        elif name in own and own[name].shape == value.shape:
            fits[name] = value
    if not fits:
        raise DataError(f"{file.name} holds no weights of this architecture")
    network.load_state_dict(fits, strict=False)
    return sorted(set(own) - set(fits))


def is_own(file: Path) -> bool:
    """Whether a file holds weights of a stage of ours, and not timm's own."""
    if file.suffix != ".safetensors" or not file.exists():
        return False
    with safe_open(file, "pt") as tensors:
        return all(name.startswith("body.") for name in tensors.keys())  # noqa: SIM118


def _classifier_of(network: RoiNetwork) -> str:
    """Name of the last layer."""
    last = network.body.get_classifier()  # type: ignore[operator]
    return next(name for name, module in network.named_modules() if module is last)


class RoiTraining(Training):
    """`training.workflow.Training` for networks of ROIs, with the papers' optimizer and stopping.

    The best epoch has the highest `score`; training stops when the validation loss has not
    fallen for `patience` epochs (Kang 2021, Implementation).
    """

    def __init__(
        self, network: nn.Module, data: Batches, plan: Plan, out: Path, stage: Stage,
        recipe: Recipe, *, device: str, quiet: bool,
    ) -> None:  # fmt: skip
        super().__init__(network, data, plan, out, device=device, quiet=quiet)
        self.stage, self.recipe = stage, recipe
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(stage.frozen or ("\0",)))
        self.optimizer = _optimizer(self.network, recipe)

    def _start_epoch(self, trainer: Engine) -> None:
        super()._start_epoch(trainer)
        # Dropout's draws depend on the epoch alone: a training taken up again sees the same.
        torch.manual_seed(hash((self.data.seed, trainer.state.epoch)) & 0x7FFFFFFF)  # type: ignore[attr-defined]

    def _step(self, trainer: Engine, batch: Batch) -> dict[str, float]:  # type: ignore[override]
        """One update."""
        step = (trainer.state.iteration - 1) % len(self.data)
        how = self.recipe.optimizer
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate(trainer.state.epoch - 1, step)
        self.network.train()
        images = batch.images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=how.amp):
            logits = self.network(images)
        loss = self.plan.loss(self.network, logits.float(), batch.targets.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if how.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), how.clip)
        self.optimizer.step()
        self._update_average()
        self._losses.append(float(loss.detach()))
        return {"loss": self._losses[-1]}

    @torch.no_grad()
    def _update_average(self) -> None:
        """The weights' exponential average, or the weights themselves."""
        if self.recipe.optimizer.average:
            super()._update_average()
        else:
            self.average.load_state_dict(self.network.state_dict())

    def _out_of_patience(self, done: int) -> bool:
        losses = _validation_losses(self.out / HISTORY, done)
        if not losses:
            return False
        best = min(losses, key=lambda epoch: losses[epoch])
        return done - 1 - best >= self.plan.patience


def _validation_losses(file: Path, done: int) -> dict[int, float]:
    """Validation losses of the epochs before `done`; an epoch that was done twice counts once."""
    if not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {r["epoch"]: r["val_loss"] for r in rows if r["epoch"] < done and "val_loss" in r}


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam with β 0.9 and 0.999 (Kang 2021), its decay as L2 penalty or apart."""
    how = recipe.optimizer
    kind = torch.optim.Adam if how.name == "adam" else torch.optim.AdamW
    trained = [p for p in network.parameters() if p.requires_grad]
    return kind(trained, lr=1e-4, betas=(0.9, 0.999), weight_decay=how.weight_decay)


def _plan(stage: Stage, recipe: Recipe, validation: RoiSet, steps: int, device: str) -> Plan:
    learnt, near, whole = task(stage.task), stage.size > 0, recipe.input.size

    def learning_rate(epoch: int, step: int) -> float:
        if stage.schedule == "constant":
            return stage.learning_rate
        return one_cycle((epoch * steps + step) / (stage.epochs * steps)) * stage.learning_rate

    def validate(network: RoiNetwork, epoch: int) -> dict[str, float]:
        # Epochs are compared at the training's precision; what is reported is float32.
        amp = recipe.optimizer.amp
        logits = logits_of(
            network, validation, stage.size or whole, device=device, amp=amp, near=near
        )
        targets = np.array([r.targets for r in validation.records], np.int64)
        loss = float(learnt.loss(torch.from_numpy(logits), torch.from_numpy(targets)))
        return {"val_loss": loss} | learnt.scores(logits, targets)

    return Plan(
        epochs=stage.epochs,
        patience=stage.patience,
        weight_decay=recipe.optimizer.weight_decay,
        loss=lambda network, logits, targets: learnt.loss(logits, targets),
        learning_rate=learning_rate,
        validate=validate,
    )


def one_cycle(progress: float) -> float:
    """Share of the highest learning rate: rises for a tenth, then falls along a cosine to 0."""
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return float(0.5 * (1 + np.cos(np.pi * (progress - 0.1) / 0.9)))


@torch.inference_mode()
def logits_of(
    network: nn.Module,
    rois: RoiSet,
    size: int,
    *,
    device: str = "cpu",
    amp: bool = False,
    near: bool = False,
) -> NDArray[np.float32]:
    """`(n, outputs)` logits of the ROIs' middles, or of the lesions' with `near`.

    In bfloat16 with `amp`.
    """
    network.eval()
    logits = []

    def cut(row: int) -> FloatImage:
        return centre(rois.images[row], size, rois.records[row].centre if near else None)

    for part in in_batches(range(len(rois)), _VALIDATION_BATCH):
        images = torch.from_numpy(np.stack([cut(i) for i in part]))[:, None]
        images = images.to(device, memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16, enabled=amp):
            logits.append(network(images).float().cpu().numpy())
    return np.concatenate(logits)


def log_odds_of(
    network: RoiNetwork, rois: RoiSet, size: int, *, device: str = "cpu", amp: bool = False
) -> NDArray[np.float64]:
    """`(n,)` log-odds of malignancy, before calibration."""
    logits = torch.from_numpy(logits_of(network, rois, size, device=device, amp=amp))
    return np.asarray(network.log_odds(logits).numpy(), np.float64)


def head_for(network: RoiNetwork, outputs: int) -> RoiNetwork:
    """The network with a new classifier of so many outputs (Kang 2021: replaced at random)."""
    network.body.reset_classifier(outputs)  # type: ignore[operator]
    return network
