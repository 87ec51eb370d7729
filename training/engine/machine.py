"""Where a training runs: device, precision, workers, processes; never part of the recipe."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, Literal, TypeVar

import torch
from torch import Tensor, distributed

from cadnode.errors import SettingsError
from cadnode.models import engine

T = TypeVar("T")
Precision = Literal["auto", "bf16", "fp16", "fp32"]
PRECISIONS: Final[tuple[Precision, ...]] = ("auto", "bf16", "fp16", "fp32")
# More threads than this make images faster than a GPU learns from them.
_MOST_WORKERS: Final = 8
# Validation and export happen in one process while the others wait.
_PATIENCE: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a training runs on.

    Parameters
    ----------
    device
        `cpu` or `cuda`: the process' own GPU (`started` sets it).
    precision
        Of the network's forward and backward pass; `auto` follows the recipe. Weights, loss and
        optimizer are float32 always.
    workers
        Threads that make minibatches ahead of need. They do not change a minibatch.
    deterministic
        Refuse operations whose result may differ from run to run (on a GPU; a CPU has none here).
    rank, world
        Number of this process, and how many of them learn together (`torchrun`).
    tensorboard, mlflow
        Whether scalars are written for TensorBoard; the tracking server of MLflow, "" for none.
    """

    device: str = "cpu"
    precision: Precision = "auto"
    workers: int = 1
    deterministic: bool = False
    rank: int = 0
    world: int = 1
    tensorboard: bool = False
    mlflow: str = ""

    @classmethod
    def here(
        cls, *, precision: str = "auto", workers: int | None = None, deterministic: bool = False,
        tensorboard: bool = False, mlflow: str = "",
    ) -> "Machine":  # fmt: skip
        """The machine at hand, and this process among those that `torchrun` started.

        Raises
        ------
        SettingsError
            The precision is unknown, or needs a GPU.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        known = next((p for p in PRECISIONS if p == precision), None)
        if known is None:
            raise SettingsError(f"--precision must be {', '.join(PRECISIONS)}, not {precision!r}")
        if known == "fp16" and device == "cpu":
            raise SettingsError("--precision fp16 needs a GPU; without one take bf16 or fp32")
        world = int(os.environ.get("WORLD_SIZE", "1"))
        cores = max(1, (os.cpu_count() or 2) // world - 1)
        return cls(
            device=device,
            precision=known,
            workers=workers or (1 if device == "cpu" else min(_MOST_WORKERS, cores)),
            deterministic=deterministic,
            rank=int(os.environ.get("RANK", "0")),
            world=world,
            tensorboard=tensorboard,
            mlflow=mlflow,
        )

    @property
    def first(self) -> bool:
        """Whether this process is the one that validates, writes and prints."""
        return self.rank == 0

    def alone(self) -> "Machine":
        """The machine for a training that one process does."""
        return replace(self, rank=0, world=1)

    def dtype(self, *, amp: bool) -> torch.dtype | None:
        """Type of the convolutions, `amp` being the recipe's wish; None is float32.

        Under `auto`, GPUs without bfloat16 take float16, whose loss is scaled, and processors
        without it float32: PyTorch would emulate it, in two to three times the time.
        """
        if self.precision == "fp32" or (self.precision == "auto" and not amp):
            return None
        if self.precision == "auto" and self.device == "cpu" and not engine.has_bf16():
            return None
        lacks = self.device == "cuda" and not torch.cuda.is_bf16_supported()
        half = self.precision == "fp16" or (self.precision == "auto" and lacks)
        return torch.float16 if half else torch.bfloat16

    def small(self) -> "Machine":
        """The machine for small networks, which are trained in float32.

        Raises
        ------
        SettingsError
            Another precision was asked for.
        """
        if self.precision not in ("auto", "fp32"):
            raise SettingsError("--precision: these small networks are trained in float32")
        return self

    def shares(self, rows: int) -> list[slice]:
        """The rows of a minibatch that each process takes: neighbours, sizes differ by one."""
        ends = [rows * n // self.world for n in range(self.world + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]

    def in_turn(self, make: Callable[[], T]) -> T:
        """What `make` gives; the first process makes it, the others once it has, from its files."""
        if self.world == 1:
            return make()
        made = [make()] if self.first else []
        distributed.barrier()
        return made[0] if made else make()

    def agreed(self, value: T) -> T:
        """The first process' value, in every process."""
        if self.world == 1:
            return value
        shared: list[Any] = [value]
        distributed.broadcast_object_list(shared, src=0)
        return shared[0]  # type: ignore[no-any-return]

    def gathered(self, mine: Tensor, shares: Sequence[slice]) -> Tensor:
        """All processes' rows in order; `mine` stays what it is in them, with its gradient."""
        if self.world == 1:
            return mine
        most = max(s.stop - s.start for s in shares)
        padded = mine.new_zeros((most, *mine.shape[1:]), dtype=torch.float32)
        padded[: len(mine)] = mine.detach().float()
        found = [torch.empty_like(padded) for _ in shares]
        distributed.all_gather(found, padded)
        rows = [
            one[: s.stop - s.start].to(mine.dtype) for one, s in zip(found, shares, strict=True)
        ]
        rows[self.rank] = mine
        return torch.cat(rows)


@contextmanager
def started(machine: Machine) -> Iterator[Machine]:
    """The machine with its group of processes and its switches set; put back at the end."""
    joins = machine.world > 1 and not distributed.is_initialized()
    if joins:
        if machine.device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "nccl" if machine.device == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=_PATIENCE)
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if machine.deterministic:
        # cuBLAS reads it when its first handle is made (PyTorch, Reproducibility).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not machine.deterministic
    try:
        yield machine
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        # After an error the others may never come: the group ends with the process then.
        if joins and sys.exc_info()[0] is None:
            distributed.barrier()
            distributed.destroy_process_group()
