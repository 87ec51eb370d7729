"""`cadnode storage`: what is on the node's disk, what goes next and when, what stays and why."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import acting
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import SettingsError
from cadnode.terminal import counted, styled

if TYPE_CHECKING:
    from cadnode.node.pins import Pin
    from cadnode.node.retention import Due, Retention
    from cadnode.node.retention_rules import Part
    from cadnode.node.storage_account import DiskUse

storage_app = typer.Typer(
    rich_markup_mode="rich",
    help="What is on the node's disk, what is removed next, what stays and why.\n\n"
    "For example [bold]cadnode storage --config node.toml[/], or, before a review, "
    "[bold]cadnode storage pin 1.2.840.99.7 --why 'second opinion' --until 2027-01-31[/].",
)
Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="Study Instance UID, or the key that logs show")
]
_WIDTH: Final = 30
_SHOWN: Final = 10
_LOOKED_AT_ALL: Final = 5000  # of more studies, only those that are due are asked why they stay


@storage_app.callback(invoke_without_command=True)
@command
def storage(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=0, help="how many of what goes next")] = _SHOWN,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Images, results, jobs and free disk; what goes next and when; what stays and why.

    Studies are named by their keys (16 hex digits), as in the log. Removes nothing.
    """
    if context.invoked_subcommand is not None:
        return
    from cadnode.node import pins

    values = settings.load(config)
    with _opened(values) as retention:
        with err.status("looking …"):
            everything = len(retention.account.images) <= _LOOKED_AT_ALL
            due = list(retention.due(time.time(), everything=everything))
        shown = _Shown(values, retention, due, list(pins.pinned(values.storage.folder).values()))
        if as_json:
            print_json(shown.as_json(limit))
        else:
            shown.print(limit)


@storage_app.command()
@command
def clean(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be removed, and remove nothing")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove now what may go: read, delivered, not pinned, and its time, size or disk exceeded.

    For example [bold]cadnode storage clean --dry-run[/]. The node may be running. What is removed
    cannot be had back: archives have the results, this node no longer has the images.
    """
    values = settings.load(config)
    with _opened(values) as retention, retention.alone():
        going = [due for due in retention.due(time.time()) if due.kept is None]
        if not dry_run and going and not yes:
            _ask(going)
        removed = going if dry_run else _removed(retention)
        if not dry_run:
            retention.tidy(time.time())
    if as_json:
        print_json({"schema_version": 1, "dry_run": dry_run, "removed": [_due(d) for d in removed]})
        return
    verb = "Would be removed" if dry_run else "Removed"
    out.print(f"{verb}: {_sum(removed)}.", highlight=False, soft_wrap=True)
    if dry_run and removed:
        out.print(_due_table(removed))


@storage_app.command()
@command
def pin(
    study: Study,
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="why, for your colleagues; no patient's name")
    ] = "",
    until: Annotated[
        str,
        typer.Option(metavar="DATE", help="2027-01-31: to the end of that day; else for good"),
    ] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a study, images and results, whatever its age and however full the disk is.

    For example [bold]cadnode storage pin 1.2.840.99.7 --until 2027-01-31[/]. A study that is not
    here yet may be pinned, too.
    """
    from cadnode.audit.event import Action
    from cadnode.node import pins
    from cadnode.web.study import key_of

    values, key = settings.load(config), key_of(_named(study))
    one = pins.Pin(key, why, time.time(), _end_of(until) if until else None)
    with acting(values, Action.PINNED, study=key):
        pins.pin(values.storage.folder, one)
    if as_json:
        print_json(asdict(one))
    else:
        end = f"until the end of {until}" if until else "until you unpin it"
        out.print(f"{study} is kept {end}.", highlight=False, soft_wrap=True)


@storage_app.command()
@command
def unpin(study: Study, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """End a pin: the study is kept as long as any other."""
    from cadnode.audit.event import Action
    from cadnode.node import pins
    from cadnode.web.study import key_of

    values, key = settings.load(config), key_of(_named(study))
    with acting(values, Action.UNPINNED, study=key):
        was_pinned = pins.unpin(values.storage.folder, key)
    if as_json:
        print_json({"study": key, "was_pinned": was_pinned})
    else:
        message = "is no longer pinned" if was_pinned else "was not pinned"
        out.print(f"{study} {message}.", highlight=False, soft_wrap=True)


@contextmanager
def _opened(values: settings.Settings) -> Iterator["Retention"]:
    """The node's studies, looked at. Raises `SettingsError` without storage or job database."""
    from cadnode.audit.actors import this_user
    from cadnode.node.job_rows import JobRows
    from cadnode.node.jobs import JobLookup, JobsUnavailable
    from cadnode.node.listener import open_spool
    from cadnode.node.retention import Retention

    folder = values.storage.folder
    if not (folder / "spool").is_dir():
        raise SettingsError(
            f"{folder} is no node's storage folder: name the node's file by --config, or run "
            "`cadnode serve` first"
        )
    jobs, rows = JobLookup(values.database_url), JobRows(values.database_url)
    try:
        retention = Retention(values, open_spool(values), jobs, rows, by=this_user())
        with err.status("measuring …"):
            retention.account.refresh()
        yield retention
    except JobsUnavailable:
        raise SettingsError(
            "the job database (jobs.database_url) does not answer: without it nobody knows what is "
            "delivered, and nothing is removed"
        ) from None
    finally:
        jobs.close()
        rows.close()


def _removed(retention: "Retention") -> list["Due"]:
    """What is removed; looked at once more, since somebody may have thought about it for long."""
    removed: list[Due] = []

    def may_go(due: "Due") -> bool:
        is_gone = retention.remove(due)
        removed.extend([due] if is_gone else [])
        return is_gone

    for _ in retention.due(time.time(), may_go=may_go):
        pass
    return removed


class _Shown:
    """What `cadnode storage` shows."""

    def __init__(
        self,
        values: settings.Settings,
        retention: "Retention",
        due: Sequence["Due"],
        pinned: Sequence["Pin"],
    ) -> None:
        self._values = values
        self._retention = retention
        self._going = [one for one in due if one.kept is None]
        self._kept = _by_reason(due)
        self._pinned = pinned

    def as_json(self, limit: int) -> dict[str, Any]:
        """For `--json`."""
        account, disk, rules = (
            self._retention.account,
            self._retention.disk(),
            self._values.retention,
        )
        return {
            "schema_version": 1,
            "disk": {
                "total_bytes": disk.total, "free_bytes": disk.free, "held_bytes": disk.held,
                "percent": round(disk.percent, 1), "high_mark_percent": rules.high_mark_percent,
                "low_mark_percent": rules.low_mark_percent, "min_free_bytes": disk.min_free,
                "receives": disk.has_room,
            },
            "images": {"studies": len(account.images), "bytes": account.images_bytes},
            "results": {"studies": len(account.results), "bytes": account.results_bytes},
            "priors": {"bytes": account.priors_bytes},
            "jobs": {"bytes": account.jobs_bytes},
            "list": {"bytes": account.list_bytes},
            "now": [_due(one) for one in self._going],
            "next": [
                {"study": study, "part": part.value, "bytes": n, "at": _iso(at)}
                for at, study, part, n in self._next(limit)
            ],
            "kept": [
                {
                    "reason": reason.value, "meaning": reason.meaning,
                    "parts": len(parts), "bytes": _n(parts),
                }
                for reason, parts in self._kept.items()
            ],
            "pinned": [asdict(one) for one in self._pinned],
        }  # fmt: skip

    def print(self, limit: int) -> None:
        """For people."""
        account, disk, rules = (
            self._retention.account,
            self._retention.disk(),
            self._values.retention,
        )
        marks = f"cleaned from {rules.high_mark_percent:g} % to {rules.low_mark_percent:g} %"
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row(
            "disk", _bar(disk.percent / 100), f"{disk.percent:.0f} %",
            f"of what the node may fill ({marks}); {size(disk.free)} of {size(disk.total)} free, "
            f"none is received below {size(disk.min_free)}",
        )  # fmt: skip
        for name, held, n_bytes in (
            ("images", account.images, account.images_bytes),
            ("results", account.results, account.results_bytes),
        ):
            share = n_bytes / disk.held if disk.held else 0.0
            table.add_row(
                name, _bar(share), size(n_bytes), f"of {counted(len(held), 'study', 'studies')}"
            )
        for name, n_bytes in (
            ("priors", account.priors_bytes),
            ("jobs", account.jobs_bytes),
            ("list", account.list_bytes),
        ):
            share = n_bytes / disk.held if disk.held else 0.0
            table.add_row(name, _bar(share), size(n_bytes), "")
        out.print(table)
        self._print_studies(disk, limit)

    def _print_studies(self, disk: "DiskUse", limit: int) -> None:
        if not disk.has_room:
            out.print(styled("\n[bold red]Images are refused[/]: the disk is full."))
        if self._going:
            soon = (
                "" if self._values.retention.enabled else " (by hand: retention.enabled is false)"
            )
            out.print(f"\nGoes now{soon}: {_sum(self._going)}", highlight=False)
        upcoming = self._next(limit)
        if upcoming:
            table = Table("goes next", "study", "when", "size", box=None, pad_edge=False)
            for at, study, part, n_bytes in upcoming:
                table.add_row(part.value, study, f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}",
                              size(n_bytes))  # fmt: skip
            out.print()
            out.print(table)
        if self._kept:
            table = Table("stays", "", "size", box=None, pad_edge=False)
            for reason, parts in self._kept.items():
                table.add_row(reason.meaning, str(len(parts)), size(_n(parts)))
            out.print()
            out.print(table)
        if self._pinned:
            table = Table("pinned", "until", "why", box=None, pad_edge=False)
            for one in self._pinned:
                end = f"{datetime.fromtimestamp(one.until):%Y-%m-%d}" if one.until else "for good"
                table.add_row(one.study, end, one.why)
            out.print()
            out.print(table)

    def _next(self, limit: int) -> list[tuple[float, str, "Part", int]]:
        """When, which study, which part and how many bytes; what goes now is not among them."""
        from cadnode.node.retention_rules import Part

        now = time.time()
        found = [
            (at, study, part, held.n_bytes)
            for part in Part
            for at, study, held in islice(
                (one for one in self._retention.upcoming(part) if one[0] > now), limit
            )
        ]
        return sorted(found)[:limit]


def size(n_bytes: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def _by_reason(due: Sequence["Due"]) -> dict[Any, list["Due"]]:
    found: dict[Any, list[Due]] = {}
    for one in due:
        if one.kept is not None:
            found.setdefault(one.kept, []).append(one)
    return found


def _ask(going: Sequence["Due"]) -> None:
    """Raises `SettingsError` when there is nobody to ask, and `Abort` when the answer is no."""
    if not sys.stdin.isatty():
        raise SettingsError(f"this removes {_sum(going)}: add --yes, or --dry-run to see what")
    typer.confirm(f"Remove {_sum(going)}?", abort=True)


def _named(study: str) -> str:
    """Raises `SettingsError` for what is neither a UID nor a key."""
    from cadnode.receive.identity import is_valid_uid
    from cadnode.web.study import KEY

    if KEY.fullmatch(study) or is_valid_uid(study):
        return study
    raise SettingsError(
        "STUDY is a Study Instance UID (digits and dots) or a key of 16 hex digits as in the log"
    )


def _end_of(day: str) -> float:
    """The end of a day here, in seconds since the epoch. Raises `SettingsError`."""
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(hour=23, minute=59, second=59).timestamp()
    except ValueError:
        raise SettingsError(f"--until is a date like 2027-01-31, not {day!r}") from None


def _due(one: "Due") -> dict[str, Any]:
    return {
        "study": one.study, "part": one.part.value, "because": one.because.value,
        "bytes": one.n_bytes,
    }  # fmt: skip


def _due_table(going: Sequence["Due"]) -> Table:
    table = Table("part", "study", "because of", "size", box=None, pad_edge=False)
    for one in going:
        table.add_row(one.part.value, one.study, one.because.value, size(one.n_bytes))
    return table


def _sum(going: Sequence["Due"]) -> str:
    return f"images or results of {len({one.study for one in going})} studies, {size(_n(going))}"


def _n(due: Sequence["Due"]) -> int:
    return sum(one.n_bytes for one in due)


def _bar(share: float) -> str:
    filled = round(_WIDTH * min(1.0, max(0.0, share)))
    return "█" * filled + "░" * (_WIDTH - filled)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
