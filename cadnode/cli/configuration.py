"""`cadnode settings`: every setting, its value, and where it comes from; new ones are taken up."""

import os
import signal
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.errors import SettingsError
from cadnode.settings import provenance

if TYPE_CHECKING:
    from cadnode.node.settings_reload import ReloadAnswer

_ANSWER_WITHIN_S: Final = 15.0

settings_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The node's settings: what applies, where it comes from, and taking up new ones.",
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


@settings_app.command()
@command
def reload(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Have the running node take up its configuration file, without losing an association.

    Peers, destinations, retention and nearly all else; what cannot change is named, and then, as
    with a file that is wrong, nothing changes. Like [bold]systemctl reload cadnode[/], with an
    answer.
    """
    from cadnode.node import settings_reload, storage_lock

    values = settings.load(config)  # a wrong file is named here, and the node is not asked
    pid = storage_lock.supervisor(values.storage.folder)
    if pid is None:
        raise SettingsError(
            f"no node runs in {values.storage.folder.absolute()}, or not on this machine: it reads "
            "its file when it starts"
        )
    asked_at = time.time()
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise SettingsError(f"the node cannot be asked: {error.strerror}; try sudo") from None
    answer = _answered(values, asked_at)
    if as_json:
        print_json(settings_reload.as_document(answer))
    if answer.problem:
        raise SettingsError(f"the node goes on with its old settings: {answer.problem}")
    if not as_json:
        _print_answer(answer)


def _answered(values: settings.Settings, asked_at: float) -> "ReloadAnswer":
    from cadnode.node import settings_reload

    while time.time() < asked_at + _ANSWER_WITHIN_S:
        answer = settings_reload.answer_of(values.storage.folder)
        if answer is not None and answer.at >= asked_at:
            return answer
        time.sleep(0.1)
    raise SettingsError("the node has not answered: `cadnode check` says how it is")


def _print_answer(answer: "ReloadAnswer") -> None:
    if not answer.changed:
        out.print("Nothing to take up: the file says what applies already.")
        return
    out.print(f"Taken up: {', '.join(answer.changed)}", highlight=False, soft_wrap=True)
    out.print(f"By: {', '.join(answer.roles)}", highlight=False)
    if answer.at_next_start:
        later = ", ".join(answer.at_next_start)
        out.print(f"By the supervisor at its next start: {later}", highlight=False, soft_wrap=True)
