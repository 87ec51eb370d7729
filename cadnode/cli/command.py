"""What all commands share: consoles, common options, errors into exit codes."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from cadnode import extras, places, terminal
from cadnode.errors import CadnodeError

P = ParamSpec("P")
R = TypeVar("R")

out = terminal.console()
err = terminal.console(stderr=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="TOML file; `cadnode check --example` prints one"
    ),
]
FailureReason = Annotated[str, typer.Option(metavar="TEXT", help="why: the history keeps it")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for machines, nothing else")]


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Turn cadnode's errors into one line on standard error and the documented exit code."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CadnodeError as error:
            raise failed(error) from error
        except ImportError as error:
            if (lacking := extras.missing(error)) is None:
                raise
            raise failed(lacking) from error

    return wrapped


def failed(error: CadnodeError) -> typer.Exit:
    """The error's line, printed, and the end of the command with its exit code."""
    err.print(terminal.styled("[bold red]cadnode:[/] {}", error), soft_wrap=True)
    return typer.Exit(error.exit_code)


def to_folder(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Callback of an option that names a folder to write: tried before the command begins."""
    return _tried(places.folder, option, path)


def to_file(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Callback of an option that names a file to write: tried before the command begins."""
    return _tried(places.file, option, path)


def _tried(
    trial: Callable[[Path, str], None], option: typer.CallbackParam, path: Path | None
) -> Path | None:
    try:
        if path is not None:
            trial(path, max(option.opts, key=len))
    except CadnodeError as error:
        raise failed(error) from error
    return path


OutFolder = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="where results are written", callback=to_folder
    ),
]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
