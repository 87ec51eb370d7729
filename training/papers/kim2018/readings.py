"""What a trained network reads of the women it is measured on, as its weights are stored."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.models.weights import StoredAs, pack, unpack
from cadnode.networks import dib_mg
from cadnode.networks.dib_mg import MapNetwork
from cadnode_training.data.tensors import TensorCache
from cadnode_training.data.views import Part, ViewRecord
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.prepared import PreparedViews
from cadnode_training.papers.kim2018.validation import compared, contrast_auc, logits_of

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


def folds_of(prepared: PreparedViews, recipe: ViewRecipe) -> list[list[int]]:
    """Rows of the women whom each network left out; none without folds."""
    plan = recipe.schedule
    members = range(plan.members if plan.folds else 0)
    return [prepared.of_fold(number, plan.folds).rows["test"] for number in members]


def read(network: MapNetwork, prepared: PreparedViews, recipe: ViewRecipe) -> dict[str, ViewsRead]:
    """What the parts of `MEASURED` are read as, or with folds those of `LEFT_OUT`."""
    cache, folds = prepared.cache, folds_of(prepared, recipe)
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


def store(network: MapNetwork, prepared: PreparedViews, recipe: ViewRecipe) -> StoredAs:
    """How the weights are stored; the network has the stored weights from here on."""
    cache, folds = prepared.cache, folds_of(prepared, recipe)
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
