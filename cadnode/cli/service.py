"""`cadnode service`: the node as a service of systemd."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.syntax import Syntax
from rich.table import Table

from cadnode.cli.command import AsJson, command, err, out, print_json
from cadnode.errors import SettingsError

if TYPE_CHECKING:
    from cadnode.service_setup.installation import SetupStep

service_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The node as a service of systemd, started with the machine.",
)
Root = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="only write files, below this folder: no user, no start",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would be done, do nothing")]


@service_app.command()
@command
def install(
    user: Annotated[
        str, typer.Option(metavar="NAME", help="system user that it runs as; made if need be")
    ] = "cadnode",
    config: Annotated[
        Path,
        typer.Option("--config", "-c", metavar="FILE", help="its settings; made if need be"),
    ] = Path("/etc/cadnode/cadnode.toml"),
    gpu: Annotated[bool, typer.Option("--gpu", help="let it use devices: a GPU")] = False,
    now: Annotated[bool, typer.Option("--now", help="start it, too")] = False,
    root: Root = Path("/"),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the unit, make user and folders, and have the node start with the machine.

    Run by the cadnode that is to serve, for example
    [bold]sudo /opt/cadnode/bin/cadnode service install[/]. Settings that are there stay as they
    are; folders that they name outside /var/lib/cadnode are opened to the service.
    """
    from cadnode.service_setup import installation

    program = Path(sys.prefix) / "bin" / "cadnode"
    root = root.absolute()
    if root == Path("/") and not program.is_file():
        raise SettingsError(
            f"there is no {program} for the service to start: install cadnode into a folder of its "
            "own, such as /opt/cadnode (docs/deployment.md), and call that one"
        )
    wish = installation.ServiceWish(program, config, user, root, gpu, now)
    try:
        steps = installation.install_steps(wish)
    except PermissionError as error:  # of a dry run beside an installation
        raise SettingsError(f"{error.filename} cannot be looked at: run this by sudo") from None
    _do(steps, root, dry_run=dry_run, as_json=as_json)
    if not (dry_run or as_json or now or wish.is_elsewhere):
        err.print(
            f"Next: name peers and destinations in {config}, then\n"
            f"  sudo -u {user} {program} check --config {config}\n"
            "  systemctl start cadnode",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


@service_app.command()
@command
def remove(root: Root = Path("/"), dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Stop the service and take its unit away; user, settings and data stay."""
    from cadnode.service_setup import installation

    root = root.absolute()
    _do(installation.remove_steps(root), root, dry_run=dry_run, as_json=as_json)


@service_app.command()
@command
def status(as_json: AsJson = False) -> None:
    """How systemd sees the service. Whether the node can work: [bold]cadnode check[/].

    Exit code 2 when it does not run.
    """
    from cadnode.service_setup import installation

    found = installation.state()
    if as_json:
        print_json(found)
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for key, value in found.items():
            table.add_row(key, value or "–")
        out.print(table)
    if found.get("LoadState") == "not-found":
        raise SettingsError("there is no such service yet: `cadnode service install`")
    if found.get("ActiveState") != "active":
        raise SettingsError(
            "the service does not run: `journalctl --unit cadnode` says why, `systemctl start "
            "cadnode` starts it"
        )


def _do(steps: list["SetupStep"], root: Path, *, dry_run: bool, as_json: bool) -> None:
    from cadnode.service_setup import installation

    if not dry_run:
        installation.refuse_unable(is_elsewhere=root != Path("/"))
        installation.run(steps)
    if as_json:
        print_json({"done": not dry_run, "steps": [step.words for step in steps]})
        return
    for step in steps:
        out.print(f"{'would ' if dry_run else ''}{step.words}", highlight=False, soft_wrap=True)
        if dry_run and step.shows:
            out.print(Syntax(step.shows, "ini", background_color="default", word_wrap=True))
    if not steps:
        out.print("nothing to do: it is all there")
