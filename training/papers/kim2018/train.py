"""`cadnode train kim2018`: how exams become a card and weights for each kind of data."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cadnode import terminal
from cadnode.errors import DataError, SettingsError
from cadnode.networks import dib_mg, imagenet
from cadnode.networks.dib_mg import MapNetwork, TransferDibMg
from cadnode_training.data.contents import content_hashes
from cadnode_training.data.sets import phantom_exams
from cadnode_training.data.sources import open_source
from cadnode_training.engine import tracking
from cadnode_training.engine.checkpoint import claim
from cadnode_training.engine.command_line import command_line
from cadnode_training.engine.loop import Training, seed_everything
from cadnode_training.engine.machine import Machine, started
from cadnode_training.engine.plan import TrainingPlan
from cadnode_training.engine.prefetch import EpochData
from cadnode_training.engine.preview import Count, Preview, PreviewPhase, table_of
from cadnode_training.engine.protocol import differences, sentences
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.kim2018 import config as recipes
from cadnode_training.papers.kim2018 import exam_split, exam_tables, exam_training, export
from cadnode_training.papers.kim2018.batches import ViewBatches, ViewSource
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.loss import cosine, loss_of
from cadnode_training.papers.kim2018.points import protocol
from cadnode_training.papers.kim2018.prepared import PreparedViews, parts_of, prepare
from cadnode_training.papers.kim2018.readings import contrast_auc


def run(
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train, choose the best epoch on the validation part, write a model folder per data set.

    Returns the models' folders and their measured AUCs.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be.
    """
    machine = machine or Machine.here()
    recipe, quiet = chosen(config, epochs), quiet or not machine.first
    tracking.check(machine)
    console = terminal.console(stderr=True, quiet=quiet)
    with started(machine):
        machine.in_turn(lambda: claim(out, recipe, data, seed, resume=resume or not machine.first))
        sets = machine.in_turn(lambda: [open_source(text) for text in data])
        points = exam_tables.protocol_of(recipe, sets)
        console.print(table_of(differences(points), "Kim 2018"))
        prepared = machine.in_turn(
            lambda: [prepare(one, recipe, out / "tensors", seed) for one in sets]
        )
        for table in exam_tables.shown(prepared):
            console.print(table)
        fit = partial(
            _fit, recipe, resume=resume, quiet=quiet, machine=machine, notify=console.print
        )
        plan = recipe.schedule
        fitted = [
            fit([one.of_fold(k, plan.folds) for one in prepared], out / f"fold-{k}", seed=seed + k)
            for k in range(plan.members)
        ] if plan.folds else [fit(prepared, out, seed=seed)]  # fmt: skip
    members = [network for network, _ in fitted]
    network = dib_mg.joined(recipe.architecture(), members)
    origin = Provenance(
        command=command_line(
            "kim2018",
            data,
            out,
            {"--config": config.name if config else None, "--epochs": epochs, "--seed": seed},
        ),
        seed=seed,
        trained_on=datetime.now(UTC).date(),
        content=content_hashes(data),
    )
    written = prepared if machine.first else []
    models = [
        export.write(
            network, recipe, p, out, origin,
            differences=sentences(points) if recipe.of_exams else (),
            measured=partial(exam_tables.measured, p) if recipe.of_exams else lambda read: {},
        )
        for p in written
    ]  # fmt: skip
    for table in exam_tables.results(models):
        console.print(table)
    return {
        "best_epoch": fitted[0][1],
        "best_epochs": [epoch for _, epoch in fitted],
        "protocol": [point.as_dict() for point in points],
        "models": models,
    }


def _fit(
    recipe: ViewRecipe, prepared: Sequence[PreparedViews], out: Path, *, seed: int, resume: bool,
    quiet: bool, machine: Machine, notify: Callable[[str], None],
) -> tuple[MapNetwork, int]:  # fmt: skip
    """A network at its best epoch, and which that was."""
    seed_everything(seed)
    network = _network(recipe)
    training = Training(
        network, *_task(recipe, prepared, network, seed, machine, notify), out,
        quiet=quiet, machine=machine,
    )  # fmt: skip
    progressed = training.run(resume=resume)
    if not progressed.best_state:
        raise DataError("no epoch could be validated: the validation part lacks a class")
    network.load_state_dict(progressed.best_state)
    return network.cpu().eval(), progressed.best_epoch


def _task(
    recipe: ViewRecipe, prepared: Sequence[PreparedViews], network: MapNetwork, seed: int,
    machine: Machine, notify: Callable[[str], None],
) -> tuple[EpochData, TrainingPlan]:  # fmt: skip
    """Minibatches and plan: of whole exams, or of simulated lesions and pairs of breasts."""
    if not recipe.of_exams:
        return _batches(prepared, recipe, network, seed), _plan(recipe, prepared, machine)
    batches = exam_training.batches(prepared, recipe, seed)
    fitted = exam_training.fitted_into_memory(
        network, recipe, len(exam_split.VIEWS) * batches.batch, machine, notify
    )
    return batches, exam_training.plan(recipe, prepared, machine, fitted.parts)


def chosen(config: Path | None, epochs: int | None) -> ViewRecipe:
    """The recipe with the changes of the command line; one serves machines with and without GPU.

    Raises
    ------
    SettingsError
        The recipe is wrong.
    """
    recipe = recipes.load(recipes.RECIPES.of(config))
    return recipe.with_epochs(epochs) if epochs else recipe


def _network(recipe: ViewRecipe) -> MapNetwork:
    """The recipe's network with what it starts from.

    Raises
    ------
    SettingsError
        Only an ImageNet trunk starts from weights.
    ModelError
        The weights cannot be had, or do not fit.
    """
    network, start = dib_mg.network(recipe.member()), recipe.network.start
    if start == "scratch":
        return network
    if not isinstance(network, TransferDibMg):
        raise SettingsError(
            "network.start: only an ImageNet trunk (network.trunk) starts from weights"
        )
    file = imagenet.download(network.imagenet_name) if start == "imagenet" else Path(start)
    network.start_from(imagenet.read(file))
    return network


def _batches(
    prepared: Sequence[PreparedViews], recipe: ViewRecipe, network: MapNetwork, seed: int
) -> ViewBatches:
    sources = [ViewSource.of(p.cache, p.data.acquisition, p.rows["train"]) for p in prepared]
    for source, part in zip(sources, prepared, strict=True):
        if not source.cancers or not source.backgrounds:
            raise DataError(f"{part.data.name}: too few exams to train on (no pair of breasts)")
    with torch.inference_mode():
        blank = torch.zeros(1, 1, recipe.input.height, recipe.input.width)
        cells = network.eval().logit_map(blank).shape[-1]
    return ViewBatches(sources, recipe, seed, cell=recipe.input.width // cells)


def _plan(recipe: ViewRecipe, prepared: Sequence[PreparedViews], machine: Machine) -> TrainingPlan:
    schedule, dtype = recipe.schedule, machine.dtype(amp=True)

    def learning_rate(epoch: int, step: int) -> float:
        first = epoch < schedule.pretrain_epochs
        done = epoch if first else epoch - schedule.pretrain_epochs
        total = schedule.pretrain_epochs if first else schedule.finetune_epochs
        peak = recipe.pretrain.learning_rate if first else recipe.finetune.learning_rate
        progress = (done + step / schedule.steps_per_epoch) / max(total, 1)
        return cosine(progress, peak, warm_up=min(1.0, 1 / max(total, 1)))

    def validate(network: MapNetwork, epoch: int) -> dict[str, float] | None:
        if epoch < schedule.pretrain_epochs - 1:
            return None
        aucs = {
            p.data.name: contrast_auc(
                network, p.cache, p.compared("validation"), device=machine.device, dtype=dtype
            )
            for p in prepared
        }
        known = {name: auc for name, auc in aucs.items() if auc is not None}
        return known | {"score": sum(known.values()) / len(known)} if known else None

    return TrainingPlan(
        epochs=recipe.epochs,
        patience=schedule.patience,
        weight_decay=recipe.optimizer.weight_decay,
        loss=partial(loss_of, boxes=recipe.finetune.boxes),
        learning_rate=learning_rate,
        validate=validate,
        restart_at=frozenset({schedule.pretrain_epochs}) - {0},
    )


def preview(
    data: Sequence[str], out: Path, *, config: Path | None = None, epochs: int | None = None,
    machine: Machine | None = None,
) -> Preview:  # fmt: skip
    """What `train.run` would do with these; nothing is written or drawn.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be.
    """
    recipe = chosen(config, epochs)
    if recipe.of_exams:
        seen = exam_tables.previewed(data, recipe)
    else:
        seen = exam_tables.SeenExams(
            tuple(count for text in data for count in _counts(text, recipe)), protocol(recipe)
        )
    return Preview(
        system="kim2018",
        recipe=recipes.RECIPES.of(config).name,
        counts=seen.counts,
        differences=tuple(differences(seen.protocol)),
        phases=_phases(recipe, seen.counts),
        writes=(
            f"{out}/dib-mg-KIND/ (card, weights) for each kind of data",
            f"{out}/last.pt, {out}/history.jsonl",
            f"{out}/tensors/ (images)",
        ),
        machine=machine or Machine.here(),
        protocol=seen.protocol,
        further={"strata": seen.strata} if seen.strata else {},
        tables=seen.tables,
    )


def _phases(recipe: ViewRecipe, counts: Sequence[Count]) -> tuple[PreviewPhase, ...]:
    if recipe.of_exams:
        n = sum(sum(c.classes.values()) for c in counts if c.part in ("train", "all"))
        steps = max(1, n // min(recipe.exams.batch, max(n, 1)))
        return (PreviewPhase("whole exams", recipe.exams.epochs, steps),)
    schedule = recipe.schedule
    each = f", {schedule.members} networks in turn" if schedule.folds else ""
    n_steps = schedule.members * schedule.steps_per_epoch
    return (
        PreviewPhase(f"simulated lesions{each}", schedule.pretrain_epochs, n_steps),
        PreviewPhase(f"pairs of breasts{each}", schedule.finetune_epochs, n_steps),
    )


def _counts(text: str, recipe: ViewRecipe) -> list[Count]:
    """Breasts by part and class; of a phantom the exams, as their classes are drawn with them."""
    if text.partition(":")[0] == phantom_exams.NAME:
        sizes = zip(phantom_exams.PARTS, phantom_exams.parse(text).sizes, strict=True)
        return [Count(text, part, {"exams, with cancers as drawn": n}) for part, n in sizes]
    found = open_source(text)
    classes: dict[str, dict[str, bool]] = {part: {} for part in phantom_exams.PARTS}
    for record, part in zip(found.records, parts_of(found.records), strict=True):
        if f"{record.dataset}:{record.woman}" not in recipe.data.exclude:
            classes[part][f"{record.woman}:{record.laterality}"] = record.cancer
    return [
        Count(found.name, part, {
            "breasts with cancer": sum(one.values()), "without": len(one) - sum(one.values()),
        })
        for part, one in classes.items()
    ]  # fmt: skip
