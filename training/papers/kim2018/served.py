"""Views as the node reads them: the served model's own `ViewModel`, by woman."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.progress import track

from cadnode import terminal
from cadnode.domain import Acquisition
from cadnode.errors import ModelError
from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode.models.view import ViewModel
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.tensors import tensors
from cadnode_training.data.views import ViewRecord, ViewSet
from cadnode_training.engine.loop import in_batches

_BATCH: Final = 16


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


def unseen(source: ViewSet, folder: Path) -> tuple[list[ViewRecord], int, int]:
    """Records of the women whom the model, or the network of their fold, has not seen.

    And how many women of folds there are, and how many were seen.
    """
    seen, folds = store.seen_by_all(folder), store.read_folds(folder)
    keys = {r.woman: store.woman_key(r.dataset, r.woman) for r in source.records}
    n_out_of_fold = sum(store.left_out_by(folds, key) is not None for key in keys.values())
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
        of_member.setdefault(store.left_out_by(folds, key), []).append(record)
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
