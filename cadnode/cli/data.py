"""`cadnode data`, `cadnode phantom`: data sets as one manifest, their faults; synthetic exams."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cadnode.cli.collect import collect
from cadnode.cli.command import AsJson, OutFolder, command, err, out, print_json, to_file
from cadnode.cli.output import counting_progress
from cadnode.domain import Acquisition
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode_training.data.check import ManifestReport
    from cadnode_training.data.manifest import ManifestRow

data_app = typer.Typer(
    no_args_is_help=True,
    help="Your own and public data as one table: made, checked, split (docs/data.md).",
)

ManifestSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="KIND:PATH (`cadnode data kinds` lists them) or a manifest's file"
    ),
]
OutFile = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE", help="manifest to write: .csv or .parquet", callback=to_file
    ),
]
_SHOWN = 8  # problems of one kind that the table lists; JSON has all


data_app.command("collect")(collect)


@data_app.command("kinds")
@command
def kinds(as_json: AsJson = False) -> None:
    """List what KIND:PATH can name."""
    from cadnode_training.data.sources import SOURCES

    if as_json:
        print_json({kind: source.what for kind, source in SOURCES.items()})
        return
    table = Table("kind", "PATH is a", box=None)
    for kind, source in SOURCES.items():
        table.add_row(kind, source.what)
    out.print(table)


@data_app.command("manifest")
@command
def manifest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…", help="KIND:PATH or a manifest's file; several are joined"
        ),
    ],
    out_file: OutFile,
    as_json: AsJson = False,
) -> None:
    """Read data sets, or fetch an archive's images, and write one manifest of them."""
    from cadnode_training.data import sources as readers
    from cadnode_training.data.manifest import joined
    from cadnode_training.data.manifest_file import write_manifest

    with _reading_progress(quiet=as_json) as tick:
        found = joined([readers.open_manifest(source, tick) for source in sources])
    write_manifest(out_file, found.rows)
    women = len({row.key for row in found.rows})
    if as_json:
        print_json(
            {"rows": len(found.rows), "women": women, "left_out": dict(found.left_out),
             "manifest": str(out_file)}
        )  # fmt: skip
        return
    out.print(
        f"{counted(len(found.rows), 'row')} of {counted(women, 'woman', 'women')}: {out_file}",
        highlight=False,
    )
    for reason, n in found.left_out:
        out.print(f"  left out: {n} × {reason}", highlight=False)


@data_app.command("check")
@command
def check(
    source: ManifestSource,
    threshold: Annotated[
        int | None,
        typer.Option(min=0, max=120, help="bits of 255 in which near-duplicates may differ"),
    ] = None,
    pixels: Annotated[
        bool, typer.Option(help="open the images: duplicates, unreadable files, boxes")
    ] = True,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            callback=to_file,
            help="also write a page: images before and after preprocessing, why one is refused",
        ),
    ] = None,
    html_images: Annotated[int, typer.Option(min=1, help="on that page, at most")] = 60,
    as_json: AsJson = False,
) -> None:
    """Count what there is; find leaks, missing files, contradictions.

    Exit code 2 when a woman or a picture is on both sides of a split, one picture belongs to two
    women, or a file is missing; 0 otherwise, also with lesser problems.
    """
    from cadnode_training.data import check as checks
    from cadnode_training.data import near_duplicates, sources

    with _reading_progress(quiet=as_json) as tick:
        found = sources.open_manifest(source, tick)
    images = len({row.image for row in found.rows}) if pixels else 0
    with counting_progress(err, "images", images, quiet=as_json) as advance:
        report = checks.check(
            found,
            advance,
            threshold=near_duplicates.THRESHOLD if threshold is None else threshold,
            pixels=pixels,
        )
    if html is not None:
        from cadnode_training.results import check_page

        n = min(html_images, report.images)
        with counting_progress(err, "page", n, quiet=as_json) as advance:
            check_page.write_page(html, found, report, most=html_images, tick=advance)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
        if html is not None:
            out.print(f"{html}", highlight=False, soft_wrap=True)
    if report.fatal:
        raise typer.Exit(2)


@data_app.command("split")
@command
def split(
    source: ManifestSource,
    out_file: OutFile,
    by: Annotated[
        str, typer.Option(help="[bold]woman[/]: stratified; [bold]date[/]: newest exams test")
    ] = "woman",
    test: Annotated[float, typer.Option(help="share of the women")] = 0.2,
    validation: Annotated[float, typer.Option(help="share of the women")] = 0.15,
    seed: Annotated[int, typer.Option(help="decides which women; no use by date")] = 0,
    keep_test: Annotated[
        bool, typer.Option("--keep-test", help="leave the source's own test part as it is")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Split a manifest into train, validation and test; a woman is in one of them only."""
    from cadnode.errors import DataError
    from cadnode_training.data import sources, splits
    from cadnode_training.data.manifest_file import write_manifest

    if by not in splits.WAYS or (keep_test and by != "woman"):
        raise DataError(f"--by is {' or '.join(splits.WAYS)}; --keep-test goes with woman only")
    shares = splits.Shares(test, validation)
    with _reading_progress(quiet=as_json) as tick:
        rows = sources.open_manifest(source, tick).rows
    if by == "date":
        done = splits.split_by_date(rows, shares)
    else:
        done = splits.split_by_woman(rows, shares, seed, keep_test=keep_test)
    write_manifest(out_file, done)
    _print_split(done, out_file, as_json=as_json)


def _print_split(rows: tuple["ManifestRow", ...], out_file: Path, *, as_json: bool) -> None:
    from cadnode_training.data.check import by_split

    parts = by_split(rows)
    if as_json:
        print_json({"by_split": parts, "manifest": str(out_file)})
    else:
        out.print(_split_table(parts))
        out.print(f"{out_file}", highlight=False)


@contextmanager
def _reading_progress(*, quiet: bool) -> Iterator[Callable[[], None]]:
    """A spinner that counts: how much there is, is not known before it is read."""
    columns = (SpinnerColumn(), TextColumn("reading: {task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda: progress.advance(task)


def _show(report: "ManifestReport") -> None:
    line = ", ".join(
        (
            counted(report.rows, "row"),
            counted(report.images, "image"),
            counted(report.women, "woman", "women"),
        )
    )
    out.print(line, highlight=False)
    for reason, n in report.left_out.items():
        out.print(f"  left out: {n} × {reason}", highlight=False)
    out.print(_split_table(report.by_split))
    counts = Table("column", "rows", box=None)
    for column, words in report.counts.items():
        texts = [f"{word or 'not stated'} {n}" for word, n in words.items()]
        counts.add_row(column, ", ".join(texts[:12]) + (", …" if len(texts) > 12 else ""))
    out.print(counts)
    _show_problems(report)


def _show_problems(report: "ManifestReport") -> None:
    table = Table("problem", "rows", "what", box=None)
    shown: dict[str, int] = {}
    for problem in sorted(report.problems, key=lambda p: (not p.leak, p.kind)):
        shown[problem.kind] = shown.get(problem.kind, 0) + 1
        if shown[problem.kind] > _SHOWN:
            continue
        style = "bold red" if problem.leak or problem.kind == "missing_file" else "yellow"
        numbers = ", ".join(map(str, problem.rows[:6])) + (" …" if len(problem.rows) > 6 else "")
        table.add_row(Text(problem.kind, style), numbers, Text(problem.detail))
    for kind, n in shown.items():
        if n > _SHOWN:
            table.add_row(kind, "", f"and {n - _SHOWN} more: --json has all")
    out.print(table if shown else styled("[green]no problems[/]"))
    if not report.pixels_checked:
        out.print("the images were not opened (--no-pixels)")


def _split_table(parts: dict[str, dict[str, int]]) -> Table:
    names = list(next(iter(parts.values()), {}))
    table = Table("split", *names, box=None)
    for split_name, numbers in parts.items():
        table.add_row(split_name or "none", *(str(numbers[name]) for name in names))
    return table


@command
def phantom(
    out_folder: OutFolder,
    exams: Annotated[int, typer.Option(min=1, help="how many exams")] = 1,
    seed: Annotated[int, typer.Option(help="of the first exam; the next ones follow")] = 0,
    acquisition: Annotated[
        Acquisition, typer.Option(help="a digital detector's or a digitized film's look")
    ] = Acquisition.DIGITAL,
    as_json: AsJson = False,
) -> None:
    """Make synthetic mammogram exams as DICOM, with lesions whose truth is known.

    Each exam has a folder with four MG For Presentation images; truth.csv says where lesions are,
    what they are by BI-RADS, and which are malignant. The same seed gives the same exams.
    """
    from cadnode_training import phantom as phantoms

    spec = phantoms.PhantomSpec(acquisition=acquisition)
    with counting_progress(err, "exams", exams, quiet=as_json) as advance:
        truth = phantoms.write_exams(out_folder, exams, seed, spec, advance)
    if as_json:
        print_json({"exams": exams, "truth": str(truth)})
    else:
        out.print(
            f"{counted(exams, 'exam')} in {out_folder}; the truth of each: {truth}", highlight=False
        )
