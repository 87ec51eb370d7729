"""What a recipe of DIB-MG can state: TOML in, frozen dataclasses out.

What the paper states, and where a recipe departs from it: `papers.kim2018.points`.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition
from cadnode.errors import SettingsError
from cadnode.imaging import view_chain
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.networks.dib_mg import DibMgConfig
from cadnode_training.engine.recipe import Recipes, read

RECIPE: Final = Path(__file__).with_name("recipe.toml")
RECIPES: Final = Recipes(
    paper=RECIPE.with_name("paper.toml"),
    cpu=RECIPE,
    transfer=RECIPE.with_name("transfer.toml"),
    boxes=RECIPE.with_name("boxes.toml"),
    usual=RECIPE,
)
"""Choice: without `--config` the packaged weights' recipe on every machine, because the paper's
takes thousands of exams to learn anything."""


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """See `cadnode.networks.dib_mg.DibMgConfig`.

    `start` is what an ImageNet trunk begins with: `scratch` (random), `imagenet` (timm's weights,
    fetched or from its cache), or a safetensors file of them.
    """

    trunk: str = "residual19"
    start: str = "scratch"
    widths: tuple[int, int, int, int, int, int] = (16, 32, 64, 64, 128, 192)
    pooling: str = "topk"
    top_cells: int = 8


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """Size of the tensor, and the squares to which the sources' views are stretched first.

    `whole` takes the whole view with the display's grey levels, its aspect ratio kept and padded
    with zeros (Kim 2018, Training Set-up), in place of the breast filled into the tensor.
    """

    whole: bool = False
    height: int = 384
    width: int = 224
    stretch_digital: int = 640
    stretch_film: int = 299


@dataclass(frozen=True, slots=True)
class ScheduleRecipe:
    """Epochs of both phases; training stops after `patience` epochs without improvement.

    With `folds` the women are spread over so many, and each of `members` networks learns without
    those of one: every woman is measured by one that never saw her, and the mean of their maps is
    the model. 0: one network, and a test part.
    """

    steps_per_epoch: int = 100
    pretrain_epochs: int = 14
    finetune_epochs: int = 12
    patience: int = 12
    folds: int = 0
    members: int = 1


@dataclass(frozen=True, slots=True)
class Pretrain:
    """Finding simulated lesions: learning rate at its height, views a step."""

    learning_rate: float = 2e-3
    batch: int = 32


@dataclass(frozen=True, slots=True)
class Finetune:
    """A step: pairs of breasts (two views each) from digital and film exams, simulated views.

    `boxes` is the weight of where in a pair's views the cancer lies, where boxes say so; 0 learns
    from breasts' labels alone.
    """

    learning_rate: float = 4e-4
    digital_pairs: int = 4
    film_pairs: int = 3
    simulated: int = 8
    boxes: float = 0.0


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """AdamW's."""

    weight_decay: float = 0.03


@dataclass(frozen=True, slots=True)
class ExamsRecipe:
    """Learning from exams' labels alone, as in Kim 2018 (Data sets; Training Set-up).

    Parameters
    ----------
    batch
        Exams a step, four views each. 0: not this way, but from simulated lesions and pairs of
        breasts (`[pretrain]`, `[finetune]`).
    epochs
        Each shows every training exam once.
    learning_rate, divided_by, every
        Divided by so much every so many epochs.
    momentum, weight_decay
        SGD's; the decay is an L2 penalty.
    contrast, brightness
        By which share each view is changed at most.
    parts
        In how many parts a minibatch is run, whose batch statistics are each its own: the paper's
        eight GPUs have eight images each. More where memory asks for it.
    ratio
        Exams with cancer that train, validate and test.
    """

    batch: int = 0
    epochs: int = 30
    learning_rate: float = 1e-3
    divided_by: float = 5.0
    every: int = 10
    momentum: float = 0.9
    weight_decay: float = 5e-4
    contrast: float = 0.1
    brightness: float = 0.1
    parts: int = 8
    ratio: tuple[int, ...] = (5, 1, 1)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.learning_rate / self.divided_by ** (epoch // self.every)

    @property
    def shares(self) -> tuple[int, int, int]:
        """`ratio`, three numbers."""
        train, validation, test = self.ratio
        return train, validation, test


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """Women (`DATASET:WOMAN`) that are kept out of every part: those of the demo's exams."""

    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportRecipe:
    """The version that the cards get."""

    version: str = "1.0.0"


@dataclass(frozen=True, slots=True)
class ViewRecipe:
    """Everything that a training depends on besides data and seed."""

    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    input: InputRecipe = field(default_factory=InputRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    pretrain: Pretrain = field(default_factory=Pretrain)
    finetune: Finetune = field(default_factory=Finetune)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    exams: ExamsRecipe = field(default_factory=ExamsRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    @property
    def of_exams(self) -> bool:
        """Whether whole exams and their labels alone are learnt from."""
        return self.exams.batch > 0

    @property
    def epochs(self) -> int:
        """Of both phases, or of the exams."""
        if self.of_exams:
            return self.exams.epochs
        return self.schedule.pretrain_epochs + self.schedule.finetune_epochs

    def architecture(self) -> DibMgConfig:
        """The network's shape."""
        shape = dataclasses.asdict(self.network)
        del shape["start"]
        return DibMgConfig.model_validate(shape | {"members": self.schedule.members})

    def member(self) -> DibMgConfig:
        """The shape of one of its members."""
        return self.architecture().model_copy(update={"members": 1})

    def preprocess(self, acquisition: Acquisition) -> PreprocessSpec:
        """The chain for a kind of view."""
        if self.input.whole:
            size = {"height": self.input.height, "width": self.input.width}
            return PreprocessSpec.model_validate(view_chain.PAPER.model_dump() | size)
        digital = acquisition == Acquisition.DIGITAL
        side = self.input.stretch_digital if digital else self.input.stretch_film
        return PreprocessSpec(height=self.input.height, width=self.input.width, stretch_to=side)

    def with_epochs(self, epochs: int) -> "ViewRecipe":
        """The recipe shortened or lengthened to `epochs`, both phases in proportion."""
        if self.of_exams:
            return dataclasses.replace(self, exams=dataclasses.replace(self.exams, epochs=epochs))
        share = self.schedule.pretrain_epochs / max(self.epochs, 1)
        pretrain = min(round(epochs * share), epochs - 1)
        schedule = dataclasses.replace(
            self.schedule, pretrain_epochs=pretrain, finetune_epochs=epochs - pretrain
        )
        return dataclasses.replace(self, schedule=schedule)


def load(file: Path | None = None) -> ViewRecipe:
    """The recipe of a TOML file; the committed one by default.

    Raises
    ------
    SettingsError
        The file is missing or not TOML, or a key or a value is wrong.
    """
    recipe = read(file or RECIPE, ViewRecipe)
    try:
        recipe.architecture(), recipe.preprocess(Acquisition.DIGITAL)
    except ValueError:
        raise SettingsError("the recipe's [network] or [input] is not possible") from None
    exams, plan = recipe.exams, recipe.schedule
    crossed = plan.folds >= 2 and not recipe.of_exams
    if not ((plan.folds == 0 and plan.members == 1) or (crossed and plan.members <= plan.folds)):
        raise SettingsError("schedule: 2 folds at least, a member for each at most; none of exams")
    if len(exams.ratio) != 3 or min(exams.ratio) < 1 or min(exams.every, exams.divided_by) <= 0:
        raise SettingsError("the recipe's [exams] is not possible: ratio, every or divided_by")
    return recipe
