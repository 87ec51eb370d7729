"""`cadnode audit`: the trail of who did what, shown and verified."""

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cadnode import settings
from cadnode.cli.command import AsJson, ConfigFile, command, out, print_json
from cadnode.errors import SettingsError
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.audit.entry import TrailEntry
    from cadnode.audit.files import Position

audit_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The audit trail: who did what to which study, and whether the trail is whole.\n\n"
    "First steps: [bold]cadnode audit show --since 24h[/]; [bold]cadnode audit verify[/] names the "
    "first line that was changed, inserted or removed.",
)
_AGO: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_LOOKS_EVERY_S: Final = 0.5
_BROKEN: Final = 1  # the exit code


@audit_app.command()
@command
def verify(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Whether every line is bound to the one before it; exit code 1 when one is not.

    Works on a running node. A trail that somebody wrote anew from its beginning looks whole here:
    compare the last hash with the copy in your repository.
    """
    from cadnode.audit.verify import verify as verified

    try:
        found = verified(_folder(settings.load(config)))
    except OSError as error:
        raise SettingsError(f"the trail cannot be read: {error.strerror}") from None
    if as_json:
        print_json({"schema_version": 1, **found.as_dict()})
    elif found.broken is not None:
        where = f"{found.broken.file} line {found.broken.line}"
        out.print(styled("[bold red]✗[/] {}: {}", where, found.broken.meaning), soft_wrap=True)
        out.print(f"Before it, {counted(found.n_lines, 'line')} whole.", highlight=False)
    elif not found.n_lines:
        out.print("The trail is empty.")
    else:
        span = f"lines {found.first} to {found.last}, {found.since[:16]}Z to {found.until[:16]}Z"
        out.print(styled("[green]✓[/] whole: {}", span), soft_wrap=True)
        out.print(f"last hash {found.last_hash}", highlight=False, soft_wrap=True)
    if not as_json:
        for note in found.notes:
            out.print(styled("[yellow]![/] {}", note), soft_wrap=True)
    if not found.is_whole:
        raise typer.Exit(_BROKEN)


@audit_app.command()
@command
def show(
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="2027-01-31, 2027-01-31T08:00 (UTC), or 30m, 24h, 7d"),
    ] = "",
    study: Annotated[str, typer.Option(metavar="STUDY", help="its key or Study Instance UID")] = "",
    actor: Annotated[str, typer.Option(metavar="NAME", help="a user, token, AE title")] = "",
    action: Annotated[
        str, typer.Option(metavar="ACTION", help="such as 'study viewed', 'log-in refused'")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="how many, the newest of them")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="go on with what comes")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Who did what, the newest last. With --json a line of JSON each.

    For example [bold]cadnode audit show --since 7d --study 0123456789abcdef[/], or
    [bold]cadnode audit show --action 'log-in refused' --follow[/]
    """
    from cadnode.web.study import key_of

    folder = _folder(settings.load(config))
    chosen = _Filter(moment(since), key_of(study) if study else "", actor, _action(action))
    last, found = _read(folder, None, chosen)
    _print(found[-limit:], as_json=as_json)
    while follow:
        time.sleep(_LOOKS_EVERY_S)
        last, found = _read(folder, last, chosen)
        _print(found, as_json=as_json, with_head=False)


class _Filter:
    """Which lines are shown; "" lets all pass."""

    def __init__(self, since: str, study: str, actor: str, action: str) -> None:
        self._since = since
        self._study = study
        self._actor = actor
        self._action = action

    def passes(self, entry: "TrailEntry") -> bool:
        """Whether a line is shown."""
        from cadnode.audit.entry import Remark

        if entry.at < self._since:
            return False
        said = entry.said
        if isinstance(said, Remark):
            return not (self._study or self._actor) and self._action in ("", said.kind.value)
        return (
            self._study in ("", said.study)
            and self._actor in ("", said.actor.name)
            and self._action in ("", said.action.value)
        )


def _read(
    folder: Path, after: "Position | None", chosen: _Filter
) -> "tuple[Position | None, list[TrailEntry]]":
    """Where the lines end that are there now, and those that pass."""
    from cadnode.audit.files import entries

    found, last = [], after
    try:
        for entry, where in entries(folder, after):
            last = where
            if chosen.passes(entry):
                found.append(entry)
    except OSError as error:
        raise SettingsError(f"the trail cannot be read: {error.strerror}") from None
    return last, found


def _print(found: "Iterable[TrailEntry]", *, as_json: bool, with_head: bool = True) -> None:
    if as_json:
        for entry in found:
            sys.stdout.write(json.dumps(entry.as_dict()) + "\n")
        sys.stdout.flush()
        return
    rows = list(map(_row, found))
    if rows:
        table = Table(box=None, pad_edge=False, show_header=with_head)
        for name in ("", "when (UTC)", "what", "who", "study", "of"):
            table.add_column(name, overflow="fold", no_wrap=name in ("when (UTC)", "what", "study"))
        for row in rows:
            table.add_row(*row)
        out.print(table)
    elif with_head:
        out.print("Nothing.")


def _row(entry: "TrailEntry") -> Iterator[Text]:
    from cadnode.audit.entry import Remark

    said, when = entry.said, entry.at[:19].replace("T", " ")
    if isinstance(said, Remark):
        cells = ["!", when, said.kind.value, "audit trail", "", str(said.detail or said.count)]
        return map(Text, cells)
    sign = {"success": "", "failure": "✗", "serious failure": "✗✗"}[said.outcome.value]
    who = f"{said.actor.name} ({said.actor.role or said.actor.kind.value})"
    where = f"{who} {said.actor.address}" if said.actor.address else who
    of = ": ".join(filter(None, (said.peer, said.detail)))
    return map(Text, [sign, when, said.action.value, where, said.study or "", of])


def _folder(values: settings.Settings) -> Path:
    from cadnode.audit.files import FOLDER

    folder = values.storage.folder / FOLDER
    if not folder.is_dir():
        raise SettingsError(
            f"there is no {folder}: name the node's file by --config, or run `cadnode serve` first"
        )
    return folder


def _action(word: str) -> str:
    from cadnode.audit.entry import RemarkKind
    from cadnode.audit.event import Action

    known = [one.value for kind in (Action, RemarkKind) for one in kind]
    if word and word not in known:
        raise SettingsError(f"there is no action {word!r}; there are {', '.join(known)}")
    return word


def moment(when: str) -> str:
    """A time as lines have it. Raises `SettingsError`."""
    if not when:
        return ""
    if ago := _AGO.fullmatch(when):
        at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            at = datetime.fromisoformat(when.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError:
            raise SettingsError(
                f"--since is a day, a time or an age such as 24h, not {when!r}"
            ) from None
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
