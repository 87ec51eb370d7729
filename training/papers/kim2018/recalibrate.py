"""How a DIB-MG card's operating points are refitted on the validation part of exams."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode.models.loading import load_view_model
from cadnode_training.data.sets import phantom_exams
from cadnode_training.data.sources import ADAPTERS, SOURCES, open_source
from cadnode_training.data.views import ViewRecord, parts
from cadnode_training.papers.kim2018 import export
from cadnode_training.papers.kim2018.readings import MEASURED, ViewsRead
from cadnode_training.papers.kim2018.served import read_views
from cadnode_training.papers.kim2018.validation import fit

# Kinds that hold regions or single findings: no exam is made of them.
_NO_EXAMS: Final = frozenset({"pisa-masses", "pisa-calcifications"})


def refit(card: DibMgCard, folder: Path, text: str) -> tuple[dict[str, Any], list[str]] | None:
    """What changes on the card, and the keys of the women used; None for other data than its.

    Views are read by the served model, in float32, as `cadnode evaluate` reads them. Women of the
    data's validation part are used, never one whom training has seen. The metrics are measured
    again, on validation and test part, as the scores they are of have changed.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be, or a class is missing.
    """
    kind = text.partition(":")[0]
    if kind in _NO_EXAMS or kind not in {*SOURCES, *ADAPTERS, phantom_exams.NAME}:
        return None
    data = open_source(text)
    if data.acquisition not in card.applies_to:
        return None
    keys = [store.woman_key(r.dataset, r.woman) for r in data.records]
    split = store.read_split(folder)
    trained = {*split["train"], *split.get("excluded", ())}
    model = load_view_model(folder)
    read: dict[str, ViewsRead] = {}
    placed = parts(data.records, keys)
    for part in MEASURED:
        wanted = [
            record
            for record, key, own in zip(data.records, keys, placed, strict=True)
            if own == part and key not in trained
        ]
        views, _ = read_views(model, wanted)
        read[part] = _read(views)
    held = read["validation"]
    if not held.records:
        raise DataError(f"{data.name}: no woman of the validation part that training has not seen")
    fitted = fit(held.records, held.logits, held.peaks, acquisition=data.acquisition)
    fields = {
        "calibration": fitted.calibration,
        "breast": fitted.breast,
        "roc": fitted.roc,
        "exam": fitted.exam,
        "hot_region": fitted.hot_region,
        "metrics": export.metrics_of(read, data, fitted.breast),
        "limits": _limits(card, data.name),
    }
    return fields, sorted({store.woman_key(r.dataset, r.woman) for r in held.records})


def _read(views: list[tuple[ViewRecord, float, float]]) -> ViewsRead:
    return ViewsRead(
        [record for record, _, _ in views],
        np.array([logit for _, logit, _ in views], np.float32),
        np.array([peak for _, _, peak in views], np.float32),
    )


def _limits(card: DibMgCard, name: str) -> tuple[str, ...]:
    """The data's own limits where the model was trained on them; else a line naming the data."""
    if name in {data.name for data in card.training_sets}:
        return export.LIMITS.get(name, card.limits)
    fitted_on = (
        f"Calibration and operating points are fitted on {name}, which training did not see."
    )
    return (*(limit for limit in card.limits if limit != fitted_on), fitted_on)
