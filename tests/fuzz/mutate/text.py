"""Mutations of JSON documents and of settings in TOML: hostile values at every place of a tree."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), 1e308, "", " ", "\0",
    "\ud800", "ZZQ", "é" * 300, "../../x", "<script>", "{{7*7}}", "%00", "1.2.3", "A" * 5000,
    [], {},
    [[]], [None], {"": None}, {"a": {"a": {}}}, "\r\nX: y", "http://u:ZZQpw@h/?q", "١٢٣", "Success",
)  # fmt: skip


def mutated_json(data: bytes, rng: Random, keys: Sequence[str] = ()) -> bytes:
    """A document with one to four nodes replaced, removed, doubled or wrapped."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(1 + min(3, int(rng.expovariate(0.8)))):
        tree = _changed(tree, rng, keys)
    if rng.random() < 0.01:
        return b"[" * 100_000
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _changed(tree: Any, rng: Random, keys: Sequence[str]) -> Any:
    places = _places(tree)
    if not places:
        return _hostile(rng)
    holder, key = rng.choice(places)
    roll = rng.random()
    if roll < 0.45:
        holder[key] = _hostile(rng)
    elif roll < 0.6:
        del holder[key]
    elif roll < 0.7:
        holder[key] = [holder[key]]
    elif roll < 0.8 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 50)))
    elif roll < 0.9:
        other, at = rng.choice(places)
        try:
            holder[key] = json.loads(json.dumps(other[at]))
        except (KeyError, IndexError):
            return tree
    elif isinstance(holder, dict):
        holder[rng.choice((*keys, "", "a", "\ud800"))] = _hostile(rng)
    return tree


def _hostile(rng: Random) -> Any:
    """One of them as a copy: the next change may be made inside it."""
    return deepcopy(rng.choice(HOSTILE))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) in a tree."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting and len(found) < 3000:
        node = waiting.pop()
        keys = (
            node.keys()
            if isinstance(node, dict)
            else range(len(node))
            if isinstance(node, list)
            else ()
        )
        for key in list(keys):
            found.append((node, key))
            waiting.append(node[key])
    return found


TOML_VALUES = (
    '""',
    '"x"',
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "true",
    "[]",
    "[[]]",
    "{}",
    '["a", 1]',
    "1979-05-27",
    "07:32:00",
    "0x7fffffffffffffff",
    "99999999999999999999",
    '"""a\nb"""',
    "'\\u0000'",
    '"\\u0000"',
    '"\\ud800"',
    '"http://ZZQuser:ZZQpw@host"',
    '"postgresql://ZZQuser:ZZQpw@h/d"',
    '"R CC"',
    '["R CC"]',
    '"sensitivity=0.9"',
    '"sensitivity=2"',
    '"::1"',
    '"0.0.0.0"',
    "{a = 1}",
    '"' + "A" * 5000 + '"',
    "[" * 500,
    "{a=" * 300,
    '"%s"',
    '"/nonexistent"',
    '"dicom"',
    "104",
    '"DEBUG"',
    "65536",
    "1_000",
    '"é"',
    '"kim2018@1.0.0"',
    "''",
    "\x00",
    "\x80",
    '"folder"',
)


def mutated_toml(
    data: bytes, rng: Random, keys: Sequence[str], sections: Sequence[str],
    rest: Callable[[bytes], bytes],
) -> bytes:  # fmt: skip
    """A settings file with lines changed, added, doubled and moved; now and then no TOML."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(1 + min(4, int(rng.expovariate(0.7)))):
        at = rng.randrange(len(lines))
        roll = rng.random()
        if roll < 0.4:
            key = lines[at].split("=")[0].strip() or rng.choice(keys)
            lines[at] = f"{key} = {rng.choice(TOML_VALUES)}"
        elif roll < 0.6:
            lines.insert(at, f"{rng.choice(keys)} = {rng.choice(TOML_VALUES)}")
        elif roll < 0.7:
            lines.insert(
                at, rng.choice(("[{}]", "[[{}]]", "[{}", "[{}.x]")).format(rng.choice(sections))
            )
        elif roll < 0.8:
            lines.insert(at, rng.choice(lines))
        elif roll < 0.9:
            del lines[at]
            lines = lines or [""]
        else:
            return rest("\n".join(lines).encode("utf-8", "surrogatepass"))
    return "\n".join(lines).encode("utf-8", "surrogatepass")
