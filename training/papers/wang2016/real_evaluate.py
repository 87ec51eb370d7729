"""How well feature models read real regions of women whom they have not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from cadnode.detect.features import FEATURE_NAMES
from cadnode.models import store
from cadnode.models.card import Scenario
from cadnode.models.feature import FeatureModel
from cadnode.statistics.draws import seed_or
from cadnode_training.data import manifest as m
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.regions import Question
from cadnode_training.papers.wang2016 import by_source, fitting, measure, regions
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.measure import Floats
from cadnode_training.papers.wang2016.reading import block, model_of, named, read, threshold
from cadnode_training.papers.wang2016.regions import Measurements, RegionTable
from cadnode_training.papers.wang2016.rivals import fewest_women
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.statistics import grouped
from cadnode_training.statistics.curves import roc, single_features
from cadnode_training.statistics.grouped import STRATA, GroupedCases, message, strata, words

SCENARIO_OF: Final[Mapping[str, Scenario]] = {
    m.CALCIFICATION: "calcifications", m.MASS: "masses", m.BOTH: "both",
}  # fmt: skip
_PRESENCE: Final = "calc_area_mm2"


def on_regions(
    data: str, folders: Sequence[Path], cache: ReadCache | None = None
) -> dict[str, Any]:
    """Numbers of the models on the regions of `KIND:PATH`: of the whole, and a block a scenario.

    Those of the whole are of each region by the model of its kind of lesion (the paper's
    scenarios); with one model they are that model's. Where the question is whether there are
    calcifications, they are of what the segmentation finds: a probability of malignancy does
    not answer it.

    Raises
    ------
    DataError, ModelError
        The folder or a model is not what it should be.
    """
    measured = regions.measure(data, quiet=False, cache=cache)
    models = {
        model.card.scenario: (model, folder) for folder in folders for model in [model_of(folder)]
    }
    blocks = {
        name: _block(measured, model, store.seen_women(folder))
        for name, (model, folder) in models.items()
    }
    head = {"data": data.partition(":")[0]}
    found = measured.of("both")
    if found.regions.question == Question.PRESENCE:
        return head | _presence(found) | {"scenarios": blocks}
    if len(blocks) == 1:
        return head | next(iter(blocks.values())) | {"scenarios": blocks}
    return head | _by_kind(found, models) | {"scenarios": blocks}


def _by_kind(
    found: RegionTable, models: Mapping[Scenario, tuple[FeatureModel, Path]]
) -> dict[str, Any]:
    """Each region read by the model of its kind of lesion, of women whom no model has seen.

    Beside it `as_the_node`: the model is then chosen by what the segmentation finds, as the node
    chooses it, which does not know what a region shows.
    """
    seen = frozenset[str]().union(*(store.seen_women(folder) for _, folder in models.values()))
    unseen, women_seen = found.unseen(seen)
    kinds = [SCENARIO_OF[item.row.lesion_kind] for item in unseen.regions.items]
    unseen = unseen.where(kind in models for kind in kinds)
    kinds = [kind for kind in kinds if kind in models]
    scores = {name: read(model, unseen.table)["sae"] for name, (model, _) in models.items()}
    own = np.array([scores[kind][i] for i, kind in enumerate(kinds)], np.float64)
    row = grouped.auc_of(_cases(unseen, own)) | {"unit": "regions"}
    return row | {
        "contrast": f"{unseen.regions.contrast}: the served models on women they never saw, each "
        "region by the model of its kind of lesion",
        "message": message(row, *words(unseen.regions.question)),
        "women": len(set(unseen.table.women.tolist())),
        "women_left_out_as_seen_in_training": women_seen,
        "left_out": dict(unseen.left_out),
        **strata(_cases(unseen, own), unseen.facts, STRATA),
        "as_the_node": _as_the_node(unseen, scores),
    }


def _as_the_node(found: RegionTable, scores: Mapping[Scenario, Floats]) -> dict[str, Any]:
    """The AUC where the scenario is the one that the segmentation allows (`reading.assessment`)."""
    values, names = found.table.values, found.table.features
    calcified = values[:, names.index("calc_number")] > 0
    mass = (values[:, len(FEATURE_NAMES["calcifications"]) :] != 0).any(1)
    picked: list[float] = []
    for i, (has_calcifications, has_mass) in enumerate(zip(calcified, mass, strict=True)):
        wanted: tuple[Scenario, ...] = (
            ("both", "calcifications", "masses") if has_calcifications and has_mass
            else ("calcifications",) if has_calcifications
            else ("masses",) if has_mass
            else ()
        )  # fmt: skip
        name = next((name for name in wanted if name in scores), None)
        picked.append(float("nan") if name is None else float(scores[name][i]))
    chosen = np.array(picked, np.float64)
    assessed = np.isfinite(chosen)
    return grouped.auc_of(_cases(found, chosen).where(assessed)) | {
        "nothing_segmented": int((~assessed).sum())
    }


def _presence(found: RegionTable) -> dict[str, Any]:
    """How well the segmentation separates regions with calcifications from those without."""
    area_mm2 = found.table.values[:, found.table.features.index(_PRESENCE)]
    cases = _cases(found, area_mm2)
    row = grouped.auc_of(cases) | {"unit": "regions"}
    return row | {
        "contrast": f"{found.regions.contrast}; the score is the area of the calcifications that "
        "the segmentation finds. The scenarios' scores are probabilities of malignancy: made for "
        "another question",
        "message": message(row, *words(found.regions.question)),
        "women": len(set(found.table.women.tolist())),
        "left_out": dict(found.left_out),
        **strata(cases, found.facts, STRATA),
    }


def on_masses(
    data: str,
    folder: Path | None,
    recipe: AutoencoderRecipe,
    *,
    crossed_first: bool,
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """Cross-validation with `recipe` on masses, and a served model's numbers on unseen women.

    Where the regions have annotators' masks, both are there for these too (`annotators_masks`),
    with how well the segmentation meets them (`segmentation`).

    Parameters
    ----------
    data, folder, recipe, cache
        `KIND:PATH`; the served model's folder, if any; the cross-validation's recipe; what this
        command has read.
    crossed_first
        Whether the numbers of the whole are those of the cross-validation, which needs ten women
        with a malignant mass and ten with a benign one. Otherwise those of the served model,
        unless it has seen all women of a class.

    Raises
    ------
    DataError, ModelError
        The folder or the model is not what it should be.
    """
    measured = regions.measure(data, quiet=False, cache=cache)
    masses = measured.of("masses")
    model = model_of(folder) if folder else None
    seen = store.seen_women(folder) if folder else frozenset[str]()
    served = _block(measured, model, seen) if model else None
    crossed = _crossed(masses, recipe)
    note = "" if crossed else f"No cross-validation: it needs {fitting.FOLDS} women of each class."
    known = served if served and served["auc"] is not None else None
    first = (crossed or served) if crossed_first else (known or crossed or served)
    result = {"data": masses.table.name} | (first or {})
    result |= {"left_out": dict(masses.left_out), "note": note}
    result |= _by_masks(measured, masses, model, seen, recipe)
    return result | {"cross_validation": crossed, "served": served}


def _by_masks(
    measured: Measurements, masses: RegionTable, model: FeatureModel | None,
    seen: frozenset[str], recipe: AutoencoderRecipe,
) -> dict[str, Any]:  # fmt: skip
    """What the annotators' masks would give in place of the segmentation; {} without masks."""
    marked = measured.marked(masses.regions)
    if not len(marked) or not np.isfinite(marked).all():
        return {}
    dice = measured.dice(masses.regions)
    found = replace(masses, table=replace(masses.table, values=marked))
    served = None
    if model and model.card.scenario == "masses":
        unseen, _ = found.unseen(seen)
        contrast = f"{unseen.regions.contrast}: the served model, measured on annotators' masks"
        served = block("masses", unseen.table, read(model, unseen.table), contrast,
                       threshold(model))  # fmt: skip
    return {
        "segmentation": {
            "dice_median": round(float(np.median(dice[:, 1])), 3),
            "dice_mean": round(float(dice[:, 1].mean()), 3),
            "dice_median_before_refinement": round(float(np.median(dice[:, 0])), 3),
            "without_a_mass": int((dice[:, 1] == 0).sum()),
            "n": len(dice),
        },
        "annotators_masks": {"cross_validation": _crossed(found, recipe), "served": served},
    }


def _block(measured: Measurements, model: FeatureModel, seen: frozenset[str]) -> dict[str, Any]:
    """A model's numbers on the regions of its scenario, of women it never saw."""
    scenario = model.card.scenario
    found, women_seen = measured.of(scenario).unseen(seen)
    scores = read(model, found.table)
    contrast = f"{found.regions.contrast}: the served model on women it never saw"
    row = block(scenario, found.table, scores, contrast, threshold(model))
    return row | {
        "message": message(row, *words(found.regions.question)),
        "scenario": scenario,
        "model": named(model),
        "women_left_out_as_seen_in_training": women_seen,
        "left_out": dict(found.left_out),
        "by_what_is_found": by_source.by_what_is_found(found.table, scores["sae"]),
        **strata(_cases(found, scores["sae"]), found.facts, STRATA),
    }


def _crossed(found: RegionTable, recipe: AutoencoderRecipe) -> dict[str, Any] | None:
    """Ten folds by woman, everything chosen within the other nine; None with too few women."""
    table = found.table
    if fewest_women(table.malignant, table.women) < fitting.FOLDS:
        return None
    scores, _ = fitting.cross_validated("masses", table, recipe=recipe, seed=seed_or(None))
    contrast = f"{measure.CONTRAST}, film: retrained, ten-fold cross-validation by woman"
    return block("masses", table, scores, contrast) | {
        "roc": _curves(table, scores),
        "single_features": _singly(table),
    }


def _curves(table: FeatureTable, scores: Mapping[str, Floats]) -> dict[str, Any]:
    """The classifiers' ROC curves (Fig. 5): false positive rate and sensitivity at each point."""
    curves = {
        name: roc(table.malignant, one, table.women, replicates=0) for name, one in scores.items()
    }
    return {
        name: {"fpr": _rounded(curve.fpr), "tpr": _rounded(curve.tpr)}
        for name, curve in curves.items()
    }


def _singly(table: FeatureTable) -> list[dict[str, Any]]:
    """Every feature alone, best first (Fig. 4); its sense is taken from these very regions."""
    columns = {name: table.values[:, i] for i, name in enumerate(table.features)}
    return [
        {"feature": name, "auc": round(one.value, 4), "auc_ci": list(one.bounds),
         "fpr": _rounded(fpr), "tpr": _rounded(tpr)}
        for name, (one, fpr, tpr) in single_features(table.malignant, columns).items()
    ]  # fmt: skip


def _rounded(values: Floats) -> list[float]:
    """At most about a hundred of the points, the ends included."""
    picked = np.unique(np.linspace(0, len(values) - 1, 101).astype(int))
    return [round(float(v), 4) for v in values[picked]]


def _cases(found: RegionTable, scores: Floats) -> GroupedCases:
    return GroupedCases(found.table.malignant, scores, found.table.women)
