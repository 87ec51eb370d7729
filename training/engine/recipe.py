"""How a recipe is read: a TOML file in, a frozen dataclass out, keys and types checked."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from cadnode.errors import SettingsError

T = TypeVar("T")
CPU, PAPER, TRANSFER, BOXES = "cpu", "paper", "transfer", "boxes"


@dataclass(frozen=True, slots=True)
class Recipes:
    """The committed recipes of a system.

    Parameters
    ----------
    paper
        TOML file of the paper's protocol, or what comes nearest to it.
    cpu
        TOML file for machines without a GPU; None where `paper` is quick enough there.
    transfer
        TOML file that starts from ImageNet weights where the paper does not.
    boxes
        TOML file that learns from boxes of lesions besides labels.
    usual
        TOML file that is taken without `--config`; None: `cpu` or `paper`, by the device.
    """

    paper: Path
    cpu: Path | None = None
    transfer: Path | None = None
    boxes: Path | None = None
    usual: Path | None = None

    def of(self, config: Path | None, device: str = "cuda") -> Path:
        """The file of `--config`: a committed one's name, any file; None: what fits the device."""
        if config is None and self.usual is not None:
            return self.usual
        if config is None:
            return self.paper if device != "cpu" or self.cpu is None else self.cpu
        if str(config) == PAPER:
            return self.paper
        for name, file in ((TRANSFER, self.transfer), (BOXES, self.boxes)):
            if str(config) == name and file is not None:
                return file
        return (self.cpu or self.paper) if str(config) == CPU else config

    def note(self, config: Path | None, device: str) -> str:
        """The message for a recipe that was chosen for lack of a GPU; "" otherwise."""
        small = config is None and device == "cpu" and self.cpu is not None
        if small and self.usual is None:
            return "No GPU: the small recipe is used (--config paper takes the paper's)."
        return ""


def read(file: Path, kind: type[T]) -> T:
    """The recipe of a TOML file as the dataclass `kind`.

    Raises
    ------
    SettingsError
        The file is missing or not TOML, or a key or a value is wrong.
    """
    try:
        tables = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise SettingsError(f"there is no recipe {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise SettingsError(f"{file} is not a TOML file") from None
    return typing.cast(T, _typed(kind, tables, ""))


def _typed(kind: Any, value: Any, where: str) -> Any:
    """`value` of a TOML file as `kind`, which is a dataclass, a tuple, a literal or a scalar."""
    if dataclasses.is_dataclass(kind):
        return _table(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{where} must be a list")
        return tuple(_typed(arguments[0], item, where) for item in value)
    if origin is Literal:
        if value not in arguments:
            raise SettingsError(f"{where} must be one of {', '.join(map(str, arguments))}")
        return value
    return _scalar(kind, value, where)


def _table(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where or 'the recipe'} must be a table")
    wanted = typing.get_type_hints(kind)
    for key in value:
        if key not in wanted:
            known = ", ".join(wanted)
            raise SettingsError(f"unknown key {_join(where, key)}; known: {known}")
    return kind(**{k: _typed(wanted[k], v, _join(where, k)) for k, v in value.items()})


def _scalar(kind: type, value: Any, where: str) -> Any:
    whole_as_float = kind is float and isinstance(value, int) and not isinstance(value, bool)
    if whole_as_float:
        return float(value)
    if type(value) is not kind or isinstance(kind, types.UnionType):
        raise SettingsError(f"{where} must be of type {kind.__name__}")
    if isinstance(value, int | float) and value < 0:
        raise SettingsError(f"{where} must not be negative")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
