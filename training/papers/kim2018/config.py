"""What Kim 2018 states, our recipe as data, and where the two differ."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition
from cadnode.errors import SettingsError
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.networks.dib_mg import DibMgConfig
from cadnode_training.engine.recipe import Recipes, read

RECIPE: Final = Path(__file__).with_name("recipe.toml")
RECIPES: Final = Recipes(RECIPE, transfer=RECIPE.with_name("transfer.toml"))


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
    """Size of the tensor, and the squares to which the sources' views are stretched first."""

    height: int = 384
    width: int = 224
    stretch_digital: int = 640
    stretch_film: int = 299


@dataclass(frozen=True, slots=True)
class ScheduleRecipe:
    """Epochs of both phases; training stops after `patience` epochs without improvement."""

    steps_per_epoch: int = 100
    pretrain_epochs: int = 14
    finetune_epochs: int = 12
    patience: int = 12


@dataclass(frozen=True, slots=True)
class Pretrain:
    """Finding simulated lesions: learning rate at its height, views a step."""

    learning_rate: float = 2e-3
    batch: int = 32


@dataclass(frozen=True, slots=True)
class Finetune:
    """A step: pairs of breasts (two views each) from digital and film exams, simulated views."""

    learning_rate: float = 4e-4
    digital_pairs: int = 4
    film_pairs: int = 3
    simulated: int = 8


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """AdamW's."""

    weight_decay: float = 0.03


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
    data: DataRecipe = field(default_factory=DataRecipe)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    @property
    def epochs(self) -> int:
        """Of both phases."""
        return self.schedule.pretrain_epochs + self.schedule.finetune_epochs

    def architecture(self) -> DibMgConfig:
        """The network's shape."""
        shape = dataclasses.asdict(self.network)
        del shape["start"]
        return DibMgConfig.model_validate(shape)

    def preprocess(self, acquisition: Acquisition) -> PreprocessSpec:
        """The chain for a kind of view."""
        digital = acquisition == Acquisition.DIGITAL
        side = self.input.stretch_digital if digital else self.input.stretch_film
        return PreprocessSpec(height=self.input.height, width=self.input.width, stretch_to=side)

    def with_epochs(self, epochs: int) -> "ViewRecipe":
        """The recipe shortened or lengthened to `epochs`, both phases in proportion."""
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
    return recipe


PAPER: Final[Mapping[str, str]] = {
    "data": "29,107 four-view exams (4,339 cancers), exam-level labels",
    "input": "1600 × 1600, aspect ratio kept, zero-padded on the chest wall's far side",
    "grey levels": "display window, scaled to [−1, 1]",
    "perturbation": "contrast ±10 %, brightness ±10 %",
    "network": "19 convolutions, widths not stated",
    "pooling": "global average over the map, then over the views",
    "supervision": "exam label only",
    "optimizer": "SGD, momentum 0.9, weight decay 5e-4",
    "learning rate": "1e-3, a fifth every 10 epochs, 30 epochs",
    "minibatch": "64 views (16 exams) on 8 GPUs",
    "selection": "best on the validation set",
}


def differences(recipe: ViewRecipe) -> list[tuple[str, str, str]]:
    """Where the recipe departs from the paper: (topic, paper, recipe with its reason)."""
    ours = {
        "data": "RSNA views and DDSM exams, some hundred cancers: what is public here",
        "input": f"breast's bounding box filled into {recipe.input.height} × {recipe.input.width}"
        ": the images are stored stretched to squares, and this fits a CPU",
        "grey levels": "percentiles inside the breast: films and vendors differ more than windows",
        "perturbation": "contrast ±15 %, brightness ±8 %, geometry, noise: few cases",
        "network": f"19 convolutions, widths {recipe.network.widths}"
        if recipe.network.trunk == "residual19"
        else f"{recipe.network.trunk}, started from {recipe.network.start}: few cancers",
        "pooling": "mean over the map, then over the views"
        if recipe.network.pooling == "gap"
        else f"mean of the {recipe.network.top_cells} highest cells, then over the views: "
        "small lesions average away",
        "supervision": f"{recipe.schedule.pretrain_epochs} epochs of finding simulated lesions "
        "first: breast labels alone taught nothing here; no real lesion is annotated",
        "optimizer": f"AdamW, weight decay {recipe.optimizer.weight_decay}",
        "learning rate": f"{recipe.pretrain.learning_rate}, then {recipe.finetune.learning_rate}, "
        "each along a cosine",
        "minibatch": f"{_views(recipe)} views",
        "selection": "best on the validation part, weights averaged over the last steps",
    }
    return [(topic, PAPER[topic], ours[topic]) for topic in PAPER]


def _views(recipe: ViewRecipe) -> int:
    tune = recipe.finetune
    return 4 * (tune.digital_pairs + tune.film_pairs) + tune.simulated
