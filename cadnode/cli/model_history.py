"""`cadnode models history` and `remove`: past activations; removal of versions."""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated

import typer

from cadnode import settings
from cadnode.cli.acts import AuditedAct, changing_models
from cadnode.cli.command import AsJson, ConfigFile, FailureReason, command, out, print_json
from cadnode.terminal import styled


@command
def history(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="only this model; default: all")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Who changed which version is active, when, why, and from what evidence; oldest first."""
    from cadnode.cli.model_output import change_lines
    from cadnode.node import model_overview

    changes = model_overview.changes(settings.load(config), name)
    if as_json:
        print_json([c.model_dump(mode="json") for c in changes])
        return
    for change in changes:
        out.print(styled("[bold]{}[/] ", change.name) + change_lines(change), soft_wrap=True)
    if not changes:
        out.print("Nothing was changed: the newest version of each model is active.")


@command
def remove(
    spec: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="a version of your own")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at it, change nothing")] = False,
    reason: FailureReason = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete a version that nothing needs from the node's store, with its weights.

    Refused for packaged versions, the active one, and what reads in shadow mode. A version that is
    removed cannot be rolled back to: keep its folder elsewhere.
    """
    from cadnode.node import model_overview
    from cadnode.registry import removal, shadow_set
    from cadnode.registry.history import grounds

    values = settings.load(config)
    stores = model_overview.stores(values)
    shadows = shadow_set.resolve(stores.catalogue(), values.reading.shadow).versions
    by, why = model_overview.actor(datetime.now(UTC)), grounds(reason)
    with nullcontext(AuditedAct("")) if dry_run else changing_models(values, "remove") as act:
        size = removal.remove(stores, spec, by, shadows, why, dry_run=dry_run)
        act.what = spec
    if as_json:
        print_json({"removed": spec, "bytes": size, "dry_run": dry_run})
    else:
        verb = "would be" if dry_run else "is"
        out.print(f"{spec} {verb} removed: {size / 1e6:.1f} MB", highlight=False)
