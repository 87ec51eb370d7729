"""`cadnode train kang2021|helsinki_dtl`: from ROIs to a card and weights for each member."""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from cadnode.errors import DataError
from cadnode.models.cnn import CnnConfig, RoiNetwork
from cadnode.models.cnn import network as build
from training.papers.roi_cnn import config as recipes
from training.papers.roi_cnn import export, phantom_rois
from training.papers.roi_cnn.config import IMAGENET, PREVIOUS, SCRATCH, Member, Recipe, Stage
from training.papers.roi_cnn.protocol import Protocol
from training.papers.roi_cnn.rois import PARTS, Part, RoiSet
from training.papers.roi_cnn.stage import StageData, head_for, is_own, learn, take_over
from training.papers.roi_cnn.tasks import task
from training.workflow import seed_everything

RUN: Final = "run.json"


class Sources:
    """The ROIs of each stage: `KIND:…` for all of them, `STAGE=KIND:…` for one.

    Raises
    ------
    DataError
        A text names no stage or no data, or a stage is left without.
    """

    def __init__(
        self, texts: Sequence[str], recipe: Recipe, folder: Path, *, quiet: bool = False
    ) -> None:
        self.recipe, self.folder, self.quiet = recipe, folder, quiet
        names = [s.name for s in recipe.stages]
        self.by_stage: dict[str, phantom_rois.PhantomSource] = {}
        for text in texts:
            stage, equals, rest = text.rpartition("=")
            if equals and stage not in names:
                raise DataError(f"--data: there is no stage {stage}; known: {', '.join(names)}")
            source = phantom_rois.parse(rest)
            for name in [stage] if equals else [n for n in names if n not in self.by_stage]:
                self.by_stage[name] = source
        missing = [n for n in names if n not in self.by_stage]
        if missing:
            raise DataError(f"--data: nothing for stage {', '.join(missing)}")

    def part(self, stage: Stage, part: Part) -> RoiSet:
        """A part of a stage's ROIs; those of the training part with a margin to move them in."""
        margin = self.recipe.augmentation.translation_px if part == "train" else 0
        return phantom_rois.prepare(
            self.by_stage[stage.name], part, self.recipe.roi(), self.folder,
            margin=margin, quiet=self.quiet,
        )  # fmt: skip


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
) -> dict[str, Any]:
    """Train each member through all stages; write and measure its model folder.

    `data` is `phantom:…` for all stages, or `STAGE=phantom:…` for one. `config` is a recipe,
    the paper's own by default, or `cpu` for the small one; `members` (networks of the ensemble),
    `epochs` (of each stage) and `init` (weights that the first stage starts from: a stage's own,
    or timm's of ImageNet) change it. `resume` goes on with what `out` holds. The drawn ROIs are
    kept in `cache`, `out/rois` by default.

    Raises
    ------
    DataError, SettingsError, ModelError
        Data, recipe or starting weights are not what they should be.
    """
    recipe = recipes.load(protocol.recipe_of(config))
    recipe = recipe.with_members(members) if members else recipe
    recipe = recipe.with_epochs(epochs) if epochs else recipe
    recipe = recipe.with_init(str(init)) if init else recipe
    Console(stderr=True, quiet=quiet).print(protocol.table(recipe))
    _claim(out, recipe, data, seed, resume=resume)
    sources = Sources(data, recipe, cache or out / "rois", quiet=quiet)
    origin = export.Origin(
        command=_command(protocol, data, out, config, members, epochs, seed),
        seed=seed,
        trained_on=datetime.now(UTC).date(),
    )
    models = []
    for member in recipe.members:
        network = _through_stages(
            member, recipe, sources, out, seed=seed, resume=resume, quiet=quiet
        )
        last = recipe.stages[-1]
        parts = {part: sources.part(last, part) for part in PARTS}
        models.append(export.write(protocol, member, recipe, network, parts, out, origin))
    return {"models": models}


def _through_stages(
    member: Member, recipe: Recipe, sources: Sources, out: Path, *, seed: int, resume: bool,
    quiet: bool,
) -> RoiNetwork:  # fmt: skip
    """The member's network with the weights that the last stage ended with."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    console, before = Console(stderr=True, quiet=quiet), None
    for number, stage in enumerate(recipe.stages, 1):
        seed_everything(seed + member.seed + 1000 * number)
        network = _start(member, stage, before)
        folder = out / f"{member.network}-{member.seed}" / f"{number}-{stage.name}"
        console.print(f"{member.network}: stage {number} of {len(recipe.stages)}, {stage.name}")
        data = StageData(sources.part(stage, "train"), sources.part(stage, "validation"))
        before = learn(
            network, stage, member, recipe, data, folder,
            seed=seed, device=device, resume=resume, quiet=quiet,
        )  # fmt: skip
    final = build(CnnConfig(name=member.network))
    left = take_over(final, before, classifier=True)
    if left:
        raise DataError(f"the weights of the last stage lack {', '.join(left[:3])}")
    return final.eval()


def _start(member: Member, stage: Stage, before: Path | None) -> RoiNetwork:
    """The network as a stage starts: the weights of `init`, a classifier at random."""
    config = CnnConfig(name=member.network)
    imagenet = _imagenet(member, stage)
    network = build(config, pretrained=imagenet)
    if stage.task != "malignancy":
        head_for(network, task(stage.task).outputs)
    if imagenet is False and stage.init != SCRATCH:
        file = before if stage.init == PREVIOUS and before else Path(stage.init)
        take_over(network, file, classifier=stage.classifier == "kept")
    return network


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


def _claim(out: Path, recipe: Recipe, data: Sequence[str], seed: int, *, resume: bool) -> None:
    """Write down what the folder's training depends on; refuse to resume another one."""
    state = {"recipe": dataclasses.asdict(recipe), "data": list(data), "seed": seed}
    text = json.dumps(state, indent=2, sort_keys=True)
    file = out / RUN
    if resume and file.exists():
        if hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(text.encode()).digest():
            raise DataError("--resume: the folder holds a training of other data, recipe or seed")
        return
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _command(
    protocol: Protocol, data: Sequence[str], out: Path, config: Path | None,
    members: Sequence[str] | None, epochs: int | None, seed: int,
) -> str:  # fmt: skip
    """The command line, with the folders' names alone."""
    words = ["cadnode", "train", protocol.system.value]
    options: Mapping[str, object] = {
        "--config": config.name if config else None, "--epochs": epochs, "--out": out.name,
        "--seed": seed,
    }  # fmt: skip
    for text in data:
        words += ["--data", text]
    for name in members or ():
        words += ["--members", name]
    for option, value in options.items():
        words += [option, str(value)] if value is not None else []
    return shlex.join(words)
