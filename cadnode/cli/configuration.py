"""`cadnode settings`: every setting, its value, and where it comes from."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.settings import provenance

settings_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The node's settings: what applies, and where it comes from.",
)


@settings_app.callback()
def settings_() -> None:
    """Shown by `cadnode settings --help`; see `settings_app`."""


@settings_app.command()
@command
def show(
    stated: Annotated[
        bool, typer.Option("--stated", help="only what the file or the environment states")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Every setting with its value: a default, a line of the file, or a CADNODE_… variable.

    No secret is shown. Example: [bold]cadnode settings show --stated --config node.toml[/]
    """
    rows = provenance.explain(settings.load(config), config)
    rows = tuple(row for row in rows if row.is_stated or not stated)
    if as_json:
        print_json([row.as_dict() for row in rows])
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for row in rows:
        table.add_row(Text(row.key), Text(row.value or "–"), Text(row.where or "default"))
    out.print(table if rows else "Nothing is stated: every setting has its default.")
