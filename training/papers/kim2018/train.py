"""`cadnode train kim2018`: from folders of exams to a card and weights for each kind of data."""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.dib_mg import DibMg
from training.data.sources import open_source
from training.data.tensors import TensorCache
from training.data.views import DataSet, Part, part_of
from training.papers.kim2018 import config as recipes
from training.papers.kim2018 import export
from training.papers.kim2018.batches import Batches, Source
from training.papers.kim2018.config import Recipe
from training.papers.kim2018.loss import cosine, loss_of
from training.papers.kim2018.validation import compared, contrast_auc
from training.workflow import Plan, Training, seed_everything


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A data set with its tensors, and the rows of each part."""

    data: DataSet
    cache: TensorCache
    rows: dict[Part, list[int]]

    def compared(self, part: Part) -> list[int]:
        """Rows of a part that take part in the data set's contrast."""
        chosen = self.rows[part]
        picked = compared([self.cache.records[i] for i in chosen], self.data.acquisition)
        return [chosen[i] for i in picked]


def run(
    data: Sequence[str],
    out: Path,
    *,
    config: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train, choose the best epoch on the validation part, write a model folder per data set.

    Returns the models' folders and their measured areas.

    Raises
    ------
    DataError, SettingsError
        A folder or the recipe is not what it should be.
    """
    recipe = recipes.load(config)
    recipe = recipe.with_epochs(epochs) if epochs else recipe
    console = Console(stderr=True, quiet=quiet)
    console.print(_differences(recipe))
    _claim(out, recipe, data, seed, resume=resume)
    seed_everything(seed)
    prepared = [_prepare(open_source(text), recipe, out / "tensors") for text in data]
    network, device = DibMg(recipe.architecture()), "cuda" if torch.cuda.is_available() else "cpu"
    training = Training(
        network, _batches(prepared, recipe, network, seed), _plan(recipe, prepared, device), out,
        device=device, quiet=quiet,
    )  # fmt: skip
    progressed = training.run(resume=resume)
    if not progressed.best_state:
        raise DataError("no epoch could be validated: the validation part lacks a class")
    network.load_state_dict(progressed.best_state)
    origin = export.Origin(
        command=_command(data, out, config, epochs, seed),
        seed=seed,
        trained_on=datetime.now(UTC).date(),
    )
    models = [export.write(network, recipe, p.data, p.cache, p.rows, out, origin) for p in prepared]
    return {"best_epoch": progressed.best_epoch, "models": models}


def _prepare(data: DataSet, recipe: Recipe, folder: Path) -> Prepared:
    kept = [r for r in data.records if f"{r.dataset}:{r.woman}" not in recipe.data.exclude]
    cache = TensorCache(kept, recipe.preprocess(data.acquisition), folder)
    rows: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
    for i, record in enumerate(cache.records):
        rows[part_of(store.woman_key(record.dataset, record.woman))].append(i)
    return Prepared(data, cache, rows)


def _batches(prepared: Sequence[Prepared], recipe: Recipe, network: DibMg, seed: int) -> Batches:
    sources = [Source.of(p.cache, p.data.acquisition, p.rows["train"]) for p in prepared]
    for source, part in zip(sources, prepared, strict=True):
        if not source.cancers or not source.backgrounds:
            raise DataError(f"{part.data.name}: too few exams to train on (no pair of breasts)")
    with torch.inference_mode():
        blank = torch.zeros(1, 1, recipe.input.height, recipe.input.width)
        cells = network.eval().logit_map(blank).shape[-1]
    return Batches(sources, recipe, seed, cell=recipe.input.width // cells)


def _plan(recipe: Recipe, prepared: Sequence[Prepared], device: str) -> Plan:
    schedule = recipe.schedule

    def learning_rate(epoch: int, step: int) -> float:
        first = epoch < schedule.pretrain_epochs
        done = epoch if first else epoch - schedule.pretrain_epochs
        total = schedule.pretrain_epochs if first else schedule.finetune_epochs
        peak = recipe.pretrain.learning_rate if first else recipe.finetune.learning_rate
        progress = (done + step / schedule.steps_per_epoch) / max(total, 1)
        return cosine(progress, peak, warm_up=min(1.0, 1 / max(total, 1)))

    def validate(network: DibMg, epoch: int) -> dict[str, float] | None:
        if epoch < schedule.pretrain_epochs - 1:
            return None
        areas = {
            p.data.name: contrast_auc(network, p.cache, p.compared("validation"), device=device)
            for p in prepared
        }
        known = {name: area for name, area in areas.items() if area is not None}
        return known | {"score": sum(known.values()) / len(known)} if known else None

    return Plan(
        epochs=recipe.epochs,
        patience=schedule.patience,
        weight_decay=recipe.optimizer.weight_decay,
        loss=loss_of,
        learning_rate=learning_rate,
        validate=validate,
        restart_at=frozenset({schedule.pretrain_epochs}) - {0},
    )


def _claim(out: Path, recipe: Recipe, data: Sequence[str], seed: int, *, resume: bool) -> None:
    """Write down what the folder's training depends on; refuse to resume another one."""
    state = {"recipe": dataclasses.asdict(recipe), "data": list(data), "seed": seed}
    text = json.dumps(state, indent=2, sort_keys=True)
    file = out / "run.json"
    if resume and file.exists():
        if hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(text.encode()).digest():
            raise DataError("--resume: the folder holds a training of other data, recipe or seed")
        return
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _command(
    data: Sequence[str], out: Path, config: Path | None, epochs: int | None, seed: int
) -> str:
    """The command line, with the folders' names alone."""
    words = ["cadnode", "train", "kim2018"]
    for text in data:
        kind, _, path = text.partition(":")
        words += ["--data", f"{kind}:{Path(path).name}"]
    words += ["--out", out.name, "--seed", str(seed)]
    words += ["--config", config.name] if config else []
    words += ["--epochs", str(epochs)] if epochs else []
    return shlex.join(words)


def _differences(recipe: Recipe) -> Table:
    table = Table("", "Kim 2018", "this recipe", title="What this training does otherwise")
    for row in recipes.differences(recipe):
        table.add_row(*row)
    return table
