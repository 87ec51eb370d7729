"""What a recipe for ROI networks can state: TOML in, frozen dataclasses out, types checked."""

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cadnode.errors import SettingsError
from cadnode.imaging.roi_chain import RoiSpec
from cadnode_training.engine.recipe import read

Task = Literal["descriptors", "joint", "malignancy"]
PREVIOUS: Final = "previous"
SCRATCH: Final = "scratch"
IMAGENET: Final = "imagenet"


@dataclass(frozen=True, slots=True)
class RoiInput:
    """The region's side in pixels and its pixel size; see `cadnode.imaging.roi_chain.RoiSpec`."""

    size: int = 512
    spacing_mm: float = 0.1


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of the training part only.

    Parameters
    ----------
    copies
        How often an epoch shows each ROI, newly changed each time.
    flips
        Left–right and up–down, each for one in two.
    rotation_share
        Share that is turned by any of 1–359°; the rest is turned by a multiple of 90°.
    translation_px
        Moved by up to so many pixels in either direction.
    grey
        Spread of contrast and of the power law: 0 leaves the grey levels.
    """

    copies: int = 5
    flips: bool = True
    rotation_share: float = 1.0
    translation_px: int = 30
    grey: float = 0.0


@dataclass(frozen=True, slots=True)
class RoiOptimizer:
    """`adam` takes the weight decay as L2 penalty, `adamw` apart from the gradient.

    `average` chooses and exports the exponential average of the weights instead of the weights;
    `clip` limits the gradient's norm (0: no limit); `amp` computes the training's convolutions in
    bfloat16 (never the evaluation's).
    """

    name: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 5e-4
    average: bool = False
    clip: float = 0.0
    amp: bool = False


@dataclass(frozen=True, slots=True)
class RoiExport:
    """How the finished network is measured.

    Parameters
    ----------
    amp
        In bfloat16, where float32 would take too long; the card records it.
    compared
        ROIs of the validation part on which float32, int8 and bfloat16 are compared.
    calibrated
        Whether probabilities are calibrated on the validation part (Platt), or the network's own
        softmax, as in the papers.
    """

    amp: bool = False
    compared: int = 100
    calibrated: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the learning stages, each from any checkpoint.

    Parameters
    ----------
    name
        Names the stage's folder, and its data in `--data NAME=KIND:…`.
    task
        `malignancy`: benign or malignant. `descriptors`: BI-RADS type and distribution. `joint`:
        all of them.
    init
        `previous` (the stage before), `scratch`, `imagenet` (timm's weights), or a file of
        safetensors. Layers that do not fit, the classifier first of all, start at random.
    size
        Side of the part that is cut around the lesion, in the ROI's pixels, and translated by
        less in proportion; 0 takes the whole ROI.
    steps
        At most so many minibatches an epoch; 0 shows the whole training part.
    batch
        ROIs a step; 0 takes the member's own.
    learning_rate, schedule
        `constant`, or `one-cycle`: up to `learning_rate` in the first tenth, then down to 0.
    patience
        Epochs without a lower validation loss after which the stage ends.
    classifier
        `new`: replaced and started at random, as in the papers; `kept`: taken over.
    frozen
        Parameters whose names start with one of these are not trained.
    attention
        Weight of the loss that asks for evidence inside the lesion's box
        (`cadnode_training.papers.roi_cnn.attention`); 0 in the papers.
    """

    name: str = "target"
    task: Task = "malignancy"
    init: str = IMAGENET
    size: int = 0
    epochs: int = 200
    steps: int = 0
    batch: int = 0
    learning_rate: float = 1e-4
    schedule: Literal["constant", "one-cycle"] = "constant"
    patience: int = 20
    classifier: Literal["new", "kept"] = "new"
    frozen: tuple[str, ...] = ()
    attention: float = 0.0

    def translation_px(self, how: Augmentation, whole: int) -> int:
        """By how much the part is moved at most; `whole` is the ROI's side."""
        return round(how.translation_px * self.size / whole) if self.size else how.translation_px


@dataclass(frozen=True, slots=True)
class Member:
    """A network of the ensemble: timm's name, its minibatch, and what is added to the seed."""

    network: str = "inception_v3"
    batch: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RoiRecipe:
    """Everything that a training depends on besides data and seed."""

    members: tuple[Member, ...] = (Member(),)
    stages: tuple[Stage, ...] = (Stage(),)
    input: RoiInput = field(default_factory=RoiInput)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: RoiOptimizer = field(default_factory=RoiOptimizer)
    export: RoiExport = field(default_factory=RoiExport)

    def roi(self) -> RoiSpec:
        """How the node cuts a ROI for these networks."""
        return RoiSpec(size=self.input.size, spacing_mm=self.input.spacing_mm)

    def with_epochs(self, epochs: int) -> "RoiRecipe":
        """The recipe with `epochs` for each stage."""
        stages = tuple(dataclasses.replace(s, epochs=epochs) for s in self.stages)
        return dataclasses.replace(self, stages=stages)

    def with_init(self, init: str) -> "RoiRecipe":
        """The recipe whose first stage starts from `init`."""
        first = dataclasses.replace(self.stages[0], init=init)
        return dataclasses.replace(self, stages=(first, *self.stages[1:]))

    def with_members(self, names: typing.Sequence[str]) -> "RoiRecipe":
        """The recipe with only the members whose networks are named.

        Raises
        ------
        SettingsError
            A network is none of the recipe's.
        """
        known = [m.network for m in self.members]
        wrong = sorted(set(names) - set(known))
        if wrong:
            raise SettingsError(
                f"no member {', '.join(wrong)} in this recipe; known: {', '.join(known)} "
                "(--config paper has the paper's own)"
            )
        return dataclasses.replace(
            self, members=tuple(m for m in self.members if m.network in names)
        )


def load(file: Path) -> RoiRecipe:
    """The recipe of a TOML file.

    Raises
    ------
    SettingsError
        The file is missing or not TOML, or a key or a value is wrong.
    """
    recipe = read(file, RoiRecipe)
    _check(recipe)
    return recipe


def _check(recipe: RoiRecipe) -> None:
    """Reject a recipe that cannot be trained."""
    names = [s.name for s in recipe.stages]
    if not names or len(set(names)) < len(names):
        raise SettingsError("[[stages]]: at least one, each with a name of its own")
    if recipe.stages[0].init == PREVIOUS:
        raise SettingsError("stages.init: the first stage has no previous one")
    if recipe.stages[-1].task != "malignancy":
        raise SettingsError("stages.task: the last stage must learn malignancy")
    if not recipe.members:
        raise SettingsError("[[members]]: at least one")
    if any(s.size > recipe.input.size for s in recipe.stages):
        raise SettingsError("stages.size is larger than input.size")
    try:
        recipe.roi()
    except ValueError:
        raise SettingsError("the recipe's [input] is not possible") from None
