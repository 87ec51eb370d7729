"""What is a paper's own: names, default recipe, and where a recipe departs from the paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from cadnode.domain import System
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
        What the paper states, by topic.
    ours
        What a recipe does, by the same topics.
    model_name
        The card's name of a member, `kang2021-inception-v3`.
    """

    system: System
    title: str
    paper: str
    algorithm: str
    recipe: Path
    stated: Mapping[str, str]
    ours: Callable[[RoiRecipe], Mapping[str, str]]
    model_name: Callable[[Member], str]

    @property
    def recipes(self) -> Recipes:
        """The committed ones: the paper's, and the small one beside it."""
        return Recipes(self.recipe, self.recipe.with_name("cpu.toml"))

    def recipe_of(self, config: Path | None, device: str = "cuda") -> Path:
        """The file of a recipe: `paper`, `cpu`, or any other; None: what fits the device."""
        return self.recipes.of(config, device)

    def differences(self, recipe: RoiRecipe) -> list[tuple[str, str, str]]:
        """(topic, paper, recipe) of every topic that the recipe handles otherwise."""
        ours = self.ours(recipe)
        return [(t, text, ours[t]) for t, text in self.stated.items() if ours[t] != text]

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


def _rate(stage: Stage) -> str:
    rate, schedule = stage.learning_rate, stage.schedule
    return f"{rate:g}" if schedule == "constant" else f"one cycle up to {rate:g}"


def _start(init: str) -> str:
    return {"imagenet": "ImageNet", "scratch": "scratch"}.get(init, "a checkpoint")
