"""How the detector of masses is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.networks.mass_map import MassMapConfig
from cadnode_training.engine.protocol import RecipeDifference
from cadnode_training.engine.recipe import Recipes, read

RECIPES: Final = Recipes(Path(__file__).with_name("recipe.toml"))
"""One recipe serves machines with and without a GPU."""


@dataclass(frozen=True, slots=True)
class MassInput:
    """What the network sees.

    Parameters
    ----------
    height, width
        Of the tensor of a view, pixels.
    stretch_to
        Side of the square to which every view is brought first: the resolution of the films that
        the network learns from.
    window_height, window_width
        Of the part of an augmented tensor that a minibatch holds.
    """

    height: int = 320
    width: int = 208
    stretch_to: int = 800
    window_height: int = 320
    window_width: int = 208

    @property
    def spec(self) -> PreprocessSpec:
        """The preprocessing of training and serving."""
        return PreprocessSpec(height=self.height, width=self.width, stretch_to=self.stretch_to)


@dataclass(frozen=True, slots=True)
class MassAugmentation:
    """How views are changed before they are learnt from.

    Parameters
    ----------
    scale, stretch
        Logarithmic range of the size, and of each axis besides.
    turn_degrees
        Largest angle.
    exponent, gain
        Standard deviations of the logarithms of the grey levels' power and factor.
    noise
        Largest standard deviation of the noise that is added.
    on_mass
        Share of the windows that hold a mass of the view.
    """

    scale: float = 0.15
    stretch: float = 0.1
    turn_degrees: float = 12.0
    exponent: float = 0.2
    gain: float = 0.1
    noise: float = 0.03
    on_mass: float = 0.0


@dataclass(frozen=True, slots=True)
class MassSchedule:
    """How long and how to train.

    Parameters
    ----------
    folds, members
        The women are spread over so many folds; each member is trained without those of one.
    channels
        Of the network's joined features.
    epochs, steps, batch
        Minibatches of an epoch and windows of a minibatch.
    drawn
        Share of the windows that show the phantom, where there is one.
    rate, trunk_rate, weight_decay, warm_up
        AdamW's highest learning rates of the new layers and of the trunk's, its decay, and the
        share of the steps in which the rates rise.
    average
        Decay of the moving average of the weights, which is what is kept.
    size_weight
        Of the loss of sizes beside that of centres.
    clip
        Largest norm of a member's gradient.
    start
        "imagenet", or a safetensors file of timm's names; "" for none.
    """

    folds: int = 5
    members: int = 1
    channels: int = 48
    epochs: int = 14
    steps: int = 50
    batch: int = 8
    drawn: float = 0.2
    rate: float = 1e-3
    trunk_rate: float = 2e-4
    weight_decay: float = 1e-3
    warm_up: float = 0.1
    average: float = 0.99
    size_weight: float = 0.2
    clip: float = 5.0
    start: str = "imagenet"


@dataclass(frozen=True, slots=True)
class MassRecipe:
    """The whole recipe."""

    input: MassInput = field(default_factory=MassInput)
    augmentation: MassAugmentation = field(default_factory=MassAugmentation)
    schedule: MassSchedule = field(default_factory=MassSchedule)

    @property
    def network(self) -> MassMapConfig:
        """The network's shape."""
        return MassMapConfig(members=self.schedule.members, channels=self.schedule.channels)


PAPER: Final[Mapping[str, str]] = {
    "network": "CenterNet (Zhou 2019): ResNet, DLA or Hourglass at stride 4, 512 × 512",
    "loss": "penalty-reduced focal loss of centres, L1 of offsets and sizes",
    "learning": "Adam 5e-4, 140 epochs, batches of 128, COCO",
}


def load(config: Path | None, epochs: int | None) -> MassRecipe:
    """The recipe of `--config` with the epochs of the command line.

    Raises
    ------
    SettingsError
        The file is not what it should be.
    """
    recipe = read(RECIPES.of(config), MassRecipe)
    if epochs:
        recipe = replace(recipe, schedule=replace(recipe.schedule, epochs=epochs))
    if min(recipe.schedule.epochs, recipe.schedule.steps, recipe.schedule.batch) < 1:
        raise SettingsError("the recipe needs epochs, steps and a batch")
    if not 1 <= recipe.schedule.members <= recipe.schedule.folds or recipe.schedule.folds < 2:
        raise SettingsError("schedule: 2 folds at least, and a member for each at most")
    return recipe


def differences(recipe: MassRecipe) -> list[RecipeDifference]:
    """(topic, paper, recipe) of every topic."""
    size, plan = recipe.input, recipe.schedule
    ours = {
        "network": f"EfficientNet-Lite0 to stride 16, joined at stride 8, {size.height} × "
        f"{size.width}; {plan.members} of {plan.folds} folds left out by a member each",
        "loss": "quality focal loss of centres (Li 2020), L1 of logarithmic sizes",
        "learning": f"AdamW {plan.rate:g}, {plan.epochs} × {plan.steps} batches of {plan.batch}",
    }
    return [(topic, stated, ours[topic]) for topic, stated in PAPER.items()]
