"""`cadnode evaluate wang2016`: how well the autoencoder does beside SVM, KNN and LDA.

Regions are segmented and read exactly as the node reads them, by the packaged model's own
`FeatureModel`. On `cbis-mass-rois` and `pisa-masses` the four classifiers are also retrained in a
ten-fold cross-validation by woman, as the paper chose its networks.
"""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cadnode.errors import ModelError
from cadnode.models import store
from cadnode.models.card import FeatureCard
from cadnode.models.feature import FeatureModel
from cadnode.terminal import styled
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.papers.wang2016 import by_source, measure, phantom_regions, real_evaluate
from cadnode_training.papers.wang2016 import data as sources
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.reading import block, model_of, named, read, threshold
from cadnode_training.statistics.grouped import shown


def run(
    data: str,
    *,
    model: Path | None = None,
    scenario: str | None = None,
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """Numbers on regions of `KIND:PATH`, or on the test part of `phantom:…`.

    `auc`, `auc_ci`, `n_pos`, `n_neg` are the autoencoder's, `contrast` names the classes; `rows`
    holds each classifier beside the paper's own numbers. `auc` is None, and `message` gives the
    reason, where the regions lack a class.

    Real data and phantoms have a block for each scenario in `scenarios`; see
    `real_evaluate.on_regions` for which numbers are those of the whole. On `cbis-mass-rois` they
    are those of the served model on women it never saw, where there are any, else those of a
    cross-validation; on `pisa-masses` those of the cross-validation unless there is a `model`.
    Both are there in full, as `cross_validation` and `served`, the latter of the packaged model
    without `model`.

    Parameters
    ----------
    data
        `KIND:PATH` of `cadnode_training.data.sources`, `phantom:small` or `phantom:N`.
    model
        Folder with `card.json`; the packaged model of the scenario by default.
    scenario
        `calcifications`, `masses` or `both`; the model's by default, else all that are packaged.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError, SettingsError
        The folder, the model or the scenario is not what it should be.
    """
    if scenario is not None:
        sources.scenario_of(scenario)
    if sources.is_masses(data) and scenario in (None, "masses"):
        return real_evaluate.on_masses(
            data,
            model or packaged("masses"),
            AutoencoderRecipe(),
            crossed_first=model is None and sources.is_pisa(data),
            cache=cache,
        )
    named = sources.SCENARIOS if scenario is None else (sources.scenario_of(scenario),)
    folders = [model] if model else [folder for name in named if (folder := packaged(name))]
    if not folders:
        raise ModelError("no model of that scenario is packaged; give one with --model")
    if sources.is_real(data):
        return real_evaluate.on_regions(data, folders, cache)
    blocks = [_on_phantom(data, model_of(folder)) for folder in folders]
    return {"data": data} | blocks[0] | {"scenarios": {b["scenario"]: b for b in blocks}}


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as tables."""
    if "auc" in result:
        auc, interval = shown(result)
        console.print(styled("[bold]AUC {}[/] (95 % CI {}): {}", auc, interval, result["contrast"]))
    parts = [result.get(key) for key in ("served", "cross_validation")]
    for part in [*result.get("scenarios", {}).values(), *filter(None, parts)]:
        start = f"{part['scenario']}: " if "scenario" in part else ""
        table = Table("", "AUC", "95 %", "accuracy", "paper's AUC", title=start + part["contrast"])
        for row in part["rows"]:
            accuracy = row["accuracy"]["value"]
            table.add_row(
                measure.NAMES[row["classifier"]], *shown(row),
                "–" if accuracy is None else f"{accuracy:.1%}", f"{row['paper']['auc']:.2f}",
            )  # fmt: skip
        console.print(table)
        console.print(f"{part['n_pos']} against {part['n_neg']} {part['unit']}", highlight=False)
        by_source.show(console, part)
        if part.get("message"):
            console.print(styled("[bold]{}[/]", part["message"]))
    _show_masks(console, result)
    if result.get("note"):
        console.print(result["note"])
    for reason, n in result.get("left_out", {}).items():
        console.print(f"left out: {n} × {reason}", highlight=False)


def _show_masks(console: Console, result: dict[str, Any]) -> None:
    """What the segmentation costs, and which features carry most by themselves."""
    if masks := result.get("annotators_masks"):
        for part in filter(None, masks.values()):
            auc, interval = shown(part)
            console.print(f"{part['contrast']}, annotators' masks: AUC {auc} ({interval})")
        dice = result["segmentation"]
        console.print(f"segmented masses meet the masks with a Dice of {dice['dice_median']}")
    single = (result.get("cross_validation") or {}).get("single_features", ())
    for one in single[:5]:
        console.print(f"{one['feature']} alone: AUC {one['auc']:.3f}", highlight=False)


def _on_phantom(data: str, model: FeatureModel) -> dict[str, Any]:
    scenario = model.card.scenario
    table = sources.part_table(data, scenario, "test")
    contrast = f"{measure.CONTRAST} of the phantom: test part, of which training sees nothing"
    scores = read(model, table)
    found = block(scenario, table, scores, contrast, threshold(model))
    found |= {"scenario": scenario, "model": named(model)}
    found |= {"within_sources": by_source.within(table, scores)}
    found |= {"best_auc_there_is": round(phantom_regions.bayes_auc(scenario), 4)}
    return found | measure.best_possible(table, found["auc"])


def packaged(scenario: str) -> Path | None:
    """Folder of the packaged model of a scenario, if there is one."""
    for folder in store.available():
        card = store.read_card(folder)
        if isinstance(card, FeatureCard) and card.scenario == scenario:
            return folder
    return None
