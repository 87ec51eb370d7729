"""How a network goes through one learning stage: its start, MONAI's trainer, its last weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from ignite.engine import Engine
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from cadnode.domain import FloatImage
from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode.models.weights import pack, unpack
from cadnode.networks.cnn import RoiNetwork
from cadnode_training.data.rois import RoiSet
from cadnode_training.engine.checkpoint import STAGE_WEIGHTS
from cadnode_training.engine.loop import Training, in_batches, seed_everything
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.plan import TrainingPlan
from cadnode_training.papers.roi_cnn import attention
from cadnode_training.papers.roi_cnn.augment import centre
from cadnode_training.papers.roi_cnn.batches import RoiBatch, RoiBatches
from cadnode_training.papers.roi_cnn.config import Member, RoiRecipe, Stage
from cadnode_training.papers.roi_cnn.tasks import task

_VALIDATION_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class StageData:
    """The parts that a stage learns from and chooses its best epoch on."""

    train: RoiSet
    validation: RoiSet


def learn(
    network: RoiNetwork, stage: Stage, member: Member, recipe: RoiRecipe, data: StageData,
    out: Path, *, seed: int, machine: Machine, resume: bool, quiet: bool,
) -> Path:  # fmt: skip
    """The file of the weights that the stage ended with: those of its best epoch.

    A stage that has ended is not trained again when resumed.

    Raises
    ------
    DataError
        The folder holds a training of another recipe, or no epoch could be validated.
    """
    file = out / STAGE_WEIGHTS
    if resume and file.exists():
        return file
    seed_everything(seed)
    batch = stage.batch or member.batch
    batches = RoiBatches(
        data.train,
        stage,
        recipe.augmentation,
        batch=batch,
        whole=recipe.input.size,
        seed=seed + member.seed,
    )
    plan = _plan(stage, recipe, data.validation, len(batches), machine)
    training = RoiTraining(network, batches, plan, out, stage, recipe, machine, quiet=quiet)
    progressed = training.run(resume=resume)
    if not progressed.best_state:
        raise DataError(f"stage {stage.name}: no epoch could be validated")
    return machine.in_turn(lambda: _written(file, progressed.best_state, machine))


def _written(file: Path, state: dict[str, Tensor], machine: Machine) -> Path:
    """The file, which the first process writes at once: a half of it would end a stage."""
    if machine.first:
        write_whole(file, pack(state))
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
    return next(str(name) for name, module in network.named_modules() if module is last)


class RoiTraining(Training):
    """`engine.loop.Training` for networks of ROIs, with the papers' optimizer and stopping.

    The best epoch has the highest `score`; training stops when the validation loss has not
    fallen for `patience` epochs (Kang 2021, Implementation). Validation calls `logits_of`, with
    which the finished network is measured too: MONAI's evaluator would be a second way.
    """

    def __init__(
        self, network: nn.Module, data: RoiBatches, plan: TrainingPlan, out: Path, stage: Stage,
        recipe: RoiRecipe, machine: Machine, *, quiet: bool,
    ) -> None:  # fmt: skip
        super().__init__(network, data, plan, out, machine=machine, quiet=quiet)
        self.stage, self.recipe = stage, recipe
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(stage.frozen or ("\0",)))
        self.optimizer = _optimizer(self.network, recipe)

    def _start_epoch(self, trainer: Engine) -> None:
        super()._start_epoch(trainer)
        # Dropout's draws depend on the epoch alone: a resumed training sees the same.
        drawn = hash((self.data.seed, trainer.state.epoch)) + self.machine.rank  # type: ignore[attr-defined]
        torch.manual_seed(drawn & 0x7FFFFFFF)


def _optimizer(network: nn.Module, recipe: RoiRecipe) -> torch.optim.Optimizer:
    """Adam with β 0.9 and 0.999 (Kang 2021), its decay as L2 penalty or apart."""
    how = recipe.optimizer
    kind = torch.optim.Adam if how.name == "adam" else torch.optim.AdamW
    trained = [p for p in network.parameters() if p.requires_grad]
    return kind(trained, lr=1e-4, betas=(0.9, 0.999), weight_decay=how.weight_decay)


def _plan(
    stage: Stage, recipe: RoiRecipe, validation: RoiSet, steps: int, machine: Machine
) -> TrainingPlan:
    goal, near, whole = task(stage.task), stage.size > 0, recipe.input.size

    def learning_rate(epoch: int, step: int) -> float:
        if stage.schedule == "constant":
            return stage.learning_rate
        return one_cycle((epoch * steps + step) / (stage.epochs * steps)) * stage.learning_rate

    def validate(network: RoiNetwork, epoch: int) -> dict[str, float]:
        # Epochs are compared at the training's precision; what is reported is float32.
        logits = logits_of(
            network, validation, stage.size or whole, device=machine.device,
            dtype=machine.dtype(amp=recipe.optimizer.amp), near=near,
        )  # fmt: skip
        targets = np.array([r.targets for r in validation.records], np.int64)
        loss = float(goal.loss(torch.from_numpy(logits), torch.from_numpy(targets)))
        return {"val_loss": loss} | goal.scores(logits, targets)

    def loss(network: RoiNetwork, found: Tensor, batch: RoiBatch) -> Tensor:
        logits, evidence = found[:, : goal.outputs].float(), found[:, goal.outputs :]
        known = goal.loss(logits, batch.targets)
        if not stage.attention:
            return known
        wanted = attention.inside(network.cells, evidence.shape[1], batch.affines, batch.boxes)
        return known + stage.attention * attention.loss(evidence, wanted)

    return TrainingPlan(
        epochs=stage.epochs,
        patience=stage.patience,
        weight_decay=recipe.optimizer.weight_decay,
        loss=loss,
        learning_rate=learning_rate,
        validate=validate,
        inputs=lambda batch: batch.images,
        forward=attention.with_evidence if stage.attention else _logits,
        clip=recipe.optimizer.clip,
        amp=recipe.optimizer.amp,
        average=recipe.optimizer.average,
        stop_on="val_loss",
    )


def _logits(network: RoiNetwork, images: Tensor) -> Tensor:
    found: Tensor = network(images)
    return found


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
    dtype: torch.dtype | None = None,
    near: bool = False,
) -> NDArray[np.float32]:
    """`(n, outputs)` logits of the ROIs' middles, or of the lesions' with `near`.

    The convolutions are computed in `dtype`; None is float32.
    """
    network.eval()
    logits = []

    def cut(row: int) -> FloatImage:
        return centre(rois.images[row], size, rois.records[row].centre if near else None)

    for part in in_batches(range(len(rois)), _VALIDATION_BATCH):
        images = torch.from_numpy(np.stack([cut(i) for i in part]))[:, None]
        images = images.to(device, memory_format=torch.channels_last)
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            logits.append(network(images).float().cpu().numpy())
    return np.concatenate(logits)


def log_odds_of(
    network: RoiNetwork,
    rois: RoiSet,
    size: int,
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> NDArray[np.float64]:
    """`(n,)` log-odds of malignancy, before calibration."""
    logits = torch.from_numpy(logits_of(network, rois, size, device=device, dtype=dtype))
    return np.asarray(network.log_odds(logits).numpy(), np.float64)


def head_for(network: RoiNetwork, outputs: int) -> RoiNetwork:
    """The network with a new classifier of so many outputs (Kang 2021: replaced at random)."""
    network.body.reset_classifier(outputs)  # type: ignore[operator]
    return network
