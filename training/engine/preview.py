"""What a training would do, before it does anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from cadnode_training.engine.machine import Machine
from cadnode_training.engine.protocol import ProtocolPoint, RecipeDifference


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
    protocol
        What the paper states, point by point, beside what is run; () where there is no paper.
    further
        What else there is to know of the data, by name: for JSON.
    tables
        The same, to be printed.
    """

    system: str
    recipe: str
    counts: tuple[Count, ...]
    differences: tuple[RecipeDifference, ...]
    phases: tuple[PreviewPhase, ...]
    writes: tuple[str, ...]
    machine: Machine
    protocol: tuple[ProtocolPoint, ...] = ()
    further: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        steps = [asdict(p) | {"steps": p.steps} for p in self.phases]
        return (
            {"dry_run": True, "system": self.system, "recipe": self.recipe}
            | {
                "data": [asdict(c) for c in self.counts],
                "differences": [
                    {"topic": t, "paper": paper, "recipe": ours}
                    for t, paper, ours in self.differences
                ],
                "protocol": [point.as_dict() for point in self.protocol],
                "phases": steps,
                "steps": sum(p.steps for p in self.phases),
                "writes": list(self.writes),
                "machine": asdict(self.machine),
            }
            | dict(self.further)
        )

    def show(self, console: Console) -> None:
        """Print it."""
        if self.protocol:
            console.print(protocol_table(self.protocol, self.system))
        else:
            console.print(table_of(self.differences, f"the paper ({self.system})"))
        for further in (_counts(self.counts), *self.tables):
            console.print(further)
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


def protocol_table(points: Sequence[ProtocolPoint], system: str) -> Table:
    """The protocol to be printed: what the paper states, where, and what is run."""
    table = Table(
        "", "the paper", "section", "what is run", "", title=f"Protocol of the paper ({system})"
    )
    for point in points:
        run = "the same" if point.run == point.paper else point.run
        table.add_row(point.topic, point.paper, point.section, run, point.standing.value)
    return table


def _counts(counts: Sequence[Count]) -> Table:
    table = Table("data", "part", "", title="Data")
    for count in counts:
        classes = ", ".join(f"{n:,} {name}" for name, n in count.classes.items())
        table.add_row(count.data, count.part, classes)
    return table
