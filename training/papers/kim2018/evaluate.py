"""`cadnode evaluate kim2018`: how well the served model does on real exams, with intervals.

Views are read exactly as the node reads them: the packaged model's own `ViewModel`, in float32,
without test-time augmentation; breasts are scored by its card.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from cadnode.domain import Acquisition
from cadnode.errors import SettingsError
from cadnode.models.breast import BreastScoring
from cadnode.models.card import DibMgCard, ViewCard
from cadnode.models.device import choose_device
from cadnode.models.loading import load_view_model
from cadnode.statistics.auc import delong
from cadnode.terminal import styled
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018 import aged_breasts, baselines, served
from cadnode_training.papers.kim2018.breasts import (
    BreastScored,
    by_breast,
    by_exam,
    compared,
    contrast_of,
    exam_contrast_of,
    exams_compared,
)
from cadnode_training.papers.kim2018.exams import level
from cadnode_training.statistics.grouped import GroupedCases, auc_of, message, shown

SPLITS: Final = ("unseen", "all")
_CLASSES: Final = ("with cancer", "without")


def run(
    data: str,
    *,
    model: Path | None = None,
    split: str = "unseen",
    cache: ReadCache | None = None,
) -> dict[str, Any]:
    """Numbers of a model on `KIND:PATH`; see the keys in `training/RESULTS.md`.

    Parameters
    ----------
    data
        `rsna-views:PATH`, `ddsm-exams:PATH`, another kind with sides and views, or `phantom:…`,
        whose test part is read.
    model
        Folder with `card.json`; the packaged model for this kind of data by default.
    split
        `"unseen"` leaves out the women of the model's training and validation parts, `"all"`
        takes all. A folder of new women is used whole either way. Of a model whose networks each
        left out a fold, `"unseen"` has each woman of a fold read by the network that never saw her.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError, SettingsError
        The folder, the model or the split is not what it should be.
    """
    if split not in SPLITS:
        raise SettingsError(f"--split must be unseen or all, not {split!r}")
    source = open_source(data, only_test=True)
    folder = model or served.packaged(source.acquisition)
    loaded = load_view_model(folder, choose_device())
    records, seen = list(source.records), 0
    n_out_of_fold = 0
    if split == "unseen":
        records, n_out_of_fold, seen = served.unseen(source, folder)
        scored, failed = served.scores_of_unseen(loaded, folder, records, cache)
    else:
        scored, failed = served.scores_of(loaded, records, cache)
    left_out = Counter(dict(source.left_out)) + Counter(failed)
    head = {
        "data": source.name,
        "split": split,
        "model": {
            "name": loaded.card.name,
            "version": loaded.card.version,
            "sha256": loaded.sha256,
        },
        "women_left_out_as_seen_in_training": seen,
        "women_out_of_fold": n_out_of_fold,
        "images_scored": len(scored),
        "images_left_out": dict(left_out),
    }
    result = head | numbers(source.acquisition, scored, loaded.card)
    if records:
        return result
    return result | {"message": "No AUC: the model has seen every woman; --split all takes them."}


def numbers(
    acquisition: Acquisition, scored: Sequence[tuple[ViewRecord, float]], card: ViewCard
) -> dict[str, Any]:
    """AUCs of the contrast, its strata and its baselines, from views' log-odds.

    Where a class is missing the AUC is null, and `message` gives the reason.
    """
    records, logits = [r for r, _ in scored], [v for _, v in scored]
    rows, contrast = compared(records, acquisition), contrast_of(records, acquisition)
    picked = [records[i] for i in rows], [logits[i] for i in rows]
    breasts = by_breast(*picked, card.breast)
    if len({b.cancer for b in breasts}) < 2:
        return _without_contrast(breasts, contrast)
    row = _auc_of(breasts) | {"unit": "breasts"}
    result = row | {
        "contrast": f"{contrast}; {_how(card.breast)}",
        "message": message(row, *_CLASSES),
        "women": len({b.woman for b in breasts}),
        "auc_delong_ci": delong(*_columns(breasts)).as_dict()["auc_ci"],
        "operating_point": baselines.at_threshold(breasts, card.curve.at().threshold),
    }
    of_exams = exams_compared(records, acquisition)
    exams = by_exam(
        by_breast([records[i] for i in of_exams], [logits[i] for i in of_exams], card.breast)
    )
    result |= level(exams, card.curve, exam_contrast_of(records, acquisition))
    if acquisition == Acquisition.DIGITAL:
        strata = {"machine": "machine_id", "site": "site_id", "density": "density"}
        all_breasts = by_breast(records, logits, card.breast)
        result |= baselines.age(breasts)
        if isinstance(card, DibMgCard):
            result |= aged_breasts.evaluated(card, records, logits)
        result["by_all_machines"] = _strata(all_breasts, lambda b: b.first.fact("machine_id"))
    else:
        strata = {"digitizer": "digitizer"}
        alone = by_breast(*picked)
        result["each_breast_alone"] = _auc_of(alone) | {"contrast": contrast}
        result |= baselines.film(breasts, exams)
        result["by_lesion"] = _pair_strata(breasts, lambda b: b.first.fact("lesion"))
        result["by_subtlety"] = _pair_strata(breasts, lambda b: b.first.fact("subtlety"))
    for name, column in strata.items():
        result[f"by_{name}"] = _strata(breasts, partial(_fact_of, column))
    return result


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    if result["auc"] is None:
        console.print(result["message"], highlight=False)
        return
    model = result["model"]
    value, interval = shown(result)
    console.print(
        styled("[bold]AUC {}[/] (95 % CI {}), ", value, interval)
        + f"{result['n_pos']} with and {result['n_neg']} without cancer\n{result['contrast']}\n"
        + f"{model['name']} {model['version']} on {result['data']}, split {result['split']}: "
        + f"{result['women_left_out_as_seen_in_training']} women left out as seen in training"
    )
    if result["women_out_of_fold"]:
        console.print(
            f"{result['women_out_of_fold']} women are read by the network that left them out"
        )
    if result["message"]:
        console.print(result["message"], highlight=False)
    table = Table("stratum", "", "AUC", "95 % CI", "with", "without")
    for name, rows in result.items():
        if not name.startswith("by_"):
            continue
        for row in rows:
            table.add_row(
                name[3:].replace("_", " "), row["stratum"], *shown(row),
                str(row["n_pos"]), str(row["n_neg"]),
            )  # fmt: skip
    console.print(table)
    for line in baselines.sentences(result):
        console.print(line)


def _without_contrast(breasts: Sequence[BreastScored], contrast: str) -> dict[str, Any]:
    row = _auc_of(breasts) | {"contrast": contrast, "unit": "breasts"}
    row |= {"women": len({b.woman for b in breasts})}
    return row | {"message": message(row, *_CLASSES) + f" Compared: {contrast}."}


def _how(scoring: BreastScoring) -> str:
    """How a breast's score is computed, in words."""
    if scoring.contralateral_weight == 0:
        return "a breast's score is the mean of its views' log-odds"
    return (
        "a breast's score is the mean of its views' log-odds less "
        f"{scoring.contralateral_weight:g} of the woman's other breast's, as the node scores it"
    )


def _columns(breasts: Sequence[BreastScored]) -> tuple[list[bool], list[float]]:
    return [b.cancer for b in breasts], [b.score for b in breasts]


def _auc_of(breasts: Sequence[BreastScored]) -> dict[str, Any]:
    labels, scores = _columns(breasts)
    women = np.array([b.woman for b in breasts], np.str_)
    return auc_of(GroupedCases(np.array(labels, bool), np.array(scores, np.float64), women))


def _row(stratum: str, breasts: Sequence[BreastScored]) -> dict[str, Any]:
    """One stratum's AUC; null where a class is missing."""
    return {"stratum": stratum} | _auc_of(breasts)


def _fact_of(column: str, breast: BreastScored) -> str:
    return breast.first.fact(column)


def _strata(
    breasts: Sequence[BreastScored], key: Callable[[BreastScored], str]
) -> list[dict[str, Any]]:
    names = sorted({key(b) or "not stated" for b in breasts})
    return [_row(n, [b for b in breasts if (key(b) or "not stated") == n]) for n in names]


def _pair_strata(
    breasts: Sequence[BreastScored], key: Callable[[BreastScored], str]
) -> list[dict[str, Any]]:
    """Strata of the malignant breast's lesion, each with the same women's other breasts."""
    kind = {b.woman: key(b) or "not stated" for b in breasts if b.cancer}
    named = [replace(b, first=replace(b.first, facts=(("kind", kind[b.woman]),))) for b in breasts]
    return _strata(named, lambda b: b.first.fact("kind"))
