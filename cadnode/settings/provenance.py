"""Where each setting comes from: a default, a line of the file, or an environment variable.

What is shown never holds a secret: passwords and tokens are in files that settings name, and
credentials within a URL are left out.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from cadnode.errors import SettingsError
from cadnode.settings.example import fields_of, toml
from cadnode.settings.load import Settings, load
from cadnode.settings.taking_up import asks_for_restart

_PREFIX: Final = "CADNODE_"
_CREDENTIALS: Final = re.compile(r"(://)[^\s'\"/@]*@")
_SECRET_PARTS: Final = re.compile(
    r"([?&][^=&\s\"]*(?:pass|pwd|secret|token|key)[^=&\s\"]*=)[^&\s\"]*", re.IGNORECASE
)
_Path = tuple[str | int, ...]


class ValueOrigin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class SettingShown:
    """One setting: `key` as `listener.port` or `destinations.archive.host`, its value as in TOML.

    `where` is the file and line, or the variable; "" of a default. `value` is "" where it is not
    set.
    """

    section: str
    key: str
    value: str
    origin: ValueOrigin
    where: str
    default: str
    meaning: str

    @property
    def asks_for_restart(self) -> bool:
        """Whether a new value is taken up as a whole only when the node is restarted."""
        return asks_for_restart(self.key)

    @property
    def is_stated(self) -> bool:
        """Whether somebody stated it."""
        return self.origin is not ValueOrigin.DEFAULT

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "key": self.key,
            "value": self.value,
            "origin": self.origin.value,
            "where": self.where,
            "default": self.default,
            "meaning": self.meaning,
        }


@dataclass(frozen=True, slots=True)
class SettingsShown:
    """All settings of a running node; `changed` are keys whose value in the file is another now.

    `problem` says why the file could not be used now, "" where it can.
    """

    rows: tuple[SettingShown, ...]
    file: str = ""
    changed: tuple[str, ...] = ()
    problem: str = ""

    def changed_by(self, *, restart: bool) -> tuple[str, ...]:
        """Those of `changed` that ask for a restart, or that a reload takes up as a whole."""
        return tuple(key for key in self.changed if asks_for_restart(key) == restart)


class KnownSettings:
    """The settings that a process has begun with, and what has become of their file since."""

    def __init__(self, values: Settings, file: Path | None) -> None:
        self._file = file
        self._rows = explain(values, file)

    def __call__(self) -> SettingsShown:
        """The settings, and which of them the file states otherwise now."""
        name = str(self._file or "")
        try:
            now = explain(load(self._file), self._file)
        except SettingsError as error:
            return SettingsShown(self._rows, name, problem=str(error))
        before = {row.key: row.value for row in self._rows}
        after = {row.key: row.value for row in now}
        keys = dict.fromkeys([*before, *after])
        changed = tuple(key for key in keys if before.get(key) != after.get(key))
        return SettingsShown(self._rows, name, changed)


def explain(
    values: Settings, file: Path | None, environment: Mapping[str, str] = os.environ
) -> tuple[SettingShown, ...]:
    """Every setting with where it comes from, section by section.

    Raises
    ------
    SettingsError
        The file cannot be read any more.
    """
    try:
        text = "" if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{file} cannot be read") from None
    return tuple(_Explained(file, lines_of(text), environment).rows(values))


def lines_of(text: str) -> dict[_Path, int]:
    """The line on which each key of a TOML document stands; of arrays of tables, by number.

    A statement is what can be parsed by itself below its table's header: TOML's own parser decides
    where one ends.
    """
    found: dict[_Path, int] = {}
    at: _Path = ()
    counts: dict[_Path, int] = {}
    statement: list[str] = []
    begun = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not statement and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun = begun if statement else number
        statement.append(line)
        tree = _parsed("\n".join(statement))
        if tree is None:
            continue
        if statement[0].lstrip().startswith("["):
            at = _table(tree, counts, is_array=statement[0].lstrip().startswith("[["))
            found.setdefault(at, begun)
        else:
            for path in _leaves(tree):
                found.setdefault((*at, *path), begun)
        statement = []
    return found


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _table(tree: dict[str, Any], counts: dict[_Path, int], *, is_array: bool) -> _Path:
    """The path of a header, arrays of tables above it by their last number."""
    names: list[str] = []
    inner: Any = tree
    while inner:
        inner = inner[0] if isinstance(inner, list) else inner
        if not inner:
            break
        (name,) = inner
        names.append(name)
        inner = inner[name]
    path: _Path = ()
    for name in names:
        path = (*path, name)
        if is_array and len([p for p in path if isinstance(p, str)]) == len(names):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _leaves(tree: Mapping[str, Any], above: _Path = ()) -> Iterator[_Path]:
    """The path of every key, tables before what is in them."""
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, dict):
                    yield (*above, name, number)
                    yield from _leaves(one, (*above, name, number))


@dataclass(frozen=True, slots=True)
class _Explained:
    """What is known about where settings are stated."""

    file: Path | None
    lines: Mapping[_Path, int]
    environment: Mapping[str, str]

    def rows(self, values: Settings) -> Iterator[SettingShown]:
        for section in Settings.model_fields:
            value = getattr(values, section)
            if isinstance(value, BaseModel):
                yield from self._section(section, value, (section,))
            else:
                yield from self._blocks(section, value, (section,))

    def _section(self, section: str, value: BaseModel, at: _Path) -> Iterator[SettingShown]:
        for key, _ in fields_of(type(value)):
            one = getattr(value, key)
            if isinstance(one, tuple) and one and isinstance(one[0], BaseModel):
                yield from self._blocks(f"{section}.{key}", one, (*at, key))
            else:
                yield self._row(section, value, key, (*at, key), section)

    def _blocks(
        self, section: str, blocks: tuple[BaseModel, ...], at: _Path
    ) -> Iterator[SettingShown]:
        for number, block in enumerate(blocks):
            name = getattr(block, "name", None) or str(number + 1)
            for key, _ in fields_of(type(block)):
                yield self._row(section, block, key, (*at, number, key), f"{section}.{name}")

    def _row(self, section: str, of: BaseModel, key: str, at: _Path, before: str) -> SettingShown:
        field, value = type(of).model_fields[key], getattr(of, key)
        origin, where = self._origin(at)
        default = None if field.is_required() else field.default
        return SettingShown(
            section=section,
            key=f"{before}.{key}",
            value=_shown(value),
            origin=origin,
            where=where,
            default=_shown(default),
            meaning=field.description or "",
        )

    def _origin(self, at: _Path) -> tuple[ValueOrigin, str]:
        if variable := self._variable(at):
            return ValueOrigin.ENVIRONMENT, variable
        if (line := self._line(at)) and self.file is not None:
            return ValueOrigin.FILE, f"{self.file} line {line}"
        return ValueOrigin.DEFAULT, ""

    def _variable(self, at: _Path) -> str:
        """The variable that states a key, by itself or with others, as pydantic reads them."""
        by_name = {name.upper(): name for name in self.environment}
        words = [str(part).upper() for part in at if isinstance(part, str)]
        is_block = any(isinstance(part, int) for part in at)
        if is_block:  # a list is stated as a whole
            words, at = words[:-1], at[: next(i for i, p in enumerate(at) if isinstance(p, int))]
        for n in range(len(words), 0, -1):
            name = _PREFIX + "__".join(words[:n])
            if name in by_name and (n == len(words) or self._has(by_name[name], at[n:])):
                return by_name[name]
            if n == len(words):
                inner = (word for word in by_name if word.startswith(f"{name}__"))
                if found := next(inner, ""):
                    return by_name[found]
        return ""

    def _has(self, variable: str, below: _Path) -> bool:
        """Whether a variable with a whole section, in JSON, states a key of it."""
        tree = _parsed_json(self.environment[variable])
        for part in below:
            if not isinstance(tree, dict) or part not in tree:
                return False
            tree = tree[part]
        return True

    def _line(self, at: _Path) -> int:
        return self.lines.get(at, 0)


def _parsed_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _shown(value: object) -> str:
    """A value as in TOML, without credentials; "" where there is none."""
    if value in (None, "", (), {}):
        return ""
    text = toml(value)
    return _SECRET_PARTS.sub(r"\1…", _CREDENTIALS.sub(r"\1…@", text))
