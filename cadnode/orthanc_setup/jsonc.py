"""Orthanc's configuration files: JSON with comments, edited so that comments stay."""

import json
import re
from collections.abc import Iterator
from typing import Any

_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text: str) -> str:
    """`text` with comments blanked: as long as before, every other character at its place."""

    def blanked(found: re.Match[str]) -> str:
        token = found[0]
        return token if token.startswith('"') else re.sub(r"[^\n]", " ", token)

    return _TOKENS.sub(blanked, text)


def parse(text: str) -> dict[str, Any]:
    """The object in a configuration file. Raises `ValueError` when it is not one."""
    value = json.loads(without_comments(text))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Key, start and end of the value of each member of the object in `text` (no comments)."""
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    while True:
        at = _skip(text, at, " \t\r\n,")
        if text[at] == "}":
            return
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at, " \t\r\n") + 1, " \t\r\n")
        _, end = decoder.raw_decode(text, at)
        yield key, at, end
        at = end


def _skip(text: str, at: int, characters: str) -> int:
    while text[at] in characters:
        at += 1
    return at


def with_value(text: str, path: tuple[str, ...], value: Any, depth: int = 1) -> str:
    """`text` with a member set: its value replaced, or a new first member of its object.

    `path` are the keys from the outermost object inwards; missing objects are made. `depth` is
    that of the members of the object in `text`, for their indentation.
    """
    key, rest = path[0], path[1:]
    bare = without_comments(text)
    for name, start, end in _members(bare):
        if name == key:
            inner = text[start:end]
            if rest and inner.startswith("{"):
                return text[:start] + with_value(inner, rest, value, depth + 1) + text[end:]
            return text[:start] + _json(value, rest, depth) + text[end:]
    at = bare.index("{") + 1
    is_empty = bare[_skip(bare, at, " \t\r\n")] == "}"
    new = f"\n{'  ' * depth}{json.dumps(key)} : {_json(value, rest, depth)}"
    if not is_empty:
        new += ","
    elif not text[at:].startswith("\n"):
        new += "\n" + "  " * (depth - 1)
    return text[:at] + new + text[at:]


def _json(value: Any, path: tuple[str, ...], depth: int) -> str:
    """`value` inside new objects for the keys in `path`; lists stay on one line."""
    for key in reversed(path):
        value = {key: value}
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    pad = "  " * depth
    members = [f"{pad}  {json.dumps(k)} : {_json(v, (), depth + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(members) + f"\n{pad}" + "}"
