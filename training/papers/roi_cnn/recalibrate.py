"""How the operating points of a region CNN's card are refitted on validation ROIs."""

import tempfile
from pathlib import Path
from typing import Any

from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.card import CnnCard
from cadnode.models.loading import load
from cadnode.models.roi import RoiModel
from cadnode_training.data.regions import is_source
from cadnode_training.data.rois import RoiSet
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sets.pisa_masses import NAME as MASSES
from cadnode_training.papers.roi_cnn import real_rois
from cadnode_training.papers.roi_cnn.export import fit, is_real
from cadnode_training.papers.roi_cnn.sources import parse
from cadnode_training.papers.roi_cnn.stage import log_odds_of


def refit(card: CnnCard, folder: Path, text: str) -> tuple[dict[str, Any], list[str]] | None:
    """What changes on the card, and the keys of the women used; None for other data than its.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be, or a class is missing.
    """
    kind = text.partition(":")[0]
    if kind == MASSES or not (is_source(text) or kind == phantom_rois.KIND):
        return None
    model = load(folder, "cpu")
    if not isinstance(model, RoiModel):
        return None
    with tempfile.TemporaryDirectory(prefix="cadnode-rois-") as scratch:
        held = _validation(card, text, Path(scratch))
        known = {r.key for r in held.records} & set(store.read_split(folder)["train"])
        if known and is_real(held):
            raise DataError(
                f"{held.name}: training has seen {len(known)} women of the validation part; give "
                "a manifest whose split the training had"
            )
        log_odds = log_odds_of(model.network, held, card.roi.size)
        fitted = fit(log_odds, held.records, held.name)
        used = sorted({r.key for r in held.records}) if is_real(held) else []
    fields = {
        "calibration": fitted.calibration,
        "roc": fitted.roc,
        "validation": fitted.validation,
    }
    return fields, used


def _validation(card: CnnCard, text: str, scratch: Path) -> RoiSet:
    source = parse(text)
    if isinstance(source, phantom_rois.PhantomSource):
        return phantom_rois.prepare(source, "validation", card.roi, scratch, margin=0, quiet=True)
    return real_rois.prepare(source, "validation", card.roi, scratch, margin=0, quiet=True)
