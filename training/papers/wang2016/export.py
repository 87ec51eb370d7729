"""How fitted classifiers become a model folder: card, weights, split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Acquisition, System
from cadnode.models import operating_point, store
from cadnode.models.card import Calibration, FeatureCard, Metric, Scenario, TrainingData
from cadnode_training.data.licences import UNLICENSED
from cadnode_training.data.rois import Part
from cadnode_training.data.sets import cbis_masses, pisa_masses
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.wang2016 import by_source, measure
from cadnode_training.papers.wang2016.fitting import FittedClassifiers
from cadnode_training.papers.wang2016.table import FeatureTable, joined
from cadnode_training.statistics.curves import single_features

Floats = NDArray[np.float64]
Tables = Mapping[Part, Sequence[FeatureTable]]
VERSIONS: Final[Mapping[Scenario, str]] = {
    "calcifications": "1.0.0", "masses": "1.1.0", "both": "1.1.0",
}  # fmt: skip
PAPER: Final = (
    "Wang J, Yang X, Cai H, et al. Discrimination of breast cancer with microcalcifications on "
    "mammography by deep learning. Sci Rep 6, 27327 (2016)"
)
ALGORITHM: Final = (
    "Automatic segmentation inside a region, {n} features of {of}, {network} "
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
MIXED_LIMIT: Final = (
    "The calcification half is phantom: what it knows of calcifications, alone or with a mass, it "
    "has from drawn regions, and no real region with calcifications of known malignancy has "
    "measured it. Only what it says of masses rests on real regions."
)
CBIS_LIMIT: Final = (
    "Its real regions are of digitized film alone, squares cut around the annotators' outlines of "
    "masses that had been biopsied or recalled: on digital mammograms, on other structures that "
    "detection marks, and in squares that are cut otherwise, expect less; a metric below may say "
    "how much."
)
CBIS_SPACING_LIMIT: Final = (
    "Pixel sizes of its training regions are estimates, within about a tenth: so are lengths."
)
CBIS_TERMS: Final = "CBIS-DDSM, CC BY 3.0"


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """Regions that calibrate a model and give its ROC, with its scores of them.

    Parameters
    ----------
    table
        The regions.
    scores
        `(n,)` calibrated probabilities by networks that never saw the region's woman.
    where
        Which regions they are, in words.
    split
        How the women were shared out, in words.
    """

    table: FeatureTable
    scores: Floats
    where: str
    split: str


def write(
    scenario: Scenario,
    fitted: FittedClassifiers,
    tables: Tables,
    further: Sequence[Metric],
    out: Path,
    origin: Provenance,
    *,
    held: Held | None = None,
    elsewhere: Mapping[str, Sequence[str]] | None = None,
    differences: Sequence[str] = (),
) -> Path:
    """Write `out/wang2016-SCENARIO/VERSION`; returns the folder.

    Parameters
    ----------
    scenario, fitted
        What was fitted, for which scenario.
    tables
        The data sets' parts: `validation` gives the ROC unless `held` does, `test` the metrics.
    further
        More metrics for the card, such as of a cross-validation.
    out, origin
        Where to; command, seed and day of the training.
    held
        What calibrated the model, where that is not the validation part.
    elsewhere
        Keys under which other data sets know a woman, by her own: she counts as seen there too.
    differences
        To the paper's protocol, a sentence each.
    """
    held = held or _validation(fitted, tables)
    config = fitted.network.config
    card = FeatureCard(
        name=f"wang2016-{scenario}",
        version=VERSIONS[scenario],
        system=System.WANG2016,
        paper=PAPER,
        algorithm=ALGORITHM.format(
            n=len(held.table.features),
            of=OF[scenario],
            hidden=list(config.hidden),
            network="stacked denoising autoencoder"
            if config.members == 1
            else f"mean of {config.members} stacked denoising autoencoders",
        ),
        intended_use=INTENDED_USE,
        licence="Apache-2.0 (weights; real training data have terms of their own)",
        applies_to=(Acquisition.DIGITAL, Acquisition.FILM),
        training_data=_sentence(tables),
        training_sets=tuple(_training_set(table) for table in tables["train"]),
        split=held.split,
        metrics=(*_metrics(fitted, tables["test"]), *further),
        roc=operating_point.roc(held.table.malignant.tolist(), held.scores.tolist(), held.where),
        calibration=Calibration(
            slope=fitted.platt[0],
            intercept=fitted.platt[1],
            fitted_on=held.where,
            prevalence=float(held.table.malignant.mean()),
        ),
        limits=_limits(tables["train"]),
        weights_sha256="0" * 64,
        seed=origin.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        training_content=origin.content,
        differences=tuple(differences),
        scenario=scenario,
        features=held.table.features,
        architecture=config,
    )
    folder = out / card.name / card.version
    store.save(folder, card, fitted.state(), _split(tables, elsewhere or {}))
    return folder


def _validation(fitted: FittedClassifiers, tables: Tables) -> Held:
    table = joined(tables["validation"])
    where = f"{table.name}, validation part: {measure.CONTRAST}"
    split = "phantom: by seed, parts share neither seeds nor breasts; real: by woman"
    return Held(table, fitted.probabilities(table.values)["sae"], where, split)


def _metrics(fitted: FittedClassifiers, tests: Sequence[FeatureTable]) -> list[Metric]:
    """AUCs of every classifier on every test part; none of a part without both classes."""
    found = []
    for table in tests:
        if len(set(table.malignant.tolist())) < 2:
            continue
        read = fitted.probabilities(table.values)
        for part, rows in _parts(table, alone=len(tests) == 1).items():
            for name, scores in read.items():
                title = f"AUC, {measure.NAMES[name]}, test part{part}"
                data = f"{table.name}, test part"
                found.append(measure.metric(table.rows(rows), scores[rows], title, data))
    return found


def _parts(table: FeatureTable, *, alone: bool) -> dict[str, NDArray[np.bool_]]:
    """All rows, or beside another data set those of each content that has both classes."""
    if alone or is_real(table):
        return {"": np.ones(len(table), bool)}
    return {
        f", {source}": rows
        for source, rows in by_source.split(table).items()
        if len(set(table.malignant[rows].tolist())) == 2
    }


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
        terms={**UNLICENSED, cbis_masses.NAME: CBIS_TERMS}.get(table.name, terms),
        n_women=len(set(table.women.tolist())) if real else 0,
        n_views=len(table),
        n_cancer_breasts=int(table.malignant.sum()),
    )


def _limits(train: Sequence[FeatureTable]) -> tuple[str, ...]:
    pisa = any(table.name == pisa_masses.NAME for table in train)
    real = [is_real(table) for table in train]
    both = {"calc_number", "mass_area_mm2"} <= set(train[0].features)
    masses = (cbis_masses.NAME, pisa_masses.NAME)
    mixed = both and any(table.name in masses for table in train)
    first = () if all(real) else (MIXED_LIMIT,) if mixed else (PHANTOM_LIMIT,)
    cbis = any(table.name == cbis_masses.NAME for table in train)
    further = (CBIS_LIMIT, CBIS_SPACING_LIMIT) if cbis else ()
    return (*first, *further, *LIMITS, *((PISA_LIMIT,) if pisa else ()))


def is_real(table: FeatureTable) -> bool:
    """Whether its regions are of women, not of a phantom, which knows its own probabilities."""
    return not bool(np.isfinite(table.p_malignant).all())


def _split(tables: Tables, elsewhere: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Keys of the women trained on, in every set that knows them; of phantoms first and last."""
    parts: dict[str, list[str]] = {}
    for part in ("train", "validation"):
        keys: list[str] = []
        for table in tables[part]:
            women = sorted(set(table.women.tolist()))
            keys += women if is_real(table) else [str(table.women[0]), str(table.women[-1])]
            keys += sorted({key for woman in women for key in elsewhere.get(woman, ())})
        parts[part] = keys
    return parts


def numbers(
    scenario: Scenario,
    fitted: FittedClassifiers,
    test: FeatureTable,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """The test part's table, as in the paper's Tables 2 to 4, and features alone (Fig. 4)."""
    scores = fitted.probabilities(test.values)
    rows = measure.rows(scenario, test, scores, thresholds)
    reached = next(row["auc"] for row in rows if row["classifier"] == "sae")
    columns = {name: test.values[:, i] for i, name in enumerate(test.features)}
    singly = single_features(test.malignant, columns)
    return {
        "data": f"{test.name}, test part",
        "rows": rows,
        "single_features": [{"feature": n} | one.as_dict() for n, (one, _, _) in singly.items()],
        "within_sources": by_source.within(test, scores),
    } | measure.best_possible(test, reached)
