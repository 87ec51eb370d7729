"""Which command line a card and a training's record state."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from cadnode_training.data.sets.phantom_exams import NAME as PHANTOM


def command_line(system: str, data: Sequence[str], out: Path, options: Mapping[str, object]) -> str:
    """`cadnode train SYSTEM …` with the folders' names alone; options without a value are left out.

    A list among the options' values repeats its option.
    """
    words = ["cadnode", "train", system]
    for text in data:
        words += ["--data", ",".join(named(one) for one in text.split(","))]
    words += ["--out", out.name]
    for option, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        for one in values:
            words += [option, str(one)] if one is not None else []
    return shlex.join(words)


def named(text: str) -> str:
    """`KIND:PATH`, or `STAGE=KIND:PATH`, with the folder's name for its path."""
    kind, colon, where = text.partition(":")
    if kind.rpartition("=")[2] == PHANTOM:
        return text
    return f"{kind}{colon}{Path(where).name}"
