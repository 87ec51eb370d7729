"""`cadnode settings`: every setting, its value, and where it comes from; new ones are taken up."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
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

_ANSWER_WITHIN_S: Final = 15.0  # of all roles together

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
    from cadnode.node import settings_reload

    values = settings.load(config)  # a wrong file is named here, and the node is not asked
    answer = _asked(values.storage.folder)
    if as_json:
        print_json(settings_reload.as_document(answer))
    if answer.problem:
        raise SettingsError(answer.problem)
    if not as_json:
        _print_answer(answer)


def _asked(storage: Path) -> "ReloadAnswer":
    """What the node in a storage folder answers, or its roles where they run by themselves."""
    from cadnode.node import own_settings, role_status, settings_reload, storage_lock, supervise

    pid = storage_lock.supervisor(storage)
    every = (slot for role in supervise.ROLES for slot in role_status.slots(storage, role))
    up = [slot for slot in every if role_status.look_at(storage, slot).is_up]
    is_held = storage_lock.is_held_alone(storage)
    if pid is None and (is_held or not up):
        raise SettingsError(
            f"no node runs in {storage.absolute()}, or not on this machine: it reads its file when "
            "it starts"
        )
    asked_at = time.time()
    try:
        if pid is None:
            own_settings.ask(storage)
        else:
            os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise SettingsError(f"the node cannot be asked: {error.strerror}; try sudo") from None
    until = asked_at + _ANSWER_WITHIN_S
    if pid is None:
        return settings_reload.together(
            {slot: _answered(storage, slot, asked_at, until) for slot in up}
        )
    answer = _answered(storage, "", asked_at, until)
    if answer.problem:
        return replace(answer, problem=f"the node {answer.problem}")
    if "listener" not in answer.roles or not role_status.look(storage, "listener").is_up:
        return answer
    its = _answered(storage, "listener", asked_at, until)
    return settings_reload.together({"": answer, "listener": replace(its, roles=())})


def _answered(storage: Path, slot: str, asked_at: float, until: float) -> "ReloadAnswer":
    """The answer of the supervisor or of a role; its `problem` goes on after who it is."""
    from cadnode.node import settings_reload

    while True:
        answer = settings_reload.answer_of(storage, slot)
        if answer is not None and answer.at >= asked_at:
            why = f"goes on with its old settings: {answer.problem}" if answer.problem else ""
            return replace(answer, problem=why)
        if time.time() > until:
            break
        time.sleep(0.1)
    silent = "has not answered (yet): `cadnode check` says how it is"
    return settings_reload.ReloadAnswer(asked_at, silent)


def _print_answer(answer: "ReloadAnswer") -> None:
    if not answer.changed:
        out.print("Nothing to take up: the file says what applies already.")
        return
    out.print(f"Taken up: {', '.join(answer.changed)}", highlight=False, soft_wrap=True)
    out.print(f"By: {', '.join(answer.roles)}", highlight=False)
    if answer.at_next_start:
        later = ", ".join(answer.at_next_start)
        out.print(f"By the supervisor at its next start: {later}", highlight=False, soft_wrap=True)
