"""What a trained network reads of the women it is measured on, as its weights are stored."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from cadnode.models.weights import StoredAs, pack, unpack
from cadnode.networks import dib_mg
from cadnode.networks.dib_mg import MapNetwork
from cadnode.statistics.auc import auc
from cadnode_training.data.tensors import TensorCache
from cadnode_training.data.views import Part, ViewRecord
from cadnode_training.engine.loop import in_batches
from cadnode_training.papers.kim2018.breasts import by_breast, compared
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.prepared import PreparedViews

# Stored as int8, the AUC of women not trained on moves by less, or float32 stays.
_INT8_TOLERANCE: Final = 0.005
MEASURED: Final[tuple[Part, ...]] = ("validation", "test")
LEFT_OUT: Final = "women left out"
"""All folds' women, each read by the network that never saw her."""


@dataclass(frozen=True, eq=False, slots=True)
class ViewsRead:
    """The views of a part as a network reads them: `(n,)` log-odds, and peaks of their maps."""

    records: Sequence[ViewRecord]
    logits: NDArray[np.float32]
    peaks: NDArray[np.float32]


@torch.inference_mode()
def logits_of(
    network: MapNetwork,
    cache: TensorCache,
    rows: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`(n,)` logits of views and the peaks of their maps, computed in `dtype`; None is float32."""
    network.eval()
    logits, peaks = [], []
    for part in in_batches(rows, cache.at_once):
        views = torch.from_numpy(np.stack([cache.image(i) for i in part]))[:, None]
        views = views.to(device, memory_format=torch.channels_last)
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            maps = network.logit_map(views)
        logits.append(network.pool(maps).cpu().numpy())
        peaks.append(maps.flatten(1).amax(1).cpu().numpy())
    return np.concatenate(logits), np.concatenate(peaks)


def contrast_auc(
    network: MapNetwork,
    cache: TensorCache,
    rows: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype | None,
) -> float | None:
    """AUC by breast, read in `dtype` (`logits_of`); None where a class is missing."""
    if not rows:
        return None
    logits, _ = logits_of(network, cache, rows, device=device, dtype=dtype)
    breasts = by_breast([cache.records[i] for i in rows], logits.tolist())
    labels = [b.cancer for b in breasts]
    if len(set(labels)) < 2:
        return None
    return auc(labels, [b.score for b in breasts])


def folds_of(prepared: PreparedViews, recipe: ViewRecipe) -> list[list[int]]:
    """Rows of the women whom each network left out; none without folds."""
    plan = recipe.schedule
    members = range(plan.members if plan.folds else 0)
    return [prepared.of_fold(number, plan.folds).rows["test"] for number in members]


def read(
    network: MapNetwork, prepared: PreparedViews, folds: Sequence[Sequence[int]]
) -> dict[str, ViewsRead]:
    """What the parts of `MEASURED` are read as, or with folds (`folds_of`) those of `LEFT_OUT`."""
    cache = prepared.cache
    if folds:
        return {LEFT_OUT: _left_out(network, cache, folds)}
    return {part: _read(network, cache, prepared.rows[part]) for part in MEASURED}


def _read(network: MapNetwork, cache: TensorCache, rows: Sequence[int]) -> ViewsRead:
    read = logits_of(network, cache, rows, device="cpu")
    return ViewsRead([cache.records[i] for i in rows], *read)


def _left_out(network: MapNetwork, cache: TensorCache, folds: Sequence[Sequence[int]]) -> ViewsRead:
    """Each fold's views, read by the member that never saw their women."""
    parts = [
        _read(member, cache, rows)
        for member, rows in zip(dib_mg.members_of(network), folds, strict=True)
    ]
    return ViewsRead(
        [record for part in parts for record in part.records],
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.peaks for part in parts]),
    )


def store(
    network: MapNetwork, prepared: PreparedViews, recipe: ViewRecipe,
    folds: Sequence[Sequence[int]],
) -> StoredAs:  # fmt: skip
    """How the weights are stored; the network has the stored weights from here on."""
    cache = prepared.cache
    rows = folds[0] if folds else prepared.rows["validation"]
    if not recipe.of_exams:
        chosen = compared([cache.records[i] for i in rows], prepared.data.acquisition)
        rows = [rows[i] for i in chosen]
    exact = copy.deepcopy(network.state_dict())
    before = contrast_auc(network, cache, rows, device="cpu", dtype=None)
    network.load_state_dict(unpack(pack(exact, "int8")))
    after = contrast_auc(network, cache, rows, device="cpu", dtype=None)
    if before is None or after is None or abs(after - before) < _INT8_TOLERANCE:
        return "int8"
    network.load_state_dict(exact)
    return "float32"
