"""What Wang 2016 states, and where a recipe departs from it."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.models.card import Scenario
from cadnode_training.engine.protocol import NOT_STATED, PaperPoint, ProtocolPoint, beside
from cadnode_training.engine.recipe import Recipes, read
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.fitting import FOLDS, HIDDEN
from cadnode_training.papers.wang2016.rivals import NEIGHBOURS

RECIPE: Final = Path(__file__).with_name("recipe.toml")
RECIPES: Final = Recipes(RECIPE.with_name("paper.toml"), cpu=RECIPE, usual=RECIPE)
"""The networks are small: the packaged weights' recipe serves machines with and without a GPU."""

_RESULTS, _SAMPLE, _IMAGING = "Results", "Participant population", "Imaging and analysis"
_MODEL: Final = "Deep learning model"
_STATED: Final = (
    PaperPoint(
        "data", "1,204 women of two hospitals: 774 benign, 430 malignant lesions; histopathology",
        _SAMPLE,
    ),
    PaperPoint("split", "1,000 women to train, 204 to test, at random", f"{_SAMPLE}; Table 1"),
    PaperPoint("images", "whole views of 1024 × 1024 pixels, 8-bit grey levels", _IMAGING),
    PaperPoint("segmentation", "semi-automated, a method reported before", _IMAGING),
    PaperPoint("features", "15 of calcifications, 26 of masses, 41 of both", _IMAGING),
    PaperPoint("formulas", NOT_STATED, "Appendix File S1, which is not public"),
    PaperPoint("scaling of the features", NOT_STATED, _IMAGING),
    PaperPoint("network", "one stacked autoencoder, softmax on top", _MODEL),
    PaperPoint("hidden layers", "{hidden}", _RESULTS),
    PaperPoint("units", "logistic sigmoid", _MODEL),
    PaperPoint("pretraining", "greedy, layer by layer, denoising; squared error", _MODEL),
    PaperPoint("noise", NOT_STATED, _MODEL),
    PaperPoint("pretraining, how long", NOT_STATED, _MODEL),
    PaperPoint("fine-tuning", NOT_STATED, _MODEL),
    PaperPoint("cross-validation", "10-fold on the training group", f"{_RESULTS}; Tables 2 to 4"),
    PaperPoint("SVM", NOT_STATED, _RESULTS),
    PaperPoint("KNN", "N = {neighbours}", "Tables 2 to 4"),
    PaperPoint("LDA", NOT_STATED, _RESULTS),
    PaperPoint("threshold of the tables", NOT_STATED, _RESULTS),
    PaperPoint("measures", "accuracy, sensitivity, specificity, AUC", "Tables 2 to 4"),
    PaperPoint(
        "single features", "ROC of selected ones beside their combination", "Fig. 4"
    ),
)  # fmt: skip


def stated(scenario: Scenario) -> tuple[PaperPoint, ...]:
    """What the paper states for a scenario, point by point."""
    hidden, neighbours = ", ".join(map(str, HIDDEN[scenario])), NEIGHBOURS[scenario]
    texts = (p.text.format(hidden=hidden, neighbours=neighbours) for p in _STATED)
    return tuple(replace(p, text=text) for p, text in zip(_STATED, texts, strict=True))


def load(config: Path | None, epochs: int | None) -> AutoencoderRecipe:
    """The recipe of `--config` with the epochs of the command line.

    Raises
    ------
    SettingsError
        The file is not what it should be.
    """
    recipe = read(RECIPES.of(config), AutoencoderRecipe)
    if recipe.batch < 1 or recipe.masked >= 1:
        raise SettingsError("the recipe needs a batch of 1 or more, and masked below 1")
    return recipe.with_epochs(epochs) if epochs else recipe


def protocol(
    recipe: AutoencoderRecipe, scenario: Scenario, folds: int
) -> tuple[ProtocolPoint, ...]:
    """The paper's points beside what the recipe does."""
    ours = {
        "images": "regions at the pixels and grey levels of --data: what is public are regions, "
        "and lengths in mm need square pixels",
        "segmentation": "automatic, the node's own",
        "formulas": "docs/features.md; the named ones, completed to 15 and 26",
        "scaling of the features": "logarithm, then the 1st to 99th percentile to [0, 1]",
        "noise": f"{100 * recipe.masked:g} % of the inputs set to 0",
        "pretraining, how long": f"{recipe.pretrain_updates} updates a layer, Adam "
        f"{recipe.pretrain_rate:g}",
        "fine-tuning": f"AdamW {recipe.rate:g}{' along a cosine' if recipe.cosine else ''}, decay "
        f"{recipe.weight_decay:g}, {_length(recipe)}, batch {recipe.batch}; cross-entropy",
        "SVM": f"Gaussian kernel; cost and width by {FOLDS}-fold cross-validation by woman; "
        "classes weighted to be equal",
        "LDA": "covariance shrunk after Ledoit and Wolf; classes by their share",
        "threshold of the tables": "highest Youden index on the validation part",
    }
    if recipe.stellate and scenario != "calcifications":
        ours["features"] = "the paper's and twelve of lines that run towards the mass"
    if recipe.members > 1:
        ours["network"] = f"the mean of {recipe.members} such networks"
    if not folds:
        ours["cross-validation"] = "none (--folds 0)"
    elif folds != FOLDS:
        ours["cross-validation"] = f"{folds}-fold on the training group"
    data = {
        "data": "those of --data: the paper's are private",
        "split": "the data's own, else by woman; a validation part besides",
    }
    return beside(stated(scenario), ours, data)


def _length(recipe: AutoencoderRecipe) -> str:
    if not recipe.patience:
        return f"{recipe.updates} updates"
    return f"{recipe.epochs} epochs at most, patience {recipe.patience} on the validation loss"
