"""`cadnode studies`: where studies are, and what to do about those whose result is undelivered."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.acts import acting
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import SettingsError
from cadnode.terminal import styled

if TYPE_CHECKING:
    from cadnode.audit.event import Action
    from cadnode.node.orders import DeliveryDesk
    from cadnode.node.study_index import Studies
    from cadnode.node.study_queue import StudyQueue
    from cadnode.web.deliveries import Delivery, Ordered
    from cadnode.web.study import StudyState

studies_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The node's studies: where they are, and what to do when a result did not arrive.\n\n"
    "First steps: [bold]cadnode studies list[/]; [bold]cadnode studies show KEY[/] says why a "
    "destination does not have the result; [bold]cadnode studies retry KEY[/] sends it now.",
)

_LOOK_S = 60.0  # for which a command looks at studies that are not listed yet

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
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, do nothing")]


@dataclass(frozen=True, slots=True)
class Place:
    """The node's studies and deliveries, as its folders and its job database have them."""

    values: settings.Settings
    studies: "Studies"
    queue: "StudyQueue"
    desk: "DeliveryDesk"


@contextmanager
def opened(values: settings.Settings) -> Iterator[Place]:
    """The node of these settings, running or not."""
    from cadnode.errors import CadnodeError
    from cadnode.node.jobs import JobLookup
    from cadnode.node.listener import open_spool
    from cadnode.node.orders import DeliveryDesk
    from cadnode.node.study_index import Studies
    from cadnode.node.study_queue import StudyQueue
    from cadnode.web.node import Unavailable

    progress = JobLookup(values.database_url)
    desk = DeliveryDesk(values, progress)
    try:
        studies = Studies(values, open_spool(values), progress)
        yield Place(values, studies, StudyQueue(values, studies, progress), desk)
    except Unavailable as error:
        raise CadnodeError(f"{error}: {error.hint}") from None
    finally:
        desk.close()
        progress.close()


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
        is_complete = place.queue.refresh(_LOOK_S)
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
    """Where a study is, and why a destination does not have its result.

    Example: [bold]cadnode studies show 0123456789abcdef[/]
    """
    from cadnode.web.deliveries import DeliveryFilter
    from cadnode.web.study import State

    with opened(settings.load(config)) as place:
        found = place.studies.state_of(study)
        rows = place.desk.listed(DeliveryFilter(state="all", study=study))
    if found.state is State.UNKNOWN:
        raise SettingsError(
            "the node has never received anything of this study: `cadnode studies list` shows "
            "those that it has"
        )
    if as_json:
        print_json({**found.as_dict(), "tries": [one.as_dict() for one in rows]})
        return
    out.print(styled("[bold]{}[/]  {}: {}", found.key, found.state.value, found.meaning))
    for reason in found.reasons:
        out.print(styled("[yellow]![/] {}", reason.meaning), soft_wrap=True)
    if rows:
        out.print(deliveries_table(rows))


@studies_app.command()
@command
def retry(
    studies: Names = None,
    to: To = "",
    all_refused: AllRefused = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Deliver now what is undelivered, and read again what could not be read.

    Nothing is sent twice that a destination has. On a stopped node it is done at the next start.
    Example: [bold]cadnode studies retry --all-refused --to archive[/]
    """
    from cadnode.audit.event import Action

    with opened(settings.load(config)) as place:
        chosen = _chosen(place, studies, to, all_refused=all_refused)
        order = _Order(Action.RETRIED, place.desk.retry, "sent now")
        _order(place, chosen, order, dry_run=dry_run, as_json=as_json)


@studies_app.command()
@command
def redeliver(
    studies: Names = None,
    to: Annotated[str, typer.Option("--to", metavar="DEST", help="the destination")] = "",
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a study's newest result again to a destination, for example one that lost it.

    The objects have the UIDs that they had: an archive that has them keeps one of each.
    Example: [bold]cadnode studies redeliver 0123456789abcdef --to archive[/]
    """
    from cadnode.audit.event import Action

    if not to:
        raise SettingsError("say where to: --to DEST, the name of a [[destinations]] block")
    with opened(settings.load(config)) as place:
        chosen = _chosen(place, studies, to, all_refused=False)
        order = _Order(Action.REDELIVERED, place.desk.redeliver, "sent again")
        _order(place, chosen, order, dry_run=dry_run, as_json=as_json)


@studies_app.command()
@command
def drop(
    studies: Names = None,
    to: To = "",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="why, without patient data: the record keeps it")
    ] = "",
    all_refused: AllRefused = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give up what is undelivered, on purpose: it is not tried again, and health counts it no more.

    Images and results stay; the record beside the result says who dropped it, when and why.
    Example: [bold]cadnode studies drop --all-refused --to old-archive --reason "taken down"[/]
    """
    from datetime import UTC, datetime

    from cadnode.audit.event import Action
    from cadnode.node.model_overview import actor

    if not reason.strip():
        raise SettingsError("say why: --reason TEXT, without patient data")
    by = actor(datetime.now(UTC)).name
    with opened(settings.load(config)) as place:
        chosen = _chosen(place, studies, to, all_refused=all_refused)
        what = "results" if all_refused else "studies"
        if not (yes or dry_run) and not typer.confirm(
            f"Give up what is undelivered of {len(chosen)} {what}?", err=True
        ):
            raise typer.Exit(2)

        def dropped(study: str, destination: str) -> "Ordered":
            return place.desk.drop(study, destination, by, reason)

        order = _Order(Action.DROPPED, dropped, "dropped")
        _order(place, chosen, order, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is done to each study, as the trail calls it, and what is said of it then."""

    action: "Action"
    carry_out: "Callable[[str, str], Ordered]"
    done: str


def _chosen(
    place: Place, named: Sequence[str] | None, to: str, *, all_refused: bool
) -> list[tuple[str, str]]:
    """(study, destination) of what is named, or of every result that was refused or given up."""
    from cadnode.web.deliveries import DeliveryFilter
    from cadnode.web.study import key_of

    if bool(named) == all_refused:
        raise SettingsError("name studies, or --all-refused: one of the two")
    if named:
        return [(key, to) for key in dict.fromkeys(map(key_of, named))]
    found = place.desk.listed(DeliveryFilter(destination=to))
    return [(one.study, one.destination) for one in found if one.state in ("refused", "given_up")]


def _order(
    place: Place,
    chosen: Sequence[tuple[str, str]],
    order: _Order,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Carry out an order for each study; what fails for one is said, and the others go on."""
    from cadnode.web.deliveries import DeliveryFilter, OrderRefused

    results: list[dict[str, Any]] = []
    n_refused, is_running = 0, True
    for key, to in chosen:
        if dry_run:
            rows = place.desk.listed(DeliveryFilter(study=key, destination=to))
            results.append({"study": key, "deliveries": [one.as_dict() for one in rows]})
            continue
        try:
            with acting(place.values, order.action, study=key, peer=to):
                ordered = order.carry_out(key, to)
        except OrderRefused as error:
            n_refused += 1
            results.append({"study": key, "error": error.error, "hint": error.hint})
            continue
        is_running = ordered.is_running
        results.append({"study": key, **ordered.as_dict()})
    if as_json:
        print_json({"dry_run": dry_run, "studies": results})
    else:
        _print_order(results, f"would be {order.done}" if dry_run else order.done)
        if not is_running:
            out.print("The node is stopped: this is carried out when it starts.")
    if n_refused:
        raise typer.Exit(2)


def _print_order(results: Sequence[dict[str, Any]], done: str) -> None:
    for one in results:
        if "error" in one:
            err.print(styled("[red]✗[/] {}: {}; {}", one["study"], one["error"], one["hint"]),
                      soft_wrap=True)  # fmt: skip
            continue
        names = ", ".join(d["destination"] for d in one["deliveries"])
        what = f"{done}: {names}" if names else "nothing is undelivered"
        if one.get("reading"):
            what = "what failed is tried again"
        out.print(styled("{}  {}", one["study"], what), soft_wrap=True)
    if not results:
        out.print("Nothing is undelivered.")


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
