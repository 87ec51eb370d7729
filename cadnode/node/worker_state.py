"""The state a running worker records: `worker.json` in the storage folder.

`cadnode check` and `cadnode models list` are other processes; this is how they learn which models
the running one reads with, and that it refused a change.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cadnode.files import write_whole

FILE: Final = "worker.json"
TAKEN_UP: Final = "roles/taken-up.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelProblem(_Frozen):
    """Why a change of models was not taken: a code, and a sentence that names the model."""

    code: str
    message: str


class Used(_Frozen):
    """A model that the worker reads with."""

    name: str
    version: str
    sha256: str


class NodeState(_Frozen):
    """Content of the file; `pid` is the worker's."""

    schema_version: Literal[1] = 1
    pid: int
    models: tuple[Used, ...]
    problem: ModelProblem | None = None

    @property
    def runs(self) -> bool:
        """Whether a process of that number runs on this machine."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def write(storage: Path, state: NodeState) -> None:
    """Write the file; raises OSError when the disk does not take it."""
    write_whole(storage / FILE, state.model_dump_json(indent=2).encode() + b"\n")


def note_taken_up(storage: Path, count: int) -> None:
    """Record how many results were taken up again, which the job database had lost.

    A launch that finds none leaves what an earlier one of the last day found.
    """
    if count:
        with suppress(OSError):
            document = {"at": time.time(), "count": count}
            write_whole(storage / TAKEN_UP, json.dumps(document).encode())


def taken_up(storage: Path, within_s: float) -> int:
    """How many results were taken up again in that time, 0 mostly."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads((storage / TAKEN_UP).read_bytes())
        if time.time() - float(document["at"]) < within_s:
            return int(document["count"])
    return 0


def read(storage: Path) -> NodeState | None:
    """The state the worker last recorded; None when there is none that can be read."""
    try:
        return NodeState.model_validate_json((storage / FILE).read_bytes())
    except (OSError, ValidationError):
        return None
