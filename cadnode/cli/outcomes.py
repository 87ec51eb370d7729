"""`cadnode outcomes`: what became of the women whose exams were read; AUC and recall by it."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import acting
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import DataError, SettingsError
from cadnode.quality.grouping import Grouping
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.node.outcome_import import WrongLine
    from cadnode.quality.outcomes import KeptOutcomes
    from cadnode.quality.performance import Performance

outcomes_app = typer.Typer(
    help="What became of the women: outcomes kept beside scores, AUC and recall from them.",
    no_args_is_help=True,
)
_SHOWN_LINES = 20  # JSON has all


class OutcomeFormat(StrEnum):
    """How outcomes are exported by a hospital's systems."""

    CSV = "csv"
    FHIR = "fhir"
    HL7 = "hl7"


@outcomes_app.command("import")
@command
def import_outcomes(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, XLSX, FHIR or HL7 (docs/calibration.md)")
    ],
    form: Annotated[
        OutcomeFormat, typer.Option("--format", help="fhir: a Bundle or NDJSON; hl7: ORU messages")
    ] = OutcomeFormat.CSV,
    codes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="for fhir, hl7: CSV of code (SYSTEM|CODE or CODE) and outcome"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, keep nothing")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep outcomes of breasts beside the scores of their exams.

    A line is a breast: study_instance_uid or accession_number, laterality (L, R, B), outcome
    (malignant, benign, negative), outcome_date; birads is optional. A later import corrects what
    an earlier one stated of the same breast. What is kept names no patient. Exit code 2 when no
    line could be used.
    Example: [bold]cadnode outcomes import pathology-2026.csv --dry-run[/]
    """
    from cadnode.audit.event import Action
    from cadnode.node import outcome_import
    from cadnode.quality.journal import Journal
    from cadnode.quality.outcomes import OutcomeBook

    values = settings.load(config)
    storage = values.storage.folder
    numbers, rows, unreadable = _rows(file, form, codes)
    book = OutcomeBook(storage)
    try:
        read = {entry.study for entry in Journal(storage).lines()}
        found, wrong = outcome_import.outcomes_of(
            rows, file.name, outcome_import.accession_numbers(storage), datetime.now(UTC),
            form.value, needs_patient=form is not OutcomeFormat.CSV,
            is_known=outcome_import.studies_known(storage, read),
        )  # fmt: skip
        wrong = [outcome_import.WrongLine(numbers[one.line - 2], one.code) for one in wrong]
        odd = outcome_import.NotImported.NOT_READABLE.value
        wrong += [outcome_import.WrongLine(number, odd) for number in unreadable]
        wrong.sort(key=lambda one: one.line)
        if dry_run:
            kept, _ = book.weigh(found)
        else:
            with acting(values, Action.OUTCOMES_IMPORTED) as act:
                kept = book.add(found)
                act.what = f"{kept.new} new, {kept.corrected} corrected"
    except OSError as error:
        raise DataError(f"{storage} cannot be used ({type(error).__name__})") from None
    unread = len({one.study for one in found} - read)
    _show_import(file.name, kept, wrong, unread, dry_run=dry_run, as_json=as_json)
    if not found:
        raise DataError("no line could be used: the reasons are above")


@outcomes_app.command("show")
@command
def show(
    by: Annotated[Grouping | None, typer.Option(help="a line for each of these")] = None,
    system: Annotated[
        str, typer.Option(metavar="SYSTEM", help="whose scores; see `cadnode models list`")
    ] = "kim2018",
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="exams read on this day or later"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """AUC, sensitivity, specificity, recall rate and PPV from the outcomes, with 95 % intervals.

    Figures of fewer than ten cases are not shown. Only women who were recalled have pathology:
    without follow-up of the others sensitivity is too high and specificity too low.
    Example: [bold]cadnode outcomes show --by scanner[/]
    """
    from cadnode.quality.journal import Journal
    from cadnode.quality.outcomes import OutcomeBook
    from cadnode.quality.performance import grouped, performance, read_exams

    storage = settings.load(config).storage.folder
    try:
        entries = Journal(storage).entries(None if since is None else since.date())
        exams = read_exams(entries, OutcomeBook(storage).all(), system)
    except OSError as error:
        raise DataError(f"{storage} cannot be read ({type(error).__name__})") from None
    if not exams:
        raise DataError(f"no exam was read by {system} here")
    whole = performance(exams)
    groups = grouped(exams, Grouping(by.value)) if by else []
    if as_json:
        print_json(
            {
                "system": system,
                "all": whole.as_dict(),
                "by": None if by is None else by.value,
                "groups": [one.as_dict() for one in groups],
            }
        )
        return
    out.print(_table([*groups, whole], "" if by is None else by.value))
    for text in remarks(whole):
        out.print(text, highlight=False)


def remarks(whole: "Performance") -> list[str]:
    """What must be known beside the figures."""
    found = []
    if whole.n_neg:
        found.append(
            f"{whole.n_followed} of {whole.n_neg} negatives were followed for a year or longer."
        )
    if whole.n_by_assessment:
        n = whole.n_by_assessment
        found.append(
            f"{counted(n, 'exam')} {'has' if n == 1 else 'have'} a BI-RADS category alone as "
            f"{'its' if n == 1 else 'their'} outcome."
        )
    if whole.suppressed:
        found.append("–: fewer than 10 cases.")
    found.append(
        "Women who were not recalled have no pathology: unless they are followed up, sensitivity "
        "is too high and specificity too low."
    )
    return found


def _rows(
    file: Path, form: OutcomeFormat, codes: Path | None
) -> tuple[list[int], list[dict[str, str]], list[int]]:
    """The rows of a file, and the line, resource or message (from 1) that each comes from.

    The last are the numbers of those that cannot be read.
    """
    from cadnode.node import outcome_fhir, outcome_hl7, outcome_import, outcome_rows
    from cadnode_training.data.tables import read_rows

    if form is OutcomeFormat.CSV:
        rows = read_rows(file, outcome_import.REQUIRED)
        return list(range(2, len(rows) + 2)), rows, []
    if codes is None:
        raise SettingsError(
            f"--format {form} needs --codes FILE: which code means malignant, benign or negative"
        )
    known = outcome_rows.codes_of(read_rows(codes, ("code", "outcome")))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file.name} cannot be read ({type(error).__name__})") from None
    read = outcome_fhir.rows_of if form is OutcomeFormat.FHIR else outcome_hl7.rows_of
    found = read(data, known, file.name)
    if not found:
        raise DataError(f"no observation in {file.name} has one of the codes in {codes.name}")
    whole = [one for one in found if one.cells]
    odd = [one.number for one in found if not one.cells]
    return [one.number for one in whole], [dict(one.cells) for one in whole], odd


def _show_import(
    name: str,
    kept: "KeptOutcomes",
    wrong: "list[WrongLine]",
    unread: int,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    if as_json:
        print_json(
            {
                "new": kept.new,
                "corrected": kept.corrected,
                "unchanged": kept.unchanged,
                "not_read_here": unread,
                "left_out": [
                    {"line": one.line, "code": one.code, "meaning": one.meaning} for one in wrong
                ],
                "dry_run": dry_run,
            }
        )
        return
    for one in wrong[:_SHOWN_LINES]:
        err.print(styled("[yellow]![/] {}", f"{name}:{one.line}: {one.meaning}"), soft_wrap=True)
    if len(wrong) > _SHOWN_LINES:
        err.print(f"  and {counted(len(wrong) - _SHOWN_LINES, 'more line')}; --json names all")
    are = "would be" if dry_run else "is" if kept.new == 1 else "are"
    sys.stdout.write(
        f"{counted(kept.new, 'breast')} {are} new, {kept.corrected} corrected, {kept.unchanged} "
        f"unchanged; {counted(len(wrong), 'line')} left out\n"
    )
    if unread == 1:
        out.print("1 study was not read by this node (yet): its outcomes wait.")
    elif unread:
        out.print(f"{unread} studies were not read by this node (yet): their outcomes wait.")


def _table(groups: "list[Performance]", by: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(by)
    for name in ("read", "recall", "cancer + none", "AUC", "sensitivity", "specificity", "PPV"):
        table.add_column(name, justify="right")
    for one in groups:
        area = "–"
        if one.auc is not None:
            area = _interval(one.auc.value, one.auc.ci)
        table.add_row(
            one.group or "all", str(one.n_read), _share(one.recall), f"{one.n_pos} + {one.n_neg}",
            area, _share(one.sensitivity), _share(one.specificity), _share(one.ppv),
        )  # fmt: skip
    return table


def _share(share: Any) -> str:
    return "–" if share is None or share.value is None else _interval(share.value, share.ci)


def _interval(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.3f}" + (f" ({ends[0]:.3f}–{ends[1]:.3f})" if ends else "")
