"""`cadnode backup`: a node's storage, jobs, settings and identities in one file, and back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cadnode import settings
from cadnode.cli.acts import acting
from cadnode.cli.command import AsJson, ConfigFile, command, err, out, print_json
from cadnode.errors import SettingsError
from cadnode.terminal import counted

if TYPE_CHECKING:
    from cadnode.backup.archive import BackupHead
    from cadnode.backup.creation import BackupMade, BackupWish

backup_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="A node's storage, jobs, settings and identities in one file, and back.\n\n"
    "The file holds images, reports and secrets in clear: encrypt it, as by [bold]cadnode backup "
    "create - -c node.toml | age -r KEY > node.tar.age[/].",
)
BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="the backup; - is standard input")]
_PIPE = Path("-")


@backup_app.command()
@command
def create(
    to: Annotated[
        Path,
        typer.Argument(metavar="FILE|DIR", help="a new file, or a folder for it; - is a pipe"),
    ],
    without_images: Annotated[
        bool,
        typer.Option(
            "--without-images",
            help="leave received images out: results stay, what is not read yet is lost",
        ),
    ] = False,
    without_jobs: Annotated[
        bool,
        typer.Option("--without-jobs", help="leave the job database out, where it cannot be read"),
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Back a node up, also while it works. Only you may read the file.

    Example: [bold]cadnode backup create /mnt/backup --config /etc/cadnode/cadnode.toml[/]
    """
    from cadnode.audit.event import Action
    from cadnode.backup import creation

    values = settings.load(config)
    wish = creation.BackupWish(values, config, not without_images, not without_jobs)
    with acting(values, Action.BACKED_UP, "without images" if without_images else ""):
        made = _piped(wish) if to == _PIPE else creation.create(wish, to)
    if as_json and made.path is not None:
        print_json({**asdict(made), "path": str(made.path)})
        return
    say = err if made.path is None else out
    say.print(f"{made.path or 'written'}: {counted(made.n_files, 'file')}, {_size(made.n_bytes)}",
              highlight=False, soft_wrap=True)  # fmt: skip


@backup_app.command()
@command
def verify(file: BackupFile, as_json: AsJson = False) -> None:
    """Read a backup through, compare every file with its SHA-256, and say what is in it."""
    from cadnode.backup import archive

    with _opened(file) as stream:
        found = archive.summed_up(stream)
    if as_json:
        print_json(found.as_dict())
        return
    table = _head_table(found.head)
    table.add_row("files", f"{found.n_files}, {_size(found.n_bytes)}; all as the manifest says")
    table.add_row("studies with images", str(found.n_studies))
    table.add_row("results", str(found.n_results))
    out.print(table)


@backup_app.command()
@command
def restore(file: BackupFile, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Put a backup into an empty storage folder; the node goes on where it was then.

    No node may run there. Settings and identities that are here stay as they are; those that are
    missing are written where they were. Without --config the backup's own path is taken.

    Example: [bold]cadnode backup restore node.tar --config /etc/cadnode/cadnode.toml[/]
    """
    from cadnode.audit.event import Action
    from cadnode.backup import restoration

    with _opened(file) as stream:
        done = restoration.restore(stream, config)
    with acting(done.values, Action.RESTORED, f"of {done.head.made_at}"):
        pass
    if as_json:
        print_json(
            {
                "head": asdict(done.head), "files": done.n_files, "bytes": done.n_bytes,
                "jobs": done.has_jobs, "written": [str(path) for path in done.written],
                "kept": [str(path) for path in done.kept],
                "failed": [str(path) for path in done.failed],
            }
        )  # fmt: skip
        return
    table = _head_table(done.head)
    table.add_row("restored", f"{counted(done.n_files, 'file')}, {_size(done.n_bytes)}, into "
                  f"{done.values.storage.folder}")  # fmt: skip
    jobs = "restored" if done.has_jobs else "not restored: the node goes on from the files"
    table.add_row("job database", jobs)
    for path in done.written:
        table.add_row("written", str(path))
    for path in done.kept:
        table.add_row("kept as it is here", str(path))
    for path in done.failed:
        table.add_row("not written", f"{path}: take it out of the backup by tar")
    out.print(table)


def _piped(wish: "BackupWish") -> "BackupMade":
    from cadnode.backup import creation

    if sys.stdout.isatty():
        raise SettingsError("a backup is no text: send it into a pipe or a file")
    try:
        return creation.write(wish, sys.stdout.buffer, datetime.now(UTC))
    except OSError as error:
        raise SettingsError(f"the backup was broken off: {error.strerror}") from None


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if file == _PIPE:
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    with stream:
        yield stream


def _head_table(head: "BackupHead") -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("backup of", f"{head.node}, {head.storage}")
    table.add_row("made", f"{head.made_at} by cadnode {head.cadnode}")
    table.add_row("images", "in it" if head.images else "left out")
    return table


def _size(n_bytes: int) -> str:
    from cadnode.cli.storage import size

    return size(n_bytes)
