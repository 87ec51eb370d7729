"""How feature models read a table of regions into one block of a result."""

from pathlib import Path
from typing import Any

import numpy as np

from cadnode.errors import ModelError
from cadnode.models import loading
from cadnode.models.card import Scenario
from cadnode.models.feature import FeatureModel, Features
from cadnode.statistics.auc import delong_test
from cadnode_training.papers.wang2016 import measure
from cadnode_training.papers.wang2016.measure import Floats
from cadnode_training.papers.wang2016.table import FeatureTable


def read(model: FeatureModel, table: FeatureTable) -> dict[str, Floats]:
    """`(n,)` probabilities of each classifier, by the served model."""
    if not len(table):
        return {name: np.zeros(0) for name in ("sae", *model.card.beside)}
    readings = model.read([Features(table.features, values) for values in table.values])
    beside = {name: np.array([r.beside[name] for r in readings]) for name in model.card.beside}
    return {"sae": np.array([r.probability for r in readings])} | beside


def block(
    scenario: Scenario,
    table: FeatureTable,
    scores: dict[str, Floats],
    contrast: str,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """Rows of each classifier; the first row's numbers are those of the whole.

    `threshold` is the autoencoder's; the others are taken at one half. AUCs and intervals are
    None where the table lacks a class.
    """
    at = dict.fromkeys(scores, 0.5) | {"sae": threshold}
    rows = measure.rows(scenario, table, scores, at)
    whole = {key: rows[0][key] for key in ("auc", "auc_ci", "n_pos", "n_neg", "ci_method")}
    differences = {
        name: round(delong_test(table.malignant, scores["sae"], one).p, 4)
        for name, one in scores.items()
        if name != "sae" and min(whole["n_pos"], whole["n_neg"]) > 1
    }
    if "lda" in scores and min(whole["n_pos"], whole["n_neg"]) > 1:
        whole["difference_to_lda"] = _difference(table, scores["sae"], scores["lda"])
    return whole | {
        "contrast": contrast,
        "unit": "regions",
        "women": len(set(table.women.tolist())),
        "rows": rows,
        "p_of_difference_to_autoencoder": differences,
    }


def _difference(table: FeatureTable, one: Floats, other: Floats) -> dict[str, Any]:
    """AUC of one less that of the other: DeLong 1988, of regions as if each were a woman's only."""
    found = delong_test(table.malignant, one, other)
    low, high = found.ci
    return {
        "auc": round(found.value, 4), "auc_ci": [round(low, 4), round(high, 4)],
        "p": round(found.p, 4),
    }  # fmt: skip


def threshold(model: FeatureModel) -> float:
    """From which probability on a region is called malignant."""
    return model.operating_point.threshold


def named(model: FeatureModel) -> dict[str, str]:
    """Name, version and sha256 of a model."""
    return {"name": model.card.name, "version": model.card.version, "sha256": model.sha256}


def model_of(folder: Path) -> FeatureModel:
    """The feature model of a folder. Raises `ModelError` where it reads something else."""
    model = loading.load(folder)
    if not isinstance(model, FeatureModel):
        raise ModelError(f"{folder.name} holds no model that reads features")
    return model
