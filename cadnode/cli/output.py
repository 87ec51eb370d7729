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
from rich.text import Text

from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    SKIP_MEANINGS,
    ExamResult,
    Finding,
    System,
    in_order,
)
from cadnode.node.results import DOCUMENTS, PAGE, PDF
from cadnode.report.wording import KIND_NAMES, SIDES, assessment_by, counting, descriptors, origin
from cadnode.terminal import styled

if TYPE_CHECKING:
    from cadnode.demo.run import DemoReport
    from cadnode.node.checks import Check
    from cadnode.node.readers import OfflineReading

_CHECK_WIDTH = 24  # of 80 columns
FOOTNOTE = "▲ reaches the system's operating point; the one in bold counts as the finding's"


@contextmanager
def reading_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner that names the view at work."""
    described = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), described, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("starting …", total=None)
        yield lambda stage: progress.update(task, description=f"reading: {stage}")


@contextmanager
def counting_progress(
    console: Console, what: str, total: int, *, quiet: bool
) -> Iterator[Callable[[], None]]:
    """A bar over things that are done one after the other."""
    columns = (
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def demo_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """One line for each stage of the demo, ticked when the next one starts."""
    current: list[str] = []

    def finish() -> None:
        if current and not quiet:
            console.print(styled("[green]✓[/] {}", current.pop()))

    with console.status("") as status:
        if quiet:
            status.stop()

        def stage(text: str) -> None:
            finish()
            current.append(text)
            status.update(Text(text + " …"))

        yield stage
    finish()


def print_checks(console: Console, checks: Sequence["Check"]) -> None:
    """What failed first, then warnings: what was found and, below it, what to do; then a count."""
    signs = {"failed": "[red]✗[/]", "warning": "[yellow]![/]", "ok": "[green]✓[/]"}
    table = Table("", "check", "found", box=None, pad_edge=False)
    table.columns[1].max_width, table.columns[1].overflow = _CHECK_WIDTH, "fold"
    verdicts = list(signs)
    for c in sorted(checks, key=lambda c: verdicts.index(c.verdict)):
        found = Text(c.found)
        if c.advice:
            found.append(f"\n→ {c.advice}", "bold" if c.verdict == "failed" else "")
        table.add_row(styled(signs[c.verdict]), Text(c.name), found)
    console.print(table)
    counts = [sum(c.verdict == verdict for c in checks) for verdict in verdicts]
    console.print("\n{} failed, {} to look at, {} in order".format(*counts))


def print_readings(console: Console, readings: Sequence["OfflineReading"]) -> None:
    """Scores, findings, skipped images and the systems' state, and where an exam's files are."""
    for reading in readings:
        print_result(console, reading.result)
        files = [name for name in (PAGE, PDF, *DOCUMENTS) if (reading.folder / name).exists()]
        made = ", ".join([f"{len(reading.objects)} DICOM objects", *files])
        console.print(Text(f"{made} and result.json in {reading.folder}\n"))


def print_result(console: Console, result: ExamResult) -> None:
    """Scores and skipped images; findings system by system; which systems took part."""
    console.print(score_table(result))
    if result.findings:
        console.print()
        console.print(findings_table(result))
        if any(finding.assessments for finding in result.findings):
            console.print(styled("[dim]{}[/]", FOOTNOTE))
    if result.systems:
        console.print()
        console.print(systems_table(result))
    console.print()


def score_table(result: ExamResult) -> Table:
    """Scores by exam, breast and view; findings by view; what was skipped and why."""
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name, justify in (("", "left"), ("score", "right"), ("findings", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    above = result.operating_point or 2.0
    if result.exam_score is not None:
        table.add_row(
            styled("[bold]exam[/]"), _score(result.exam_score, above), str(len(result.findings)), ""
        )
    for breast in result.breasts:
        table.add_row(f"{SIDES[breast.laterality]} breast", _score(breast.score, above), "", "")
    for view in result.views:
        count = sum(f.sop_instance_uid == view.sop_instance_uid for f in result.findings)
        table.add_row(f"  {view.laterality}{view.view}", f"{view.score:.2f}", str(count), "")
    if (both := result.image_and_age) is not None:
        whole = "–" if both.exam_score is None else f"{both.exam_score:.2f}"
        why = NO_AGE_SCORE_MEANINGS[both.reason] if both.reason else "a score of its own"
        table.add_row("image and age: exam", whole, "", why)
        for breast in both.breasts:
            table.add_row(f"  {SIDES[breast.laterality]} breast", f"{breast.score:.2f}", "", "")
    for skipped in result.skipped:
        table.add_row("skipped", "–", "", f"{skipped.reason}: {SKIP_MEANINGS[skipped.reason]}")
    return table


def _score(score: float, above: float) -> Text:
    return Text(f"{score:.2f}", "bold red" if score >= above else "bold")


def findings_table(result: ExamResult) -> Table:
    """Each finding with its descriptors and the assessment by each system.

    A finding that no system assessed shows its score and whose it is.
    """
    known = {a.system for f in result.findings for a in f.assessments}
    systems = in_order((*known, *(t.system for t in result.systems)))
    names = {v.sop_instance_uid: f"{v.laterality}{v.view}" for v in result.views}
    table = Table(box=None, pad_edge=False)
    for name in ("#", "view", "finding"):
        table.add_column(name)
    for column in [s.value for s in systems] or ["score"]:
        table.add_column(column, justify="right", no_wrap=True)
    for number, finding in enumerate(result.findings, start=1):
        cells = [_cell(finding, system) for system in systems]
        alone = styled("[bold]{}[/] {}", f"{finding.probability:.2f}", finding.algorithm)
        view = names.get(finding.sop_instance_uid, "")
        table.add_row(str(number), view, _what(finding), *(cells or [alone]))
    return table


def _what(finding: Finding) -> Text:
    """Kind and, of a cluster, its descriptors; and whether a person drew it."""
    words = Text(KIND_NAMES[finding.kind])
    if finding.cluster is not None:
        words.append(f"\n{descriptors(finding.cluster)}", "dim")
    if finding.marked_by:
        words.append(f"\n{origin(finding.marked_by)}", "dim")
    return words


def _cell(finding: Finding, system: System) -> Text:
    """A system's score: ▲ from its operating point on, bold when it counts; "–" for none."""
    assessment = assessment_by(finding, system)
    if assessment is None:
        return styled("[dim]–[/]  ")
    number = Text(
        f"{assessment.probability:.2f}", "bold" if assessment is counting(finding) else ""
    )
    return Text.assemble(number, " ", ("▲", "red") if assessment.suspicious else " ")


def systems_table(result: ExamResult) -> Table:
    """Which systems took part, with which models, and why another did not."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for status in result.systems:
        state = styled("[green]● active[/]" if status.active else "[dim]○ not active[/]")
        words = [Text(", ".join(status.models)), Text(status.reason, "dim")]
        table.add_row(status.system.value, state, Text("\n").join(filter(None, words)))
    return table


def print_demo(console: Console, shown: "DemoReport") -> None:
    """The demo's tables, and where to look next."""
    print_result(console, shown.result)
    console.print(
        styled(
            "{} holds {} new objects in the study; copies are in [bold]{}[/].\n"
            "Look at [bold]{}[/] in a browser.",
            shown.archive,
            shown.objects,
            shown.folder,
            shown.page,
        )
    )
