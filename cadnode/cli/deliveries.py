"""`cadnode deliveries`: which results are on their way, and which did not arrive and why."""

from enum import StrEnum
from typing import Annotated

import typer

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.cli.node_place import opened
from cadnode.cli.studies import deliveries_table

deliveries_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Results on their way to destinations, and those that did not arrive.",
)


class WantedDeliveries(StrEnum):
    """Which deliveries are listed."""

    UNDELIVERED = "undelivered"
    WAITING = "waiting"
    AWAITING_COMMITMENT = "awaiting_commitment"
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    ALL = "all"


@deliveries_app.callback()
def deliveries() -> None:
    """Shown by `cadnode deliveries --help`; see `deliveries_app`."""


@deliveries_app.command("list")
@command
def list_(
    state: Annotated[
        WantedDeliveries,
        typer.Option(
            help="[bold]undelivered[/]: all that wait, were refused or were given up; "
            "[bold]awaiting_commitment[/]: stored, and not confirmed yet"
        ),
    ] = WantedDeliveries.UNDELIVERED,
    to: Annotated[str, typer.Option("--to", metavar="DEST", help="only this destination's")] = "",
    older_than_h: Annotated[
        float, typer.Option("--older-than-h", min=0.0, metavar="HOURS", help="only older ones")
    ] = 0.0,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What destinations do not have, the oldest first, with the reason and the next try.

    Works on a running and on a stopped node.
    Example: [bold]cadnode deliveries list --state refused --to archive[/]
    """
    from cadnode.web.deliveries import DeliveryFilter

    wanted = DeliveryFilter(state.value, to, older_than_h * 3600)
    with opened(settings.load(config)) as place:
        found = place.desk.listed(wanted)
    if as_json:
        print_json([one.as_dict() for one in found])
    elif found:
        out.print(deliveries_table(found))
    else:
        out.print("Everything is delivered." if state is WantedDeliveries.UNDELIVERED else "None.")
