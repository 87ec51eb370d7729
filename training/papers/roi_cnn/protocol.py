"""What is a paper's own: names, default recipe, and where a recipe departs from the paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from cadnode.domain import System
from cadnode_training.engine.protocol import (
    PaperPoint,
    ProtocolPoint,
    RecipeDifference,
    beside,
    differences,
)
from cadnode_training.engine.recipe import Recipes
from cadnode_training.papers.roi_cnn.config import Member, RoiRecipe, Stage


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is a paper's own in training ROI networks.

    Parameters
    ----------
    system
        The node's system that the networks belong to.
    title
        Author and year, for tables.
    paper, algorithm
        As the card has them.
    recipe
        TOML file of the paper's own protocol.
    stated
        What the paper states, point by point.
    ours
        What a recipe does, by the points' topics; one that it leaves out is done as stated.
    by_data
        What data other than the paper's own make of its points.
    model_name
        The card's name of a member, `kang2021-inception-v3`.
    """

    system: System
    title: str
    paper: str
    algorithm: str
    recipe: Path
    stated: tuple[PaperPoint, ...]
    ours: Callable[[RoiRecipe], Mapping[str, str]]
    by_data: Mapping[str, str]
    model_name: Callable[[Member], str]

    @property
    def recipes(self) -> Recipes:
        """The committed ones: the paper's, and the small one beside it."""
        return Recipes(self.recipe, self.recipe.with_name("cpu.toml"))

    def recipe_of(self, config: Path | None, device: str = "cuda") -> Path:
        """The file of a recipe: `paper`, `cpu`, or any other; None: what fits the device."""
        return self.recipes.of(config, device)

    def points(self, recipe: RoiRecipe) -> tuple[ProtocolPoint, ...]:
        """The paper's points beside what the recipe does."""
        return beside(self.stated, self.ours(recipe), self.by_data)

    def differences(self, recipe: RoiRecipe) -> list[RecipeDifference]:
        """(topic, paper, recipe) of every topic that the recipe handles otherwise."""
        return differences(self.points(recipe))

    def table(self, recipe: RoiRecipe) -> Table:
        """The differences to be printed."""
        table = Table("", self.title, "this recipe", title="What this training does otherwise")
        for row in self.differences(recipe):
            table.add_row(*row)
        return table


def description_of(recipe: RoiRecipe) -> dict[str, str]:
    """What a recipe of ROI networks does, by the topics of the papers."""
    how, change = recipe.optimizer, recipe.augmentation
    turns = {0.0: "by multiples of 90°", 1.0: "1–359°"}.get(
        change.rotation_share, f"1–359° for {change.rotation_share:.0%}, else multiples of 90°"
    )
    flips = "flips H and V, " if change.flips else ""
    grey = f", grey levels ±{change.grey:.0%}" if change.grey else ""
    kind = {"adam": "Adam, L2", "adamw": "AdamW, decay"}[how.name]
    average = "; averaged weights" if how.average else ""
    return {
        "input": f"{recipe.input.size} × {recipe.input.size} px",
        "pixel pitch": f"{recipe.input.spacing_mm:g} mm in the plane of the breast, resampled",
        "grey levels": "relative to the region's own tissue (`cadnode.imaging.roi_chain`), then "
        "less ImageNet's mean and over its SD",
        "augmentation, when": "drawn again in each epoch, which shows each ROI as often",
        "edges of turned regions": "mirrored",
        "first weights": "; ".join(dict.fromkeys(_first(s) for s in recipe.stages)),
        "layers that learn": "; ".join(
            dict.fromkeys(
                f"all but {', '.join(s.frozen)}" if s.frozen else "all" for s in recipe.stages
            )
        ),
        "epochs": ", then ".join(f"{s.epochs} at most" for s in recipe.stages),
        "weights of the classes": "none",
        "output": "the network's softmax"
        if not recipe.export.calibrated
        else "softmax, calibrated on the validation part",
        "cut-off chosen on": "the validation part",
        "intervals": "AUC by DeLong or by bootstrap over women, shares by Wilson or by GEE",
        "augmentation": f"{change.copies}-fold: {flips}rotation {turns}, "
        f"translation ±{change.translation_px} px{grey}",
        "optimizer": f"{kind} {how.weight_decay:g}, β 0.9/0.999{average}",
        "learning rate": ", then ".join(dict.fromkeys(_rate(s) for s in recipe.stages)),
        "early stopping": f"validation loss, patience {recipe.stages[-1].patience}",
        "selection": "best by validation AUC",
        "precision": "bfloat16 in training, float32 else" if how.amp else "float32",
        "minibatch": ", ".join(
            f"{m.network} {'/'.join(str(s.batch or m.batch) for s in recipe.stages)}"
            for m in recipe.members
        ),
        "stages": " → ".join(
            f"{s.name}: {s.task}"
            + (f" at {s.size} px" if s.size else "")
            + ("" if s.init == "previous" else f" from {_start(s.init)}")
            for s in recipe.stages
        ),
    }


def _first(stage: Stage) -> str:
    if stage.init == "previous" and stage.classifier == "kept":
        return "the stage's before"
    start = "the stage's before" if stage.init == "previous" else _start(stage.init)
    return f"{start}, a new classifier at random" if stage.init != "scratch" else "at random"


def _rate(stage: Stage) -> str:
    rate, schedule = stage.learning_rate, stage.schedule
    return f"{rate:g}" if schedule == "constant" else f"one cycle up to {rate:g}"


def _start(init: str) -> str:
    return {"imagenet": "ImageNet", "scratch": "scratch"}.get(init, "a checkpoint")
