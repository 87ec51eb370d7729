"""How a trained network becomes a model folder: fitted on validation, measured on test."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cadnode.domain import Acquisition, System
from cadnode.models import store
from cadnode.models.breast import BreastScoring
from cadnode.models.card import DibMgCard, Metric, TrainingData
from cadnode.networks.dib_mg import MapNetwork
from cadnode.statistics.auc import clustered
from cadnode_training.data.sets import ddsm_exams, phantom_exams, rsna_views
from cadnode_training.data.tensors import TensorCache
from cadnode_training.data.views import Part, ViewRecord, ViewSet
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.kim2018 import output, readings
from cadnode_training.papers.kim2018.breasts import (
    BreastScored,
    ExamScored,
    by_breast,
    by_exam,
    compared,
    contrast_of,
    exam_contrast_of,
    exams_compared,
)
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.prepared import PreparedViews
from cadnode_training.papers.kim2018.readings import LEFT_OUT, MEASURED, ViewsRead
from cadnode_training.papers.kim2018.validation import FittedBreasts, fit

NAMES: Final = {Acquisition.DIGITAL: "dib-mg-digital", Acquisition.FILM: "dib-mg-film"}
PAPER: Final = (
    "Kim EK, Kim HE, Han K, et al. Applying data-driven imaging biomarker in mammography for "
    "breast cancer screening: preliminary study. Sci Rep 8, 2762 (2018)"
)
ALGORITHM: Final = {
    "residual19": "Deep learning: weakly supervised residual network (DIB-MG) with two per-view "
    "maps, pretrained to locate simulated lesions",
    "tf_efficientnet_lite0": "Deep learning: weakly supervised EfficientNet-Lite0 (after DIB-MG) "
    "with a per-view map, from ImageNet weights (Apache-2.0), then located simulated lesions",
}
SPLIT: Final = "by woman, by the sha256 of her number: 65 % train, 15 % validation, 20 % test"
_SPLIT_OF_FOLDS: Final = (
    "by woman, by the sha256 of her number: {folds} folds; {members} networks, each trained "
    "without the women of one"
)
_BOXES: Final = ", and the boxes of real cancers where there are any (not weakly supervised there)"
INTENDED_USE: Final = (
    "Research and engineering of mammography CAD. Not a medical device; not for diagnosis, "
    "triage or screening decisions."
)
TERMS: Final = {
    rsna_views.NAME: "RSNA 2022 screening mammography challenge, research use",
    ddsm_exams.NAME: "DDSM, University of South Florida, public research set",
    phantom_exams.NAME: "drawn by cadnode's phantom, free to use",
}
LIMITS: Final = {
    rsna_views.NAME: (
        "Weak: some hundred cancers are too few for this network; read the metrics first.",
        "Learnt from views of 640 × 640 pixels: masses and asymmetries are resolved, "
        "calcifications hardly.",
        "The woman's age alone orders the test part better (0.71): older women have more cancer.",
        "Implants were kept out of the training.",
        "Some hundred cancers of four machines at two sites: other vendors were never seen.",
        "Scores of views are calibrated to the validation part, whose share of cancers is far "
        "above that of screening.",
    ),
    ddsm_exams.NAME: (
        "Learnt from views of 299 × 299 pixels: calcifications cannot be resolved.",
        "CBIS-DDSM is drawn from DDSM: its exams may be of women in the training part. The demo's "
        "malignant exam is DDSM's C0104, which was kept out of every part.",
        "Exams are told apart poorly: read the metrics of exams first. The comparison of the two "
        "breasts tells which side, hardly whether.",
        "Scores are calibrated to the validation part, where more than every third exam has "
        "cancer.",
    ),
    phantom_exams.NAME: ("Learnt from synthetic exams alone: nothing is known of real ones.",),
}
_UNKNOWN_LIMITS: Final = (
    "Read the metrics first: they are of this data set alone.",
    "Scores are calibrated to the validation part and its share of cancers.",
)


def write(
    network: MapNetwork,
    recipe: ViewRecipe,
    prepared: PreparedViews,
    out: Path,
    origin: Provenance,
    *,
    differences: Sequence[str] = (),
    measured: Callable[[Mapping[str, ViewsRead]], Mapping[str, Any]] = lambda read: {},
) -> dict[str, Any]:
    """Write `out/NAME/VERSION`; returns the folder and the test part's AUC.

    `differences` to the paper are kept in the card; what `measured` makes of the parts that were
    read is returned, too.
    """
    network = network.cpu().eval()
    data, cache, rows = prepared.data, prepared.cache, prepared.rows
    folds = readings.folds_of(prepared, recipe)
    if folds:
        rows = {"train": [*range(len(cache.records))], "validation": [], "test": []}
    stored_as = readings.store(network, prepared, recipe, folds)
    read = readings.read(network, prepared, folds)
    fitted = _fitted(read, recipe, data.acquisition)
    card = DibMgCard(
        name=NAMES[data.acquisition],
        version=recipe.export.version,
        system=System.KIM2018,
        paper=PAPER,
        algorithm=_algorithm(recipe),
        intended_use=INTENDED_USE,
        licence="Apache-2.0 (weights; the training data have terms of their own)",
        architecture=recipe.architecture(),
        preprocess=recipe.preprocess(data.acquisition),
        applies_to=(data.acquisition,),
        training_data=_sentence(origin.command, cache, rows, recipe),
        training_sets=(_training_set(data, cache, rows["train"]),),
        split=_split_in_words(recipe),
        metrics=metrics_of(read, data, fitted.breast),
        roc=fitted.roc,
        exam=fitted.exam,
        hot_region=fitted.hot_region,
        calibration=fitted.calibration,
        breast=fitted.breast,
        limits=_limits(data.name, recipe),
        differences=tuple(differences),
        weights_sha256="0" * 64,
        stored_as=stored_as,
        seed=origin.seed,
        command=origin.command,
        trained_on=origin.trained_on,
        training_content=origin.content,
    )
    folder = out / card.name / card.version
    store.save(folder, card, network.state_dict(), _split(cache, rows, folds, recipe.data.exclude))
    metrics = {"folder": str(folder), "metrics": [m.model_dump() for m in card.metrics]}
    return metrics | dict(measured(read))


def _fitted(
    read: Mapping[str, ViewsRead], recipe: ViewRecipe, acquisition: Acquisition
) -> FittedBreasts:
    held = read.get("validation", read.get(LEFT_OUT))
    assert held is not None
    of = held.records, held.logits, held.peaks
    if recipe.of_exams:
        return output.fit(*of, acquisition=acquisition)
    part = LEFT_OUT if LEFT_OUT in read else "validation part"
    return fit(*of, acquisition=acquisition, part=part)


def _algorithm(recipe: ViewRecipe) -> str:
    if recipe.of_exams:
        return output.ALGORITHM
    return ALGORITHM[recipe.network.trunk] + (_BOXES if recipe.finetune.boxes > 0 else "")


def _split_in_words(recipe: ViewRecipe) -> str:
    plan = recipe.schedule
    if plan.folds:
        return _SPLIT_OF_FOLDS.format(folds=plan.folds, members=plan.members)
    return output.split_of(recipe) if recipe.of_exams else SPLIT


def _limits(name: str, recipe: ViewRecipe) -> tuple[str, ...]:
    """What the data set implies, and of exams' labels alone what the output is."""
    if recipe.of_exams:
        return (_UNKNOWN_LIMITS[0], output.LIMIT, *output.OF_DATA.get(name, ()))
    limits = LIMITS.get(name, _UNKNOWN_LIMITS)
    if recipe.schedule.folds:
        return tuple(limit.replace("the validation part", LEFT_OUT) for limit in limits)
    return limits


def metrics_of(
    read: Mapping[str, ViewsRead], data: ViewSet, scoring: BreastScoring
) -> tuple[Metric, ...]:
    """AUCs of breasts and of exams in each part, scored as the node scores them.

    A part in which a class is missing has none.
    """
    found: list[Metric] = []
    for part, one in read.items():
        where = f"{part} part" if part in MEASURED else part
        name = f"{data.name}, {where}"
        rows = compared(one.records, data.acquisition)
        breasts = by_breast(
            [one.records[i] for i in rows], [float(one.logits[i]) for i in rows], scoring
        )
        rows = exams_compared(one.records, data.acquisition)
        exams = by_exam(
            by_breast([one.records[i] for i in rows], [float(one.logits[i]) for i in rows], scoring)
        )
        found += _metric(f"AUC, {where}", name, contrast_of(one.records, data.acquisition),
                         "breasts", breasts)  # fmt: skip
        found += _metric(
            f"AUC of exams, {where}", name,
            exam_contrast_of(one.records, data.acquisition), "exams", exams,
        )  # fmt: skip
    return tuple(found)


def _metric(
    name: str, data: str, contrast: str, unit: str, cases: Sequence[BreastScored | ExamScored]
) -> list[Metric]:
    if len({case.cancer for case in cases}) < 2:
        return []
    auc = clustered(
        [case.cancer for case in cases],
        [case.score for case in cases],
        [case.woman for case in cases],
    )
    return [
        Metric(
            name=name, data=data, contrast=contrast, unit=unit, n_pos=auc.n_pos,
            n_neg=auc.n_neg, auc=round(auc.value, 4), auc_ci=auc.bounds, ci_method=auc.method,
        )
    ]  # fmt: skip


def _training_set(data: ViewSet, cache: TensorCache, rows: Sequence[int]) -> TrainingData:
    records = [cache.records[i] for i in rows if cache.records[i].trainable]
    return TrainingData(
        name=data.name,
        terms=TERMS.get(data.name, "terms of the data set's own; ask its keeper"),
        n_women=len({r.woman for r in records}),
        n_views=len(records),
        n_cancer_breasts=len({r.breast for r in records if r.cancer}),
    )


def _sentence(
    command: str, cache: TensorCache, rows: Mapping[Part, Sequence[int]], recipe: ViewRecipe
) -> str:
    """The training data in a sentence."""
    women = len({cache.records[i].woman for i in rows["train"]})
    others = " together with the other --data sets" if command.count("--data") > 1 else ""
    pretrained = "lesions simulated into breasts without cancer"
    how = "labels of exams alone" if recipe.of_exams else pretrained
    if recipe.finetune.boxes > 0 and not recipe.of_exams:
        n_boxed = sum(len(cache.boxes(i)) > 0 for i in rows["train"])
        how += f"; boxes of cancers in {n_boxed} views"
    return (
        f"{cache.records[0].dataset}: {len(rows['train'])} views of {women} women in the training "
        f"part{others}; {how}"
    )


def _split(
    cache: TensorCache,
    rows: Mapping[Part, Sequence[int]],
    folds: Sequence[Sequence[int]],
    excluded: Sequence[str],
) -> dict[str, list[Any]]:
    """Keys of the women that evaluation leaves out, and of those that each member did not see."""

    def keys(chosen: Sequence[int]) -> list[str]:
        records: list[ViewRecord] = [cache.records[i] for i in chosen]
        return sorted({store.woman_key(r.dataset, r.woman) for r in records})

    named = (text.partition(":") for text in excluded)
    parts: dict[str, list[Any]] = {
        "train": keys(rows["train"]),
        "validation": keys(rows["validation"]),
        "excluded": sorted(store.woman_key(dataset, woman) for dataset, _, woman in named),
    }
    return parts | ({"folds": [keys(fold) for fold in folds]} if folds else {})
