"""What a training would do, before it does anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from cadnode_training.engine.machine import Machine

RecipeDifference = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """A part of a data set: how many of each class, by the class' name."""

    data: str
    part: str
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PreviewPhase:
    """So many epochs of so many steps, at most: early stopping may end it before."""

    name: str
    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Of all epochs."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, slots=True)
class Preview:
    """What `--dry-run` reports.

    Parameters
    ----------
    system, recipe
        What is trained, and the recipe's file name.
    counts
        Of the data.
    differences
        (topic, paper, recipe) where they differ.
    phases
        Of the learning.
    writes
        What the folder will hold.
    machine
        Where it would run.
    """

    system: str
    recipe: str
    counts: tuple[Count, ...]
    differences: tuple[RecipeDifference, ...]
    phases: tuple[PreviewPhase, ...]
    writes: tuple[str, ...]
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        steps = [asdict(p) | {"steps": p.steps} for p in self.phases]
        return {"dry_run": True, "system": self.system, "recipe": self.recipe} | {
            "data": [asdict(c) for c in self.counts],
            "differences": [
                {"topic": t, "paper": paper, "recipe": ours} for t, paper, ours in self.differences
            ],
            "phases": steps,
            "steps": sum(p.steps for p in self.phases),
            "writes": list(self.writes),
            "machine": asdict(self.machine),
        }

    def show(self, console: Console) -> None:
        """Print it."""
        console.print(table_of(self.differences, f"the paper ({self.system})"))
        console.print(_counts(self.counts))
        table = Table("phase", "epochs", "steps an epoch", "steps", title="At most")
        for phase in self.phases:
            numbers = (phase.epochs, phase.steps_per_epoch, phase.steps)
            table.add_row(phase.name, *map(str, numbers))
        console.print(table)
        console.print(f"{sum(p.steps for p in self.phases):,} steps on {self.machine.device}")
        console.print("It would write: " + ", ".join(self.writes), highlight=False)
        console.print("Nothing was written (--dry-run).")


def table_of(differences: Sequence[RecipeDifference], paper: str) -> Table:
    """The differences between a paper and a recipe, to be printed."""
    table = Table("", paper, "this recipe", title="What this training does otherwise")
    for row in differences:
        table.add_row(*row)
    return table


def _counts(counts: Sequence[Count]) -> Table:
    table = Table("data", "part", "", title="Data")
    for count in counts:
        classes = ", ".join(f"{n:,} {name}" for name, n in count.classes.items())
        table.add_row(count.data, count.part, classes)
    return table
