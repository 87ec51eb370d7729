"""What the command line shows people: tables and progress bars."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from cadnode.domain import SKIP_MEANINGS, ExamResult, Laterality

if TYPE_CHECKING:
    from cadnode.app.reading import OfflineReading
    from cadnode.demo.run import Shown

SIDE_NAMES = {Laterality.RIGHT: "right", Laterality.LEFT: "left"}


@contextmanager
def reading_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner that names the view at work."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("starting …", total=None)
        yield lambda stage: progress.update(task, description=f"reading: {stage}")


@contextmanager
def sending_progress(console: Console, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar over the files to send."""
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("sending", total=total)
        yield lambda: progress.advance(task)


@contextmanager
def demo_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """One line for each stage of the demo, ticked when the next one starts."""
    current: list[str] = []

    def finish() -> None:
        if current and not quiet:
            console.print(f"[green]✓[/] {current.pop()}", highlight=False)

    with console.status("") as status:
        if quiet:
            status.stop()

        def stage(text: str) -> None:
            finish()
            current.append(text)
            status.update(text + " …")

        yield stage
    finish()


def print_readings(console: Console, readings: Sequence["OfflineReading"]) -> None:
    """Scores, findings and skipped images of each exam, and where its files are."""
    for reading in readings:
        console.print(score_table(reading.result))
        console.print(f"{len(reading.objects)} DICOM objects and result.json in {reading.folder}\n")


def score_table(result: ExamResult) -> Table:
    """Scores by exam, breast and view; findings by view; what was skipped and why."""
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name, justify in (("", "left"), ("score", "right"), ("findings", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    above = result.operating_point or 2.0
    if result.exam_score is not None:
        table.add_row(
            "[bold]exam[/]", _score(result.exam_score, above), str(len(result.findings)), ""
        )
    for breast in result.breasts:
        table.add_row(
            f"{SIDE_NAMES[breast.laterality]} breast", _score(breast.score, above), "", ""
        )
    for view in result.views:
        count = sum(f.sop_instance_uid == view.sop_instance_uid for f in result.findings)
        table.add_row(f"  {view.laterality}{view.view}", f"{view.score:.2f}", str(count), "")
    for skipped in result.skipped:
        table.add_row("skipped", "–", "", f"{skipped.reason}: {SKIP_MEANINGS[skipped.reason]}")
    return table


def _score(score: float, above: float) -> str:
    return f"[bold red]{score:.2f}[/]" if score >= above else f"[bold]{score:.2f}[/]"


def print_demo(console: Console, shown: "Shown") -> None:
    """The demo's table, and where to look next."""
    console.print(score_table(shown.result))
    console.print(
        f"\n{shown.archive} holds {shown.objects} new objects in the study; copies are in "
        f"[bold]{shown.folder}[/].\nLook at [bold]{shown.page}[/] in a browser.",
        highlight=False,
    )
