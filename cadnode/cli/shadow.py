"""`cadnode models shadow`: let another version read along, and see how it differs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import changing_models
from cadnode.cli.command import (
    AsJson,
    ConfigFile,
    FailureReason,
    command,
    err,
    out,
    print_json,
    to_file,
)
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.node.shadow_page import ShadowReport
    from cadnode.registry.shadow_summary import Agreement

shadow_app = typer.Typer(
    rich_markup_mode="rich",
    help="Shadow mode: another version reads every exam after its result is delivered, for your "
    "eyes only.",
)
_BARS: Final = " ▁▂▃▄▅▆▇█"


@shadow_app.callback(invoke_without_command=True)
@command
def summary(
    context: typer.Context,
    only: Annotated[
        str | None, typer.Option(metavar="NAME@VERSION", help="readings with this shadow only")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a page to read", callback=to_file)
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What reads in shadow mode, and how its scores agree with those that were reported."""
    if context.invoked_subcommand is not None:
        return
    from cadnode.node import shadow_page

    shown = shadow_page.show(settings.load(config), only)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(shadow_page.page(shown))
    if as_json:
        print_json(shown_json(shown))
    else:
        _print(shown)


@shadow_app.command()
@command
def start(
    spec: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="an installed version")],
    reason: FailureReason = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a version read along from the next study on; the node need not start again.

    Nothing of it is reported. Of one name one version reads along: a second start changes it.
    """
    from cadnode.node import model_overview
    from cadnode.registry import shadow_set
    from cadnode.registry.history import grounds

    values, why = settings.load(config), grounds(reason)
    by = model_overview.actor(datetime.now(UTC))
    with changing_models(values, "shadow start") as act, err.status("examining …"):
        entry = shadow_set.start(
            model_overview.stores(values),
            spec,
            values.reading.shadow,
            by,
            model_overview.examine,
            why,
        )
        act.what = entry.spec
    if as_json:
        print_json({"shadow": entry.spec})
    else:
        out.print(
            f"{entry.spec} reads in shadow mode from the next study on. "
            "`cadnode models shadow` shows how it differs.", highlight=False, soft_wrap=True,
        )  # fmt: skip


@shadow_app.command()
@command
def stop(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="only this model; default: all")
    ] = None,
    reason: FailureReason = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End shadow mode; what was read stays, and `cadnode models shadow` still shows it."""
    from cadnode.node import model_overview
    from cadnode.registry import shadow_set
    from cadnode.registry.history import grounds

    values, why = settings.load(config), grounds(reason)
    by = model_overview.actor(datetime.now(UTC))
    stores = model_overview.stores(values)
    with changing_models(values, "shadow stop") as act:
        ended = shadow_set.stop(stores, name, values.reading.shadow, by, why)
        act.what = " ".join(ended)
    if as_json:
        print_json({"stopped": list(ended)})
    else:
        message = f"{', '.join(ended)} no longer reads in shadow mode." if ended else "Nothing did."
        out.print(message, highlight=False)


def shown_json(shown: "ShadowReport") -> dict[str, Any]:
    """For `--json`."""
    s = shown.summary
    return {
        "schema_version": 1,
        "shadows": list(shown.now.specs),
        "problems": list(shown.now.problems),
        "n_read": s.n_read,
        "n_unaffected": s.n_unaffected,
        "n_failed": s.n_failed,
        "failures": s.failures,
        "n_damaged_files": shown.n_damaged,
        "agreement": [asdict(row) for row in s.rows],
    }


def _print(shown: "ShadowReport") -> None:
    now, s = shown.now, shown.summary
    out.print(
        f"In shadow mode: {', '.join(now.specs) or 'nothing'}.", highlight=False, soft_wrap=True
    )
    for problem in now.problems:
        out.print(styled("[yellow]![/] {}", problem), soft_wrap=True)
    if s.rows:
        out.print(_table(s.rows))
    parts = [f"{counted(s.n_read, 'exam was', 'exams were')} read"]
    if s.n_unaffected:
        parts.append(f"{s.n_unaffected} held nothing that a shadow reads")
    parts += [f"{n} failed ({code})" for code, n in s.failures.items()]
    if shown.n_damaged:
        parts.append(f"{counted(shown.n_damaged, 'file')} cannot be read")
    out.print("; ".join(parts) + ".", highlight=False, soft_wrap=True)


def _table(rows: Sequence["Agreement"]) -> Table:
    caption = "mean difference: shadow less active, 95 % CI (limits of agreement); r: Pearson's"
    table = Table(box=None, pad_edge=False, caption=caption)
    table.add_column("system")
    table.add_column("shadow / active", overflow="fold")
    for name in ("exams", "both", "only active", "only shadow", "neither", "?"):
        table.add_column(name, justify="right")
    for name in ("r (95 % CI)", "mean difference", "differences"):
        table.add_column(name)
    for row in rows:
        c = row.counts
        table.add_row(
            row.system.value,
            f"{', '.join(row.shadow)} / {', '.join(row.active) or 'none'}",
            str(sum(c.values())),
            *(str(c[key]) for key in ("both", "active", "shadow", "neither", "incomplete")),
            number(row.correlation, row.correlation_ci),
            _difference(row),
            f"-{row.histogram_to:g} {sparkline(row.histogram)} +{row.histogram_to:g}",
        )
    return table


def number(value: float | None, ci: tuple[float, float] | None, *, signed: bool = False) -> str:
    """A number with its interval, or a dash."""
    if value is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    low_high = "" if ci is None else f" ({ci[0]:{form}} to {ci[1]:{form}})"
    return f"{value:{form}}{low_high}"


def sparkline(counts: Sequence[int]) -> str:
    """One character for each count: a space is none, the highest bar the most."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-c * (len(_BARS) - 1) // most)] if most else " " for c in counts)


def _difference(row: "Agreement") -> str:
    mean = number(row.mean_difference, row.mean_difference_ci, signed=True)
    if row.limits is None:
        return mean
    return f"{mean}; limits {row.limits[0]:+.3f} to {row.limits[1]:+.3f}"
