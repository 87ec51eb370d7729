"""How minibatches are made ahead of need by threads, in order."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from torch import Tensor

from cadnode_training.engine.machine import Machine

T = TypeVar("T")


class EpochData(Protocol):
    """Minibatches, dataclasses of tensors, that depend on epoch and step alone."""

    epoch: int

    def __len__(self) -> int: ...

    def make(self, epoch: int, step: int) -> Any:
        """The minibatch of a step; called by several threads at once."""


class Feed:
    """The minibatches of the epoch that the data are at, made ahead of need."""

    def __init__(self, data: EpochData, machine: Machine) -> None:
        self.data, self.machine = data, machine

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        epoch = self.data.epoch

        def make(step: int) -> Any:
            batch = self.data.make(epoch, step)
            return pinned(batch) if self.machine.device == "cuda" else batch

        yield from ahead(make, len(self.data), self.machine.workers)


def ahead(make: Callable[[int], T], steps: int, workers: int) -> Iterator[T]:
    """What `make` gives for 0, 1, …, `steps` − 1: up to two for each of the threads in waiting.

    Choice: threads, not processes, because OpenCV and NumPy let go of the interpreter while they
    work on an image, and the memory-mapped images need not be copied.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="minibatches")
    waiting: deque[Future[T]] = deque()
    try:
        for step in range(steps):
            for later in range(step + len(waiting), min(step + 2 * workers, steps)):
                waiting.append(pool.submit(make, later))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def moved(batch: T, device: str) -> T:
    """The minibatch, a dataclass, with its tensors on the device."""
    if device == "cpu":
        return batch
    found: dict[str, Any] = {}
    for one in dataclasses.fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, one.name)
        if isinstance(value, Tensor):
            found[one.name] = value.to(device, non_blocking=value.is_pinned())
    return dataclasses.replace(batch, **found)  # type: ignore[type-var]


def pinned(batch: T) -> T:
    """The minibatch in page-locked memory, from where a GPU fetches it beside its work."""
    found = {
        one.name: getattr(batch, one.name).pin_memory()
        for one in dataclasses.fields(batch)  # type: ignore[arg-type]
        if isinstance(getattr(batch, one.name), Tensor)
    }
    return dataclasses.replace(batch, **found)  # type: ignore[type-var]
