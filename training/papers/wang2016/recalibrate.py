"""How the operating points of a feature model's card are refitted on validation regions."""

from pathlib import Path
from typing import Any

from cadnode.errors import DataError
from cadnode.models import operating_point, store
from cadnode.models.card import Calibration, FeatureCard
from cadnode.models.feature import FeatureModel
from cadnode.models.feature_classifiers import sigmoid
from cadnode.models.loading import load
from cadnode_training.data.sets import phantom_rois
from cadnode_training.papers.wang2016 import data, measure, rivals


def refit(card: FeatureCard, folder: Path, text: str) -> tuple[dict[str, Any], list[str]] | None:
    """What changes on the card, and the keys of the women used; None for other data than its.

    The classifiers beside the autoencoder keep theirs: an SVM's calibration is in its weights.

    Raises
    ------
    DataError, ModelError
        The data or the model are not what they should be, or a class is missing.
    """
    if not (data.is_real(text) or text.partition(":")[0] == phantom_rois.KIND):
        return None
    model = load(folder)
    if not isinstance(model, FeatureModel):
        return None
    real = data.is_real(text)
    table = data.part_table(text, card.scenario, "validation")
    if real:
        trained = set(store.read_split(folder)["train"])
        table = table.rows([i for i, woman in enumerate(table.women) if woman not in trained])
    table = table.columns(card.features)
    where = f"{table.name}, validation part: {measure.CONTRAST}"
    logits = model.logits(model.scaled(table.values))
    if not 0 < int(table.malignant.sum()) < len(table):
        raise DataError(f"{where}: both classes are needed")
    slope, intercept = rivals.platt(logits, table.malignant)
    scores = sigmoid(slope * logits + intercept)
    fields = {
        "calibration": Calibration(
            slope=slope,
            intercept=intercept,
            fitted_on=where,
            prevalence=float(table.malignant.mean()),
        ),
        "roc": operating_point.roc(table.malignant.tolist(), scores.tolist(), where),
    }
    return fields, sorted(set(table.women.tolist())) if real else []
