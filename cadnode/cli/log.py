"""`cadnode log`: the newest lines of the node's log, by study, event, level, time and process."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cadnode import log_files, settings
from cadnode.cli.audit import moment
from cadnode.cli.command import AsJson, ConfigFile, command, out
from cadnode.errors import SettingsError
from cadnode.log_files import LogFilter, LogLine


class Level(StrEnum):
    """The least severe level that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Process(StrEnum):
    """Whose lines are shown; `node` is the one that watches the others."""

    NODE = "node"
    LISTENER = "listener"
    WORKER = "worker"
    WEB = "web"


@command
def show_log(
    study: Annotated[str, typer.Option(metavar="STUDY", help="its key or Study Instance UID")] = "",
    event: Annotated[
        str, typer.Option(metavar="WORD", help="a part of an event's name, such as 'delivery'")
    ] = "",
    level: Annotated[
        Level | None, typer.Option(help="the least severe level; default: all that are kept")
    ] = None,
    role: Annotated[Process | None, typer.Option(help="one process's lines only")] = None,
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="2027-01-31, 2027-01-31T08:00 (UTC), or 30m, 24h, 7d"),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="how many, the newest of them")] = 100,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What the node logged, the newest last. With --json a line of JSON each.

    Nothing in it names a patient. How much is kept, says log.keep_mb; all of it went to standard
    error. Example: [bold]cadnode log --study 0123456789abcdef --config node.toml[/]
    """
    from cadnode.web.study import key_of

    values = settings.load(config)
    folder = values.storage.folder / log_files.FOLDER
    if not folder.is_dir():
        raise SettingsError(
            f"there is no {folder}: name the node's file by --config, or run `cadnode serve` first "
            "(log.keep_mb = 0 keeps no lines)"
        )
    wanted = LogFilter(
        key_of(study) if study else "", event, level or "", role or "", moment(since), limit=limit
    )
    lines = log_files.read(folder, wanted).lines[::-1]
    if as_json:
        sys.stdout.writelines(json.dumps(line.as_dict()) + "\n" for line in lines)
    elif lines:
        out.print(_table(lines))
    else:
        out.print("Nothing.")


def _table(lines: tuple[LogLine, ...]) -> Table:
    table = Table("when (UTC)", "level", "process", "event", "", box=None, pad_edge=False)
    for column in table.columns[:4]:
        column.no_wrap = True
    for line in lines:
        known = " ".join(f"{k}={v}" for k, v in line.fields.items() if v is not None)
        cells = (line.at[:19].replace("T", " "), line.level, line.role, line.event, known)
        table.add_row(*map(Text, cells))
    return table
