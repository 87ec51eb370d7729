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
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cadnode import terminal
from cadnode.domain import Acquisition
from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.breast import BreastScoring
from cadnode.models.card import DibMgCard, ViewCard
from cadnode.models.device import choose_device
from cadnode.models.loading import load_view_model
from cadnode.models.view import ViewModel
from cadnode.statistics.auc import delong
from cadnode.terminal import styled
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.sources import open_source
from cadnode_training.data.tensors import tensors
from cadnode_training.data.views import ViewRecord, ViewSet
from cadnode_training.engine.loop import in_batches
from cadnode_training.papers.kim2018 import aged_breasts, baselines
from cadnode_training.papers.kim2018.exams import level
from cadnode_training.papers.kim2018.validation import (
    BreastScored,
    by_breast,
    by_exam,
    compared,
    contrast_of,
    exam_contrast_of,
    exams_compared,
)
from cadnode_training.statistics.grouped import GroupedCases, auc_of, message, shown

SPLITS: Final = ("unseen", "all")
_CLASSES: Final = ("with cancer", "without")
_BATCH: Final = 16


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
    folder = model or packaged(source.acquisition)
    loaded = load_view_model(folder, choose_device())
    records, seen = list(source.records), 0
    n_out_of_fold = 0
    if split == "unseen":
        records, n_out_of_fold, seen = _unseen(source, folder)
        scored, failed = scores_of_unseen(loaded, folder, records, cache)
    else:
        scored, failed = scores_of(loaded, records, cache)
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


def packaged(acquisition: Acquisition) -> Path:
    """Folder of the packaged model of such views.

    Raises
    ------
    ModelError
        None is packaged.
    """
    for folder in store.available():
        card = store.read_card(folder)
        if isinstance(card, DibMgCard) and acquisition in card.applies_to:
            return folder
    raise ModelError(f"no packaged model reads {acquisition.value} views; give one with --model")


def _unseen(source: ViewSet, folder: Path) -> tuple[list[ViewRecord], int, int]:
    """Records of the women whom the model, or the network of their fold, has not seen.

    And how many women of folds there are, and how many were seen.
    """
    seen, folds = store.seen_by_all(folder), store.read_folds(folder)
    keys = {r.woman: store.woman_key(r.dataset, r.woman) for r in source.records}
    n_out_of_fold = sum(any(key in fold for fold in folds) for key in keys.values())
    kept = [r for r in source.records if keys[r.woman] not in seen]
    return kept, n_out_of_fold, sum(key in seen for key in keys.values())


def scores_of_unseen(
    loaded: ViewModel, folder: Path, records: Sequence[ViewRecord], cache: ReadCache | None = None
) -> tuple[list[tuple[ViewRecord, float]], Counter[str]]:
    """As `scores_of`, women of a fold by the network that left them out, the others by all."""
    folds = store.read_folds(folder)
    of_member: dict[int | None, list[ViewRecord]] = {}
    for record in records:
        key = store.woman_key(record.dataset, record.woman)
        member = next((number for number, fold in enumerate(folds) if key in fold), None)
        of_member.setdefault(member, []).append(record)
    scored: list[tuple[ViewRecord, float]] = []
    failed = Counter[str]()
    for member, part in of_member.items():
        read, lost = scores_of(loaded, part, cache, member)
        scored, failed = scored + read, failed + lost
    return scored, failed


def scores_of(
    loaded: ViewModel, records: Sequence[ViewRecord], cache: ReadCache | None = None,
    member: int | None = None,
) -> tuple[list[tuple[ViewRecord, float]], Counter[str]]:  # fmt: skip
    """Records with their log-odds, and reasons of those that could not be scored.

    By all of the model's networks, or by that of a fold alone.
    """
    read, failed = read_views(loaded, records, cache, member)
    return [(record, logit) for record, logit, _ in read], failed


def read_views(
    loaded: ViewModel, records: Sequence[ViewRecord], cache: ReadCache | None = None,
    member: int | None = None,
) -> tuple[list[tuple[ViewRecord, float, float]], Counter[str]]:  # fmt: skip
    """As `scores_of`, with the highest log-odds of each view's map."""
    failed, known = Counter[str](), (cache or ReadCache()).of(("views", loaded.sha256, member))
    loaded = loaded if member is None else loaded.by_member(member)
    progress = terminal.console(stderr=True)
    parts = list(in_batches([r for r in records if r.path not in known], _BATCH))
    for part in track(parts, "reading", console=progress, disable=not progress.is_terminal):
        ready = []
        for record, tensor, reason in tensors(part, loaded.card.preprocess):
            if tensor is None:
                failed[reason] += 1
            else:
                ready.append((record, tensor))
        if ready:
            stacked = torch.from_numpy(np.stack([t for _, t in ready]))
            maps, logits = loaded.run(stacked, batch_size=_BATCH)
            peaks = maps.reshape(len(maps), -1).max(1)
            rows = zip(ready, logits.tolist(), peaks.tolist(), strict=True)
            known |= {r.path: (logit, peak) for (r, _), logit, peak in rows}
    return [(r, *known[r.path]) for r in records if r.path in known], failed


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
