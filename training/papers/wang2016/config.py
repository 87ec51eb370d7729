"""What Wang 2016 states, and where a recipe departs from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.models.card import Scenario
from cadnode_training.engine.preview import RecipeDifference
from cadnode_training.engine.recipe import Recipes, read
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.fitting import FOLDS, HIDDEN

RECIPES: Final = Recipes(Path(__file__).with_name("recipe.toml"))
"""The networks are small: one recipe serves machines with and without a GPU."""

PAPER: Final[Mapping[str, str]] = {
    "data": "1,204 women: 1,000 to train (677 benign, 323 malignant), 204 to test; histopathology",
    "segmentation": "semi-automated",
    "features": "15 of calcifications, 26 of masses; formulas in an appendix that is not public",
    "network": "hidden layers 200, 200; 400, 400 for both",
    "pretraining": "greedy, layer by layer, denoising; squared error",
    "fine-tuning": "not stated",
    "choice of the network": "10-fold cross-validation on the training group",
    "SVM": "not stated",
}


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


def differences(
    recipe: AutoencoderRecipe, scenario: Scenario, folds: int
) -> list[RecipeDifference]:
    """(topic, paper, recipe) of every topic that the recipe handles otherwise."""
    hidden = ", ".join(map(str, HIDDEN[scenario]))
    ours = {
        "data": "those of --data: the paper's are private",
        "segmentation": "automatic, the node's own",
        "features": "the named ones, completed, and twelve of lines that run towards the mass; "
        "formulas in docs/features.md",
        "network": f"hidden layers {hidden}, as the paper chose; {recipe.members} such networks, "
        "averaged",
        "pretraining": f"{PAPER['pretraining']}; {recipe.masked:.0%} of the inputs set to 0, "
        f"{recipe.pretrain_updates} updates a layer, Adam {recipe.pretrain_rate:g}",
        "fine-tuning": f"AdamW {recipe.rate:g}{' along a cosine' if recipe.cosine else ''}, decay "
        f"{recipe.weight_decay:g}, {_length(recipe)}, batch {recipe.batch}",
        "choice of the network": f"the paper's; {folds}-fold cross-validation by woman measures it"
        if folds
        else "the paper's; no cross-validation (--folds 0)",
        "SVM": f"RBF; cost and width by {FOLDS}-fold cross-validation by woman",
    }
    return [(t, text, ours[t]) for t, text in PAPER.items() if ours[t] != text]


def _length(recipe: AutoencoderRecipe) -> str:
    if not recipe.patience:
        return f"{recipe.updates} updates"
    return f"{recipe.epochs} epochs at most, patience {recipe.patience} on the validation loss"
