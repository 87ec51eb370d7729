"""`cadnode train kang2021|helsinki_dtl`: how ROIs become a card and weights per member."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from cadnode import terminal
from cadnode.errors import DataError, ModelError
from cadnode.networks.cnn import CnnConfig, RoiNetwork
from cadnode.networks.cnn import network as build
from cadnode_training.data.contents import content_hashes
from cadnode_training.data.rois import PARTS
from cadnode_training.engine import tracking
from cadnode_training.engine.checkpoint import claim
from cadnode_training.engine.command_line import command_line
from cadnode_training.engine.loop import seed_everything
from cadnode_training.engine.machine import Machine, started
from cadnode_training.engine.provenance import Provenance
from cadnode_training.engine.recipe import CPU
from cadnode_training.papers.roi_cnn import config as recipes
from cadnode_training.papers.roi_cnn import export, joint
from cadnode_training.papers.roi_cnn.config import (
    IMAGENET,
    PREVIOUS,
    SCRATCH,
    Member,
    RoiRecipe,
    Stage,
)
from cadnode_training.papers.roi_cnn.export import ExportedMember
from cadnode_training.papers.roi_cnn.protocol import Protocol
from cadnode_training.papers.roi_cnn.sources import Sources
from cadnode_training.papers.roi_cnn.stage import StageData, head_for, is_own, learn, take_over
from cadnode_training.papers.roi_cnn.tasks import task


def run(
    protocol: Protocol,
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    members: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    init: Path | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train each member through all stages; write and measure its model folder.

    `data` is `KIND:…` for all stages, or `STAGE=KIND:…` for one. `config` is a recipe, `paper`
    or `cpu`, by default what fits `machine`; `members` (networks of the ensemble), `epochs` (of
    each stage) and `init` (weights that the first stage starts from: a stage's own, or timm's of
    ImageNet) change it. `resume` continues what `out` holds. The ROIs are kept in `cache`,
    `out/rois` by default.

    Raises
    ------
    DataError, SettingsError, ModelError
        Data, recipe or starting weights are not what they should be.
    """
    machine = machine or Machine.here()
    recipe, config = chosen(protocol, config, members, epochs, init, machine)
    quiet = quiet or not machine.first
    tracking.check(machine)
    terminal.console(stderr=True, quiet=quiet).print(protocol.table(recipe))
    with started(machine):
        machine.in_turn(lambda: claim(out, recipe, data, seed, resume=resume or not machine.first))
        sources = Sources(data, recipe, cache or out / "rois", quiet=quiet)
        origin = Provenance(
            command=command_line(protocol.system.value, data, out, {
                "--members": members, "--config": config.name if config else None,
                "--init": init.name if init else None, "--epochs": epochs, "--seed": seed,
            }),
            seed=seed,
            trained_on=datetime.now(UTC).date(),
            content=content_hashes(data),
        )  # fmt: skip
        members_done: list[ExportedMember] = []
        for member in recipe.members:
            lacking: list[str] = []
            network = _through_stages(
                member, recipe, sources, out, seed=seed, resume=resume, quiet=quiet,
                machine=machine, lacking=lacking,
            )  # fmt: skip
            if machine.first:
                *earlier, last = recipe.stages
                parts = {part: sources.part(last, part) for part in PARTS}
                seen = [sources.part(stage, part) for stage in earlier for part in PARTS[:2]]
                members_done.append(
                    export.write(
                        protocol, member, recipe, network, parts, out, origin, seen, lacking
                    )
                )
    together = joint.measured(members_done, parts) if members_done else {}
    return {
        "models": [one.result for one in members_done],
        "protocol": [point.as_dict() for point in protocol.points(recipe)],
    } | ({"ensemble": together} if together else {})


def chosen(
    protocol: Protocol, config: Path | None, members: Sequence[str] | None, epochs: int | None,
    init: Path | None, machine: Machine,
) -> tuple[RoiRecipe, Path | None]:  # fmt: skip
    """The recipe with the changes of the command line, and the name it goes by there.

    Raises
    ------
    SettingsError
        The recipe is wrong, or a member is none of its own.
    """
    note = protocol.recipes.note(config, machine.device)
    if note and machine.first:
        terminal.console(stderr=True).print(note)
    recipe = recipes.load(protocol.recipe_of(config, machine.device))
    recipe = recipe.with_members(members) if members else recipe
    recipe = recipe.with_epochs(epochs) if epochs else recipe
    recipe = recipe.with_init(str(init)) if init else recipe
    return recipe, Path(CPU) if note else config


def _through_stages(
    member: Member, recipe: RoiRecipe, sources: Sources, out: Path, *, seed: int, resume: bool,
    quiet: bool, machine: Machine, lacking: list[str],
) -> RoiNetwork:  # fmt: skip
    """The member's network with the weights that the last stage ended with."""
    console, before = terminal.console(stderr=True, quiet=quiet), None
    for number, stage in enumerate(recipe.stages, 1):
        seed_everything(seed + member.seed + 1000 * number)
        folder = out / f"{member.network}-{member.seed}" / f"{number}-{stage.name}"
        console.print(f"{member.network}: stage {number} of {len(recipe.stages)}, {stage.name}")
        network = _start(member, stage, before, console, lacking)
        data = machine.in_turn(partial(_data, sources, stage))
        before = learn(
            network, stage, member, recipe, data, folder,
            seed=seed, machine=machine, resume=resume, quiet=quiet,
        )  # fmt: skip
    final = build(CnnConfig.of(member.network))
    assert before is not None
    left = take_over(final, before, classifier=True)
    if left:
        raise DataError(f"the weights of the last stage lack {', '.join(left[:3])}")
    return final.eval()


def _data(sources: Sources, stage: Stage) -> StageData:
    return StageData(sources.part(stage, "train"), sources.part(stage, "validation"))


def _start(
    member: Member, stage: Stage, before: Path | None, console: Console | None = None,
    lacking: list[str] | None = None,
) -> RoiNetwork:  # fmt: skip
    """The network as a stage starts: the weights of `init`, a classifier at random.

    Where ImageNet's weights cannot be fetched, `lacking` gets a sentence for the card.
    """
    imagenet = _imagenet(member, stage)
    network = _built(member, imagenet, console or terminal.console(stderr=True), lacking)
    if stage.task != "malignancy":
        head_for(network, task(stage.task).outputs)
    if imagenet is False and stage.init != SCRATCH:
        file = before if stage.init == PREVIOUS and before else Path(stage.init)
        take_over(network, file, classifier=stage.classifier == "kept")
    return network


def _built(
    member: Member, imagenet: bool | Path, console: Console, lacking: list[str] | None
) -> RoiNetwork:
    """The network, from scratch where ImageNet's weights cannot be fetched.

    Choice: a line instead of an error, because a machine in a hospital has no internet; `--init`
    takes a file of them, and a file that cannot be read is an error.
    """
    config = CnnConfig.of(member.network)
    try:
        return build(config, pretrained=imagenet)
    except ModelError:
        if imagenet is not True:
            raise
    console.print(
        f"{member.network}: ImageNet's weights cannot be fetched, it starts from scratch "
        "(--init FILE takes them from a file)"
    )
    if lacking is not None:
        lacking.append("first weights: at random, because ImageNet's could not be fetched")
    return build(config)


def _imagenet(member: Member, stage: Stage) -> bool | Path:
    """Whether a stage starts from ImageNet's weights: to be fetched, or a file of timm's names.

    A folder as `init` holds a file for each network, `inception_v3.safetensors`.
    """
    if stage.init in (SCRATCH, PREVIOUS):
        return False
    if stage.init == IMAGENET:
        return True
    file = Path(stage.init)
    file = file / f"{member.network}.safetensors" if file.is_dir() else file
    return False if is_own(file) else file
