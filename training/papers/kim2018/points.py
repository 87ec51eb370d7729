"""What Kim 2018 states, point by point with its sections, and what a recipe does of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cadnode.domain import Acquisition
from cadnode_training.data import sources
from cadnode_training.data.images import GREY_FILES
from cadnode_training.data.views import ViewRecord, ViewSet
from cadnode_training.engine.protocol import NOT_STATED, PaperPoint, ProtocolPoint, beside
from cadnode_training.papers.kim2018 import exam_split
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.exam_split import (
    MANUFACTURER,
    OF_ALL,
    OF_CANCERS,
    LabelledExam,
)

_COLLECTION, _SETS = "Data collection", "Data sets"
_NETWORK, _SETUP = "Development of the Algorithm", "Training Set-up"
_EVALUATION, _STATISTICS = "Evaluation of the Algorithm", "Statistical Analysis"
STATED: Final = (
    PaperPoint(
        "data", "29,107 exams of five hospitals: 4,339 with cancer by pathology, 24,768 normal",
        _COLLECTION,
    ),
    PaperPoint("images", "digital mammograms", _COLLECTION),
    PaperPoint("views", "four views of each woman", _COLLECTION),
    PaperPoint(
        "classes", "cancer, and BI-RADS 1 without cancer for two years; nothing benign",
        _COLLECTION,
    ),
    PaperPoint(
        "women left out", "with surgery for breast cancer, surgery for benign disease within two "
        "years, an implant, a clip or a marker", _COLLECTION,
    ),
    PaperPoint("split of cancers", "5:1:1 at random", _SETS),
    PaperPoint(
        "split of normals", "as many as cancers to validate and to test, the rest to train", _SETS,
    ),
    PaperPoint(
        "parts of cancers are even in", ", ".join(OF_CANCERS), f"{_SETS}; Table 1"
    ),
    PaperPoint(
        "parts of normals are even in", ", ".join(OF_ALL), f"{_SETS}; Table 2"
    ),
    PaperPoint("evenness", "chi-square tests between the parts", _STATISTICS),
    PaperPoint(
        "grey levels", "window of the DICOM header, scaled to [−1, 1]", _SETUP
    ),
    PaperPoint(
        "input", "longer side brought to 1600, padded with zeros to 1600 × 1600: right views on "
        "the left, left views on the right", _SETUP,
    ),
    PaperPoint("size of the images", "larger than 1600: downscaled", _SETUP),
    PaperPoint(
        "perturbation", "contrast ±10 %, brightness ±10 %, at every iteration", _SETUP
    ),
    PaperPoint("perturbation, how", NOT_STATED, _SETUP),
    PaperPoint(
        "network", "19 convolutions: two initial blocks of one, four residual blocks of four, one "
        "of 1 × 1 to two maps; batch normalisation, ReLU, max-pooling", f"{_NETWORK}; Fig. 1",
    ),
    PaperPoint("widths, kernels, strides", NOT_STATED, "Fig. 1"),
    PaperPoint("first weights", NOT_STATED, _NETWORK),
    PaperPoint(
        "pooling", "global average over each view's map, then over the views",
        f"{_NETWORK}; Fig. 2",
    ),
    PaperPoint("label", "cancer 1, normal 0; no lesion is annotated", _NETWORK),
    PaperPoint("whose label", NOT_STATED, "Fig. 3 gives a score of each breast"),
    PaperPoint("loss", NOT_STATED, _NETWORK),
    PaperPoint("optimizer", "SGD, momentum 0.9, weight decay 0.0005", _SETUP),
    PaperPoint("learning rate", "0.001, divided by 5 every 10 epochs", _SETUP),
    PaperPoint("epochs", "30", _SETUP),
    PaperPoint("minibatch", "64 images (16 exams)", _SETUP),
    PaperPoint("batch normalisation", NOT_STATED, f"{_SETUP}: eight GPUs"),
    PaperPoint("precision", NOT_STATED, _SETUP),
    PaperPoint("selection", "best on the validation set", _EVALUATION),
    PaperPoint("best by", NOT_STATED, _EVALUATION),
    PaperPoint("output", "the network's own, from 0 to 1: no probability", _EVALUATION),
    PaperPoint("output, how", NOT_STATED, f"{_NETWORK}; Fig. 2"),
    PaperPoint("threshold of the tables", "0.5", "Results"),
    PaperPoint(
        "tests", "chi-square of sensitivity, specificity and accuracy by stratum, GEE for "
        "features, chi-square between the AUCs of validation and test", _STATISTICS,
    ),
)  # fmt: skip
_ALWAYS: Final = {
    "data": "those of --data: the paper's are private",
    "women left out": "with an implant, where the data state it; of surgery, clips and markers "
    "they state nothing",
}
_TEXT: Final = {point.topic: point.text for point in STATED}


@dataclass(frozen=True, slots=True)
class ExamFacts:
    """What the data decide of the protocol.

    Parameters
    ----------
    data
        Exams by class, in words.
    film, files
        Whether views are film; whether they are image files, which have no window.
    normal
        Whether the class of exams without cancer is BI-RADS 1 by the data's own word.
    missing_of_cancers, missing_of_all
        Columns of Tables 1 and 2 that the data do not state, or state alike for all.
    longest_px
        Longer side of the first view.
    manufacturer
        What stands for the manufacturer: itself, a machine, a digitizer.
    own_split, few_normals
        Whether the data state their parts; whether normals are too few for the paper's numbers.
    """

    data: str
    film: bool
    files: bool
    normal: bool
    missing_of_cancers: tuple[str, ...]
    missing_of_all: tuple[str, ...]
    longest_px: int
    manufacturer: str
    own_split: bool
    few_normals: bool


def facts_of(sets: Sequence[tuple[ViewSet, Sequence[LabelledExam]]]) -> ExamFacts:
    """The facts of the data sets with their exams."""
    exams = [exam for _, of in sets for exam in of]
    ill = sum(e.has_cancer for e in exams)
    records = [data.records[row] for data, of in sets for e in of[:1] for row in e.rows[:1]]
    image = next((i for r in records if (i := sources.load(r)) is not None), None)
    names = " + ".join(data.name for data, _ in sets)
    well = [d.records[r] for d, of in sets for e in of if not e.has_cancer for r in e.rows]
    missing = [
        tuple(c for c in columns if c not in exam_split.stated(exams, columns, cancer=cancer))
        for columns, cancer in ((OF_CANCERS, True), (OF_ALL, False))
    ]
    own = bool(exams) and all(e.split for e in exams)
    return ExamFacts(
        data=f"{names}: {ill} exams with cancer, {len(exams) - ill} without",
        film=any(data.acquisition == Acquisition.FILM for data, _ in sets),
        files=any(r.path.suffix.lower() in GREY_FILES for r in records),
        normal=all(view.exam_class == "normal" for view in well),
        missing_of_cancers=missing[0],
        missing_of_all=missing[1],
        longest_px=0 if image is None else max(image.shape[-2:]),
        manufacturer=_manufacturer(records),
        own_split=own,
        few_normals=not own and _few_normals(sets),
    )


def _manufacturer(records: Sequence[ViewRecord]) -> str:
    """RSNA's sets name machines by number, DDSM its digitizers by letter."""
    for fact, what in (("digitizer", "the digitizer"), ("machine_id", "the machine")):
        if any(r.fact(fact) for r in records):
            return f"{MANUFACTURER} ({what})"
    return MANUFACTURER


def _few_normals(sets: Sequence[tuple[ViewSet, Sequence[LabelledExam]]]) -> bool:
    return any(len(of) < 2 * ill for _, of in sets if (ill := sum(e.has_cancer for e in of)))


def protocol(recipe: ViewRecipe, facts: ExamFacts | None = None) -> tuple[ProtocolPoint, ...]:
    """The paper's points beside what the recipe does, with these data where they are known."""
    if not recipe.of_exams:
        return beside(STATED, _of_network(recipe) | _of_pairs(recipe), _ALWAYS)
    data = _of_data(facts) if facts else {}
    return beside(STATED, _of_network(recipe) | _of_exams(recipe), _ALWAYS | data)


def _of_network(recipe: ViewRecipe) -> dict[str, str]:
    network, given = recipe.network, recipe.input
    ours = {
        "widths, kernels, strides": f"widths {', '.join(map(str, network.widths))}; 5 × 5, then "
        "3 × 3; the first stride 2, max-pooling to one map cell for 16 × 16 pixels",
        "first weights": "at random (He et al. 2015)",
        "output, how": "softmax of the two pooled maps",
    }
    if network.trunk != "residual19":
        ours["network"] = f"{network.trunk}, started from {network.start}: few cancers"
        ours["first weights"] = network.start
        ours["output, how"] = "sigmoid of the pooled map of log-odds"
        ours["widths, kernels, strides"] = f"those of {network.trunk}"
    if network.pooling != "gap":
        ours["pooling"] = (
            f"mean of the {network.top_cells} highest cells, then over the views: small lesions "
            "average away"
        )
    if not given.whole:
        ours["input"] = (
            f"breast's bounding box filled into {given.height} × {given.width}: public images are "
            "stored stretched to squares, and this fits a CPU"
        )
        ours["grey levels"] = "percentiles inside the breast: films and vendors differ more"
        ours["size of the images"] = "as the data have them"
    elif (given.height, given.width) != (1600, 1600):
        ours["input"] = (
            _TEXT["input"]
            .replace("1600 × 1600", f"{given.height} × {given.width}")
            .replace("brought to 1600", f"brought to {max(given.height, given.width)}")
        )
    return ours


def _of_exams(recipe: ViewRecipe) -> dict[str, str]:
    how = recipe.exams
    return {
        "split of cancers": f"{':'.join(map(str, how.ratio))} at random",
        "perturbation": f"contrast ±{100 * how.contrast:g} %, brightness "
        f"±{100 * how.brightness:g} %, at every iteration",
        "perturbation, how": "contrast about middle grey, brightness by a share of the grey range, "
        "clipped; padding alike",
        "whose label": "each breast's own, with the mean of its views; the other breast of a "
        "cancer's exam is normal",
        "loss": "cross-entropy, mean over the breasts",
        "optimizer": f"SGD, momentum {how.momentum:g}, weight decay {how.weight_decay:g}",
        "learning rate": f"{how.learning_rate:g}, divided by {how.divided_by:g} every "
        f"{how.every} epochs",
        "epochs": str(how.epochs),
        "minibatch": f"{4 * how.batch} images ({how.batch} exams)",
        "batch normalisation": f"statistics of {4 * how.batch // max(how.parts, 1)} images at a "
        "time, as on each of eight GPUs; of fewer where memory is short, which is printed",
        "precision": "float32",
        "best by": "AUC of exams, each by the higher of its breasts",
    }


def _of_data(facts: ExamFacts) -> dict[str, str]:
    ours = {"data": facts.data}
    if facts.film:
        ours["images"] = "digitized film"
    if not facts.normal:
        ours["classes"] = "cancer, and what the data call free of it; nothing benign"
    if facts.files:
        ours["grey levels"] = "those of the image files, scaled to [−1, 1]"
    if 0 < facts.longest_px < 1600:
        ours["size of the images"] = f"{facts.longest_px}: enlarged"
    for topic, columns, missing in (
        ("parts of cancers are even in", OF_CANCERS, facts.missing_of_cancers),
        ("parts of normals are even in", OF_ALL, facts.missing_of_all),
    ):
        if facts.own_split:
            ours[topic] = "whatever the data's own split is even in"
        elif missing:
            kept = ", ".join(
                facts.manufacturer if c == MANUFACTURER else c for c in columns if c not in missing
            )
            kept = kept or "nothing"
            ours[topic] = f"{kept}; the data do not tell apart by {', '.join(missing)}"
    if facts.own_split:
        ours["split of cancers"] = ours["split of normals"] = "the data's own"
    elif facts.few_normals:
        ours["split of normals"] = "as the cancers: normals are too few for more"
    return ours


def _of_pairs(recipe: ViewRecipe) -> dict[str, str]:
    """Of the recipes that learn from simulated lesions and pairs of breasts."""
    tune = recipe.finetune
    plan = recipe.schedule
    by_key = "65:15:20 by the woman's key, of all classes"
    if plan.folds:
        by_key = f"{plan.folds} folds by the woman's key, of all classes, one left out by a network"
    nothing = "nothing: the woman's key decides"
    return {
        "images": "digital or film, as the data are",
        "views": "whatever views a breast has",
        "classes": "breasts with and without cancer",
        "split of cancers": by_key,
        "split of normals": by_key,
        "parts of cancers are even in": nothing,
        "parts of normals are even in": nothing,
        "evenness": "not tested",
        "perturbation": "contrast ±15 %, brightness ±8 %, geometry, noise: few cases",
        "perturbation, how": "with a power law of the grey levels",
        "label": f"{recipe.schedule.pretrain_epochs} epochs of finding simulated lesions first: "
        "breast labels alone taught nothing here; " + _real_lesions(tune.boxes),
        "whose label": "each breast's own, ranked in pairs",
        "loss": "cross-entropy of map cells; ranking and cross-entropy of pairs",
        "optimizer": f"AdamW, weight decay {recipe.optimizer.weight_decay}",
        "learning rate": f"{recipe.pretrain.learning_rate}, then {recipe.finetune.learning_rate}, "
        "each along a cosine",
        "epochs": f"{recipe.schedule.pretrain_epochs} + {recipe.schedule.finetune_epochs} of "
        f"{recipe.schedule.steps_per_epoch} steps",
        "minibatch": f"{4 * (tune.digital_pairs + tune.film_pairs) + tune.simulated} images",
        "batch normalisation": "statistics of the minibatch",
        "precision": "bfloat16 in training, float32 else",
        "selection": "best on the validation part, weights averaged over the last steps",
        "best by": "AUC of breasts, mean of the data sets",
        "output": "calibrated on the validation part",
        "threshold of the tables": "chosen on the validation part",
        "tests": "those of `cadnode evaluate`",
    }


def _real_lesions(weight: float) -> str:
    if weight == 0:
        return "no real lesion is annotated"
    return (
        f"boxes of real cancers, where the data have them, say which cells are lesion ({weight:g})"
    )
