"""`cadnode orthanc`: put the plugin into an Orthanc, and look whether all of it works."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.syntax import Syntax

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.terminal import styled

if TYPE_CHECKING:
    from cadnode.orthanc_setup.plan import SetupPlan

orthanc_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Mammograms of an Orthanc are read by this node, by itself: the plugin for Orthanc.",
)
ORTHANC_URL: Final = "http://127.0.0.1:8042"
OrthancUrl = Annotated[
    str, typer.Option("--url", metavar="URL", help="Orthanc's REST interface, as seen from here")
]
Username = Annotated[
    str, typer.Option(metavar="USER", help="the node's user in Orthanc's \"RegisteredUsers\"")
]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="its first line is that user's password")
]


@orthanc_app.command()
@command
def install(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Orthanc's configuration: a folder, or one file")
    ] = Path("/etc/orthanc"),
    mode: Annotated[
        str,
        typer.Option(
            help="[bold]pull[/]: the node fetches studies by REST; [bold]store[/]: Orthanc sends "
            "them by C-STORE"
        ),
    ] = "pull",
    node_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="the node's HTTP side, as seen from Orthanc; default: host and port of its "
            "\\[web]",
        ),
    ] = "",
    url: OrthancUrl = ORTHANC_URL,
    username: Username = "",
    password_file: PasswordFile = None,
    config: ConfigFile = None,
    force: Annotated[
        bool, typer.Option("--force", help="also replace what somebody set or changed")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would change, write nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the plugin and its configuration into an Orthanc, and the other half into the node's.

    Files keep their comments and other content, and what they were is kept beside them as
    NAME.before-cadnode. Without --config the lines for the node are printed.

    Example: [bold]sudo cadnode orthanc install --config /etc/cadnode/cadnode.toml[/]
    """
    from cadnode.errors import SettingsError
    from cadnode.orthanc_setup import apply
    from cadnode.orthanc_setup.configuration import PLUGIN_NAME
    from cadnode.orthanc_setup.plan import Wanted

    if mode not in ("pull", "store"):
        raise SettingsError("--mode is pull or store")
    node = settings.load(config) if config is not None and config.exists() else None
    wanted = Wanted(
        folder.absolute(), "pull" if mode == "pull" else "store", node_url, url, config,
        username, password_file, force,
    )  # fmt: skip
    plan = apply.plan(wanted, node)
    if not dry_run:
        with _told(node, plan):
            apply.apply(plan.changes)
    if as_json:
        print_json({**apply.summary(plan), "written": not dry_run})
        return
    for change in plan.changes:
        if dry_run and change.path.name != PLUGIN_NAME:
            out.print(Syntax(change.diff(), "diff", background_color="default", word_wrap=True))
        else:
            done = "would be written" if dry_run else "written"
            out.print(f"{done}: {change.path}", highlight=False, soft_wrap=True)
    if not plan.changes:
        out.print("nothing to do: it is all there")
    for note in plan.notes:
        err.print(styled("[yellow]![/] {}", note), soft_wrap=True)
    if plan.node_lines:
        err.print("\nThe node's configuration also needs:\n", highlight=False)
        out.print(plan.node_lines, highlight=False, soft_wrap=True)
    if plan.changes and not dry_run:
        err.print("Restart Orthanc and the node; then `cadnode orthanc check`.", highlight=False)


def _told(node: settings.Settings | None, plan: "SetupPlan") -> AbstractContextManager[object]:
    """Within the block Orthanc may become a program of the node: the audit trail has it."""
    from cadnode.audit.event import Action
    from cadnode.cli.acts import acting

    program = next((c for c in plan.changes if node and c.path == node.web.tokens_file), None)
    if node is None or program is None:
        return nullcontext()
    return acting(node, Action.USERS_CHANGED, program.words.partition(", with")[0])


@orthanc_app.command()
@command
def check(
    url: OrthancUrl = ORTHANC_URL,
    username: Username = "",
    password_file: PasswordFile = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM certificates to trust, for https")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look whether Orthanc, its plugin and the node work together.

    Versions, the plugin's and the node's health, rights, C-STORE both ways, clocks; with --config
    also what this node itself reaches. Exit code 0 when nothing failed, 2 otherwise.
    """
    from cadnode.cli.output import print_checks
    from cadnode.node.checks import CheckVerdict
    from cadnode.orthanc_setup import check as orthanc_setup_check

    node = settings.load(config) if config is not None else None
    address = orthanc_setup_check.OrthancAddress(url, username, password_file, ca_file)
    results = list(orthanc_setup_check.run(address, node))
    if as_json:
        print_json([c.as_dict() for c in results])
    else:
        print_checks(out, results)
    if any(c.verdict == CheckVerdict.FAILED for c in results):
        raise typer.Exit(2)
