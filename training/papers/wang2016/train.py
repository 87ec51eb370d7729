"""`cadnode train wang2016`: how regions become a card and weights for one scenario."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from cadnode import terminal
from cadnode.detect.features import FEATURE_NAMES
from cadnode.detect.features.stellate import STELLATE_FEATURES
from cadnode.errors import DataError, SettingsError
from cadnode.models import operating_point
from cadnode.models.card import Metric, Scenario
from cadnode_training.data.contents import content_hashes
from cadnode_training.data.rois import PARTS, Part
from cadnode_training.data.sets import pisa_masses
from cadnode_training.engine import tracking
from cadnode_training.engine.checkpoint import claim
from cadnode_training.engine.command_line import command_line, named
from cadnode_training.engine.loop import seed_everything
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.engine.preview import Count, Preview, PreviewPhase, table_of
from cadnode_training.engine.protocol import differences, sentences
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.wang2016 import (
    by_source,
    crossing,
    export,
    fitting,
    measure,
    phantom_regions,
)
from cadnode_training.papers.wang2016 import config as recipes
from cadnode_training.papers.wang2016 import data as sources
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.fitting import FOLDS, FittedClassifiers
from cadnode_training.papers.wang2016.rivals import fewest_women
from cadnode_training.papers.wang2016.table import FeatureTable, joined

# Whole states of the networks in training: a file per phase, written every so many epochs.
STATES: Final = "states"
_EVERY: Final = 20


def run(
    data: str | Sequence[str],
    out: Path,
    *,
    scenario: str,
    config: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
    folds: int = FOLDS,
    recipe: AutoencoderRecipe | None = None,
    measured_on: str | None = None,
    all_women: bool = False,
    machine: Machine | None = None,
) -> dict[str, Any]:
    """Train one scenario's autoencoder with SVM, KNN, LDA; write its model folder.

    Returns the folder, the test parts' tables beside the paper's, and the cross-validation of the
    training part and of the real regions (Tables 2 to 4).

    Parameters
    ----------
    data
        `phantom:small`, `phantom:N`, `KIND:PATH`, or several.
    out
        Model folder, tables of features and states go here.
    scenario
        `calcifications`, `masses` or `both`.
    config
        A recipe; the committed one by default.
    epochs
        Of the fine-tuning at most, instead of the recipe's.
    seed
        Of everything that is drawn in training.
    resume
        Resume what `out` holds, by phase and fold.
    quiet
        Show no progress.
    folds
        Of the cross-validation; 0: none.
    recipe
        Instead of a file.
    measured_on
        `pisa-masses:PATH`: real masses on which the model is measured, for its card; they are
        not trained on.
    all_women
        Learn from all real regions, the test part included; calibration, ROC and metrics are then
        those of the cross-validation, by networks that never saw the woman.
    machine
        Its processes but the first have nothing to do: these networks are small.

    Raises
    ------
    DataError, SettingsError
        Data, recipe or scenario are not what they should be.
    """
    machine = (machine or Machine.here()).small()
    if not machine.first:
        return {"models": []}
    tracking.check(machine)
    chosen, texts = sources.scenario_of(scenario), _texts(data)
    if recipe is not None and epochs:
        recipe = recipe.with_epochs(epochs)
    recipe = _checked(recipe or recipes.load(config, epochs), folds)
    console = terminal.console(stderr=True, quiet=quiet)
    points = recipes.protocol(recipe, chosen, folds)
    console.print(table_of(differences(points), "Wang 2016"))
    words = [chosen, str(folds), *texts, *(["all women"] if all_women else [])]
    claim(out, recipe, words, seed, resume=resume)
    if not resume:
        shutil.rmtree(out / STATES, ignore_errors=True)
    seed_everything(seed)
    tables = _tables(texts, chosen, out, quiet=quiet, stellate=recipe.stellate)
    kept = Kept(out / STATES, _EVERY, machine.alone())
    if all_women:
        tables = _all_train(tables)
    svm, fitted = _fitted(chosen, tables, recipe, seed, kept, console)
    crossed = _crossed(chosen, tables, recipe, folds, kept, console)
    held = None
    if all_women:
        fitted, held = _out_of_fold(fitted, crossed)
    shown = crossed if all_women else crossed[1:]
    further = [metric for one in shown for metric in one.metrics()]
    if measured_on:
        further += _elsewhere(fitted, measured_on, chosen, tables["train"][0].features, out)
    options = {
        "--scenario": chosen, "--config": config.name if config else None,
        "--measured-on": named(measured_on) if measured_on else None,
        "--epochs": epochs, "--folds": None if folds == FOLDS else folds, "--seed": seed,
    }  # fmt: skip
    command = command_line("wang2016", texts, out, options) + " --all-women" * all_women
    origin = Provenance(command, seed, datetime.now(UTC).date(), content_hashes(texts))
    tried = [one.as_dict(chosen) for one in crossed]
    for one in tried:
        crossing.show(console, one)
    model = {
        "folder": str(
            export.write(
                chosen,
                fitted,
                tables,
                further,
                out,
                origin,
                held=held,
                differences=sentences(points),
                elsewhere={k: v for t in texts for k, v in sources.names_elsewhere(t).items()},
            )
        ),
        "svm": {"cost": svm[0], "gamma": svm[1]},
        "recipe": asdict(recipe),
        "cross_validation": tried,
        "cross_validation_accuracy": crossed[0].accuracy() if crossed else {},
        "test": _tested(chosen, fitted, tables),
        "source_alone": by_source.alone(joined(tables["train"])),
    }
    return {"models": [model], "protocol": [point.as_dict() for point in points]}


def preview(
    data: str | Sequence[str], out: Path, *, scenario: str, config: Path | None = None,
    epochs: int | None = None, folds: int = FOLDS, machine: Machine | None = None,
) -> Preview:  # fmt: skip
    """What `run` would do with these; nothing is written, drawn or measured.

    Raises
    ------
    DataError, SettingsError
        Data, recipe or scenario are not what they should be.
    """
    machine = (machine or Machine.here()).small()
    chosen = sources.scenario_of(scenario)
    recipe = _checked(recipes.load(config, epochs), folds)
    points = recipes.protocol(recipe, chosen, folds)
    texts = _texts(data)
    beside = any(map(sources.is_masses, texts))
    counts = tuple(count for text in texts for count in _counts(text, chosen, beside=beside))
    n = sum(sum(c.classes.values()) for c in counts if c.part == "train")
    steps = -(-n // recipe.batch)
    pretrain, tune = recipe.epochs_of(recipe.pretrain_updates, n), recipe.epochs_of(
        recipe.updates, n
    )  # fmt: skip
    networks = [("the network", recipe.epochs)] + [("each fold's", tune)] * bool(folds)
    phases = [
        phase
        for name, epochs in networks
        for phase in (
            PreviewPhase(f"{name}: two layers", 2 * pretrain, steps),
            PreviewPhase(f"{name}: all together", epochs, steps),
        )
    ]
    return Preview(
        system="wang2016",
        recipe=recipes.RECIPES.of(config).name,
        counts=counts,
        differences=tuple(differences(points)),
        protocol=points,
        phases=tuple(phases),
        writes=(f"{out}/wang2016-{chosen}/ (card, weights)", f"{out}/features/", f"{out}/states/"),
        machine=machine,
    )


def _texts(data: str | Sequence[str]) -> list[str]:
    """Each data set of one text with commas, or of several."""
    return [one for text in ([data] if isinstance(data, str) else data) for one in text.split(",")]


def _checked(recipe: AutoencoderRecipe, folds: int) -> AutoencoderRecipe:
    if folds == 1:
        raise SettingsError("--folds must be 0 or at least 2")
    return recipe


def _tables(
    texts: Sequence[str], scenario: Scenario, out: Path, *, quiet: bool, stellate: bool
) -> dict[Part, Sequence[FeatureTable]]:
    beyond = () if stellate else STELLATE_FEATURES
    names = [name for name in FEATURE_NAMES[scenario] if name not in beyond]
    return {
        part: [
            table.columns(names)
            for table in sources.part_tables(
                ",".join(texts), scenario, part, out / "features", quiet=quiet
            )
        ]
        for part in PARTS
    }


def _fitted(
    scenario: Scenario, tables: crossing.Tables, recipe: AutoencoderRecipe, seed: int, kept: Kept,
    console: Console,
) -> tuple[tuple[float, float], FittedClassifiers]:  # fmt: skip
    """The SVM's cost and gamma, and all classifiers, of the training part.

    Raises
    ------
    DataError
        The training or the validation part lacks a class.
    """
    train = joined(tables["train"])
    held = joined(tables["validation"]) if tables["validation"] else None
    _refuse_one_class(train, *([held] if held else []))
    console.print(
        f"{scenario}: {len(train)} regions to learn from, "
        f"{len(held) if held else 'those of the folds'} to stop and calibrate"
    )
    svm = _svm(train, kept)
    return svm, fitting.fit(scenario, train, held, recipe=recipe, svm=svm, seed=seed, kept=kept)


def _tested(
    scenario: Scenario, fitted: FittedClassifiers, tables: crossing.Tables
) -> list[dict[str, Any]]:
    """The tables of each test part that has both classes."""
    if not tables["test"]:
        return []
    thresholds = _thresholds(fitted, joined(tables["validation"]))
    return [
        export.numbers(scenario, fitted, table, thresholds)
        for table in tables["test"]
        if len(set(table.malignant.tolist())) == 2
    ]


def _all_train(tables: crossing.Tables) -> dict[Part, Sequence[FeatureTable]]:
    """All parts of each real data set as its training part.

    Raises
    ------
    SettingsError
        A data set is a phantom, whose test part costs nothing.
    """
    sets = [joined(parts) for parts in zip(*(tables[part] for part in PARTS), strict=True)]
    if not all(map(export.is_real, sets)):
        raise SettingsError("--all-women is for real regions: a phantom can draw more")
    return {"train": sets, "validation": [], "test": []}


def _out_of_fold(
    fitted: FittedClassifiers, crossed: Sequence[crossing.Crossed]
) -> tuple[FittedClassifiers, export.Held]:
    """The classifiers, calibrated by the cross-validation, and what calibrated them.

    Raises
    ------
    SettingsError
        There was no cross-validation.
    """
    if not crossed:
        raise SettingsError("--all-women needs a cross-validation: --folds of at least 2")
    one = crossed[0]
    calibrated = fitting.calibrated_on(fitted, one.scores, one.table.malignant)
    scores = fitting.recalibrated(one.scores["sae"], calibrated.platt)
    where = f"{one.table.name}, {one.folds}-fold cross-validation by woman: {measure.CONTRAST}"
    split = (
        "all women trained on; calibration, ROC and metrics by networks of "
        f"{one.folds} folds that never saw the woman"
    )
    return calibrated, export.Held(one.table, scores, where, split)


def _refuse_one_class(*tables: FeatureTable) -> None:
    for table in tables:
        if len(set(table.malignant.tolist())) < 2:
            raise DataError("training and validation part need benign and malignant regions")


def _svm(train: FeatureTable, kept: Kept) -> tuple[float, float]:
    """Cost and gamma, searched once."""

    def search(_: Kept | None) -> dict[str, measure.Floats]:
        return {"svm": np.array(fitting.choose_svm(train))}

    cost, gamma = fitting.once(kept, "svm", search)["svm"].tolist()
    return float(cost), float(gamma)


def _counts(text: str, scenario: Scenario, *, beside: bool) -> list[Count]:
    """Regions by part and class; a phantom's classes are drawn with them.

    `beside` real regions, some of a phantom's are drawn and then not learned from.
    """
    if sources.is_real(text):
        found = sources.learnable(text, scenario)
        parts = {part: [item.positive for item in found.part(part).items] for part in PARTS}
        return [
            Count(found.name, part, {"malignant": sum(m), "benign": len(m) - sum(m)})
            for part, m in parts.items()
        ]
    source = sources.phantom_source(text)
    return [
        Count(source.name, part, {
            f"{content}s, benign or malignant as they are drawn": n
            for content, n in phantom_regions.counts(
                scenario, source.count(part), beside_real=beside
            ).items()
        })
        for part in PARTS
    ]  # fmt: skip


def _crossed(
    scenario: Scenario, tables: crossing.Tables, recipe: AutoencoderRecipe, folds: int, kept: Kept,
    console: Console,
) -> list[crossing.Crossed]:  # fmt: skip
    """The training part's cross-validation, then that of the real regions where there are any."""
    train = joined(tables["train"])
    women = fewest_women(train.malignant, train.women)
    if folds > women:
        console.print(f"no {folds}-fold cross-validation: a class has {women} women only")
        return []
    if not folds:
        return []
    own = crossing.of_training(scenario, train, recipe, folds, kept, console)
    if not tables["test"]:
        return [own]
    real = crossing.of_real(scenario, tables, recipe, folds, kept, console)
    return [own, real] if real else [own]


def _thresholds(fitted: FittedClassifiers, held: FeatureTable) -> dict[str, float]:
    """Where sensitivity + specificity is highest on the validation part, for each classifier."""
    labels = held.malignant.tolist()
    return {
        name: operating_point.roc(labels, scores.tolist(), held.name).at().threshold
        for name, scores in fitted.probabilities(held.values).items()
    }


def _elsewhere(
    fitted: FittedClassifiers, text: str, scenario: Scenario, features: Sequence[str], out: Path
) -> list[Metric]:
    """AUCs on real masses, of which training saw none."""
    if not sources.is_pisa(text):
        raise DataError(f"a model is measured on {pisa_masses.NAME}:PATH, not on {text!r}")
    folder = Path(text.partition(":")[2]).expanduser()
    table = sources.pisa_table(folder, scenario, out / "features").columns(features)
    return [
        measure.metric(table, one, f"AUC, {measure.NAMES[name]}, real masses", table.name)
        for name, one in fitted.probabilities(table.values).items()
    ]
