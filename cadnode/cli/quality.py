"""`cadnode quality`: do scores stay what they were; the monthly report."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.acts import acting
from cadnode.cli.command import AsJson, ConfigFile, OutFolder, command, out, print_json
from cadnode.errors import SettingsError
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.quality.overview import ScannerDrift

quality_app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Do scores stay what they were, scanner by scanner? The monthly report.\n\n"
    "For example [bold]cadnode quality drift --config node.toml[/].",
)
ScannerName = Annotated[
    str, typer.Option(metavar="NAME", help="only scanners whose name or key has this in it")
]
_COLOURS = {"drifts": "bold red", "watch": "yellow", "steady": "green", "too_few": "dim"}


@quality_app.command()
@command
def drift(
    scanner: ScannerName = "",
    since: Annotated[
        str,
        typer.Option(metavar="DATE", help="only scanners that sent an exam on 2026-03-04 or later"),
    ] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Each scanner's newest scores against its baseline: PSI, Kolmogorov-Smirnov, called exams.

    Looks through the journal of scores now, whether or not the node runs. Nothing shown names a
    patient or a study.
    """
    from cadnode.node import drift_watch
    from cadnode.web.quality_page import as_dict

    with _reading():
        overview = drift_watch.look(settings.load(config), datetime.now(UTC))
    shown = [one for one in overview.scanners if _is_meant(one, scanner)]
    if since:
        first = _day(since)
        shown = [one for one in shown if one.last_seen >= first]
    if as_json:
        keys = {one.key for one in shown}
        found = as_dict(overview)
        found["scanners"] = [one for one in found["scanners"] if one["scanner"] in keys]
        print_json(found)
        return
    if not shown:
        out.print("No exam of such a scanner is in the journal of scores.")
        return
    out.print(_table(shown))
    _print_words(shown)


@quality_app.command()
@command
def accept(
    scanner: Annotated[
        str, typer.Argument(metavar="SCANNER", help="its key, or a part of its name")
    ],
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="why, for your colleagues; no patient's name")
    ],
    config: ConfigFile = None,
) -> None:
    """Accept that a scanner's scores have changed: its next exams are its new baseline.

    For example after a service: [bold]cadnode quality accept MG2 --why "new detector"[/]. The
    operating point stays what it is.
    """
    from cadnode.audit.actors import this_user
    from cadnode.audit.event import Action
    from cadnode.node import drift_watch
    from cadnode.quality import store
    from cadnode.quality.series import Accepted

    values = settings.load(config)
    now = datetime.now(UTC)
    with _reading():
        scanners = drift_watch.look(values, now).scanners
    one = _single([one for one in scanners if _is_meant(one, scanner)], scanner)
    with acting(values, Action.SCORES_ACCEPTED, one.key):
        try:
            store.accept(
                values.storage.folder, Accepted(one.key, now, this_user().name, _line(why))
            )
            drift_watch.look_and_keep(values, now)
        except OSError as error:
            raise SettingsError(f"the change cannot be kept ({error.strerror})") from None
    rule = drift_watch.rule_of(values)
    out.print(
        f"{one.name}: its next {rule.baseline} exams are the new baseline.",
        highlight=False,
        soft_wrap=True,
    )


@quality_app.command()
@command
def report(
    folder: OutFolder,
    month: Annotated[
        str, typer.Option(metavar="YYYY-MM", help="2026-11; without it, the last that is over")
    ] = "",
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="A4 sheets beside the page")] = True,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a month's quality report: volumes, call rates, drift, models in use, failures.

    For example [bold]cadnode quality report --month 2026-11 --out reports --config node.toml[/].
    Nothing in it names a patient or a study.
    """
    from cadnode.files import write_whole
    from cadnode.node.quality_report import report_of
    from cadnode.page.pdf import pdf_of
    from cadnode.page.quality_report import quality_report
    from cadnode.quality.month import preceding

    values, now = settings.load(config), datetime.now(UTC)
    wanted = _month(month) if month else preceding(now.date().replace(day=1))
    if wanted > now.date():
        raise SettingsError(f"--month {month} has not begun yet")
    with _reading():
        found = report_of(values, wanted, now)
    page = quality_report(found)
    written = [folder / f"quality-{wanted:%Y-%m}.html"]
    try:
        write_whole(written[0], page.encode())
        if pdf:
            written.append(written[0].with_suffix(".pdf"))
            write_whole(written[1], pdf_of(page).data)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written ({error.strerror})") from None
    if as_json:
        print_json({"month": f"{wanted:%Y-%m}", "exams": found.figures.n_exams,
                    "files": [str(path) for path in written]})  # fmt: skip
        return
    names = " and ".join(str(path) for path in written)
    n_exams = counted(found.figures.n_exams, "exam")
    out.print(f"{n_exams} of {wanted:%Y-%m}: {names}", highlight=False, soft_wrap=True,
              markup=False)  # fmt: skip


@contextmanager
def _reading() -> Iterator[None]:
    """Raises `SettingsError` where the node's files cannot be read, as by another user."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"the journal of scores cannot be read ({error.strerror})") from None


def _month(word: str) -> date:
    """Raises `SettingsError` for what is no month."""
    from cadnode.quality.month import month_of

    try:
        return month_of(word)
    except ValueError:
        raise SettingsError(f"--month is written like 2026-11, not {word!r}") from None


def _is_meant(one: "ScannerDrift", words: str) -> bool:
    return words.casefold() in one.name.casefold() or words == one.key


def _single(found: "list[ScannerDrift]", words: str) -> "ScannerDrift":
    """Raises `SettingsError` where the words name none, or several."""
    if len(found) == 1:
        return found[0]
    if not found:
        raise SettingsError(
            f"no scanner has {words!r} in its name; `cadnode quality drift` lists them"
        )
    names = ", ".join(f"{one.name} ({one.key})" for one in found)
    raise SettingsError(f"{words!r} is in the names of several scanners: {names}; give a key")


def _line(why: str) -> str:
    """Raises `SettingsError` for what is no line of text."""
    text = why.strip()
    if not text or len(text) > 200 or not text.isprintable():
        raise SettingsError("--why is one line of at most 200 characters")
    return text


def _day(word: str) -> datetime:
    try:
        return datetime.strptime(word, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise SettingsError(f"--since is a date like 2026-03-04, not {word!r}") from None


def _table(shown: "list[ScannerDrift]") -> Table:
    from cadnode.quality.wording import STATE_WORDS, percent

    table = Table(
        "scanner", "system", "state", "exams", "called then", "now", "PSI", "KS", "p",
        box=None, pad_edge=False,
    )  # fmt: skip
    for one in shown:
        for place, found in enumerate(one.systems):
            state = Text(STATE_WORDS[found.state], style=_COLOURS[found.state.value])
            cells = [f"{found.n_exams} of {found.n_wanted}", "", "", "", "", ""]
            if found.last is not None:
                called, worst = found.last.called, found.worst
                cells = [
                    str(found.n_exams),
                    percent(called.reference.share),
                    percent(called.now.share),
                    f"{worst.psi:.2f} {worst.position}" if worst else "",
                    f"{worst.test.distance:.2f}" if worst else "",
                    f"{min(worst.test.p, called.p):.1g}" if worst else f"{called.p:.1g}",
                ]
            table.add_row(one.name if place == 0 else "", found.system, state, *cells)
    return table


def _print_words(shown: "list[ScannerDrift]") -> None:
    from cadnode.quality import wording

    for one in shown:
        lines = [
            f"{found.system}: {wording.meaning_of(found)}"
            for found in one.systems
            if found.state.rank > 1
        ]
        lines += [str(text) for text in wording.remarks_of(one)]
        if advice := wording.advice_of(one):
            lines.append(str(advice))
        if lines:
            out.print(styled("\n[bold]{}[/]", one.name), soft_wrap=True)
        for line in lines:
            out.print(line, highlight=False, soft_wrap=True, markup=False)
