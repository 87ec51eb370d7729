"""`cadnode train wang2016`: from regions to a card and weights for one scenario."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cadnode.errors import DataError
from cadnode.models import operating_point
from cadnode.models.card import Metric, Scenario
from training.data import pisa_masses
from training.papers.roi_cnn.rois import PARTS, Part
from training.papers.wang2016 import data as sources
from training.papers.wang2016 import export, fitting, measure
from training.papers.wang2016.autoencoder import Recipe
from training.papers.wang2016.fitting import Fitted
from training.papers.wang2016.table import FeatureTable, joined
from training.workflow import seed_everything


def run(
    data: str,
    out: Path,
    *,
    scenario: str,
    epochs: int | None = None,
    seed: int = 0,
    quiet: bool = False,
    recipe: Recipe | None = None,
    measured_on: str | None = None,
) -> dict[str, Any]:
    """Train one scenario's autoencoder with SVM, KNN, LDA; write its model folder.

    Returns the folder, the test parts' tables beside the paper's, and the 10-fold
    cross-validation of the training part (mean and SD of the accuracy, as in Tables 2 to 4).

    Parameters
    ----------
    data
        `phantom:small`, `phantom:N`, `pisa-masses:PATH`, or several with commas between.
    out
        Model folder and tables of features go here.
    scenario
        `calcifications`, `masses` or `both`.
    epochs
        Of the fine-tuning at most, instead of the recipe's.
    seed
        Of everything that is drawn in training.
    quiet
        Show no progress.
    recipe
        How the autoencoder is trained; the default is that of the packaged models.
    measured_on
        `pisa-masses:PATH`: real masses on which the model is measured, for its card; nothing is
        learnt from them.

    Raises
    ------
    DataError, SettingsError
        Data or scenario are not what they should be.
    """
    chosen = sources.scenario_of(scenario)
    recipe = recipe or Recipe()
    recipe = replace(recipe, epochs=epochs) if epochs else recipe
    console = Console(stderr=True, quiet=quiet)
    seed_everything(seed)
    tables: dict[Part, Sequence[FeatureTable]] = {
        part: sources.part_tables(data, chosen, part, out / "features", quiet=quiet)
        for part in PARTS
    }
    train, held = (joined(tables[part]) for part in ("train", "validation"))
    for table in (train, held):
        if len(set(table.malignant.tolist())) < 2:
            raise DataError("training and validation part need benign and malignant regions")
    console.print(
        f"{chosen}: {len(train)} regions to learn from, {len(held)} to stop and calibrate"
    )
    svm = fitting.choose_svm(train)
    fitted = fitting.fit(chosen, train, held, recipe=recipe, svm=svm, seed=seed)
    origin = export.Origin(
        command=_command(data, out, chosen, epochs, seed),
        seed=seed,
        trained_on=datetime.now(UTC).date(),
    )
    further = _cross_validated(chosen, tables, recipe, svm)
    further += _elsewhere(fitted, measured_on, chosen) if measured_on else []
    folder = export.write(chosen, fitted, tables, further, out, origin)
    thresholds = _thresholds(fitted, held)
    model = {
        "folder": str(folder),
        "svm": {"cost": svm[0], "gamma": svm[1]},
        "recipe": asdict(recipe),
        "cross_validation_accuracy": _accuracy(chosen, train, recipe, svm),
        "test": [
            export.numbers(chosen, fitted, table, thresholds)
            for table in tables["test"]
            if len(set(table.malignant.tolist())) == 2
        ],
    }
    return {"models": [model]}


def _thresholds(fitted: Fitted, held: FeatureTable) -> dict[str, float]:
    """Where sensitivity + specificity is highest on the validation part, for each classifier."""
    labels = held.malignant.tolist()
    return {
        name: operating_point.roc(labels, scores.tolist(), held.name).at().threshold
        for name, scores in fitted.probabilities(held.values).items()
    }


def _accuracy(
    scenario: Scenario, train: FeatureTable, recipe: Recipe, svm: tuple[float, float]
) -> dict[str, Mapping[str, float]]:
    """Mean and SD over ten folds of the training part, at a probability of one half."""
    scores, fold = fitting.cross_validated(scenario, train, recipe=recipe, svm=svm)
    found: dict[str, Mapping[str, float]] = {}
    for name, one in scores.items():
        right = (one >= 0.5) == train.malignant
        each = [right[fold == number].mean() for number in np.unique(fold)]
        found[name] = {"mean": round(float(np.mean(each)), 4), "sd": round(float(np.std(each)), 4)}
    return found


def _elsewhere(fitted: Fitted, text: str, scenario: Scenario) -> list[Metric]:
    """Areas on real masses, of which training saw none."""
    if not sources.is_pisa(text):
        raise DataError(f"a model is measured on {pisa_masses.NAME}:PATH, not on {text!r}")
    table = sources.pisa_table(Path(text.partition(":")[2]).expanduser(), scenario)
    return [
        measure.metric(table, one, f"AUC, {measure.NAMES[name]}, real masses", table.name)
        for name, one in fitted.probabilities(table.values).items()
    ]


def _cross_validated(
    scenario: Scenario,
    tables: Mapping[Part, Sequence[FeatureTable]],
    recipe: Recipe,
    svm: tuple[float, float],
) -> list[Metric]:
    """Areas on all real masses by ten folds by woman, the phantom's training part in every fold.

    What the test part of few women cannot say with an interval of any use.
    """
    real = [t for part in PARTS for t in tables[part] if t.name == pisa_masses.NAME]
    if not real:
        return []
    others = [t for t in tables["train"] if t.name != pisa_masses.NAME]
    whole = joined(real)
    scores, _ = fitting.cross_validated(
        scenario, whole, recipe=recipe, svm=svm,
        also=joined(others) if others else None,
    )  # fmt: skip
    beside = f", {others[0].name} in every fold" if others else ""
    return [
        measure.metric(
            whole, one, f"AUC, {measure.NAMES[name]}, 10-fold cross-validation by woman",
            f"{whole.name}, all women{beside}",
        )
        for name, one in scores.items()
    ]  # fmt: skip


def _command(data: str, out: Path, scenario: Scenario, epochs: int | None, seed: int) -> str:
    """The command line, with the folders' names alone."""
    named = []
    for text in data.split(","):
        kind, _, rest = text.partition(":")
        named.append(f"{kind}:{Path(rest).name if kind == pisa_masses.NAME else rest}")
    words = ["cadnode", "train", "wang2016", "--data", ",".join(named), "--scenario", scenario]
    words += ["--out", out.name, "--seed", str(seed)]
    return shlex.join(words + (["--epochs", str(epochs)] if epochs else []))
