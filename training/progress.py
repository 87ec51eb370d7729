"""The bar that a training shows on standard error."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cadnode import terminal


def bar_of(*, quiet: bool) -> Progress:
    """A bar with the time that is left, and a field `note` for the last epoch's numbers."""
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        console=terminal.console(stderr=True), disable=quiet,
    )  # fmt: skip
