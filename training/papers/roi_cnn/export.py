"""How a trained network becomes a model folder: card, int8 weights, split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from cadnode.domain import Acquisition
from cadnode.models import operating_point, store
from cadnode.models.card import (
    Calibration,
    CnnCard,
    Metric,
    TrainingData,
    ValidationScores,
)
from cadnode.models.weights import pack, unpack
from cadnode.networks.cnn import RoiNetwork
from cadnode.statistics.auc import auc
from cadnode_training.data.rois import Part, RoiRecord, RoiSet
from cadnode_training.engine.protocol import sentences
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.roi_cnn.config import Member, RoiRecipe
from cadnode_training.papers.roi_cnn.measure import (
    CONTRAST,
    Floats,
    metric,
    numbers,
    platt,
    probabilities,
    uncalibrated,
    validation_scores,
)
from cadnode_training.papers.roi_cnn.protocol import Protocol
from cadnode_training.papers.roi_cnn.stage import log_odds_of

VERSION: Final = "1.0.0"
INTENDED_USE: Final = (
    "Research and engineering of mammography CAD. Not a medical device; not for diagnosis, "
    "triage or screening decisions."
)
PHANTOM_LIMITS: Final = (
    "Learnt from the digital phantom alone, no image of a woman: nothing is known of how well it "
    "tells malignant from benign calcifications of real breasts, and nothing is claimed.",
    "Its probabilities hold for the phantom's share of malignant clusters, not for screening.",
)
REAL_LIMITS: Final = (
    "Learnt from the regions that one data set names, chosen and labelled by that set's own rules: "
    "read the metrics with their intervals, nothing is claimed beyond them.",
    "Its probabilities hold for that set's share of malignant lesions, not for screening.",
)
LIMITS: Final = (
    "Every ROI of the training held a cluster of calcifications: on masses, and where the "
    "detector was wrong, its probability means nothing.",
    "Trained from scratch: the papers start from ImageNet's weights, which could not be had here.",
)
# Stored as int8, the validation AUC or else every probability moves by less, or float32 stays.
_INT8_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """The weights as they will be served, and what storing them changed on validation ROIs."""

    kind: Literal["float32", "int8"]
    state: dict[str, Tensor]
    change: dict[str, float]


@dataclass(frozen=True, eq=False, slots=True)
class ExportedMember:
    """What was written and measured, and `(n,)` probabilities of the parts' ROIs."""

    result: dict[str, Any]
    scores: Mapping[Part, Floats]


def write(
    protocol: Protocol, member: Member, recipe: RoiRecipe, network: RoiNetwork,
    parts: Mapping[Part, RoiSet], out: Path, origin: Provenance, also_seen: Sequence[RoiSet] = (),
    lacking: Sequence[str] = (),
) -> ExportedMember:  # fmt: skip
    """Write `out/NAME/VERSION`; returns the folder, the test part's numbers, and its scores.

    `parts` are those of the last stage: `validation` gives calibration and ROC, `test` the
    metrics. The women of `also_seen`, ROIs of earlier stages, count as seen in training.
    The card keeps the differences to the paper, and what was `lacking`.
    """
    stored = _stored(network, parts["validation"], recipe)
    network.load_state_dict(stored.state)
    size, dtype = recipe.input.size, torch.bfloat16 if recipe.export.amp else None
    known = log_odds_of(network, parts["validation"], size, dtype=dtype)
    held = parts["validation"]
    fitted = fit(known, held.records, held.name, calibrated=recipe.export.calibrated)
    test = log_odds_of(network, parts["test"], size, dtype=dtype)
    measured = numbers(
        parts["test"].records,
        probabilities(test, fitted.calibration),
        threshold=fitted.roc.at().threshold,
    )
    card = CnnCard(
        name=protocol.model_name(member),
        version=VERSION,
        system=protocol.system,
        paper=protocol.paper,
        algorithm=protocol.algorithm.format(network=member.network),
        intended_use=INTENDED_USE,
        licence=_licence(parts["train"]),
        applies_to=_acquisitions(parts["train"]),
        training_data=_sentence(parts["train"], stored, measured),
        training_sets=(_training_set(parts["train"]),),
        split="by woman"
        if is_real(parts["train"])
        else "by seed: train, validation and test share neither seeds nor breasts",
        metrics=_metrics(parts["test"], test),
        roc=fitted.roc,
        calibration=fitted.calibration,
        validation=fitted.validation,
        limits=((REAL_LIMITS if is_real(parts["train"]) else PHANTOM_LIMITS) + LIMITS),
        weights_sha256="0" * 64,
        stored_as=stored.kind,
        bf16_difference=stored.change.get("largest_change_by_bfloat16"),
        seed=origin.seed + member.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        training_content=origin.content,
        differences=(*sentences(protocol.points(recipe)), *lacking),
        architecture=network.config,
        roi=recipe.roi(),
    )
    folder = out / card.name / card.version
    store.save(folder, card, stored.state, _split(parts, also_seen))
    result = {"folder": str(folder), "test": measured, "stored_as_int8": stored.change}
    scores: dict[Part, Floats] = {
        "validation": probabilities(known, fitted.calibration),
        "test": probabilities(test, fitted.calibration),
    }
    return ExportedMember(result, scores)


def _stored(network: RoiNetwork, validation: RoiSet, recipe: RoiRecipe) -> StoredWeights:
    """int8 weights, unless they change more than the tolerance on the first validation ROIs."""
    size, rois = recipe.input.size, validation.first(recipe.export.compared)
    state = network.state_dict()
    small = unpack(pack(state, "int8"))
    exact = log_odds_of(network, rois, size)
    network.load_state_dict(small)
    coarse = log_odds_of(network, rois, size)
    calibration, labels = platt(exact, rois.malignant, ""), rois.malignant
    change = {
        "rois": len(rois),
        "auc_float32": round(auc(labels, exact), 4),
        "auc_int8": round(auc(labels, coarse), 4),
        "largest_change_of_probability": _largest(exact, coarse, calibration),
    }
    if recipe.export.amp:
        half = log_odds_of(network, rois, size, dtype=torch.bfloat16)
        change["largest_change_by_bfloat16"] = _largest(coarse, half, calibration)
    moves = abs(change["auc_int8"] - change["auc_float32"])
    if min(moves, change["largest_change_of_probability"]) < _INT8_TOLERANCE:
        return StoredWeights("int8", small, change)
    return StoredWeights("float32", state, change)


def _largest(one: Floats, other: Floats, calibration: Calibration) -> float:
    """Largest difference of calibrated probabilities."""
    moved = probabilities(one, calibration) - probabilities(other, calibration)
    return round(float(np.abs(moved).max()), 4)


@dataclass(frozen=True, slots=True)
class FittedRois:
    """What a card takes from validation ROIs."""

    calibration: Calibration
    roc: operating_point.Roc
    validation: ValidationScores


def fit(
    log_odds: Floats, records: Sequence[RoiRecord], name: str, *, calibrated: bool = True
) -> FittedRois:
    """Calibration, the curve of calibrated probabilities, and these themselves.

    Raises
    ------
    DataError
        A class is missing.
    """
    where = f"{name} ({len(records)} ROIs): {CONTRAST}"
    labels = np.array([r.malignant for r in records], bool)
    calibration = platt(log_odds, labels, where) if calibrated else uncalibrated(labels)
    scores = probabilities(log_odds, calibration)
    return FittedRois(
        calibration,
        operating_point.roc(labels.tolist(), scores.tolist(), where),
        validation_scores(records, scores, where),
    )


def _metrics(test: RoiSet, log_odds: Floats) -> tuple[Metric, ...]:
    """Of the test part, and of its digital and film ROIs; none where a class is missing."""
    if len({r.malignant for r in test.records}) < 2:
        return ()
    found = [metric(test.records, log_odds, "test part", test.name)]
    for acquisition in Acquisition:
        rows = [i for i, r in enumerate(test.records) if r.acquisition == acquisition.value]
        picked = [test.records[i] for i in rows]
        if len({r.malignant for r in picked}) == 2:
            part = f"test part, {acquisition.value}"
            found.append(metric(picked, log_odds[rows], part, test.name))
    return tuple(found)


def _sentence(train: RoiSet, stored: StoredWeights, measured: Mapping[str, Any]) -> str:
    """The training data, the best possible reader and the storage in a sentence each."""
    text = f"{len(train)} ROIs of the digital phantom, half of them film, each with a cluster."
    if is_real(train):
        women = len({r.key for r in train.records})
        text = f"{len(train)} ROIs of {women} women of {train.name}, each with calcifications."
    if "share_of_best" in measured:
        text += (
            f" The best reader there is reaches {measured['best_auc_on_these']} on the test part; "
            f"the network has {measured['share_of_best']:.0%} of its distance from guessing."
        )
    change = stored.change
    text += (
        f" Of {change['rois']} validation ROIs the AUC is {change['auc_int8']} with int8 weights "
        f"and {change['auc_float32']} without; no probability differs by more than "
        f"{change['largest_change_of_probability']}."
    )
    if "largest_change_by_bfloat16" in change:
        text += (
            " Measured in bfloat16: no probability of these differs from float32's by more than "
            f"{change['largest_change_by_bfloat16']}."
        )
    return text


def _training_set(train: RoiSet) -> TrainingData:
    real = is_real(train)
    return TrainingData(
        name=train.name,
        terms="the data set's own" if real else "made by this project's phantom, Apache-2.0",
        n_women=len({r.key for r in train.records}) if real else 0,
        n_views=len(train),
        n_cancer_breasts=int(train.malignant.sum()),
    )


def is_real(rois: RoiSet) -> bool:
    """Whether the ROIs are of women, not of a phantom, which knows its own probabilities."""
    return any(r.p_malignant is None for r in rois.records)


def _licence(train: RoiSet) -> str:
    if is_real(train):
        return "Apache-2.0 (weights; the training data have terms of their own)"
    return "Apache-2.0 (weights and phantom)"


def _acquisitions(train: RoiSet) -> tuple[Acquisition, ...]:
    """What the training part has ROIs of; phantoms are drawn as both."""
    if not is_real(train):
        return (Acquisition.DIGITAL, Acquisition.FILM)
    return tuple(a for a in Acquisition if a.value in {r.acquisition for r in train.records})


def _split(parts: Mapping[Part, RoiSet], also_seen: Sequence[RoiSet]) -> dict[str, list[str]]:
    """Keys of the women trained on, in any stage; of phantoms the first and last seed."""
    found = {}
    for part in ("train", "validation"):
        sets = [parts[part], *(also_seen if part == "train" else ())]
        found[part] = list(dict.fromkeys(key for rois in sets for key in _keys(rois)))
    return found


def _keys(rois: RoiSet) -> list[str]:
    if is_real(rois):
        return sorted({r.key for r in rois.records})
    return [rois.records[0].key, rois.records[-1].key]
