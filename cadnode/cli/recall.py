"""`cadnode studies recall`: what a faulty version read, who got it, and corrected reports."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cadnode import __version__, settings
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.cli.node_place import opened
from cadnode.cli.study_orders import StudyOrder, carry_out
from cadnode.errors import SettingsError
from cadnode.terminal import counted

if TYPE_CHECKING:
    from cadnode.node.recall import FaultyVersion, RecalledStudy
    from cadnode.web.deliveries import Ordered


@command
def recall(
    version: Annotated[
        str,
        typer.Argument(
            metavar="NAME@VERSION", help="a model's version, or cadnode@VERSION for the software"
        ),
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="DAY", help="first read by it on this day or later")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="DAY", help="first read by it on this day or before")
    ] = "",
    reread: Annotated[
        bool,
        typer.Option("--reread", help="read those once more whose newest result is by it"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the studies that a faulty version read, and who got which result; correct them.

    With --reread they are read with what is active now: activate another version first. The new
    reports name those that they replace and go where those went; ask again to see who has them.
    A study whose images are gone is named: tell whoever has its report.
    Example: [bold]cadnode studies recall dib-mg-film@1.0.1 --since 2026-03-01[/]
    """
    from cadnode.node.recall import recalled, version_of
    from cadnode.web.queue import FilterWrong, filter_of

    values = settings.load(config)
    faulty = version_of(version)
    try:
        between = filter_of({"since": since, "until": until}).between
    except FilterWrong as wrong:
        raise SettingsError(str(wrong)) from None
    found = sorted(recalled(values.storage.folder, faulty, *between), key=lambda one: one.read_at)
    if reread:
        _refuse_active(values, faulty)
        _reread(values, faulty, found, yes=yes, as_json=as_json)
    elif as_json:
        counts = Counter(one.state.value for one in found)
        rows = [one.as_dict() for one in found]
        print_json({"version": version, "count": len(rows), "by_state": counts, "studies": rows})
    else:
        _print(version, found)


def _refuse_active(values: settings.Settings, faulty: "FaultyVersion") -> None:
    """Refuse to have studies read by the same version once more."""
    from cadnode.node import model_overview
    from cadnode.node.recall import SOFTWARE

    if faulty.name == SOFTWARE:
        active: str | None = __version__
    else:
        active = model_overview.stores(values).catalogue().active_version(faulty.name)
    if active == faulty.version:
        raise SettingsError(
            f"{faulty.name}@{faulty.version} is the active version: it would read them again. "
            "Go to another one first (`cadnode models rollback`, `activate`, or an update)"
        )


def _reread(
    values: settings.Settings,
    faulty: "FaultyVersion",
    found: "Sequence[RecalledStudy]",
    *,
    yes: bool,
    as_json: bool,
) -> None:
    from cadnode.audit.actors import user_name
    from cadnode.audit.event import Action
    from cadnode.node.recall import RecallState

    chosen = [(one.study, "") for one in found if one.state is RecallState.FAULTY]
    if (
        chosen
        and not yes
        and not typer.confirm(f"Read {counted(len(chosen), 'study', 'studies')} again?", err=True)
    ):
        raise typer.Exit(2)
    detail = f"recall of {faulty.name}@{faulty.version}"
    by = f"{user_name()}, {detail}"
    with opened(values) as place:

        def again(study: str, _destination: str) -> "Ordered":
            return place.desk.reread(study, by)

        order = StudyOrder(Action.REREAD, again, "read once more", "read once more", detail=detail)
        carry_out(place, chosen, order, dry_run=False, as_json=as_json)


def _print(version: str, found: "Sequence[RecalledStudy]") -> None:
    if not found:
        out.print(f"No result here is by {version}.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("study", "read", "called", "state", "who got it", "corrected there"):
        table.add_column(name, overflow="fold", no_wrap=name in ("study", "read"))
    for one in found:
        called = {True: "yes", False: "no", None: "–"}[one.was_called]
        had = [f"{d.destination} {_moment(d.faulty_at)}" for d in one.deliveries]
        has = [_moment(d.corrected_at) if d.corrected_at else "not yet" for d in one.deliveries]
        table.add_row(
            one.study, _moment(one.read_at), called, one.state.value.replace("_", " "),
            Text("\n".join(had) or "nobody"), Text("\n".join(has)),
        )  # fmt: skip
    out.print(table)
    counts = Counter(one.state for one in found)
    err.print(
        f"{counted(len(found), 'study was', 'studies were')} read by {version}:", highlight=False
    )
    for state, count in sorted(counts.items()):
        err.print(f"  {count} {state.value.replace('_', ' ')}: {state.meaning}", highlight=False)


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
