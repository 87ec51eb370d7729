"""How the trained filter becomes a model folder: calibration, operating point, AUCs, weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cadnode.domain import Acquisition
from cadnode.models import operating_point, store
from cadnode.models.card import Calibration, DetectorCard, Metric, TrainingData
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode.statistics.auc import clustered
from cadnode_training.data.sets import mini_mias
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.detection.samples import Samples

Floats = NDArray[np.float64]

NAME, VERSION = "microcalcification-detector", "1.1.0"
# A certainty of 0.5 is the operating point, as without the filter (`cadnode.detect.view`).
MARK_AT: Final = 0.5
FALSE_CANDIDATES: Final = 1.0
_TERMS: Final = {
    "mini-mias": "Mammographic Image Analysis Society, research use",
    "pisa-calcifications": "course data of the University of Pisa, no licence stated",
    "phantom": "simulated",
}
_LIMITS: Final = (
    "Learnt from film at 200 and 85 µm and from the phantom: real digital mammograms were never "
    "seen in training.",
    "It says that there is a cluster of calcifications, not that it is malignant.",
    "Its certainty is no probability in any population: 0.5 is the operating point, where one "
    "candidate an image is marked in views without calcifications.",
)


def write(network: CandidateFilter, card: DetectorCard, found: Samples, out: Path) -> Path:
    """Write `out/NAME/VERSION`; returns the folder."""
    folder = out / card.name / card.version
    women = sorted({store.woman_key(*g.split(":", 1)) for g in found.groups.tolist()})
    split = {"train": women, "validation": [], "excluded": []}
    store.save(folder, card, network.state_dict(), split)
    return folder


def card(
    config: DetectorConfig, found: Samples, held_out: Floats, origin: Provenance
) -> DetectorCard:
    """The card, its weights' sha256 still open.

    Parameters
    ----------
    config
        Of the network.
    found, held_out
        The candidates, and their log-odds by networks that had not seen their women.
    origin
        Command, seed and day of the training.
    """
    calibration = calibrate(found, held_out)
    scores = 1 / (1 + np.exp(-(calibration.slope * held_out + calibration.intercept)))
    curve_of, real = _for_roc(found)
    return DetectorCard(
        name=NAME,
        version=VERSION,
        system=None,
        paper="no paper's: the detection that Wang 2016 and Kang 2021 leave to people",
        algorithm="Multi-scale curvature candidates, filtered by a small convolutional network",
        intended_use="Research and engineering of mammography CAD. Not a medical device; not for "
        "diagnosis, triage or screening decisions.",
        licence="Apache-2.0 (weights; the training data have terms of their own)",
        applies_to=(Acquisition.DIGITAL, Acquisition.FILM),
        training_data=_sentence(found),
        training_sets=tuple(_training_set(found, name) for name in _sets(found)),
        split="all women trained on; metrics by three-fold cross-validation by woman",
        metrics=tuple(_metrics(found, held_out)),
        roc=operating_point.roc(
            found.labels[curve_of].tolist(),
            scores[curve_of].tolist(),
            f"candidates of {real}, women left out",
        ),
        calibration=calibration,
        limits=_LIMITS,
        weights_sha256="0" * 64,
        seed=origin.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        training_content=origin.content,
        architecture=config,
        mark_at=MARK_AT,
    )


def calibrate(found: Samples, held_out: Floats) -> Calibration:
    """Platt's slope with both classes alike; the intercept puts 0.5 at the operating point."""
    labels = found.labels
    platt = LogisticRegression(C=1e4, class_weight="balanced").fit(held_out[:, None], labels)
    slope = max(float(platt.coef_[0, 0]), 1e-3)
    threshold, chosen = _threshold(found, held_out)
    shift = slope * threshold + float(platt.intercept_[0])
    return Calibration(
        slope=slope,
        intercept=-slope * threshold,
        fitted_on=f"candidates of women left out; 0.5 is {chosen}",
        prevalence=float(np.clip(1 / (1 + np.exp(shift)), 0.001, 0.999)),
    )


def _threshold(found: Samples, held_out: Floats) -> tuple[float, str]:
    """Log-odds at which one candidate a view is marked in mini-MIAS; else the best of Youden."""
    false = (found.sources == mini_mias.NAME) & ~found.labels
    images = len(set(found.images[false].tolist()))
    if images:
        ranked = np.sort(held_out[false])[::-1]
        place = min(int(FALSE_CANDIDATES * images), len(ranked) - 1)
        return float(ranked[place]), f"{FALSE_CANDIDATES:g} candidate a view without calcifications"
    order = np.sort(held_out)
    positive, negative = np.sort(held_out[found.labels]), np.sort(held_out[~found.labels])
    missed = np.searchsorted(positive, order) / len(positive)
    spared = np.searchsorted(negative, order) / len(negative)
    return float(order[np.argmax(spared - missed)]), "the highest Youden index"


def _for_roc(found: Samples) -> tuple[NDArray[np.bool_], str]:
    """Candidates the card's curve is of: mini-MIAS' own where both classes are there, or all."""
    real = found.sources == mini_mias.NAME
    if len(set(found.labels[real].tolist())) == 2:
        return real, mini_mias.NAME
    return np.ones(len(found), np.bool_), "all data sets"


def _metrics(found: Samples, held_out: Floats) -> list[Metric]:
    """AUCs by source, women left out; none of sources that lack a class."""
    metrics = []
    for source in sorted(set(found.sources.tolist())):
        mine = found.sources == source
        labels = found.labels[mine]
        if labels.all() or not labels.any():
            continue
        auc = clustered(labels, held_out[mine], found.groups[mine])
        metrics.append(
            Metric(
                name=f"AUC of candidates, {source}",
                data=source,
                contrast="candidates on clusters of calcifications against others",
                unit="candidates",
                n_pos=auc.n_pos,
                n_neg=auc.n_neg,
                auc=round(auc.value, 4),
                auc_ci=auc.bounds,
                ci_method=f"{auc.method}; women left out in three folds",
            )
        )
    return metrics


def _sets(found: Samples) -> Sequence[str]:
    return sorted({g.split(":", 1)[0] for g in found.groups.tolist()})


def _training_set(found: Samples, name: str) -> TrainingData:
    mine = np.array([g.split(":", 1)[0] == name for g in found.groups.tolist()])
    return TrainingData(
        name=name,
        terms=_TERMS.get(name, ""),
        n_women=0 if name == "phantom" else len(set(found.groups[mine].tolist())),
        n_views=len(set(found.images[mine].tolist())),
        n_cancer_breasts=None,
    )


def _sentence(found: Samples) -> str:
    """The training data in a sentence."""
    counts = ", ".join(
        f"{source} {int(found.labels[found.sources == source].sum())} + "
        f"{int((~found.labels[found.sources == source]).sum())}"
        for source in sorted(set(found.sources.tolist()))
    )
    return f"Candidates with + without calcifications: {counts}"
