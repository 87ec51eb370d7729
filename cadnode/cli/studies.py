"""`cadnode studies`: where studies are, and what to do about those whose result is undelivered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.cli.node_place import LOOK_S, opened
from cadnode.cli.study_orders import Narrowed, StudyOrder, carry_out, chosen_of
from cadnode.cli.way_output import print_way
from cadnode.errors import SettingsError
from cadnode.terminal import styled

if TYPE_CHECKING:
    from cadnode.web.deliveries import Delivery, Ordered
    from cadnode.web.study import StudyState

studies_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The node's studies: where they are, and what to do when a result did not arrive.\n\n"
    "First steps: [bold]cadnode studies list[/]; [bold]cadnode studies show KEY[/] says why a "
    "destination does not have the result; [bold]cadnode studies retry KEY[/] sends it now.",
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="keys, as `list` shows them, or Study Instance UIDs"),
]
To = Annotated[
    str, typer.Option("--to", metavar="DEST", help="only what this destination does not have")
]
AllRefused = Annotated[
    bool,
    typer.Option("--all-refused", help="every study that a destination refused or was away for"),
]
All = Annotated[
    bool,
    typer.Option("--all", help="every study that needs somebody; --to, --since … narrow it"),
]
AllOfAny = Annotated[
    bool, typer.Option("--all", help="every study that --state, --since and --until let pass")
]
OfState = Annotated[str, typer.Option("--state", metavar="STATE", help="with --all: in this state")]
Since = Annotated[
    str, typer.Option("--since", metavar="DAY", help="with --all: changed on this day or later")
]
Until = Annotated[
    str, typer.Option("--until", metavar="DAY", help="with --all: changed on this day or before")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, do nothing")]


@studies_app.command("list")
@command
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many, newest first")] = 50,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="only studies in this state, such as refused")
    ] = "",
    needs_you: Annotated[
        bool,
        typer.Option("--needs-you", help="only those that go on by themselves no more, and why"),
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """The studies that changed last, and where each of them is.

    Nothing shown names a patient: a study is shown by its key.
    Example: [bold]cadnode studies list --state refused[/]
    """
    from cadnode.web.queue import StudyFilter
    from cadnode.web.study import State

    words = [one.value for one in State]
    if state and state not in words:
        raise SettingsError(f"there is no state {state!r}; there are {', '.join(words)}")
    with opened(settings.load(config)) as place:
        is_complete = place.queue.refresh(LOOK_S)
        wanted = StudyFilter(State(state) if state else None, needs_you=needs_you, limit=limit)
        found = [row.study for row in place.queue.page(wanted).rows]
    if not is_complete:
        err.print("Not every study could be looked at: ask again, or start the node.")
    if as_json:
        print_json([one.as_row() | {"deliveries": dict(one.deliveries)} for one in found])
    else:
        out.print(_table(found, with_reasons=needs_you) if found else "No studies.")


@studies_app.command()
@command
def show(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="its key or Study Instance UID")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Where a study is, the way it took, and why a destination does not have its result.

    Example: [bold]cadnode studies show 0123456789abcdef[/]
    """
    from cadnode.node.study_way import StudyWays
    from cadnode.web.deliveries import DeliveryFilter
    from cadnode.web.study import State

    with opened(settings.load(config)) as place:
        found = place.studies.state_of(study)
        way = StudyWays(place.values, place.studies).of(found)
        rows = place.desk.listed(DeliveryFilter(state="all", study=study))
    if found.state is State.UNKNOWN:
        raise SettingsError(
            "the node has never received anything of this study: `cadnode studies list` shows "
            "those that it has"
        )
    if as_json:
        told = {"way": way.as_dict(), "tries": [one.as_dict() for one in rows]}
        print_json(found.as_dict() | told)
        return
    out.print(styled("[bold]{}[/]  {}: {}", found.key, found.state.value, found.meaning))
    for reason in found.reasons:
        out.print(styled("[yellow]![/] {}", reason.meaning), soft_wrap=True)
    print_way(way)
    if rows:
        out.print(deliveries_table(rows))


@studies_app.command()
@command
def reread(
    studies: Names = None,
    everything: AllOfAny = False,
    state: OfState = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read studies once more that are read already, with the models that are active now.

    The new reports go to every destination and name those that they replace. The images must still
    be here. On a stopped node it is done at the next start.
    Example: [bold]cadnode studies reread --all --state done --since 2026-03-01[/]
    """
    from cadnode.audit.actors import user_name
    from cadnode.audit.event import Action

    by = user_name()
    with opened(settings.load(config)) as place:
        narrowed = Narrowed(everything, "", state, since, until, of_any=True)
        chosen = chosen_of(place, studies, "", narrowed=narrowed)

        def again(study: str, _destination: str) -> "Ordered":
            return place.desk.reread(study, by)

        order = StudyOrder(Action.REREAD, again, "read once more", "read once more")
        carry_out(place, chosen, order, dry_run=dry_run, as_json=as_json)


@studies_app.command()
@command
def retry(
    studies: Names = None,
    to: To = "",
    all_refused: AllRefused = False,
    everything: All = False,
    state: OfState = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Deliver now what is undelivered, and fetch and read again what could not be.

    Nothing is sent twice that a destination has. On a stopped node it is done at the next start.
    Example, after an outage: [bold]cadnode studies retry --all --to archive --since 2026-03-01[/]
    """
    from cadnode.audit.event import Action

    narrowed = Narrowed(everything, to, state, since, until)
    with opened(settings.load(config)) as place:
        chosen = chosen_of(place, studies, to, all_refused=all_refused, narrowed=narrowed)
        order = StudyOrder(
            Action.RETRIED, place.desk.retry, "sent now", "what failed is tried again"
        )
        carry_out(place, chosen, order, dry_run=dry_run, as_json=as_json)


@studies_app.command()
@command
def redeliver(
    studies: Names = None,
    to: Annotated[str, typer.Option("--to", metavar="DEST", help="the destination")] = "",
    everything: AllOfAny = False,
    state: OfState = "",
    since: Since = "",
    until: Until = "",
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a study's newest result again to a destination, for example one that lost it.

    The objects have the UIDs that they had: an archive that has them keeps one of each.
    Example: [bold]cadnode studies redeliver --all --since 2026-03-01 --to archive[/]
    """
    from cadnode.audit.event import Action

    if not to:
        raise SettingsError("say where to: --to DEST, the name of a [[destinations]] block")
    with opened(settings.load(config)) as place:
        narrowed = Narrowed(everything, "", state, since, until, of_any=True)
        chosen = chosen_of(place, studies, to, narrowed=narrowed)
        order = StudyOrder(Action.REDELIVERED, place.desk.redeliver, "sent again")
        carry_out(place, chosen, order, dry_run=dry_run, as_json=as_json)


@studies_app.command()
@command
def drop(
    studies: Names = None,
    to: To = "",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="why, without patient data: the record keeps it")
    ] = "",
    all_refused: AllRefused = False,
    everything: All = False,
    state: OfState = "",
    since: Since = "",
    until: Until = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give up what is undelivered, or could not be read, on purpose: it needs nobody any more.

    Images and results stay; the record beside the result says who dropped it, when and why.
    Example: [bold]cadnode studies drop --all-refused --to old-archive --reason "taken down"[/]
    """
    from cadnode.audit.actors import user_name
    from cadnode.audit.event import Action

    if not reason.strip():
        raise SettingsError("say why: --reason TEXT, without patient data")
    by = user_name()
    with opened(settings.load(config)) as place:
        narrowed = Narrowed(everything, to, state, since, until)
        chosen = chosen_of(place, studies, to, all_refused=all_refused, narrowed=narrowed)
        many = f"{len(chosen)} {'results' if all_refused else 'studies'}"
        unread = "" if all_refused or to else ", or could not be read,"
        if not (yes or dry_run) and not typer.confirm(
            f"Give up what is undelivered{unread} of {many}?", err=True
        ):
            raise typer.Exit(2)

        def dropped(study: str, destination: str) -> "Ordered":
            return place.desk.drop(study, destination, by, reason)

        order = StudyOrder(
            Action.DROPPED, dropped, "dropped", "what failed is given up", forgets=True
        )
        carry_out(place, chosen, order, dry_run=dry_run, as_json=as_json)


def _table(found: "Sequence[StudyState]", *, with_reasons: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    last = ("why",) if with_reasons else ()
    for name in ("study", "state", "priority", "result", "destinations", "changed", *last):
        table.add_column(name, overflow="fold", no_wrap=name in ("study", "changed"))
    for one in found:
        places = ", ".join(f"{name}: {word.replace('_', ' ')}" for name, word in one.deliveries)
        when = one.updated_at.isoformat(timespec="minutes") if one.updated_at else ""
        cells = [one.key, one.state.value, one.priority.value, Text(one.result), Text(places), when]
        table.add_row(*cells, *([Text(one.why)] if with_reasons else []))
    return table


def deliveries_table(rows: "Sequence[Delivery]") -> Table:
    """Deliveries, a line each."""
    table = Table(box=None, pad_edge=False)
    for name in ("study", "destination", "state", "since", "tries", "next try", "why"):
        table.add_column(name, overflow="fold", no_wrap=name in ("study", "since", "next try"))
    for one in rows:
        row = one.as_dict()
        table.add_row(
            row["study"], row["destination"], row["state"].replace("_", " "), row["since"][5:16],
            str(row["tries"]), (row["next_try"] or "")[5:16] or "–", Text(row["reason"]),
        )  # fmt: skip
    return table
