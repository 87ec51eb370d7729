"""How the four classifiers do in cross-validation by woman, beside the paper's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cadnode.models.card import Metric, Scenario
from cadnode_training.data.rois import PARTS, Part
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.papers.wang2016 import by_source, fitting, measure
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.measure import Floats
from cadnode_training.papers.wang2016.table import FeatureTable, joined

Tables = Mapping[Part, Sequence[FeatureTable]]


@dataclass(frozen=True, eq=False, slots=True)
class Crossed:
    """Scores by networks that had not seen the row's woman.

    Parameters
    ----------
    table
        What was scored.
    beside
        What every fold was trained on besides, "" for nothing.
    scores
        `(n,)` probabilities of each classifier.
    fold
        `(n,)` the fold that a row was left out in.
    """

    table: FeatureTable
    beside: str
    scores: Mapping[str, Floats]
    fold: NDArray[np.int64]

    @property
    def folds(self) -> int:
        """How many."""
        return int(self.fold.max()) + 1

    def accuracy(self) -> dict[str, Mapping[str, float]]:
        """Mean and SD over the folds, at a probability of one half (Tables 2 to 4)."""
        found: dict[str, Mapping[str, float]] = {}
        for name, one in self.scores.items():
            right = (one >= 0.5) == self.table.malignant
            each = [right[self.fold == number].mean() for number in np.unique(self.fold)]
            mean, spread = round(float(np.mean(each)), 4), round(float(np.std(each)), 4)
            found[name] = {"mean": mean, "sd": spread}
        return found

    def metrics(self) -> list[Metric]:
        """AUCs for a card."""
        data = f"{self.table.name}, all women" + (f", {self.beside}" if self.beside else "")
        title = f"{self.folds}-fold cross-validation by woman"
        return [
            measure.metric(self.table, one, f"AUC, {measure.NAMES[name]}, {title}", data)
            for name, one in self.scores.items()
        ]

    def as_dict(self, scenario: Scenario) -> dict[str, Any]:
        """The table, with the paper's own test group beside."""
        halves = dict.fromkeys(self.scores, 0.5)
        rows = measure.rows(scenario, self.table, self.scores, halves)
        spread = self.accuracy()
        return {
            "data": self.table.name,
            "learnt_beside": self.beside,
            "folds": self.folds,
            "women": len(set(self.table.women.tolist())),
            "n_pos": int(self.table.malignant.sum()),
            "n_neg": int((~self.table.malignant).sum()),
            "rows": [r | {"accuracy_by_fold": spread[r["classifier"]]} for r in rows],
            "within_sources": by_source.within(self.table, self.scores),
            "source_alone": by_source.alone(self.table),
        }


def of_training(
    scenario: Scenario, train: FeatureTable, recipe: AutoencoderRecipe, folds: int, kept: Kept,
    console: Console,
) -> Crossed:  # fmt: skip
    """The training part alone, as in the paper."""
    scores, fold = fitting.cross_validated(
        scenario, train, recipe=recipe, folds=folds, kept=kept.inside("training-part"),
        notify=lambda text: console.print(f"training part, {text}"),
    )  # fmt: skip
    return Crossed(train, "", scores, fold)


def of_real(
    scenario: Scenario, tables: Tables, recipe: AutoencoderRecipe, folds: int, kept: Kept,
    console: Console,
) -> Crossed | None:  # fmt: skip
    """All real regions, the phantom's training part in every fold; None where none are real.

    A test part of few women has no interval of any use.
    """
    real = [t for part in PARTS for t in tables[part] if _is_real(t)]
    if not real:
        return None
    others = [t for t in tables["train"] if not _is_real(t)]
    whole = joined(real)
    scores, fold = fitting.cross_validated(
        scenario, whole, recipe=recipe, folds=folds, kept=kept.inside("real-regions"),
        also=joined(others) if others else None,
        notify=lambda text: console.print(f"real regions, {text}"),
    )  # fmt: skip
    return Crossed(whole, f"{others[0].name} in every fold" if others else "", scores, fold)


def show(console: Console, crossed: Mapping[str, Any]) -> None:
    """Print what `Crossed.as_dict` gave."""
    title = f"{crossed['data']}: {crossed['folds']}-fold cross-validation by woman"
    table = Table("", "AUC", "95 %", "accuracy by fold", "paper's AUC", "paper's accuracy",
                  title=title)  # fmt: skip
    for row in crossed["rows"]:
        spread, paper = row["accuracy_by_fold"], row["paper"]
        auc = "–" if row["auc"] is None else f"{row['auc']:.3f}"
        interval = "–" if row["auc"] is None else "–".join(f"{x:.3f}" for x in row["auc_ci"])
        table.add_row(
            measure.NAMES[row["classifier"]], auc, interval,
            f"{spread['mean']:.1%} ± {spread['sd']:.1%}",
            f"{paper['auc']:.2f}", f"{paper['accuracy']:.1%}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"{crossed['n_pos']} malignant, {crossed['n_neg']} benign regions of {crossed['women']} "
        "women; the paper's: its own test group of 204"
    )
    by_source.show(console, crossed)


def _is_real(table: FeatureTable) -> bool:
    return not bool(np.isfinite(table.p_malignant).any())
