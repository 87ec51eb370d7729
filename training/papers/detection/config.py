"""How the filter of candidates is trained, where the papers rely on people."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode_training.engine.protocol import RecipeDifference
from cadnode_training.engine.recipe import Recipes, read

RECIPES: Final = Recipes(Path(__file__).with_name("recipe.toml"))
"""The networks are small: one recipe serves machines with and without a GPU."""


@dataclass(frozen=True, slots=True)
class FilterSchedule:
    """How long and how to train.

    Parameters
    ----------
    epochs, per_epoch
        How often, and how many candidates, drawn by source and class, at a time.
    batch
        Candidates a step.
    rate, weight_decay, warm_up
        AdamW's highest learning rate in one cycle, its decay, and the cycle's rising share.
    smoothing
        Labels are half of it away from 0 and 1.
    clip
        Largest norm of the gradient.
    """

    epochs: int = 6
    per_epoch: int = 8000
    batch: int = 64
    rate: float = 3e-3
    weight_decay: float = 1e-3
    warm_up: float = 0.15
    smoothing: float = 0.04
    clip: float = 2.0

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.per_epoch // self.batch


PAPER: Final[Mapping[str, str]] = {
    "regions": "marked by radiologists (Kang 2021), by hand with semi-automatic outlines "
    "(Wang 2016)",
    "truth": "histopathology of the lesion",
    "learning": "none: detection is left to people",
}


def load(config: Path | None, epochs: int | None) -> FilterSchedule:
    """The recipe of `--config` with the epochs of the command line.

    Raises
    ------
    SettingsError
        The file is not what it should be.
    """
    schedule = read(RECIPES.of(config), FilterSchedule)
    schedule = replace(schedule, epochs=epochs) if epochs else schedule
    if min(schedule.epochs, schedule.batch, schedule.steps) < 1:
        raise SettingsError("the recipe needs epochs, a batch, and per_epoch of at least a batch")
    return schedule


def differences(schedule: FilterSchedule) -> list[RecipeDifference]:
    """(topic, papers, recipe) of every topic."""
    ours = {
        "regions": "found: candidates by curvature, classified by this filter",
        "truth": "annotated or drawn places of calcifications",
        "learning": f"AdamW, one cycle up to {schedule.rate:g}, {schedule.epochs} × "
        f"{schedule.per_epoch} candidates in minibatches of {schedule.batch}; three folds by woman",
    }
    return [(topic, stated, ours[topic]) for topic, stated in PAPER.items()]
