"""What all commands share: consoles, common options, errors into exit codes."""

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar, get_type_hints

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
Seed = Annotated[
    int, typer.Option(min=0, help="of bootstrap intervals and folds; the result names it")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="print what would be read, and which files written; no more"),
]


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


def spread(function: Callable[..., R]) -> Callable[..., R]:
    """The function with its first parameter, a dataclass of typer's options, as options of its own.

    The function's further parameters come first in its help, as they are what is special in it.
    """
    hints = get_type_hints(function, include_extras=True)
    (shared, *own) = inspect.signature(function).parameters.values()
    bundle = hints[shared.name]
    names = [field.name for field in dataclasses.fields(bundle)]

    @wraps(function)
    def spread_out(**options: Any) -> R:
        common = bundle(**{name: options.pop(name) for name in names})
        return function(common, **options)

    found = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
    found += [_parameter(f, bundle) for f in dataclasses.fields(bundle)]
    spread_out.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {p.name: p.annotation for p in found}
    return spread_out


def _parameter(field: "dataclasses.Field[Any]", bundle: type) -> inspect.Parameter:
    given = field.default is not dataclasses.MISSING
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default if given else inspect.Parameter.empty,
        annotation=get_type_hints(bundle, include_extras=True)[field.name],
    )


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


def given(*files: Path | None) -> list[Path]:
    """The files that an option named."""
    return [file for file in files if file is not None]


def write_json(file: Path | None, content: dict[str, Any]) -> None:
    """Write a JSON document, and the folder that it is in; nothing without a file."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
