"""Every setting as a page: `python -m cadnode.settings.reference docs/configuration.md`."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cadnode.settings.example import fields_of, toml
from cadnode.settings.load import Settings
from cadnode.settings.peers import Destination, Source
from cadnode.settings.sections import ListenerPeer

_LISTS: Final[dict[str, type[BaseModel]]] = {"destinations": Destination, "sources": Source}
_INNER_LISTS: Final[dict[str, dict[str, type[BaseModel]]]] = {"listener": {"peers": ListenerPeer}}
_HEAD: Final = """\
# Configuration

<!-- Written by `python -m cadnode.settings.reference docs/configuration.md`; a test compares. -->

A node reads one TOML file (`--config FILE`); `cadnode check --example` prints one to start from,
with every default. Without a file all defaults apply. An unknown key is an error, which says where
it stands.

An environment variable overrides the file: `CADNODE_` + section + `__` + key, in capitals, such as
`CADNODE_LISTENER__PORT=11113`. Lists are JSON: `CADNODE_STUDY__WANTED_VIEWS='["R CC"]'`.
Passwords and tokens are never in the file: it names the files that hold them.
"""


def reference() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        model = _LISTS.get(name) or type(field.default)
        title = f"[[{name}]]" if name in _LISTS else f"[{name}]"
        parts.append(_part(title, model))
        for key, inner in _INNER_LISTS.get(name, {}).items():
            parts.append(_part(f"[[{name}.{key}]]", inner))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _part(title: str, model: type[BaseModel]) -> str:
    return "\n".join([f"## `{title}`", "", _sentence(model.__doc__), "", *_table(model)])


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in fields_of(model):
        cells = (f"`{key}`", _type(field.annotation), _default(field), field.description or "")
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default in (None, "", (), {}) else f"`{toml(field.default)}`"


def _type(annotation: Any) -> str:
    """In words: the values that are possible, or the kind of value."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    if type(None) in inner:
        return _type(next(one for one in inner if one is not type(None)))
    if origin in (Union, UnionType):
        return ", ".join(_type(one) for one in inner)
    if inner and all(isinstance(one, str) for one in inner):
        return ", ".join(f"`{one}`" for one in inner)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{one}`" for one in annotation)  # an enumeration
    return _type(inner[0]) if inner else str(annotation)


_WORDS: Final[dict[Any, str]] = {
    str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Path: "path",
    ListenerPeer: "blocks",
}  # fmt: skip


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
