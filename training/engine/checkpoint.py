"""What a training can resume from: its whole state in one file, and what it belongs to."""

import dataclasses
import hashlib
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from cadnode.errors import DataError
from cadnode.files import write_whole

CHECKPOINT: Final = "last.pt"
RUN: Final = "run.json"
STAGE_WEIGHTS: Final = "weights.safetensors"
"""What a finished stage of a training leaves; a model folder's weights have another name."""


def write(file: Path, state: Mapping[str, Any]) -> None:
    """Write the state, replaced at once: a kill leaves the old checkpoint or the new one.

    Choice: our own file instead of MONAI's CheckpointSaver, because last and best weights,
    optimizer and the count of early stopping must be of the same epoch; that saver writes them as
    files of their own, and a kill can fall between them.
    """
    partial = file.with_name(f"{file.name}.partial")
    torch.save(dict(state), partial)
    os.replace(partial, file)


def read(file: Path, device: str = "cpu") -> dict[str, Any] | None:
    """The state; None without a file.

    Raises
    ------
    DataError
        The file is damaged.
    """
    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError):
        raise DataError(f"{file.name} is damaged; start from scratch") from None
    return state


def claim(out: Path, recipe: Any, data: Sequence[str], seed: int, *, resume: bool) -> None:
    """Record what the folder's training depends on; refuse to resume another one.

    A training that starts from scratch first removes what an earlier one left in the folder:
    killed and resumed, it would continue with the other's weights.

    Parameters
    ----------
    out
        The folder.
    recipe, data, seed
        What the training depends on; the recipe is a dataclass.
    resume
        Whether to resume the folder's training.

    Raises
    ------
    DataError
        `resume` is asked for, and the folder's training has other data, recipe or seed.
    """
    depends = {"recipe": dataclasses.asdict(recipe), "data": list(data), "seed": seed}
    text = json.dumps(depends, indent=2, sort_keys=True)
    file = out / RUN
    if resume and file.exists():
        if hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(text.encode()).digest():
            raise DataError("--resume: the folder holds a training of other data, recipe or seed")
        return
    out.mkdir(parents=True, exist_ok=True)
    if file.exists():
        for state in [*out.rglob(CHECKPOINT), *out.rglob(STAGE_WEIGHTS)]:
            state.unlink()
    write_whole(file, text.encode())
