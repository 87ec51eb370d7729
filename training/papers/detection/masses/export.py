"""How the trained detector of masses becomes a model folder: operating point, numbers, weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.linear_model import LogisticRegression

from cadnode.domain import Acquisition
from cadnode.models import operating_point, store
from cadnode.models.card import Calibration, FoundShare, MassFinderCard, TrainingData
from cadnode.models.operating_point import Roc
from cadnode.networks.mass_map import MassMap
from cadnode_training.data.sets import cbis_views
from cadnode_training.data.views import fold_of
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.detection.masses.config import MassRecipe
from cadnode_training.papers.detection.masses.marks import CRITERION, MeasuredView
from cadnode_training.papers.detection.masses.material import PHANTOM, MassViews
from cadnode_training.papers.detection.masses.measure import FALSE_MARKS, NAME, numbers
from cadnode_training.statistics.froc import froc

VERSION: Final = "1.1.0"
# A certainty of 0.5 is the operating point, as of the detector of clusters.
MARK_AT: Final = 0.5
_TERMS: Final = {cbis_views.NAME: "CBIS-DDSM, CC BY 3.0", PHANTOM: "simulated"}
_IMAGENET: Final = "ImageNet weights (Apache-2.0) of the trunk"
_FILM: Final = (
    "Learnt from film at 800 × 800 pixels and from drawn digital views: a real digital mammogram "
    "was never seen in training, and what it finds there is not measured.",
    "Architectural distortions and asymmetries were among the masses, and are found less often.",
)
_OTHER: Final = ("Read the numbers first: they are of these data alone.",)
_LIMITS: Final = (
    "Learnt from views that all show a mass. In views without any, and of women without cancer, "
    "false marks were not counted in training.",
    "It says that there is a mass, not that it is malignant.",
    "Its certainty is no probability in any population: 0.5 is the operating point, where one "
    "false mark an image was made in views of women left out.",
)


def uncalibrated(recipe: MassRecipe, origin: Provenance) -> MassFinderCard:
    """A card with the identity for calibration: its certainty is the logistic of the log-odds."""
    nothing = Calibration(slope=1, intercept=0, fitted_on="nothing", prevalence=0.5)
    return MassFinderCard(
        name=NAME,
        version=VERSION,
        system=None,
        paper="no paper's: the detection that Wang 2016 and Kang 2021 leave to people; the "
        "network is after Zhou 2019, Objects as points",
        algorithm="Map of centres and sizes by a small convolutional network",
        intended_use="Research and engineering of mammography CAD. Not a medical device; not for "
        "diagnosis, triage or screening decisions.",
        licence="Apache-2.0 (weights; the training data have terms of their own)",
        applies_to=(Acquisition.DIGITAL, Acquisition.FILM),
        training_data="not trained",
        training_sets=(),
        split="none",
        metrics=(),
        roc=_roc([], []),
        calibration=nothing,
        limits=_LIMITS,
        weights_sha256="0" * 64,
        seed=origin.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        training_content=origin.content,
        architecture=recipe.network,
        preprocess=recipe.input.spec,
        mark_at=MARK_AT,
    )


def card(
    recipe: MassRecipe, views: MassViews, held_out: Sequence[MeasuredView], origin: Provenance,
    *, imagenet: bool,
) -> MassFinderCard:  # fmt: skip
    """The card, its weights' sha256 still open.

    Parameters
    ----------
    recipe, views
        Of the training.
    held_out
        Views of women whom their member had not seen, with uncalibrated certainties.
    origin
        Command, seed and day of the training.
    imagenet
        Whether the trunk started from ImageNet.
    """
    calibration = calibrate(held_out)
    labels, logits = _marks(held_out)
    scores = 1 / (1 + np.exp(-(calibration.slope * logits + calibration.intercept)))
    plan = recipe.schedule
    trained = "all of them" if plan.members == plan.folds else f"{plan.members} of {plan.folds}"
    return uncalibrated(recipe, origin).model_copy(
        update={
            "training_data": _sentence(views) + (f"; {_IMAGENET}" if imagenet else ""),
            "training_sets": tuple(_training_set(views, n) for n in sorted(set(views.datasets))),
            "limits": (*(_FILM if _of_film(views) else _OTHER), *_LIMITS),
            "split": f"by woman: {_test_part(views)} is left out of everything; "
            f"the others in {plan.folds} folds by sha256, {trained} left out by a member each",
            "roc": _roc(labels.tolist(), scores.tolist()),
            "calibration": calibration,
            "found": (_found(held_out, origin.seed),),
        }
    )


def write(network: MassMap, made: MassFinderCard, views: MassViews, folds: int,
          keys: Mapping[str, tuple[str, ...]], out: Path) -> Path:  # fmt: skip
    """Write `out/NAME/VERSION`; returns the folder.

    `keys` gives every key under which a woman is known, by the first of them.
    """
    folder = out / made.name / made.version
    real = [(w, n) for w, n in zip(views.women, views.datasets, strict=True) if n != PHANTOM]
    women = sorted({woman for woman, _ in real})
    of_fold = [
        sorted({k for w in women if fold_of(w, folds) == number for k in keys.get(w, (w,))})
        for number in range(made.architecture.members)
    ]
    split: dict[str, list[Any]] = {
        "train": sorted({key for woman in women for key in keys.get(woman, (woman,))}),
        "validation": [], "excluded": [], "folds": of_fold,
    }  # fmt: skip
    store.save(folder, made, network.state_dict(), split)
    return folder


def calibrate(held_out: Sequence[MeasuredView]) -> Calibration:
    """Platt's slope of marks that hit against others; 0.5 is at one false mark an image."""
    labels, logits = _marks(held_out)
    slope, shift = 1.0, 0.0
    if len(set(labels.tolist())) == 2:
        platt = LogisticRegression(C=1e4, class_weight="balanced").fit(logits[:, None], labels)
        slope = max(float(platt.coef_[0, 0]), 1e-3)
        shift = float(platt.intercept_[0])
    point = froc([view.marks for view in held_out]).threshold_at(FALSE_MARKS)
    threshold = float(np.log(point / max(1 - point, 1e-9)))
    prevalence = 1 / (1 + np.exp(slope * threshold + shift))
    return Calibration(
        slope=slope,
        intercept=-slope * threshold,
        fitted_on=f"marks in views of women left out; 0.5 is {FALSE_MARKS:g} false mark an image",
        prevalence=float(np.clip(prevalence, 0.001, 0.999)),
    )


def _marks(held_out: Sequence[MeasuredView]) -> tuple[np.ndarray, np.ndarray]:
    """`(n,) bool` whether each mark hits, `(n,)` its log-odds; of uncalibrated certainties."""
    hit = [x.certainty for v in held_out for x in v.masses if x.certainty is not None]
    false = [c for v in held_out for c in v.false]
    certainties = np.clip(np.array(hit + false, np.float64), 1e-9, 1 - 1e-9)
    labels = np.array([True] * len(hit) + [False] * len(false))
    return labels, np.log(certainties / (1 - certainties))


def _roc(labels: Sequence[bool], scores: Sequence[float]) -> Roc:
    """The curve of marks; the diagonal's ends where there are not both kinds of them."""
    if len(set(labels)) < 2:
        ends = ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0))
        return Roc(points=ends, measured_on="nothing: no marks of both kinds", n_pos=1, n_neg=1)
    return operating_point.roc(labels, scores, "marks on masses against others, women left out")


def _found(held_out: Sequence[MeasuredView], seed: int) -> FoundShare:
    measured = numbers(held_out, seed, brief=True)
    low, high = measured["sensitivity_at_1fp_ci"] or (0.0, 1.0)
    return FoundShare(
        data="development views of women left out",
        contrast=f"masses found at one false mark an image, thresholds out of fold; {CRITERION}",
        n_lesions=measured["n_lesions"],
        n_images=measured["n_images"],
        n_women=measured["n_women"],
        sensitivity=measured["sensitivity_at_1fp"],
        interval=(low, high),
    )


def _of_film(views: MassViews) -> bool:
    """Whether `cbis-mass-views` alone are the real views."""
    return set(views.datasets) - {PHANTOM} == {cbis_views.NAME}


def _test_part(views: MassViews) -> str:
    if _of_film(views):
        return "the test part of DDSM's exams (20 %)"
    return "the test part of the data's own split, where they have one,"


def _training_set(views: MassViews, name: str) -> TrainingData:
    mine = [w for w, n in zip(views.women, views.datasets, strict=True) if n == name]
    return TrainingData(
        name=name,
        terms=_TERMS.get(name, ""),
        n_women=0 if name == PHANTOM else len(set(mine)),
        n_views=len(mine),
        n_cancer_breasts=None,
    )


def _sentence(views: MassViews) -> str:
    """The training data in a sentence."""
    counts = []
    for name in sorted(set(views.datasets)):
        mine = [len(b) for b, n in zip(views.boxes, views.datasets, strict=True) if n == name]
        counts.append(f"{name}: {sum(mine)} masses in {len(mine)} views")
    return "; ".join(counts)
