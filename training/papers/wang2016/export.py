"""How fitted classifiers become a model folder: card, weights, split."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition, System
from cadnode.models import operating_point, store
from cadnode.models.card import Calibration, FeatureCard, Metric, Scenario, TrainingData
from cadnode.networks.autoencoder import StackedAutoencoderConfig
from cadnode_training.data.rois import Part
from cadnode_training.data.sets import pisa_masses
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.wang2016 import measure
from cadnode_training.papers.wang2016.fitting import HIDDEN, FittedClassifiers
from cadnode_training.papers.wang2016.table import FeatureTable, joined

Floats = NDArray[np.float64]
Tables = Mapping[Part, Sequence[FeatureTable]]
VERSION: Final = "1.0.0"
PAPER: Final = (
    "Wang J, Yang X, Cai H, et al. Discrimination of breast cancer with microcalcifications on "
    "mammography by deep learning. Sci Rep 6, 27327 (2016)"
)
ALGORITHM: Final = (
    "Automatic segmentation inside a region, {n} features of {of}, stacked denoising autoencoder "
    "{hidden} with softmax; SVM, KNN and LDA beside it"
)
OF: Final[Mapping[Scenario, str]] = {
    "calcifications": "the calcifications",
    "masses": "the mass",
    "both": "calcifications and mass",
}
INTENDED_USE: Final = (
    "Research and engineering of mammography CAD. Not a medical device; not for diagnosis, "
    "triage or screening decisions."
)
PHANTOM_LIMIT: Final = (
    "Learnt from the digital phantom: how well it tells malignant from benign lesions of real "
    "breasts is known only where a metric below names real images."
)
LIMITS: Final = (
    "Its probabilities hold for the training data's share of malignant lesions, not for screening.",
    "It reads what the segmentation finds: where that is wrong, the probability means nothing.",
    "The formulas of the paper's features are in an appendix that is not public; those used here "
    "are in docs/features.md.",
)
PISA_LIMIT: Final = (
    "pisa-masses states no pixel size; 85 µm is assumed. Its women are few: intervals are wide."
)


def write(
    scenario: Scenario,
    fitted: FittedClassifiers,
    tables: Tables,
    further: Sequence[Metric],
    out: Path,
    origin: Provenance,
) -> Path:
    """Write `out/wang2016-SCENARIO/VERSION`; returns the folder.

    Parameters
    ----------
    scenario, fitted
        What was fitted, for which scenario.
    tables
        The data sets' parts: `validation` gives the ROC, `test` the metrics.
    further
        More metrics for the card, such as of a cross-validation.
    out, origin
        Where to; command, seed and day of the training.
    """
    held = joined(tables["validation"])
    where = f"{held.name}, validation part: {measure.CONTRAST}"
    scores = fitted.probabilities(held.values)["sae"]
    config = StackedAutoencoderConfig(inputs=len(held.features), hidden=HIDDEN[scenario])
    card = FeatureCard(
        name=f"wang2016-{scenario}",
        version=VERSION,
        system=System.WANG2016,
        paper=PAPER,
        algorithm=ALGORITHM.format(
            n=len(held.features), of=OF[scenario], hidden=list(config.hidden)
        ),
        intended_use=INTENDED_USE,
        licence="Apache-2.0 (weights; real training data have terms of their own)",
        applies_to=(Acquisition.DIGITAL, Acquisition.FILM),
        training_data=_sentence(tables),
        training_sets=tuple(_training_set(table) for table in tables["train"]),
        split="phantom: by seed, parts share neither seeds nor breasts; real: by woman",
        metrics=(*_metrics(fitted, tables["test"]), *further),
        roc=operating_point.roc(held.malignant.tolist(), scores.tolist(), where),
        calibration=Calibration(
            slope=fitted.platt[0],
            intercept=fitted.platt[1],
            fitted_on=where,
            prevalence=float(held.malignant.mean()),
        ),
        limits=_limits(tables["train"]),
        weights_sha256="0" * 64,
        seed=origin.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        scenario=scenario,
        features=held.features,
        architecture=config,
    )
    folder = out / card.name / card.version
    store.save(folder, card, fitted.state(), _split(tables))
    return folder


def _metrics(fitted: FittedClassifiers, tests: Sequence[FeatureTable]) -> list[Metric]:
    """AUCs of every classifier on every test part; none of a part without both classes."""
    found = []
    for table in tests:
        if len(set(table.malignant.tolist())) < 2:
            continue
        for name, scores in fitted.probabilities(table.values).items():
            title = f"AUC, {measure.NAMES[name]}, test part"
            found.append(measure.metric(table, scores, title, f"{table.name}, test part"))
    return found


def _sentence(tables: Tables) -> str:
    """The training data in a sentence; of phantoms also the best possible AUC."""
    parts = [f"{len(table)} regions of {table.name}" for table in tables["train"]]
    text = " and ".join(parts) + ", segmented as the node segments them"
    for table in tables["test"]:
        best = measure.best_possible(table, 0.5)
        if best:
            text += (
                f"; the best reader there is reaches {best['best_auc_on_these']} on the test part "
                f"of {table.name}"
            )
    return text


def _training_set(table: FeatureTable) -> TrainingData:
    real = is_real(table)
    terms = "the data set's own" if real else "this project's phantom, Apache-2.0"
    return TrainingData(
        name=table.name,
        terms="course data, no licence stated" if table.name == pisa_masses.NAME else terms,
        n_women=len(set(table.women.tolist())) if real else 0,
        n_views=len(table),
        n_cancer_breasts=int(table.malignant.sum()),
    )


def _limits(train: Sequence[FeatureTable]) -> tuple[str, ...]:
    pisa = any(table.name == pisa_masses.NAME for table in train)
    first = () if all(map(is_real, train)) else (PHANTOM_LIMIT,)
    return (*first, *LIMITS, *((PISA_LIMIT,) if pisa else ()))


def is_real(table: FeatureTable) -> bool:
    """Whether its regions are of women, not of a phantom, which knows its own probabilities."""
    return not bool(np.isfinite(table.p_malignant).all())


def _split(tables: Tables) -> dict[str, list[str]]:
    """Keys of the women trained on; of phantoms the first and last."""
    parts: dict[str, list[str]] = {}
    for part in ("train", "validation"):
        keys: list[str] = []
        for table in tables[part]:
            women = sorted(set(table.women.tolist()))
            keys += women if is_real(table) else [str(table.women[0]), str(table.women[-1])]
        parts[part] = keys
    return parts


def numbers(
    scenario: Scenario,
    fitted: FittedClassifiers,
    test: FeatureTable,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """The test part's table, as in the paper's Tables 2 to 4."""
    rows = measure.rows(scenario, test, fitted.probabilities(test.values), thresholds)
    reached = next(row["auc"] for row in rows if row["classifier"] == "sae")
    return {"data": f"{test.name}, test part", "rows": rows} | measure.best_possible(test, reached)
