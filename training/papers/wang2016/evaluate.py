"""`cadnode evaluate wang2016`: the autoencoder beside SVM, KNN and LDA, with intervals.

Regions are segmented and read exactly as the node reads them, by the packaged model's own
`FeatureModel`. On `pisa-masses` the four classifiers are also learnt anew in a ten-fold
cross-validation by woman, as the paper chose its networks.
"""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cadnode.errors import ModelError
from cadnode.models import loading, store
from cadnode.models.card import FeatureCard, Scenario
from cadnode.models.feature_model import FeatureModel
from cadnode.models.features import Features
from training.evaluation.auc import delong_test
from training.papers.wang2016 import data as sources
from training.papers.wang2016 import fitting, measure, phantom_regions
from training.papers.wang2016.autoencoder import Recipe
from training.papers.wang2016.measure import Floats
from training.papers.wang2016.table import FeatureTable


def run(data: str, *, model: Path | None = None, scenario: str | None = None) -> dict[str, Any]:
    """Numbers on `pisa-masses:PATH` or on the test part of `phantom:…`.

    `auc`, `auc_ci`, `n_pos`, `n_neg` are the autoencoder's, `contrast` says on what; `rows` holds
    each classifier beside the paper's own numbers.

    On `pisa-masses` they are those of the cross-validation, or with `model` those of that model
    on women it never saw. Both are there in full, as `cross_validation` and `served`, the latter
    of the packaged model without `model`. A phantom has them for each scenario in `scenarios`.

    Parameters
    ----------
    data
        `pisa-masses:PATH`, `phantom:small` or `phantom:N`.
    model
        Folder with `card.json`; the packaged model of the scenario by default.
    scenario
        `calcifications`, `masses` or `both`; the model's by default, else all that are packaged.

    Raises
    ------
    DataError, ModelError, SettingsError
        The folder, the model or the scenario is not what it should be.
    """
    if sources.is_pisa(data):
        return _on_pisa(data, model)
    named = sources.SCENARIOS if scenario is None else (sources.scenario_of(scenario),)
    folders = [model] if model else [folder for name in named if (folder := _packaged(name))]
    if not folders:
        raise ModelError("no model of that scenario is packaged; give one with --model")
    blocks = [_on_phantom(data, model_of(folder)) for folder in folders]
    return {"data": data} | blocks[0] | {"scenarios": {b["scenario"]: b for b in blocks}}


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as tables."""
    parts = [result.get(key) for key in ("served", "cross_validation")]
    blocks = [*result.get("scenarios", {}).values(), *(part for part in parts if part)]
    for block in blocks:
        table = Table("", "AUC", "95 %", "accuracy", "paper's AUC", title=block["contrast"])
        for row in block["rows"]:
            low, high = row["auc_ci"]
            table.add_row(
                measure.NAMES[row["classifier"]], f"{row['auc']:.3f}", f"{low:.3f}–{high:.3f}",
                f"{row['accuracy']['value']:.1%}", f"{row['paper']['auc']:.2f}",
            )  # fmt: skip
        console.print(table)
        console.print(f"{block['n_pos']} malignant, {block['n_neg']} benign")


def read(model: FeatureModel, table: FeatureTable) -> dict[str, Floats]:
    """`(n,)` probabilities of each classifier, by the served model."""
    readings = model.read([Features(table.features, values) for values in table.values])
    beside = {name: np.array([r.beside[name] for r in readings]) for name in model.card.beside}
    return {"sae": np.array([r.probability for r in readings])} | beside


def _on_phantom(data: str, model: FeatureModel) -> dict[str, Any]:
    scenario = model.card.scenario
    table = sources.part_table(data, scenario, "test")
    contrast = f"{measure.CONTRAST} of the phantom: test part, of which training sees nothing"
    found = _block(scenario, table, read(model, table), contrast, _threshold(model))
    found |= {"scenario": scenario, "model": _named(model)}
    found |= {"best_auc_there_is": round(phantom_regions.bayes_auc(scenario), 4)}
    return found | measure.best_possible(table, found["auc"])


def _on_pisa(data: str, model: Path | None) -> dict[str, Any]:
    table = sources.pisa_table(Path(data.partition(":")[2]).expanduser())
    scores, _ = fitting.cross_validated("masses", table, recipe=Recipe())
    contrast = f"{measure.CONTRAST}, film: learnt anew, ten-fold cross-validation by woman"
    crossed = _block("masses", table, scores, contrast)
    folder = model or _packaged("masses")
    served = _served(table, folder) if folder else None
    counts = served if model and served else crossed
    return {"data": table.name} | counts | {"cross_validation": crossed, "served": served}


def _served(table: FeatureTable, folder: Path) -> dict[str, Any] | None:
    """Numbers of a model on women it never saw; None where these lack a class."""
    model = model_of(folder)
    seen = store.seen_women(folder)
    unseen = table.rows([woman not in seen for woman in table.women])
    if len(set(unseen.malignant.tolist())) < 2:
        return None
    contrast = f"{measure.CONTRAST}, film: the served model on women it never saw"
    found = _block("masses", unseen, read(model, unseen), contrast, _threshold(model))
    return found | {"model": _named(model)}


def _block(
    scenario: Scenario,
    table: FeatureTable,
    scores: dict[str, Floats],
    contrast: str,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """Rows of each classifier; the first row's numbers are those of the whole.

    `threshold` is the autoencoder's; the others are taken at one half.
    """
    at = dict.fromkeys(scores, 0.5) | {"sae": threshold}
    rows = measure.rows(scenario, table, scores, at)
    area = {key: rows[0][key] for key in ("auc", "auc_ci", "n_pos", "n_neg", "ci_method")}
    differences = {
        name: round(delong_test(table.malignant, scores["sae"], one).p, 4)
        for name, one in scores.items()
        if name != "sae" and min(area["n_pos"], area["n_neg"]) > 1
    }
    return area | {
        "contrast": contrast,
        "unit": "regions",
        "women": len(set(table.women.tolist())),
        "rows": rows,
        "p_of_difference_to_autoencoder": differences,
    }


def _threshold(model: FeatureModel) -> float:
    return model.operating_point.threshold


def _named(model: FeatureModel) -> dict[str, str]:
    return {"name": model.card.name, "version": model.card.version, "sha256": model.sha256}


def _packaged(scenario: str) -> Path | None:
    """Folder of the packaged model of a scenario, if there is one."""
    for folder in store.available():
        card = store.read_card(folder)
        if isinstance(card, FeatureCard) and card.scenario == scenario:
            return folder
    return None


def model_of(folder: Path) -> FeatureModel:
    """The feature model of a folder. Raises `ModelError` where it reads something else."""
    model = loading.load(folder)
    if not isinstance(model, FeatureModel):
        raise ModelError(f"{folder.name} holds no model that reads features")
    return model
