"""What a training from exams' labels does each step and epoch (Kim 2018, Training Set-up)."""

from collections.abc import Callable, Sequence

import torch

from cadnode.networks.dib_mg import DibMg, MapNetwork
from cadnode.statistics.auc import auc
from cadnode_training.engine import memory
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.memory import MemoryPlan
from cadnode_training.engine.plan import TrainingPlan
from cadnode_training.papers.kim2018.breasts import by_breast, by_exam
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.exam_batches import ExamBatches, exam_loss
from cadnode_training.papers.kim2018.prepared import PreparedViews
from cadnode_training.papers.kim2018.readings import logits_of


def batches(prepared: Sequence[PreparedViews], recipe: ViewRecipe, seed: int) -> ExamBatches:
    """The minibatches of all data sets' training exams."""
    return ExamBatches([(p.cache, p.exams["train"]) for p in prepared], recipe.exams, seed)


def plan(
    recipe: ViewRecipe, prepared: Sequence[PreparedViews], machine: Machine, parts: int
) -> TrainingPlan:
    """SGD with momentum, the learning rate divided by steps, the best epoch by validation."""
    how, dtype = recipe.exams, machine.dtype(amp=False)

    def validate(network: MapNetwork, epoch: int) -> dict[str, float] | None:
        found = {}
        for one in prepared:
            rows = one.rows["validation"]
            logits, _ = logits_of(network, one.cache, rows, device=machine.device, dtype=dtype)
            exams = by_exam(by_breast([one.cache.records[i] for i in rows], logits.tolist()))
            found[one.data.name] = auc([e.cancer for e in exams], [e.score for e in exams])
        return found | {"score": sum(found.values()) / len(found)}

    return TrainingPlan(
        epochs=how.epochs,
        patience=how.epochs,
        weight_decay=how.weight_decay,
        loss=exam_loss,
        learning_rate=lambda epoch, step: how.rate(epoch),
        validate=validate,
        clip=0.0,
        amp=False,
        optimizer=lambda weights: torch.optim.SGD(
            weights, lr=how.learning_rate, momentum=how.momentum, weight_decay=how.weight_decay
        ),
        average=False,
        parts=parts,
        synchronised=False,
    )


def fitted_into_memory(
    network: MapNetwork, recipe: ViewRecipe, rows: int, machine: Machine,
    notify: Callable[[str], None],
) -> MemoryPlan:  # fmt: skip
    """How a minibatch of `rows` views is run here; the network's blocks are set to it.

    Several processes have a share each, which is not divided.
    """
    blocks = blocks_of(network)
    blank = torch.zeros(1, 1, recipe.input.height, recipe.input.width)
    kept = memory.kept_for_backward(network, lambda n, x: n.logit_map(x), blank, blocks)
    alone = machine.world == 1
    parts = max(1, min(recipe.exams.parts, rows)) if alone else 1
    found = memory.plan(
        -(-rows // machine.world), parts, kept, memory.free_bytes(machine.device), divisible=alone
    )
    if found.recompute:
        memory.recompute(blocks)
        notify(
            "memory is short: activations are computed again in the backward pass (same numbers)"
        )
    if found.parts > parts:
        notify(
            f"memory is short: minibatches run in {found.parts} parts, not {parts}; batch "
            f"normalisation sees {-(-rows // found.parts)} images at a time"
        )
    return found


def blocks_of(network: MapNetwork) -> list[torch.nn.Module]:
    """The blocks of the paper's Fig. 1; none of an ImageNet trunk, which has none of them."""
    if not isinstance(network, DibMg):
        return []
    return [network.init1, network.init2, *network.residual]
